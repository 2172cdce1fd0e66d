//! Every operation of Kinesis once over JSON, and what is refused before it comes to one.

use super::*;
use crate::control::{Calls, Fault};

#[tokio::test]
async fn every_operation_answers() {
    let endpoint = endpoint();
    let arn = with_stream(&endpoint).await;
    let ask = async |operation: &str, body: Value| endpoint.kinesis_ok(operation, body).await;
    let orders = json!({ "StreamName": "orders" });
    let shard = "shardId-000000000000";

    let limits = ask("DescribeLimits", json!({})).await;
    assert_eq!(limits["OpenShardCount"], 1);
    assert_eq!(ask("ListStreams", json!({})).await["StreamNames"], json!(["orders"]));
    assert_eq!(ask("DescribeStream", orders.clone()).await["StreamDescription"]["StreamARN"], arn);
    let summary = ask("DescribeStreamSummary", json!({ "StreamARN": arn })).await;
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!(summary["StreamStatus"], "ACTIVE");
    assert_eq!(summary["StreamModeDetails"]["StreamMode"], "PROVISIONED");
    assert_eq!(summary["RecordDistributionStrategy"], "USER_PARTITION_KEY");
    assert_eq!((&summary["MaxRecordSizeInKiB"], &summary["EncryptionType"]), (&json!(1024), &json!("NONE")));
    assert!(summary["StreamCreationTimestamp"].as_f64().unwrap() > 1.0e9);

    let put = json!({ "StreamARN": arn, "Data": "eA==", "PartitionKey": "a" });
    let put = ask("PutRecord", put).await;
    assert_eq!((&put["ShardId"], put.get("EncryptionType")), (&json!(shard), None));
    let batch = json!({ "StreamName": "orders", "Records": [{ "Data": "eQ==", "PartitionKey": "b" }] });
    assert_eq!(ask("PutRecords", batch).await["FailedRecordCount"], 0);
    let iterator = json!({ "StreamName": "orders", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = ask("GetShardIterator", iterator).await["ShardIterator"].clone();
    let records = ask("GetRecords", json!({ "ShardIterator": iterator, "StreamARN": arn })).await;
    assert_eq!(records["Records"].as_array().unwrap().len(), 2);
    assert_eq!(records["MillisBehindLatest"], 0);

    ask("AddTagsToStream", json!({ "StreamName": "orders", "Tags": { "a": "b" } })).await;
    assert_eq!(ask("ListTagsForStream", orders.clone()).await["Tags"], json!([{ "Key": "a", "Value": "b" }]));
    ask("RemoveTagsFromStream", json!({ "StreamName": "orders", "TagKeys": ["a"] })).await;
    ask("TagResource", json!({ "ResourceARN": arn, "Tags": { "c": "d" } })).await;
    ask("UntagResource", json!({ "ResourceARN": arn, "TagKeys": ["c"] })).await;
    assert_eq!(ask("ListTagsForResource", json!({ "ResourceARN": arn })).await["Tags"], json!([]));
    ask("PutResourcePolicy", json!({ "ResourceARN": arn, "Policy": "{}" })).await;
    assert_eq!(ask("GetResourcePolicy", json!({ "ResourceARN": arn })).await["Policy"], "{}");
    ask("DeleteResourcePolicy", json!({ "ResourceARN": arn })).await;

    let hours = |hours: u32| json!({ "StreamName": "orders", "RetentionPeriodHours": hours });
    ask("IncreaseStreamRetentionPeriod", hours(48)).await;
    ask("DecreaseStreamRetentionPeriod", hours(24)).await;
    let key = json!({ "StreamName": "orders", "EncryptionType": "KMS", "KeyId": "alias/k" });
    ask("StartStreamEncryption", key.clone()).await;
    let put = json!({ "StreamName": "orders", "Data": "eA==", "PartitionKey": "a" });
    assert_eq!(ask("PutRecord", put).await["EncryptionType"], "KMS");
    ask("StopStreamEncryption", key).await;
    let metrics = json!({ "StreamName": "orders", "ShardLevelMetrics": ["ALL"] });
    ask("EnableEnhancedMonitoring", metrics.clone()).await;
    ask("DisableEnhancedMonitoring", metrics).await;
    ask("UpdateMaxRecordSize", json!({ "StreamARN": arn, "MaxRecordSizeInKiB": 2048 })).await;

    let consumer = json!({ "StreamARN": arn, "ConsumerName": "reports" });
    let registered = ask("RegisterStreamConsumer", consumer.clone()).await;
    assert_eq!(registered["Consumer"]["ConsumerStatus"], "CREATING");
    assert_eq!(registered["Consumer"].get("StreamARN"), None);
    let described = ask("DescribeStreamConsumer", consumer.clone()).await;
    assert_eq!(described["ConsumerDescription"]["ConsumerStatus"], "ACTIVE");
    assert_eq!(described["ConsumerDescription"]["StreamARN"], arn);
    let listed = ask("ListStreamConsumers", json!({ "StreamARN": arn })).await;
    assert_eq!(listed["Consumers"].as_array().unwrap().len(), 1);
    ask("DeregisterStreamConsumer", consumer).await;

    let middle = (1_u128 << 127).to_string();
    ask("SplitShard", json!({ "StreamName": "orders", "ShardToSplit": shard, "NewStartingHashKey": middle }))
        .await;
    let children = json!({
        "StreamName": "orders",
        "ShardToMerge": "shardId-000000000001",
        "AdjacentShardToMerge": "shardId-000000000002",
    });
    ask("MergeShards", children).await;
    let double = json!({ "StreamName": "orders", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING" });
    assert_eq!(ask("UpdateShardCount", double).await["CurrentShardCount"], 1);
    let shards =
        ask("ListShards", json!({ "StreamName": "orders", "ShardFilter": { "Type": "AT_LATEST" } })).await;
    assert_eq!(shards["Shards"][0]["ParentShardId"], "shardId-000000000003");

    let mode = json!({ "StreamARN": arn, "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
    ask("UpdateStreamMode", mode).await;
    let auto = json!({ "StreamARN": arn, "RecordDistributionStrategy": "AUTO" });
    ask("UpdateStreamRecordDistributionStrategy", auto).await;
    ask("PutRecord", json!({ "StreamARN": arn, "Data": "eA==" })).await;
    ask("DeleteStream", orders).await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_the_right_code() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    let refused = async |target: &str, body: &str| {
        let (status, answer) = endpoint.ask_raw(target, body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        answer["__type"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused("Kinesis_20131202.PutRecords", "{").await, "SerializationException");
    assert_eq!(refused("Kinesis_20131202.PutRecords", "").await, "SerializationException");
    assert_eq!(refused("Kinesis_20131202.ListShards", "[]").await, "SerializationException");
    assert_eq!(refused("Kinesis_20131202.DescribeStreamSummary", "").await, "InvalidArgumentException");
    let count = r#"{"StreamName": "x", "ShardCount": "four"}"#;
    assert_eq!(refused("Kinesis_20131202.CreateStream", count).await, "SerializationException");
    let filter = r#"{"StreamName": "orders", "ShardFilter": {"Type": "SOMETIMES"}}"#;
    assert_eq!(refused("Kinesis_20131202.ListShards", filter).await, "ValidationException");
    let kind = r#"{"StreamName": "orders", "ShardId": "shardId-000000000000"}"#;
    assert_eq!(refused("Kinesis_20131202.GetShardIterator", kind).await, "ValidationException");
    assert_eq!(refused("Kinesis_20131202.Dance", "{}").await, "UnknownOperationException");
    assert_eq!(refused("Elsewhere.Dance", "{}").await, "UnknownOperationException");
    let codes = refused("DynamoDB_20120810.UpdateContinuousBackups", "{}").await;
    assert!(codes.ends_with("#UnknownOperationException"), "{codes}");
}

#[tokio::test]
async fn what_is_no_request_is_in_the_log_nevertheless() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    endpoint.control.clear();
    let rule = endpoint.control.on(Calls::all()).then(Fault::Throttle);
    let calls = [
        // What is sent; and then: the service, the operation, the stream and the code.
        ("Kinesis_20131202.PutRecords", "{", "kinesis", "PutRecords", "", "SerializationException"),
        (
            "Kinesis_20131202.PutRecord",
            r#"{"StreamName": "orders", "Data": "eA"}"#,
            "kinesis",
            "PutRecord",
            "orders",
            "SerializationException",
        ),
        ("Kinesis_20131202.GetRecords", "{", "kinesis", "GetRecords", "", "SerializationException"),
        ("Kinesis_20131202.SubscribeToShard", "", "kinesis", "SubscribeToShard", "", "ValidationException"),
        ("Kinesis_20131202.ListShards", "7", "kinesis", "ListShards", "", "SerializationException"),
        (
            "GraniteServiceVersion20100801.PutMetricData",
            "x",
            "cloudwatch",
            "PutMetricData",
            "",
            "SerializationException",
        ),
        ("Kinesis_20131202.Dance", "{}", "kinesis", "Dance", "", "UnknownOperationException"),
        ("DynamoDB_20120810.Dance", "{}", "dynamodb", "Dance", "", "UnknownOperationException"),
        ("Elsewhere.Dance", "{}", "", "Elsewhere.Dance", "", "UnknownOperationException"),
    ];
    for (target, body, ..) in calls {
        endpoint.ask_raw(target, body).await;
    }
    let (_, logged) = endpoint.admin("GET", "calls", Value::Null).await;
    let logged = logged.as_array().unwrap();
    assert_eq!(logged.len(), calls.len());
    for (call, (.., service, operation, stream, code)) in logged.iter().zip(calls) {
        let told = ["service", "operation", "resource", "detail"].map(|key| call[key].as_str().unwrap_or(""));
        assert_eq!(told, [service, operation, stream, code]);
        assert_eq!(call["outcome"], "refused");
    }
    assert_eq!(rule.hits(), 0, "rules see what was decoded");
}

#[tokio::test]
async fn a_get_is_told_where_it_is() {
    let endpoint = endpoint();
    let request = Request::get("/").body(Bytes::new()).unwrap();
    let (status, _, body) = endpoint.send(request).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(String::from_utf8_lossy(&body).contains("shardflow-local"));
}

#[tokio::test]
async fn cbor_for_kinesis_is_refused_with_advice() {
    let endpoint = endpoint();
    let mut request = post("Kinesis_20131202.ListStreams", "\u{a0}");
    request.headers_mut().insert("content-type", "application/x-amz-cbor-1.1".parse().unwrap());
    let (status, _, body) = endpoint.send(request).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&body).contains("aws.cborEnabled=false"));
}

#[tokio::test]
async fn answers_carry_type_and_request_id() {
    let endpoint = endpoint();
    let (_, headers, _) = endpoint.send(post("Kinesis_20131202.ListStreams", "{}")).await.unwrap();
    assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
    let first = headers["x-amzn-requestid"].clone();
    let (_, headers, _) = endpoint.send(post("Kinesis_20131202.DescribeStream", "{}")).await.unwrap();
    assert_ne!(headers["x-amzn-requestid"], first);
    assert_eq!(headers["x-amzn-errortype"], "InvalidArgumentException");
}

#[tokio::test]
async fn each_region_has_its_own_streams() {
    let endpoint = endpoint();
    with_stream(&endpoint).await;
    let list = async |region: &str| {
        let request = signed(region, "Kinesis_20131202.ListStreams", &json!({}));
        let (_, _, body) = endpoint.send(request).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["StreamNames"].clone()
    };
    assert_eq!(list("us-east-1").await, json!(["orders"]));
    assert_eq!(list("eu-west-1").await, json!([]));
    let create =
        signed("eu-west-1", "Kinesis_20131202.CreateStream", &json!({ "StreamName": "x", "ShardCount": 1 }));
    endpoint.send(create).await.unwrap();
    assert_eq!(list("eu-west-1").await, json!(["x"]));
    let describe =
        signed("eu-west-1", "Kinesis_20131202.DescribeStreamSummary", &json!({ "StreamName": "x" }));
    let (_, _, body) = endpoint.send(describe).await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("arn:aws:kinesis:eu-west-1:000000000000:stream/x"));
}
