//! The AWS SDK for Rust in the same process, under a paused clock.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ShardFilter, ShardFilterType, ShardIteratorType, StartingPosition,
    SubscribeToShardEventStream,
};
use common::kinesis_at;
use shardflow_core::aggregation::Aggregator;
use shardflow_core::{HashKey, Record, ShardId};
use shardflow_local::{Clock, Config, Fault, Limits, Local, Operation, Outcome, Service};
use tokio::time::Instant;

fn kinesis(local: &Local) -> Client {
    kinesis_at(local.endpoint_url(), local.http_client())
}

fn entry(key: &str, data: &str) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data)).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn records_are_written_and_read_back() {
    let local = Local::new(Config::default()).unwrap();
    let arn = local.create_stream("orders", 2).unwrap();
    let client = kinesis(&local);
    let entries = (0..20).map(|i| entry(&format!("key-{i}"), &i.to_string())).collect();
    let answer =
        client.put_records().stream_arn(arn.as_str()).set_records(Some(entries)).send().await.unwrap();
    assert_eq!(answer.failed_record_count(), Some(0));

    let mut read = Vec::new();
    for shard in client.list_shards().stream_name("orders").send().await.unwrap().shards() {
        let iterator = client
            .get_shard_iterator()
            .stream_name("orders")
            .shard_id(shard.shard_id())
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await
            .unwrap();
        let answer =
            client.get_records().set_shard_iterator(iterator.shard_iterator).limit(100).send().await.unwrap();
        assert!(answer.next_shard_iterator().is_some());
        assert_eq!(answer.millis_behind_latest(), Some(0));
        for record in answer.records() {
            assert_eq!(record.approximate_arrival_timestamp().unwrap().secs(), secs(local.now()));
            read.push(String::from_utf8(record.data().as_ref().to_vec()).unwrap());
        }
    }
    read.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(read, (0..20).map(|i| i.to_string()).collect::<Vec<_>>());
}

fn secs(time: std::time::SystemTime) -> i64 {
    DateTime::from(time).secs()
}

#[tokio::test(start_paused = true)]
async fn the_sdk_retries_a_throttle_and_a_lost_answer() {
    let local = Local::new(Config::default()).unwrap();
    local.create_stream("orders", 1).unwrap();
    let control = local.control();
    control.on(Operation::PutRecords).times(1).then(Fault::Throttle);
    control.on(Operation::PutRecords).times(1).then(Fault::DropResponse);
    let client = kinesis(&local);
    client.put_records().stream_name("orders").records(entry("a", "x")).send().await.unwrap();
    let outcomes: Vec<_> = control.calls().into_iter().map(|call| call.outcome).collect();
    let throttled = Outcome::Refused { code: "ProvisionedThroughputExceededException".into() };
    assert_eq!(outcomes, [throttled, Outcome::ResponseDropped, Outcome::Succeeded]);
    let stored: usize = local.records("orders").unwrap().iter().map(|shard| shard.records.len()).sum();
    assert_eq!(stored, 2, "the lost answer was of a record that is there");
}

