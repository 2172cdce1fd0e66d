//! The admin path.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn it_is_healthy_and_knows_what_it_does_not_know() {
    let endpoint = endpoint();
    let (status, health) = endpoint.admin("GET", "health", Value::Null).await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &json!("ok")));
    for (method, path) in
        [("GET", "nothing"), ("PUT", "rules"), ("DELETE", "rules/7"), ("GET", "streams/x/records")]
    {
        let (status, answer) = endpoint.admin(method, path, Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
        assert!(answer["error"].is_string());
    }
}

#[tokio::test]
async fn every_fault_can_be_asked_for() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    let put = json!({ "StreamName": "orders", "Data": "eA==", "PartitionKey": "a" });
    let throttled = "ProvisionedThroughputExceededException";
    // What the client is told, and how many records are in the stream then.
    let faults = [
        (json!("throttle"), Some(throttled), 0),
        (json!({ "refuse": { "code": "AccessDeniedException" } }), Some("AccessDeniedException"), 0),
        (json!({ "refuse": { "code": "X", "status": 400, "message": "m" } }), Some("X"), 0),
        (json!({ "fail_entries": {} }), Some(throttled), 0),
        (json!({ "fail_entries": { "every": 2, "code": "InternalFailure" } }), Some("InternalFailure"), 0),
        (json!("drop_request"), None, 0),
        (json!("drop_response"), None, 1),
    ];
    for (fault, code, stored) in faults {
        let rule = json!({ "operation": "PutRecord", "stream": "orders", "times": 1, "fault": fault });
        assert_eq!(endpoint.admin("POST", "rules", rule).await.0, StatusCode::OK, "{fault}");
        let answered = endpoint.send(post("Kinesis_20131202.PutRecord", put.to_string())).await;
        let got =
            answered.map(|(_, _, body)| serde_json::from_slice::<Value>(&body).unwrap()["__type"].clone());
        assert_eq!(got, code.map(|code| json!(code)), "{fault}");
        let (_, held) = endpoint.admin("GET", "streams/orders/records", Value::Null).await;
        assert_eq!(held[0]["records"].as_array().unwrap().len(), stored, "{fault}");
    }
    let hang = json!({ "operation": "ListStreams", "fault": "hang" });
    let (_, answer) = endpoint.admin("POST", "rules", hang).await;
    let (_, rules) = endpoint.admin("GET", "rules", Value::Null).await;
    assert_eq!(rules, json!([{ "id": answer["id"], "hits": 0 }]));
    let (status, _) = endpoint.admin("DELETE", &format!("rules/{}", answer["id"]), Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    endpoint.kinesis_ok("ListStreams", json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn rules_choose_by_service_and_count() {
    let endpoint = endpoint();
    let delay =
        json!({ "service": "kinesis", "after": 1, "every": 2, "fault": { "delay": { "seconds": 2.5 } } });
    endpoint.admin("POST", "rules", delay).await;
    let started = tokio::time::Instant::now();
    let mut waited = Vec::new();
    for _ in 0..5 {
        endpoint.kinesis_ok("ListStreams", json!({})).await;
        waited.push(started.elapsed());
    }
    let seconds = Duration::from_secs_f64;
    assert_eq!(waited, [seconds(0.0), seconds(0.0), seconds(2.5), seconds(2.5), seconds(5.0)]);
    endpoint.admin("DELETE", "rules", Value::Null).await;
    endpoint.dynamodb_ok("ListTables", json!({})).await;
    endpoint.kinesis_ok("ListStreams", json!({})).await;
    endpoint.kinesis_ok("ListStreams", json!({})).await;
    assert_eq!(started.elapsed(), seconds(5.0));
}

#[tokio::test]
async fn wrong_rules_are_refused_with_a_reason() {
    let endpoint = endpoint();
    let wrong = [
        json!({}),
        json!({ "fault": "explode" }),
        json!({ "fault": "throttle", "operation": "Dance" }),
        json!({ "fault": "throttle", "service": "dynamodb", "operation": "PutRecords" }),
        json!({ "fault": "throttle", "service": "s3" }),
        json!({ "fault": "throttle", "tiems": 3 }),
        json!({ "fault": { "delay": { "seconds": -1 } } }),
        json!({ "fault": { "fail_entries": { "every": 2, "at": [1] } } }),
    ];
    for rule in wrong {
        let (status, answer) = endpoint.admin("POST", "rules", rule.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{rule}");
        assert!(!answer["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(endpoint.admin("GET", "rules", Value::Null).await.1, json!([]));
}

#[tokio::test(start_paused = true)]
async fn calls_records_and_metrics_can_be_looked_at() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    let put = json!({ "StreamName": "orders", "Data": "eA==", "PartitionKey": "a" });
    endpoint.kinesis_ok("PutRecord", put).await;
    endpoint.kinesis_refused("DescribeStreamSummary", json!({ "StreamName": "nope" })).await;
    let datum = json!({ "MetricName": "m", "Value": 1.5 });
    let data = json!({ "Namespace": "n", "MetricData": [datum] });
    endpoint.ask("GraniteServiceVersion20100801.PutMetricData", data).await;

    let (_, calls) = endpoint.admin("GET", "calls", Value::Null).await;
    assert_eq!(calls[1]["operation"], "PutRecord");
    assert_eq!((&calls[1]["service"], &calls[1]["outcome"]), (&json!("kinesis"), &json!("succeeded")));
    assert_eq!((&calls[1]["resource"], &calls[1]["region"]), (&json!("orders"), &json!("us-east-1")));
    assert_eq!(
        (&calls[2]["outcome"], &calls[2]["detail"]),
        (&json!("refused"), &json!("ResourceNotFoundException"))
    );
    let (_, totals) = endpoint.admin("GET", "totals", Value::Null).await;
    assert!(
        totals
            .as_array()
            .unwrap()
            .contains(&json!({ "service": "kinesis", "operation": "PutRecord", "count": 1 }))
    );
    let (_, held) = endpoint.admin("GET", "streams/orders/records", Value::Null).await;
    assert_eq!(held[0]["shard_id"], "shardId-000000000000");
    assert_eq!(
        (&held[0]["open"], &held[0]["records"][0]["partition_key"], &held[0]["records"][0]["data"]),
        (&json!(true), &json!("a"), &json!("eA=="))
    );
    let (status, _) = endpoint.admin("GET", "streams/orders/records?region=eu-west-1", Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (_, metrics) = endpoint.admin("GET", "metrics", Value::Null).await;
    assert_eq!((&metrics[0]["name"], &metrics[0]["value"]["single"]), (&json!("m"), &json!(1.5)));
    endpoint.admin("POST", "clear", Value::Null).await;
    assert_eq!(endpoint.admin("GET", "calls", Value::Null).await.1, json!([]));
}

#[tokio::test(start_paused = true)]
async fn time_and_iterators_are_moved() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    let iterator =
        json!({ "StreamName": "orders", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST" });
    let read = json!({
        "ShardIterator": endpoint.kinesis_ok("GetShardIterator", iterator.clone()).await["ShardIterator"]
    });
    endpoint.kinesis_ok("GetRecords", read.clone()).await;
    let before = endpoint.clock.now();
    let (status, answer) = endpoint.admin("POST", "clock/advance", json!({ "seconds": 300.5 })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(endpoint.clock.now().duration_since(before).unwrap(), Duration::from_millis(300_500));
    assert!(answer["now"].is_f64());
    assert_eq!(endpoint.kinesis_refused("GetRecords", read).await, "ExpiredIteratorException");

    let read =
        json!({ "ShardIterator": endpoint.kinesis_ok("GetShardIterator", iterator).await["ShardIterator"] });
    endpoint.admin("POST", "iterators/expire", Value::Null).await;
    assert_eq!(endpoint.kinesis_refused("GetRecords", read).await, "ExpiredIteratorException");
    for path in ["subscriptions/end", "subscriptions/cut"] {
        assert_eq!(endpoint.admin("POST", path, Value::Null).await.0, StatusCode::OK);
    }
    let (status, _) = endpoint.admin("POST", "clock/advance", json!({ "seconds": -1 })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
