//! DynamoDB and CloudWatch behind the same door.

use std::io::Write as _;

use super::*;
use crate::MetricValue;

#[tokio::test]
async fn a_table_is_written_conditionally_and_read_back() {
    let endpoint = endpoint();
    let create = json!({
        "TableName": "leases",
        "KeySchema": [{ "AttributeName": "leaseKey", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "leaseKey", "AttributeType": "S" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    endpoint.dynamodb_ok("CreateTable", create).await;
    let put = json!({
        "TableName": "leases",
        "Item": { "leaseKey": { "S": "shard-0" }, "counter": { "N": "1" } },
        "ConditionExpression": "attribute_not_exists(leaseKey)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    endpoint.dynamodb_ok("PutItem", put.clone()).await;
    let (status, answer) = endpoint.ask("DynamoDB_20120810.PutItem", put).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let code = answer["__type"].as_str().unwrap();
    assert!(code.ends_with("#ConditionalCheckFailedException"), "{code}");
    assert_eq!(answer["Item"]["counter"]["N"], "1");
    let update = json!({
        "TableName": "leases",
        "Key": { "leaseKey": { "S": "shard-0" } },
        "AttributeUpdates": { "counter": { "Value": { "N": "2" }, "Action": "PUT" } },
        "Expected": { "counter": { "Value": { "N": "1" } } },
    });
    endpoint.dynamodb_ok("UpdateItem", update).await;
    let key =
        json!({ "TableName": "leases", "Key": { "leaseKey": { "S": "shard-0" } }, "ConsistentRead": true });
    assert_eq!(endpoint.dynamodb_ok("GetItem", key).await["Item"]["counter"]["N"], "2");
    assert_eq!(endpoint.dynamodb_ok("Scan", json!({ "TableName": "leases" })).await["Count"], 1);
    let calls = endpoint.control.calls();
    assert!(calls.iter().all(|call| call.resource.as_deref() == Some("leases")));
}

#[tokio::test]
async fn dynamodbs_errors_keep_their_codes() {
    let endpoint = endpoint();
    let cases = [
        (
            "GetItem",
            json!({ "TableName": "nope", "Key": { "k": { "S": "x" } } }),
            "ResourceNotFoundException",
        ),
        ("GetItem", json!({ "TableName": 7 }), "SerializationException"),
        ("PutItem", json!({ "TableName": "nope" }), "ValidationException"),
        ("PutItem", json!({ "TableName": "nope", "Item": { "k": { "N": "x" } } }), "ValidationException"),
    ];
    for (operation, body, code) in cases {
        let (status, answer) = endpoint.ask(&format!("DynamoDB_20120810.{operation}"), body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer["__type"].as_str().unwrap().ends_with(code), "{operation} {answer}");
        assert!(!answer.to_string().contains("VALIDATION"), "no marker of the database's gets out: {answer}");
    }
}

/// As the Rust SDK wrote it: three data of namespace `Shardflow`, one of each kind.
const RECORDED: &str = "bf694e616d657370616365695368617264666c6f776a4d65747269634461746183bf6a4d65747269634e616d656e55736572\
5265636f7264735075746a44696d656e73696f6e7381bf644e616d656a53747265616d4e616d656556616c7565666f7264657273ff6954696d657374616d\
70c1fb41d954fc402000006f53746174697374696356616c756573bf6b53616d706c65436f756e74fb40080000000000006353756dfb4018000000000000\
674d696e696d756dfb3ff0000000000000674d6178696d756dfb4008000000000000ff64556e697465436f756e74ffbf6a4d65747269634e616d65674c61\
74656e63796a44696d656e73696f6e7381bf644e616d656a53747265616d4e616d656556616c7565666f7264657273ff6954696d657374616d70c1fb41d9\
54fc402000006656616c75657382fb3ff0000000000000fb401400000000000066436f756e747382fb4000000000000000fb3ff000000000000064556e69\
7465436f756e74ffbf6a4d65747269634e616d656653696e676c656a44696d656e73696f6e7381bf644e616d656a53747265616d4e616d656556616c7565\
666f7264657273ff6954696d657374616d70c1fb41d954fc402000006556616c7565fb401e00000000000064556e697465436f756e74ffff";

fn recorded() -> Bytes {
    let digits: Vec<char> = RECORDED.chars().collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn cbor(body: Bytes) -> Request<Bytes> {
    Request::post("/service/GraniteServiceVersion20100801/operation/PutMetricData")
        .header("smithy-protocol", "rpc-v2-cbor")
        .header("content-type", "application/cbor")
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn metrics_come_in_as_the_rust_sdk_writes_them() {
    let endpoint = endpoint();
    let (status, headers, body) = endpoint.send(cbor(recorded())).await.unwrap();
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"\xa0"[..]));
    assert_eq!(headers["smithy-protocol"], "rpc-v2-cbor");
    let metrics = endpoint.metrics.all();
    let values: Vec<_> = metrics.iter().map(|datum| datum.value.clone()).collect();
    assert_eq!(
        values,
        [
            MetricValue::Statistics { count: 3.0, sum: 6.0, min: 1.0, max: 3.0 },
            MetricValue::Counted(vec![(1.0, 2.0), (5.0, 1.0)]),
            MetricValue::Single(7.5),
        ]
    );
    assert_eq!(metrics[0].namespace, "Shardflow");
    assert_eq!(metrics[1].dimension("StreamName"), Some("orders"));
    assert_eq!(metrics[1].sum(), 7.0);
    let stamp = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_500);
    assert_eq!((metrics[2].timestamp, metrics[2].unit.as_deref()), (Some(stamp), Some("Count")));
}

#[tokio::test]
async fn metrics_come_in_as_json_and_compressed() {
    let endpoint = endpoint();
    let datum = json!({ "MetricName": "Latency", "Value": 3, "Timestamp": 1_700_000_000 });
    let request = json!({ "Namespace": "KPL", "MetricData": [datum] });
    let (status, _) = endpoint.ask("GraniteServiceVersion20100801.PutMetricData", request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(endpoint.metrics.all()[0].value, MetricValue::Single(3.0));

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&recorded()).unwrap();
    let mut request = cbor(encoder.finish().unwrap().into());
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(endpoint.send(request).await.unwrap().0, StatusCode::OK);
    assert_eq!(endpoint.metrics.all().len(), 4);

    let mut broken = cbor(recorded());
    broken.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let (status, _, body) = endpoint.send(broken).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&body).contains("SerializationException"));
}

#[tokio::test]
async fn wrong_metrics_are_refused_whole() {
    let endpoint = endpoint();
    let target = "GraniteServiceVersion20100801.PutMetricData";
    let one = json!({ "MetricName": "m", "Value": 1.0 });
    let put = |data: Value| json!({ "Namespace": "n", "MetricData": data });
    assert_eq!(endpoint.ask(target, put(json!(vec![one.clone(); 1000]))).await.0, StatusCode::OK);
    let wrong = [
        json!(vec![one.clone(); 1001]),
        json!([one, { "MetricName": "m" }]),
        json!([{ "MetricName": "m", "Value": 1.0, "Values": [1.0] }]),
        json!([{ "MetricName": "m", "Values": [1.0, 2.0], "Counts": [1.0] }]),
    ];
    for data in wrong {
        let (status, answer) = endpoint.ask(target, put(data)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer["__type"], "com.amazonaws.cloudwatch#InvalidParameterValueException");
    }
    assert_eq!(endpoint.metrics.all().len(), 1000);
}
