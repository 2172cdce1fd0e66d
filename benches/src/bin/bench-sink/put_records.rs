//! PutRecords: read, routed, counted, answered.

use std::borrow::Cow;
use std::io::Write;

use base64_simd::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use shardflow_core::HashKey;
use shardflow_core::aggregation::{SubRecord, decode};

use crate::service::Service;
use crate::streams::Shard;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    records: Vec<Entry<'a>>,
    #[serde(borrow, default)]
    stream_name: Cow<'a, str>,
    #[serde(borrow, default, rename = "StreamARN")]
    stream_arn: Cow<'a, str>,
}

/// What is absent is empty.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow, default)]
    partition_key: Cow<'a, str>,
    #[serde(borrow, default)]
    explicit_hash_key: Cow<'a, str>,
}

/// One Kinesis record in so many is taken apart.
const SAMPLED: u64 = 64;

/// The answer; nothing if the request cannot be read.
pub(crate) fn answer(service: &Service, body: &[u8]) -> Option<Vec<u8>> {
    let answer = take(service, body);
    if answer.is_none() {
        service.counts.unreadable.add(1);
    }
    answer
}

fn take(service: &Service, body: &[u8]) -> Option<Vec<u8>> {
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    let name = if request.stream_name.is_empty() {
        request.stream_arn.rsplit('/').next()?
    } else {
        request.stream_name.as_ref()
    };
    let stream = service.streams.named(name);
    let count = request.records.len() as u64;
    let first = service.sequence.add(count);
    let counts = &service.counts;
    counts.requests.add(1);
    counts.body_bytes.add(body.len() as u64);
    counts.kinesis_records.add(count);

    let mut answer = Vec::with_capacity(64 + request.records.len() * 128);
    answer.extend_from_slice(br#"{"FailedRecordCount":0,"Records":["#);
    for (number, entry) in (first..).zip(&request.records) {
        let key = match entry.explicit_hash_key.as_ref() {
            "" => HashKey::of(&entry.partition_key),
            explicit => explicit.parse().ok()?,
        };
        let shard = stream.shard_of(key);
        if number % SAMPLED == 0 {
            sample(service, shard, entry)?;
        }
        let comma = if number == first { "" } else { "," };
        let id = &shard.id;
        // As long as a real sequence number.
        write!(answer, r#"{comma}{{"SequenceNumber":"4965{number:052}","ShardId":"{id}"}}"#).ok()?;
    }
    answer.extend_from_slice(b"]}");
    Some(answer)
}

/// Looks into a Kinesis record. Nothing if its data is no base64.
fn sample(service: &Service, shard: &Shard, entry: &Entry<'_>) -> Option<()> {
    let data = Bytes::from(STANDARD.decode_to_vec(entry.data.as_bytes()).ok()?);
    let counts = &service.counts;
    counts.sampled.add(1);
    let Ok(records) = decode(&data) else {
        counts.sampled_user_records.add(1);
        return Some(());
    };
    counts.sampled_user_records.add(records.len() as u64);
    let at_home = |record: &SubRecord| {
        let key = record.explicit_hash_key.unwrap_or_else(|| record.partition_key.hash_key());
        shard.range.contains(key)
    };
    if !records.iter().all(at_home) {
        counts.misrouted.add(1);
    }
    Some(())
}
