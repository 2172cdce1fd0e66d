//! What each option of the producer does, seen at the embedded service.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpClient, http_client_fn};
use shardflow_local::{Config as LocalConfig, Entries, Fault, Local, Operation, kinesis::Limits};
use shardflow_producer::{
    AggregateSize, Config, ConnectTimeout, Fate, Producer, PutError, RateLimit, Record, RecordDistribution,
    RecordError, RequestBytes, RequestEntries, RequestsInFlight,
};
use shardflow_tests::clients::Place;
use tokio::time::Instant;

fn local() -> Local {
    let local = Local::new(LocalConfig::default().limits(Limits::unthrottled())).unwrap();
    local.create_stream("orders", 1).unwrap();
    local
}

fn producer(local: &Local, config: Config) -> Producer {
    Producer::new(Place::inside(local).kinesis(), "orders".parse().unwrap(), config)
}

/// Puts so many records of 100 bytes and waits until all are delivered. Tells how long that took.
async fn deliver(local: &Local, config: Config, count: usize) -> Duration {
    let producer = producer(local, config);
    let before = Instant::now();
    for number in 0..count {
        drop(producer.put(Record::new(format!("key-{number}"), vec![0; 100]).unwrap()).await.unwrap());
    }
    producer.flush().await.unwrap();
    before.elapsed()
}

async fn put_one(local: &Local, config: Config) -> Result<u32, RecordError> {
    let producer = producer(local, config);
    let ticket = producer.put(Record::new("key", "data").unwrap()).await.unwrap();
    ticket.await.map(|receipt| receipt.attempts)
}

fn kinesis_records(local: &Local) -> usize {
    local.records("orders").unwrap().iter().map(|shard| shard.records.len()).sum()
}

fn calls(local: &Local, operation: Operation) -> u64 {
    local.control().totals().get(&operation).copied().unwrap_or_default()
}

fn alone() -> Config {
    Config::default().aggregate(None)
}

