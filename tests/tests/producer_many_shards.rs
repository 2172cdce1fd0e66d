//! More shards than the embedded service has, or one page of ListShards: a service that is not there.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use aws_smithy_runtime_api::client::http::{HttpConnectorFuture, SharedHttpClient};
use serde_json::{Value, json};
use shardflow_core::{HashKey, HashKeyRange};
use shardflow_local::{Config as LocalConfig, Local};
use shardflow_producer::{Config, Producer, Record, ShardId};
use shardflow_tests::clients::Place;
use shardflow_tests::sent::entries;
use shardflow_tests::wire::{answer, between, operation};

const SHARDS: u32 = 10_500;
const PAGE: usize = 1_000;

#[tokio::test(start_paused = true)]
async fn a_map_of_many_pages_leads_each_record_into_its_shard() {
    let ranges: Arc<[HashKeyRange]> = HashKeyRange::divide(SHARDS).collect();
    let pages = Arc::new(AtomicUsize::new(0));
    let local = Local::new(LocalConfig::default()).unwrap();
    let kinesis = Place::inside(&local).through(|http| service(http, &ranges, &pages)).kinesis();
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), Config::default());
    let mut tickets = Vec::new();
    for number in 0..25_000 {
        let record = Record::new(format!("key-{number}"), format!("{number} is its number")).unwrap();
        let shard = ShardId::numbered(shard_of(&ranges, record.hash_key()) as u64);
        tickets.push((shard, producer.put(record).await.unwrap()));
    }
    for (shard, ticket) in tickets {
        let receipt = ticket.await.unwrap();
        assert_eq!((receipt.shard_id, receipt.attempts), (shard, 1));
    }
    assert_eq!(pages.load(Relaxed), ranges.len().div_ceil(PAGE), "one map is enough");
}

fn shard_of(ranges: &[HashKeyRange], key: HashKey) -> usize {
    ranges.partition_point(|range| range.end() < key)
}

/// Answers instead of the client that it is given.
fn service(
    http: SharedHttpClient,
    ranges: &Arc<[HashKeyRange]>,
    pages: &Arc<AtomicUsize>,
) -> SharedHttpClient {
    let (ranges, pages) = (Arc::clone(ranges), Arc::clone(pages));
    between(http, move |request, _on| {
        let body = request.body().bytes().unwrap();
        let answered = match operation(&request) {
            "ListShards" => {
                pages.fetch_add(1, Relaxed);
                list_shards(&ranges, &serde_json::from_slice(body).unwrap())
            }
            "PutRecords" => put_records(&ranges, body),
            "DescribeStreamSummary" => json!({"StreamDescriptionSummary": {
                "StreamName": "orders",
                "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders",
                "StreamStatus": "ACTIVE",
                "RetentionPeriodHours": 24,
                "StreamCreationTimestamp": 0,
                "EnhancedMonitoring": [],
                "OpenShardCount": SHARDS,
            }}),
            other => unreachable!("{other}"),
        };
        HttpConnectorFuture::ready(Ok(answer(200, answered.to_string())))
    })
}

fn list_shards(ranges: &[HashKeyRange], list: &Value) -> Value {
    let from = match list["NextToken"].as_str() {
        Some(token) => {
            assert_eq!(list.as_object().unwrap().len(), 1, "a token stands for the whole request");
            token.parse().unwrap()
        }
        None => 0,
    };
    let to = (from + PAGE).min(ranges.len());
    let shard = |(number, range): (usize, &HashKeyRange)| {
        json!({
            "ShardId": ShardId::numbered((from + number) as u64).as_str(),
            "HashKeyRange": {
                "StartingHashKey": range.start().to_string(),
                "EndingHashKey": range.end().to_string(),
            },
            "SequenceNumberRange": {"StartingSequenceNumber": "1"},
        })
    };
    let shards: Vec<_> = ranges[from..to].iter().enumerate().map(shard).collect();
    if to < ranges.len() {
        json!({"Shards": shards, "NextToken": to.to_string()})
    } else {
        json!({"Shards": shards})
    }
}

/// Puts each entry where Kinesis would, and sees to it that all that is in it belongs there.
fn put_records(ranges: &[HashKeyRange], body: &[u8]) -> Value {
    let put = |entry: shardflow_tests::sent::Entry| {
        let shard = shard_of(ranges, entry.hash_key);
        assert!(ranges[shard].contains(entry.range.start()) && ranges[shard].contains(entry.range.end()));
        json!({"ShardId": ShardId::numbered(shard as u64).as_str(), "SequenceNumber": "2"})
    };
    let records: Vec<_> = entries(body).into_iter().map(put).collect();
    json!({"FailedRecordCount": 0, "Records": records})
}
