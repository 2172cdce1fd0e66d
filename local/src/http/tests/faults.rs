//! What rules do to calls, and what the log says of it.

use std::time::Duration;

use super::*;
use crate::control::{Calls, Entries, Fault, Operation, Outcome, Service};

const PUT_RECORD: &str = "Kinesis_20131202.PutRecord";

fn put() -> Value {
    json!({ "StreamName": "orders", "Data": "eA==", "PartitionKey": "a" })
}

fn stored(endpoint: &Endpoint) -> usize {
    let held = endpoint.regions.with("us-east-1", |kinesis| kinesis.holdings(endpoint.clock.now(), "orders"));
    held.unwrap().iter().map(|(_, records)| records.len()).sum()
}

fn outcomes(endpoint: &Endpoint) -> Vec<Outcome> {
    endpoint.control.calls().into_iter().skip(1).map(|call| call.outcome).collect()
}

#[tokio::test]
async fn throttled_with_each_operations_own_code() {
    let endpoint = endpoint();
    endpoint.control.on(Calls::all()).then(Fault::Throttle);
    let cases = [
        ("Kinesis_20131202.PutRecord", put(), "ProvisionedThroughputExceededException"),
        ("Kinesis_20131202.ListShards", json!({}), "LimitExceededException"),
        (
            "DynamoDB_20120810.UpdateItem",
            json!({}),
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        ),
        ("DynamoDB_20120810.CreateTable", json!({}), "com.amazonaws.dynamodb.v20120810#ThrottlingException"),
        (
            "GraniteServiceVersion20100801.PutMetricData",
            json!({ "Namespace": "n" }),
            "com.amazonaws.cloudwatch#ThrottlingException",
        ),
    ];
    for (target, body, code) in cases {
        let (status, answer) = endpoint.ask(target, body).await;
        assert_eq!((status, &answer["__type"]), (StatusCode::BAD_REQUEST, &json!(code)));
    }
}