#[tokio::test(start_paused = true)]
async fn a_hung_call_times_out_in_no_time() {
    let local = Local::new(Config::default()).unwrap();
    local.control().on(Operation::ListStreams).then(Fault::Hang);
    let started = Instant::now();
    let client = kinesis(&local);
    let patience = tokio::time::timeout(Duration::from_secs(3600), client.list_streams().send()).await;
    assert!(patience.is_err(), "{patience:?}");
    assert_eq!(started.elapsed(), Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn modelled_errors_arrive_as_such() {
    let local = Local::new(Config::default()).unwrap();
    let client = kinesis(&local);
    let error = client.describe_stream_summary().stream_name("nope").send().await.unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
    local.create_stream("orders", 1).unwrap();
    let error = client.create_stream().stream_name("orders").shard_count(1).send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(error.is_resource_in_use_exception());
    assert_eq!(error.message(), Some("Stream orders under account 000000000000 already exists."));
    let error = client.get_records().shard_iterator("garbage").send().await.unwrap_err();
    assert!(error.into_service_error().is_invalid_argument_exception());
}

#[tokio::test(start_paused = true)]
async fn a_subscription_runs_through_a_split() {
    let local = Local::new(Config::default().transition(Duration::from_millis(300))).unwrap();
    let arn = local.create_stream("orders", 1).unwrap();
    let client = kinesis(&local);
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn.as_str())
        .consumer_name("reports")
        .send()
        .await
        .unwrap();
    let consumer = consumer.consumer.unwrap().consumer_arn;
    tokio::time::sleep(Duration::from_millis(300)).await;
    local.put("orders", &Record::new("a", "first").unwrap()).unwrap();

    let position = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap();
    let mut subscription = client
        .subscribe_to_shard()
        .consumer_arn(&consumer)
        .shard_id(ShardId::numbered(0).as_str())
        .starting_position(position)
        .send()
        .await
        .unwrap();
    let split = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        local.put("orders", &Record::new("a", "second").unwrap()).unwrap();
        let middle = (1_u128 << 127).to_string();
        let split = client.split_shard().stream_name("orders").shard_to_split("shardId-000000000000");
        split.new_starting_hash_key(middle).send().await.unwrap();
    };
    let read = async {
        let (mut data, mut silences) = (Vec::new(), 0);
        loop {
            let event = subscription.event_stream.recv().await.unwrap().expect("it says that it ends");
            let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else {
                panic!("{event:?}")
            };
            silences += usize::from(event.records().is_empty() && event.child_shards().is_empty());
            data.extend(event.records().iter().map(|record| record.data().as_ref().to_vec()));
            if !event.child_shards().is_empty() {
                assert_eq!(event.child_shards().len(), 2);
                assert!(subscription.event_stream.recv().await.unwrap().is_none(), "a clean end");
                return (data, silences);
            }
        }
    };
    let started = Instant::now();
    let ((data, silences), ()) = tokio::join!(read, split);
    assert_eq!((data, silences), (vec![b"first".to_vec(), b"second".to_vec()], 1));
    assert_eq!(started.elapsed(), Duration::from_millis(7300));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_taken_over_or_cut_fails_as_the_sdk_expects() {
    let local = Local::new(Config::default().transition(Duration::ZERO)).unwrap();
    let arn = local.create_stream("orders", 1).unwrap();
    let client = kinesis(&local);
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn.as_str())
        .consumer_name("reports")
        .send()
        .await
        .unwrap();
    let consumer = consumer.consumer.unwrap().consumer_arn;
    let subscribe = || {
        let position = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().unwrap();
        client
            .subscribe_to_shard()
            .consumer_arn(&consumer)
            .shard_id(ShardId::numbered(0).as_str())
            .starting_position(position)
            .send()
    };
    let mut first = subscribe().await.unwrap();
    assert!(subscribe().await.unwrap_err().into_service_error().is_resource_in_use_exception());
    first.event_stream.recv().await.unwrap();
    let mut second = subscribe().await.unwrap();
    let error = first.event_stream.recv().await.unwrap_err();
    assert!(error.into_service_error().is_resource_in_use_exception());
    local.control().cut_subscriptions();
    let error = second.event_stream.recv().await.unwrap_err();
    assert!(error.as_service_error().is_none(), "a broken connection, not an answer: {error:?}");
}