#[tokio::test(start_paused = true)]
async fn rate_limit_paces_a_shard() {
    for (limit, from, to) in [
        (50.try_into().unwrap(), 3_900, 4_300),
        (100.try_into().unwrap(), 1_900, 2_300),
        (200.try_into().unwrap(), 900, 1_300),
        (RateLimit::OFF, 0, 300),
    ] {
        // The first thousand are free.
        let took = deliver(&local(), alone().rate_limit(limit), 3_000).await.as_millis();
        assert!((from..to).contains(&took), "{limit:?}: {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn fail_if_throttled_gives_back_at_once_what_is_tried_again_otherwise() {
    let throttled = || {
        let local = local();
        drop(local.control().on(Operation::PutRecords).times(1).then(Fault::throttle_entries(Entries::All)));
        local
    };
    assert_eq!(put_one(&throttled(), Config::default()).await.unwrap(), 2);
    let error = put_one(&throttled(), Config::default().fail_if_throttled(true)).await.unwrap_err();
    assert!(matches!(&error, RecordError::Refused { code, .. } if code.contains("Throughput")), "{error}");
    assert_eq!((error.attempts().len(), error.fate()), (1, Fate::Absent));
}

#[tokio::test(start_paused = true)]
async fn aggregates_are_as_large_as_they_are_told_to_be() {
    let stored = async |config| {
        let local = local();
        deliver(&local, config, 100).await;
        kinesis_records(&local)
    };
    assert_eq!(stored(Config::default()).await, 1);
    assert_eq!(stored(alone()).await, 100);
    assert_eq!(stored(Config::default().aggregate_records(NonZeroUsize::new(10).unwrap())).await, 10);
    let size = AggregateSize::try_from(1_200).unwrap();
    assert_eq!(
        stored(Config::default().aggregate(size)).await,
        10,
        "each record takes some more than 100 bytes"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_as_large_as_they_are_told_to_be() {
    let requests = async |config| {
        let local = local();
        deliver(&local, config, 1_000).await;
        calls(&local, Operation::PutRecords)
    };
    assert_eq!(requests(alone()).await, 2);
    assert_eq!(requests(alone().request_entries(RequestEntries::try_from(100).unwrap())).await, 10);
    // About 107,000 bytes in all.
    assert_eq!(requests(alone().request_bytes(RequestBytes::try_from(60_000).unwrap())).await, 2);
    assert_eq!(requests(alone().request_bytes(RequestBytes::try_from(52_224).unwrap())).await, 3);
}

#[tokio::test(start_paused = true)]
async fn as_many_requests_are_under_way_as_there_may_be() {
    for (count, seconds) in [(1, 8), (2, 4), (8, 1)] {
        let local = local();
        drop(local.control().on(Operation::PutRecords).then(Fault::Delay(Duration::from_secs(1))));
        let config = alone()
            .request_entries(RequestEntries::try_from(1).unwrap())
            .requests_in_flight(RequestsInFlight::try_from(count).unwrap());
        assert_eq!(deliver(&local, config, 8).await.as_secs(), seconds, "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_answered_in_time_is_repeated() {
    let local = local();
    drop(local.control().on(Operation::PutRecords).times(1).then(Fault::Hang));
    let took = deliver(&local, Config::default().request_timeout(Duration::from_secs(2)), 1).await;
    assert!((2_000..2_500).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_tried_for_its_time_to_live() {
    let local = local();
    drop(local.control().on(Operation::PutRecords).then(Fault::Throttle));
    let before = Instant::now();
    let error = put_one(&local, Config::default().record_ttl(Duration::from_secs(3))).await.unwrap_err();
    assert!(matches!(error, RecordError::Expired { .. }), "{error}");
    let took = before.elapsed();
    assert!((3_000..3_500).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_over_the_limit_is_not_accepted() {
    let producer = producer(&local(), Config::default().max_record_bytes(103));
    assert!(producer.put(Record::new("key", vec![0; 100]).unwrap()).await.is_ok());
    let error = producer.put(Record::new("key", vec![0; 101]).unwrap()).await.unwrap_err();
    assert!(matches!(error, PutError::TooLarge { size: 104, limit: 103, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_described_is_taken_for_what_it_was_said_to_be() {
    let stored = async |distribution: Option<RecordDistribution>| {
        let local = local();
        let denied =
            Fault::Refuse { code: "AccessDeniedException".into(), status: 400, message: "no".into() };
        drop(local.control().on(Operation::DescribeStreamSummary).then(denied));
        deliver(&local, Config::default().record_distribution_default(distribution), 10).await;
        kinesis_records(&local)
    };
    assert_eq!(stored(Some(RecordDistribution::UserPartitionKey)).await, 1);
    assert_eq!(stored(Some(RecordDistribution::Auto)).await, 10);
    assert_eq!(stored(None).await, 10, "which is right on every stream");
}

#[tokio::test(start_paused = true)]
async fn the_description_is_fetched_again_when_it_is_old() {
    for (age, from, to) in [(300, 2, 3), (60, 9, 12)] {
        let local = local();
        let producer = producer(&local, Config::default().description_age(Duration::from_secs(age)));
        drop(producer.put(Record::new("key", "data").unwrap()).await.unwrap());
        tokio::time::sleep(Duration::from_secs(610)).await;
        let described = calls(&local, Operation::DescribeStreamSummary);
        assert!((from..=to).contains(&described), "{age}: {described}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_http_client_is_told_how_long_it_may_take_to_connect() {
    let local = local();
    let (told, inner) = (Arc::new(Mutex::new(Vec::new())), local.http_client());
    let heard = Arc::clone(&told);
    let http = http_client_fn(move |settings, components| {
        heard.lock().unwrap().push(settings.connect_timeout());
        inner.http_connector(settings, components)
    });
    let client = Place::inside(&local).kinesis().config().to_builder().http_client(http).build();
    let client = aws_sdk_kinesis::Client::from_conf(client);
    let timeout = ConnectTimeout::try_from(Duration::from_millis(1_234)).unwrap();
    for config in [Config::default(), Config::default().connect_timeout(timeout)] {
        let producer = Producer::new(client.clone(), "orders".parse().unwrap(), config);
        producer.put(Record::new("key", "data").unwrap()).await.unwrap().await.unwrap();
    }
    let mut told = told.lock().unwrap().clone();
    told.dedup();
    assert_eq!(told, [Some(Duration::from_secs(6)), Some(Duration::from_millis(1_234))]);
}