#[tokio::test]
async fn refused_with_any_code_and_status() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    endpoint.control.on(Service::Kinesis).times(1).then(Fault::internal_failure());
    let (status, answer) = endpoint.ask(PUT_RECORD, put()).await;
    assert_eq!((status, &answer["__type"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("InternalFailure")));
    assert_eq!(stored(&endpoint), 0);
    endpoint.kinesis_ok("PutRecord", put()).await;
    let refused = Outcome::Refused { code: "InternalFailure".into() };
    assert_eq!(outcomes(&endpoint), [refused, Outcome::Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn delayed_on_tokios_clock() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    endpoint.control.on(Operation::PutRecord).then(Fault::Delay(Duration::from_secs(40)));
    let started = tokio::time::Instant::now();
    endpoint.kinesis_ok("PutRecord", put()).await;
    assert_eq!(started.elapsed(), Duration::from_secs(40));
    let call = endpoint.control.calls().pop().unwrap();
    assert_eq!(endpoint.clock.now().duration_since(call.at).unwrap(), Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_during_a_delay_leaves_nothing_behind() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    endpoint.control.on(Operation::PutRecord).then(Fault::Delay(Duration::from_secs(40)));
    let patience = Duration::from_secs(6);
    let given_up = tokio::time::timeout(patience, endpoint.send(post(PUT_RECORD, put().to_string()))).await;
    assert!(given_up.is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stored(&endpoint), 0);
    assert_eq!(outcomes(&endpoint), [Outcome::Abandoned]);
}

#[tokio::test]
async fn a_dropped_request_is_not_applied_and_a_dropped_answer_is() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    endpoint.control.on(Operation::PutRecord).times(1).then(Fault::DropRequest);
    assert!(endpoint.send(post(PUT_RECORD, put().to_string())).await.is_none());
    assert_eq!(stored(&endpoint), 0);
    endpoint.control.on(Operation::PutRecord).times(1).then(Fault::DropResponse);
    assert!(endpoint.send(post(PUT_RECORD, put().to_string())).await.is_none());
    assert_eq!(stored(&endpoint), 1);
    assert_eq!(outcomes(&endpoint), [Outcome::RequestDropped, Outcome::ResponseDropped]);
}

#[tokio::test]
async fn what_is_refused_anyway_is_answered_even_if_the_answer_was_to_be_dropped() {
    let endpoint = endpoint();
    endpoint.control.on(Operation::PutRecord).then(Fault::DropResponse);
    assert_eq!(endpoint.kinesis_refused("PutRecord", put()).await, "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn a_hung_call_is_never_answered() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    endpoint.control.on(Operation::PutRecord).then(Fault::Hang);
    let day = Duration::from_secs(24 * 3600);
    assert!(tokio::time::timeout(day, endpoint.send(post(PUT_RECORD, put().to_string()))).await.is_err());
    assert_eq!(stored(&endpoint), 0);
    assert_eq!(outcomes(&endpoint), [Outcome::Hung]);
}

#[tokio::test]
async fn chosen_entries_fail_and_the_rest_is_applied() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    let entries: Vec<_> =
        (0..6).map(|i| json!({ "Data": "eA==", "PartitionKey": format!("k{}", i % 3) })).collect();
    let request = json!({ "StreamName": "orders", "Records": entries });
    let cases = [
        (Entries::Every(2), vec![1, 3, 5]),
        (Entries::At(vec![0, 4, 9]), vec![0, 4]),
        (Entries::WithKey("k2".into()), vec![2, 5]),
        (Entries::All, vec![0, 1, 2, 3, 4, 5]),
        (Entries::Every(0), vec![]),
    ];
    let mut applied = 0;
    for (choice, failing) in cases {
        let rule = endpoint.control.on(Operation::PutRecords).then(Fault::throttle_entries(choice.clone()));
        let answer = endpoint.kinesis_ok("PutRecords", request.clone()).await;
        rule.remove();
        assert_eq!(answer["FailedRecordCount"], failing.len(), "{choice:?}");
        for place in 0..6 {
            let record = &answer["Records"][place];
            assert_eq!(record.get("ErrorCode").is_some(), failing.contains(&place), "{choice:?} {place}");
        }
        applied += 6 - failing.len();
        assert_eq!(stored(&endpoint), applied);
    }
    assert_eq!(outcomes(&endpoint)[0], Outcome::PartlyFailed { entries: 3 });
    assert_eq!(outcomes(&endpoint)[4], Outcome::Succeeded);
}

#[tokio::test]
async fn failing_entries_refuse_put_record_and_nothing_else() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    let code = "InternalFailure".to_owned();
    endpoint.control.on(Calls::all()).then(Fault::FailEntries { entries: Entries::All, code });
    assert_eq!(endpoint.kinesis_refused("PutRecord", put()).await, "InternalFailure");
    endpoint.kinesis_ok("ListStreams", json!({})).await;
}

#[tokio::test]
async fn rules_know_the_stream_or_table_however_it_is_named() {
    let endpoint = endpoint();
    let arn = with_stream(&endpoint).await;
    let shard = "shardId-000000000000";
    let consumer = json!({ "StreamARN": arn, "ConsumerName": "reports" });
    let consumer = endpoint.kinesis_ok("RegisterStreamConsumer", consumer).await;
    let consumer = consumer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned();
    let iterator = json!({ "StreamName": "orders", "ShardId": shard, "ShardIteratorType": "LATEST" });
    let iterator = endpoint.kinesis_ok("GetShardIterator", iterator).await["ShardIterator"].clone();
    endpoint.control.clear();

    let rule = endpoint.control.on(Calls::all()).stream("orders").then(Fault::Throttle);
    let calls = [
        ("Kinesis_20131202.ListShards", json!({ "StreamName": "orders" })),
        ("Kinesis_20131202.PutRecord", json!({ "StreamARN": arn, "Data": "", "PartitionKey": "a" })),
        ("Kinesis_20131202.PutRecords", json!({ "StreamARN": arn, "Records": [] })),
        ("Kinesis_20131202.GetRecords", json!({ "ShardIterator": iterator })),
        ("Kinesis_20131202.ListTagsForResource", json!({ "ResourceARN": arn })),
        ("Kinesis_20131202.DescribeStreamConsumer", json!({ "ConsumerARN": consumer })),
        (
            "Kinesis_20131202.SubscribeToShard",
            json!({ "ConsumerARN": consumer, "ShardId": shard, "StartingPosition": { "Type": "LATEST" } }),
        ),
        ("DynamoDB_20120810.GetItem", json!({ "TableName": "orders" })),
        ("DynamoDB_20120810.GetItem", json!({ "TableName": "arn:aws:dynamodb:r:1:table/orders" })),
        ("DynamoDB_20120810.TagResource", json!({ "ResourceArn": "arn:aws:dynamodb:r:1:table/orders" })),
    ];
    for (hits, (target, body)) in (1..).zip(&calls) {
        endpoint.ask(target, body.clone()).await;
        assert_eq!(rule.hits(), hits, "{target} {body}");
    }
    endpoint.ask("Kinesis_20131202.ListShards", json!({ "StreamName": "payments" })).await;
    endpoint.ask("Kinesis_20131202.ListStreams", json!({})).await;
    assert_eq!(rule.hits(), calls.len() as u64);
}

#[tokio::test]
async fn a_closure_sees_the_call_as_it_was_sent() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    endpoint.control.intercept(|call| {
        let body: Value = serde_json::from_slice(call.body).unwrap();
        (call.operation == Operation::PutRecord && body["PartitionKey"] == "bad").then_some(Fault::Throttle)
    });
    endpoint.kinesis_ok("PutRecord", put()).await;
    let bad = json!({ "StreamName": "orders", "Data": "", "PartitionKey": "bad" });
    assert_eq!(endpoint.kinesis_refused("PutRecord", bad).await, "ProvisionedThroughputExceededException");
}

#[tokio::test]
async fn the_log_keeps_the_last_calls_and_counts_all() {
    let endpoint = unthrottled();
    with_stream(&endpoint).await;
    for _ in 0..10_001 {
        endpoint.kinesis_ok("ListStreams", json!({})).await;
    }
    let calls = endpoint.control.calls();
    assert_eq!(calls.len(), 10_000);
    assert_eq!(calls[0].operation, Operation::ListStreams);
    assert_eq!(endpoint.control.totals()[&Operation::ListStreams], 10_001);
    assert_eq!(endpoint.control.totals()[&Operation::CreateStream], 1);
    endpoint.control.clear();
    assert!(endpoint.control.calls().is_empty() && endpoint.control.totals().is_empty());
}
