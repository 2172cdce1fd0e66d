//! The shards of a stream, for those who share them out by themselves.

use std::time::Duration;

use shardflow_core::{InitialPosition, Shard, Stream};
use shardflow_engine::shards::ShardFilter;
use shardflow_engine::{Failure, Verdict};
use tokio::time::sleep;

use crate::client::Client;
use crate::{Config, ReadError};

/// Lists the shards of a stream: those to begin with at a position, or all that it still has.
///
/// The shards of a position own all hash keys between them, each once. Those that come after them are told by
/// [`FromShard::End`](crate::FromShard::End). Throttling is waited out, ten seconds at most; each call ends within 30 s.
///
/// Cancel safe: nothing is changed.
///
/// # Errors
///
/// When the stream is not there, or the service refuses or does not answer.
pub async fn list_shards(
    kinesis: &aws_sdk_kinesis::Client,
    stream: &Stream,
    at: Option<InitialPosition>,
) -> Result<Vec<Shard>, ReadError> {
    let client = Client::new(kinesis, stream.clone(), Config::default().request_timeout);
    let filter = match at {
        None => ShardFilter::All,
        Some(InitialPosition::TrimHorizon) => ShardFilter::AtTrimHorizon,
        Some(InitialPosition::Latest) => ShardFilter::AtLatest,
        Some(InitialPosition::AtTimestamp(time)) => ShardFilter::AtTimestamp(time),
    };
    let mut tries = 0;
    loop {
        tries += 1;
        match client.list_shards(filter).await {
            Ok(shards) => return Ok(shards),
            Err(failure) if failure.code == "ResourceNotFoundException" => {
                return Err(ReadError::StreamMissing);
            }
            Err(failure) if failure.verdict() == Verdict::Throttled && tries < 10 => {
                sleep(Duration::from_secs(1)).await;
            }
            Err(failure) if failure.verdict() == Verdict::Retry && tries < 3 => {
                sleep(Duration::from_secs(1)).await;
            }
            Err(Failure { code, message, .. }) => return Err(ReadError::Refused { code, message }),
        }
    }
}
