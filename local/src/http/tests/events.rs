//! Subscriptions as bodies of answers, under a paused clock.

use std::time::Duration;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use bytes::BytesMut;
use tokio::time::Instant;

use super::*;

/// A subscription's frames, decoded.
struct Events {
    body: Body,
    decoder: MessageFrameDecoder,
    buffer: BytesMut,
}

/// One frame: its kind, its name and its payload.
type Event = (String, String, Value);

impl Events {
    /// The next frame; none at a clean end, an error when the connection is cut.
    async fn next(&mut self) -> Option<std::io::Result<Event>> {
        loop {
            if let DecodedFrame::Complete(message) = self.decoder.decode_frame(&mut self.buffer).unwrap() {
                let header = |name: &str| {
                    let header = message.headers().iter().find(|header| header.name().as_str() == name);
                    header.map(|header| header.value().as_string().unwrap().as_str().to_owned())
                };
                let name = header(":event-type").or_else(|| header(":exception-type")).unwrap();
                let payload = serde_json::from_slice(message.payload()).unwrap();
                return Some(Ok((header(":message-type").unwrap(), name, payload)));
            }
            match self.body.frame().await? {
                Ok(frame) => self.buffer.extend_from_slice(&frame.into_data().unwrap()),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    async fn event(&mut self) -> Value {
        match self.next().await {
            Some(Ok((kind, name, payload))) if kind == "event" && name == "SubscribeToShardEvent" => payload,
            other => panic!("{other:?}"),
        }
    }
}

async fn consumer(endpoint: &Endpoint) -> String {
    let arn = with_stream(endpoint).await;
    register(endpoint, &arn).await
}

async fn register(endpoint: &Endpoint, arn: &str) -> String {
    let register = json!({ "StreamARN": arn, "ConsumerName": "reports" });
    let answer = endpoint.kinesis_ok("RegisterStreamConsumer", register).await;
    answer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned()
}

async fn subscribe(endpoint: &Endpoint, consumer: &str, position: Value) -> Events {
    let body =
        json!({ "ConsumerARN": consumer, "ShardId": "shardId-000000000000", "StartingPosition": position });
    let reply = endpoint.handle(post("Kinesis_20131202.SubscribeToShard", body.to_string())).await;
    let Reply::Answer(response) = reply else { panic!("it was cut") };
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    let mut events =
        Events { body: response.into_body(), decoder: MessageFrameDecoder::new(), buffer: BytesMut::new() };
    let (kind, name, payload) = events.next().await.unwrap().unwrap();
    assert_eq!((kind.as_str(), name.as_str(), payload), ("event", "initial-response", json!({})));
    events
}

async fn put(endpoint: &Endpoint) {
    let put = json!({ "StreamName": "orders", "Data": "eA==", "PartitionKey": "a" });
    endpoint.kinesis_ok("PutRecord", put).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_arrives_when_it_is_written_and_silence_every_five_seconds() {
    let endpoint = endpoint();
    let consumer = consumer(&endpoint).await;
    let mut events = subscribe(&endpoint, &consumer, json!({ "Type": "LATEST" })).await;
    let started = Instant::now();
    let silence = events.event().await;
    assert_eq!((started.elapsed(), &silence["Records"]), (Duration::from_secs(5), &json!([])));
    assert!(silence["ContinuationSequenceNumber"].is_string());

    let written = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        put(&endpoint).await;
        Instant::now()
    };
    let (event, written) = tokio::join!(events.event(), written);
    assert_eq!(event["Records"][0]["PartitionKey"], "a");
    assert_eq!(event["Records"][0]["SequenceNumber"], event["ContinuationSequenceNumber"]);
    assert_eq!((event["MillisBehindLatest"].as_u64(), written.elapsed()), (Some(0), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_split_ends_it_with_children_and_cleanly() {
    let endpoint = Endpoint::new(Config::default().transition(Duration::from_secs(1))).unwrap();
    let arn = with_stream(&endpoint).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let consumer = register(&endpoint, &arn).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut events = subscribe(&endpoint, &consumer, json!({ "Type": "TRIM_HORIZON" })).await;
    let double = json!({ "StreamName": "orders", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING" });
    let started = Instant::now();
    let (end, _) = tokio::join!(events.event(), endpoint.kinesis_ok("UpdateShardCount", double));
    assert_eq!(started.elapsed(), Duration::from_secs(1), "nobody polled: it knew when");
    assert_eq!(end["ChildShards"].as_array().unwrap().len(), 2);
    assert_eq!(end.get("ContinuationSequenceNumber"), None);
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn it_ends_after_five_minutes() {
    let endpoint = endpoint();
    let consumer = consumer(&endpoint).await;
    let started = Instant::now();
    let mut events = subscribe(&endpoint, &consumer, json!({ "Type": "LATEST" })).await;
    let mut silences = 0;
    while let Some(event) = events.next().await {
        event.unwrap();
        silences += 1;
    }
    assert_eq!((started.elapsed(), silences), (Duration::from_secs(300), 59));
}

#[tokio::test(start_paused = true)]
async fn a_second_one_takes_over_after_five_seconds() {
    let endpoint = endpoint();
    let consumer = consumer(&endpoint).await;
    let mut first = subscribe(&endpoint, &consumer, json!({ "Type": "LATEST" })).await;
    let again = json!({
        "ConsumerARN": consumer, "ShardId": "shardId-000000000000", "StartingPosition": { "Type": "LATEST" }
    });
    assert_eq!(endpoint.kinesis_refused("SubscribeToShard", again).await, "ResourceInUseException");
    first.event().await;
    let (old, mut second) =
        tokio::join!(first.next(), subscribe(&endpoint, &consumer, json!({ "Type": "LATEST" })));
    let (kind, name, payload) = old.unwrap().unwrap();
    assert_eq!((kind.as_str(), name.as_str()), ("exception", "ResourceInUseException"));
    assert!(payload["message"].is_string());
    assert!(first.next().await.is_none());
    put(&endpoint).await;
    assert_eq!(second.event().await["Records"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_ended_and_cut_by_hand_and_hears_of_a_clock_put_forward() {
    let endpoint = endpoint();
    let consumer = consumer(&endpoint).await;
    let latest = || json!({ "Type": "LATEST" });
    let started = Instant::now();
    let mut events = subscribe(&endpoint, &consumer, latest()).await;
    let advance = async { endpoint.control.advance(Duration::from_secs(5)) };
    let (silence, ()) = tokio::join!(events.event(), advance);
    assert_eq!(silence["Records"], json!([]));
    let end = async { endpoint.control.end_subscriptions() };
    let (ended, ()) = tokio::join!(events.next(), end);
    assert!(ended.is_none());

    let mut events = subscribe(&endpoint, &consumer, latest()).await;
    let cut = async { endpoint.control.cut_subscriptions() };
    let (broken, ()) = tokio::join!(events.next(), cut);
    assert_eq!(broken.unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(events.next().await.is_none());
    assert_eq!(started.elapsed(), Duration::ZERO, "all without waiting");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_leaves_nothing_behind() {
    let endpoint = endpoint();
    let consumer = consumer(&endpoint).await;
    let mut events = subscribe(&endpoint, &consumer, json!({ "Type": "LATEST" })).await;
    let patience = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
    assert!(patience.is_err());
    assert_eq!(endpoint.control.open_subscriptions(), 1);
    drop(events);
    assert_eq!(endpoint.control.open_subscriptions(), 0);
    let left = format!("{:?}", endpoint.regions);
    assert!(left.contains("subscriptions: {}"), "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_left_retention_or_a_stream_that_goes_fails_it() {
    let endpoint = endpoint();
    let consumer = consumer(&endpoint).await;
    let mut events = subscribe(&endpoint, &consumer, json!({ "Type": "LATEST" })).await;
    let delete = json!({ "StreamName": "orders", "EnforceConsumerDeletion": true });
    let (failed, _) = tokio::join!(events.next(), endpoint.kinesis_ok("DeleteStream", delete));
    let (kind, name, _) = failed.unwrap().unwrap();
    assert_eq!((kind.as_str(), name.as_str()), ("exception", "ResourceNotFoundException"));
}
