//! PutRecords: read, routed, taken apart, counted, answered.

use std::borrow::Cow;
use std::io::Write;

use base64_simd::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use shardflow_core::HashKey;
use shardflow_core::aggregation::{SubRecord, decode};

use crate::counts::Counts;
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

/// Of one Kinesis record in so many it is looked whether all keys belong into its shard, which takes an MD5 of each.
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
        account(counts, entry, shard, number % SAMPLED == 0)?;
        let comma = if number == first { "" } else { "," };
        let id = &shard.id;
        // As long as a real sequence number.
        write!(answer, r#"{comma}{{"SequenceNumber":"4965{number:052}","ShardId":"{id}"}}"#).ok()?;
    }
    answer.extend_from_slice(b"]}");
    Some(answer)
}

/// Takes a Kinesis record apart and enters what is in it. Nothing if its data is no base64.
fn account(counts: &Counts, entry: &Entry<'_>, shard: &Shard, sampled: bool) -> Option<()> {
    let data = Bytes::from(STANDARD.decode_to_vec(entry.data.as_bytes()).ok()?);
    let records = match decode(&data) {
        Ok(records) => records,
        Err(why) => {
            if why.is_corrupt() {
                counts.damaged.add(1);
            } else {
                // It had no company, so it goes by itself.
                counts.user_records.add(1);
                counts.user_bytes.add(data.len() as u64);
                counts.key_sum.add(number(counts, entry.partition_key.as_bytes()));
            }
            return Some(());
        }
    };
    counts.user_records.add(records.len() as u64);
    counts.user_bytes.add(records.iter().map(|record| record.data.len() as u64).sum());
    let sum =
        |sum: u64, record: &SubRecord| sum.wrapping_add(number(counts, record.partition_key.as_bytes()));
    counts.key_sum.add(records.iter().fold(0, sum));
    if sampled {
        counts.sampled.add(1);
        let at_home = |record: &SubRecord| {
            let key = record.explicit_hash_key.unwrap_or_else(|| record.partition_key.hash_key());
            shard.range.contains(key)
        };
        if !records.iter().all(at_home) {
            counts.misrouted.add(1);
        }
    }
    Some(())
}

/// The number that a key is.
fn number(counts: &Counts, key: &[u8]) -> u64 {
    let number = std::str::from_utf8(key).ok().and_then(|key| key.parse().ok());
    number.unwrap_or_else(|| {
        counts.damaged.add(1);
        0
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shardflow_core::Record;
    use shardflow_core::aggregation::{AggregateSize, Aggregator};

    use super::*;

    fn aggregate(keys: &[&str]) -> Vec<u8> {
        let mut aggregator = Aggregator::new(AggregateSize::default());
        for key in keys {
            assert!(aggregator.try_push(Record::new(*key, vec![7; 10]).unwrap()).is_ok());
        }
        aggregator.finish().unwrap().data.to_vec()
    }

    fn put(service: &Service, data: &[u8]) -> Value {
        let entry = json!({ "Data": STANDARD.encode_to_string(data), "PartitionKey": "5" });
        let request = json!({ "StreamName": "bench-1", "Records": [entry] });
        let answer = answer(service, request.to_string().as_bytes()).unwrap();
        assert!(serde_json::from_slice::<Value>(&answer).is_ok());
        service.counts.tell().unwrap()
    }

    #[test]
    fn records_are_counted_in_aggregates_and_alone() {
        let service = Service::default();
        let counts = put(&service, &aggregate(&["18446744073709551615", "2", "3"]));
        assert_eq!((&counts["user_records"], &counts["user_bytes"]), (&json!(3), &json!(30)));
        assert_eq!((&counts["key_sum"], &counts["misrouted"]), (&json!(4), &json!(0)));
        let counts = put(&service, b"alone");
        assert_eq!((&counts["user_records"], &counts["user_bytes"]), (&json!(4), &json!(35)));
        assert_eq!((&counts["key_sum"], &counts["damaged"]), (&json!(9), &json!(0)));
    }

    #[test]
    fn a_damaged_aggregate_counts_as_that() {
        let service = Service::default();
        let mut data = aggregate(&["1", "2"]);
        data[30] ^= 1;
        let counts = put(&service, &data);
        assert_eq!((&counts["user_records"], &counts["damaged"]), (&json!(0), &json!(1)));
        let counts = put(&service, &aggregate(&["no number", "1"]));
        assert_eq!((&counts["user_records"], &counts["damaged"]), (&json!(2), &json!(2)));
    }
}