#[tokio::test(start_paused = true)]
async fn filters_and_pages_of_list_shards_work() {
    let local = Local::new(Config::default()).unwrap();
    local.create_stream("orders", 4).unwrap();
    local.resize("orders", 8).unwrap();
    let client = kinesis(&local);
    let latest = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().unwrap();
    let mut page =
        client.list_shards().stream_name("orders").shard_filter(latest).max_results(5).send().await.unwrap();
    let mut ids: Vec<_> = page.shards().iter().map(|shard| shard.shard_id().to_owned()).collect();
    while let Some(token) = page.next_token {
        page = client.list_shards().next_token(token).max_results(5).send().await.unwrap();
        ids.extend(page.shards().iter().map(|shard| shard.shard_id().to_owned()));
    }
    assert_eq!(ids, (4..12).map(|i| ShardId::numbered(i).to_string()).collect::<Vec<_>>());
    let from = ShardFilter::builder()
        .r#type(ShardFilterType::FromTimestamp)
        .timestamp(DateTime::from(local.now() + Duration::from_secs(1)))
        .build()
        .unwrap();
    let answer = client.list_shards().stream_name("orders").shard_filter(from).send().await.unwrap();
    assert_eq!(answer.shards().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn dynamodb_is_behind_the_same_door_and_the_same_rules() {
    use aws_sdk_dynamodb::config::{Config as SdkConfig, Credentials, Region};
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };
    let local = Local::new(Config::default()).unwrap();
    let config = SdkConfig::builder()
        .behavior_version_latest()
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .endpoint_url(local.endpoint_url())
        .http_client(local.http_client());
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let key = KeySchemaElement::builder().attribute_name("leaseKey").key_type(KeyType::Hash).build().unwrap();
    let attribute = AttributeDefinition::builder()
        .attribute_name("leaseKey")
        .attribute_type(ScalarAttributeType::S)
        .build()
        .unwrap();
    client
        .create_table()
        .table_name("leases")
        .key_schema(key)
        .attribute_definitions(attribute)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    let put = || {
        client
            .put_item()
            .table_name("leases")
            .item("leaseKey", AttributeValue::S("shard-0".into()))
            .condition_expression("attribute_not_exists(leaseKey)")
            .send()
    };
    put().await.unwrap();
    assert!(put().await.unwrap_err().into_service_error().is_conditional_check_failed_exception());

    let rule = local.control().on(Service::DynamoDb).table("leases").times(2).then(Fault::Throttle);
    let key = AttributeValue::S("shard-0".into());
    let item = client.get_item().table_name("leases").key("leaseKey", key).send().await.unwrap();
    assert!(item.item.is_some());
    assert_eq!(rule.hits(), 2, "the SDK tried again");
}

#[tokio::test(start_paused = true)]
async fn direct_calls_set_a_test_up_and_look_at_what_came_of_it() {
    let local = Local::new(Config::default().limits(Limits::unthrottled())).unwrap();
    let arn = local.create_stream("orders", 1).unwrap();
    assert_eq!(arn.as_str(), "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
    assert!(local.create_stream("orders", 1).is_err());
    assert!(local.create_stream("no such name", 1).is_err());

    let root = ShardId::numbered(0);
    let mut aggregator = Aggregator::new(Default::default());
    for data in ["one", "two"] {
        aggregator.try_push(Record::new("k", data).unwrap()).unwrap();
    }
    let packed = Record::new("a", aggregator.finish().unwrap().data).unwrap();
    assert_eq!(local.put("orders", &packed).unwrap().0, root);

    let children = local.split("orders", &root, None).unwrap();
    assert_eq!(children, [ShardId::numbered(1), ShardId::numbered(2)]);
    let lower = Record::new("k", "low").unwrap().explicit_hash_key(HashKey::MIN);
    assert_eq!(local.put("orders", &lower).unwrap().0, children[0]);
    let third = local.split("orders", &children[0], Some(HashKey(1 << 100))).unwrap();
    let merged = local.merge("orders", &third[1], &third[0]).unwrap();
    assert_eq!(merged, ShardId::numbered(5));
    assert!(local.merge("orders", &merged, &root).is_err());
    local.resize("orders", 4).unwrap();
    let open = local.shards("orders").unwrap().into_iter().filter(shardflow_core::Shard::is_open).count();
    assert_eq!(open, 4);

    let held = local.records("orders").unwrap();
    assert_eq!(held[0].records.len(), 1);
    let inside: Vec<_> = held[0].user_records().map(|record| record.data).collect();
    assert_eq!(inside, ["one", "two"]);
    assert_eq!(held[1].records[0].data, "low");
    assert!(local.records("payments").is_err());
    assert!(local.control().calls().is_empty(), "they are no calls");
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_pauses_the_service() {
    let local = Local::new(Config::default()).unwrap();
    let started = local.now();
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(local.now().duration_since(started).unwrap(), Duration::from_secs(3600));
    local.control().advance(Duration::from_secs(60));
    assert_eq!(local.now().duration_since(started).unwrap(), Duration::from_secs(3660));
}

#[tokio::test(start_paused = true)]
async fn time_can_come_from_the_caller() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let seconds = Arc::new(AtomicU64::new(1_000_000_000));
    let mine = Arc::clone(&seconds);
    let clock = move || std::time::UNIX_EPOCH + Duration::from_secs(mine.load(Ordering::Relaxed));
    let local = Local::new(Config::default().clock(Clock::Custom(Arc::new(clock)))).unwrap();
    local.create_stream("orders", 1).unwrap();
    local.put("orders", &Record::new("a", "x").unwrap()).unwrap();
    seconds.fetch_add(25 * 3600, Ordering::Relaxed);
    let held = local.records("orders").unwrap();
    assert!(held[0].records.is_empty(), "a day has passed");
}

#[test]
fn a_configuration_that_is_none_is_refused() {
    let account = Local::new(Config::default().account("12")).unwrap_err();
    assert_eq!(account.to_string(), "account \"12\" is not twelve digits");
    let region = Local::new(Config::default().region("Mars")).unwrap_err();
    assert_eq!(region.to_string(), "region \"Mars\" is not made of the characters a-z 0-9 -");
}

#[tokio::test(start_paused = true)]
async fn an_idle_subscription_lasts_its_five_minutes_and_is_not_taken_for_a_stalled_one() {
    let local = Local::new(Config::default().transition(Duration::ZERO)).unwrap();
    let arn = local.create_stream("orders", 1).unwrap();
    let client = kinesis(&local);
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn.as_str())
        .consumer_name("reports")
        .send()
        .await
        .unwrap();
    let position = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().unwrap();
    let mut subscription = client
        .subscribe_to_shard()
        .consumer_arn(consumer.consumer.unwrap().consumer_arn)
        .shard_id(ShardId::numbered(0).as_str())
        .starting_position(position)
        .send()
        .await
        .unwrap();
    let started = Instant::now();
    let mut events = 0;
    while subscription.event_stream.recv().await.unwrap().is_some() {
        events += 1;
    }
    assert_eq!((started.elapsed(), events), (Duration::from_secs(300), 59));
}
