//! Records between JSON and the machine.

use std::time::Duration;

use super::*;

async fn records(endpoint: &Endpoint, position: Value) -> Value {
    let mut request = json!({ "StreamName": "orders", "ShardId": "shardId-000000000000" });
    for (key, value) in position.as_object().unwrap() {
        request[key] = value.clone();
    }
    let iterator = endpoint.kinesis_ok("GetShardIterator", request).await["ShardIterator"].clone();
    endpoint.kinesis_ok("GetRecords", json!({ "ShardIterator": iterator })).await["Records"].clone()
}

#[tokio::test]
async fn any_key_and_any_bytes_come_back_as_they_went_in() {
    let endpoint = unthrottled();
    with_stream(&endpoint).await;
    let keys = ["plain", "with \"quotes\" and \\", "ümläut €", "\u{1f980}", "line\nbreak\u{1}"];
    let data = ["", "AA==", "AAE=", "AAEC", "/+8="];
    let entries: Vec<_> =
        keys.iter().zip(data).map(|(key, data)| json!({ "PartitionKey": key, "Data": data })).collect();
    endpoint.kinesis_ok("PutRecords", json!({ "Records": entries, "StreamName": "orders" })).await;
    let read = records(&endpoint, json!({ "ShardIteratorType": "TRIM_HORIZON" })).await;
    for (i, record) in read.as_array().unwrap().iter().enumerate() {
        assert_eq!((&record["PartitionKey"], &record["Data"]), (&json!(keys[i]), &json!(data[i])));
        assert_eq!(record["SequenceNumber"].as_str().unwrap().len(), 56);
        assert_eq!(record.get("EncryptionType"), None);
    }
}

#[tokio::test]
async fn escapes_in_a_request_are_undone() {
    let endpoint = unthrottled();
    with_stream(&endpoint).await;
    let body = r#"{"Records":[{"Data":"\u0065A==","PartitionKey":"\u0061\"b"}],"StreamName":"ord\u0065rs"}"#;
    let (status, _) = endpoint.ask_raw("Kinesis_20131202.PutRecords", body).await;
    assert_eq!(status, StatusCode::OK);
    let read = records(&endpoint, json!({ "ShardIteratorType": "TRIM_HORIZON" })).await;
    assert_eq!((&read[0]["PartitionKey"], &read[0]["Data"]), (&json!("a\"b"), &json!("eA==")));
}

#[tokio::test]
async fn explicit_hash_keys_are_read_or_refused() {
    let endpoint = unthrottled();
    endpoint.kinesis_ok("CreateStream", json!({ "StreamName": "orders", "ShardCount": 2 })).await;
    let put = |key: &str| {
        let entry = json!({ "Data": "", "PartitionKey": "a", "ExplicitHashKey": key });
        json!({ "StreamName": "orders", "Records": [entry] })
    };
    for (key, shard) in
        [("0", 0), ("170141183460469231731687303715884105728", 1), (&u128::MAX.to_string(), 1)]
    {
        let answer = endpoint.kinesis_ok("PutRecords", put(key)).await;
        assert_eq!(answer["Records"][0]["ShardId"], format!("shardId-{shard:012}"));
    }
    let beyond = "340282366920938463463374607431768211456";
    assert_eq!(endpoint.kinesis_refused("PutRecords", put(beyond)).await, "InvalidArgumentException");
    for wrong in ["", "-1", "0x0", "1e3", "01", "00", &"9".repeat(40)] {
        assert_eq!(
            endpoint.kinesis_refused("PutRecords", put(wrong)).await,
            "ValidationException",
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn data_has_to_be_there_and_base64() {
    let endpoint = unthrottled();
    with_stream(&endpoint).await;
    let put = |entry: Value| json!({ "StreamName": "orders", "Records": [entry] });
    let without = put(json!({ "PartitionKey": "a" }));
    assert_eq!(endpoint.kinesis_refused("PutRecords", without).await, "ValidationException");
    for data in ["eA=", "e", "ä", "e A=="] {
        let wrong = put(json!({ "PartitionKey": "a", "Data": data }));
        assert_eq!(endpoint.kinesis_refused("PutRecords", wrong).await, "SerializationException", "{data}");
    }
    let without_key = put(json!({ "Data": "" }));
    assert_eq!(endpoint.kinesis_refused("PutRecords", without_key).await, "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn times_are_seconds_with_a_fraction() {
    let endpoint = unthrottled();
    with_stream(&endpoint).await;
    let put = json!({ "StreamName": "orders", "Data": "eA==", "PartitionKey": "a" });
    endpoint.kinesis_ok("PutRecord", put.clone()).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    endpoint.kinesis_ok("PutRecord", put).await;
    let all = records(&endpoint, json!({ "ShardIteratorType": "TRIM_HORIZON" })).await;
    let arrival = |i: usize| all[i]["ApproximateArrivalTimestamp"].as_f64().unwrap();
    assert!((arrival(1) - arrival(0) - 1.5).abs() < 0.002);
    let at = json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": arrival(1) });
    assert_eq!(records(&endpoint, at).await.as_array().unwrap().len(), 1);
    let whole = json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_000_000_000 });
    assert_eq!(records(&endpoint, whole).await.as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn throttled_entries_are_told_apart() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    let entries = vec![json!({ "Data": "eA==", "PartitionKey": "a" }); 500];
    let put = json!({ "StreamName": "orders", "Records": entries });
    let mut failed = Vec::new();
    for _ in 0..3 {
        let answer = endpoint.kinesis_ok("PutRecords", put.clone()).await;
        failed.push(answer["FailedRecordCount"].as_u64().unwrap());
        let last = &answer["Records"][499];
        assert_eq!(last.get("ErrorCode").is_some(), last.get("SequenceNumber").is_none());
    }
    assert_eq!(failed, [0, 0, 500]);
}

#[tokio::test]
async fn the_end_of_a_shard_has_children_and_no_iterator() {
    let endpoint = unthrottled();
    with_stream(&endpoint).await;
    let double = json!({ "StreamName": "orders", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING" });
    endpoint.kinesis_ok("UpdateShardCount", double).await;
    let iterator = json!({
        "StreamName": "orders", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"
    });
    let iterator = endpoint.kinesis_ok("GetShardIterator", iterator).await["ShardIterator"].clone();
    let end = endpoint.kinesis_ok("GetRecords", json!({ "ShardIterator": iterator })).await;
    assert_eq!(end.get("NextShardIterator"), None);
    assert_eq!(end["ChildShards"][0]["ParentShards"], json!(["shardId-000000000000"]));
    assert_eq!(end["ChildShards"][1]["HashKeyRange"]["EndingHashKey"], u128::MAX.to_string());
}
