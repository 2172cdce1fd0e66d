//! The shards of a stream.

use std::time::Duration;

use aws_sdk_kinesis::types::{self, ShardFilter};
use shardflow_core::{HashKeyRange, Invalid, Shard, Stream, StreamArn};
use shardflow_engine::Failure;

use crate::{bounded, classify, unreadable};

/// Lists the shards of a stream, all pages, each within `timeout`. Without a filter, all that it still has.
///
/// # Errors
///
/// When a page cannot be had.
pub async fn list_shards(
    kinesis: &aws_sdk_kinesis::Client,
    stream: &Stream,
    filter: Option<ShardFilter>,
    timeout: Duration,
) -> Result<Vec<Shard>, Failure> {
    let mut shards = Vec::new();
    let mut call = kinesis.list_shards().set_shard_filter(filter);
    call = match stream {
        Stream::Name(name) => call.stream_name(name.as_str()),
        Stream::Arn(arn) => call.stream_arn(StreamArn::as_str(arn)),
    };
    loop {
        let sent = async { call.send().await.map_err(|error| classify(&error)) };
        let page = bounded(timeout, sent).await?;
        for listed in page.shards.unwrap_or_default() {
            shards.push(shard(listed).map_err(|error| unreadable(&error))?);
        }
        // A token stands for the whole request: name, ARN and filter go with the first page only.
        match page.next_token.filter(|token| !token.is_empty()) {
            Some(token) => call = kinesis.list_shards().next_token(token),
            None => return Ok(shards),
        }
    }
}

/// A shard as the service lists it.
///
/// # Errors
///
/// When something in it breaks the service's own rules.
pub fn shard(listed: types::Shard) -> Result<Shard, Invalid> {
    let range = listed.hash_key_range.map(|range| (range.starting_hash_key, range.ending_hash_key));
    let (start, end) = range.unwrap_or_default();
    let range = HashKeyRange::new(start.parse()?, end.parse()?)?;
    let mut shard = Shard::new(listed.shard_id.parse()?, range);
    shard.parent = listed.parent_shard_id.map(|id| id.parse()).transpose()?;
    shard.adjacent_parent = listed.adjacent_parent_shard_id.map(|id| id.parse()).transpose()?;
    if let Some(numbers) = listed.sequence_number_range {
        shard.starting_sequence_number = numbers.starting_sequence_number.parse().ok();
        // However odd a server's number is, its presence says that the shard is closed.
        let ending = numbers.ending_sequence_number.map(|number| number.parse().or_else(|_| "0".parse()));
        shard.ending_sequence_number = ending.transpose()?;
    }
    Ok(shard)
}
