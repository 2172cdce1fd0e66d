//! The endpoint, request by request, without a socket.

mod admin;
mod calls;
mod events;
mod faults;
mod records;
mod services;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{Body, Endpoint, Reply};
use crate::{Config, Limits};

fn endpoint() -> Endpoint {
    Endpoint::new(Config::default().transition(std::time::Duration::ZERO)).unwrap()
}

fn unthrottled() -> Endpoint {
    let config = Config::default().transition(std::time::Duration::ZERO).limits(Limits::unthrottled());
    Endpoint::new(config).unwrap()
}

impl Endpoint {
    /// An answer as JSON, which every answer of the JSON protocols is.
    async fn ask(&self, target: &str, body: Value) -> (StatusCode, Value) {
        self.ask_raw(target, body.to_string()).await
    }

    async fn ask_raw(&self, target: &str, body: impl Into<Bytes>) -> (StatusCode, Value) {
        let (status, _, body) = self.send(post(target, body)).await.expect("it is answered");
        (status, serde_json::from_slice(&body).expect("it is JSON"))
    }

    async fn kinesis_ok(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.ask(&format!("Kinesis_20131202.{operation}"), body).await;
        assert_eq!(status, StatusCode::OK, "{operation}: {answer}");
        answer
    }

    /// The code of a refusal.
    async fn kinesis_refused(&self, operation: &str, body: Value) -> String {
        let (status, answer) = self.ask(&format!("Kinesis_20131202.{operation}"), body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{operation}: {answer}");
        answer["__type"].as_str().unwrap().to_owned()
    }

    async fn dynamodb_ok(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.ask(&format!("DynamoDB_20120810.{operation}"), body).await;
        assert_eq!(status, StatusCode::OK, "{operation}: {answer}");
        answer
    }

    async fn admin(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(format!("/_shardflow/{path}"));
        let request = request.body(Bytes::from(body.to_string())).unwrap();
        let (status, _, body) = self.send(request).await.expect("it is answered");
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Status, headers and body; none if the connection is cut.
    async fn send(&self, request: Request<Bytes>) -> Option<(StatusCode, HeaderMap, Bytes)> {
        match self.handle(request).await {
            Reply::Answer(response) => {
                let (head, body) = response.into_parts();
                let body: Body = body;
                Some((head.status, head.headers, body.collect().await.unwrap().to_bytes()))
            }
            Reply::Cut => None,
        }
    }
}

fn post(target: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post("/").header("x-amz-target", target).body(body.into()).unwrap()
}

fn signed(region: &str, target: &str, body: &Value) -> Request<Bytes> {
    let mut request = post(target, body.to_string());
    let credential = format!(
        "AWS4-HMAC-SHA256 Credential=a/20261123/{region}/kinesis/aws4_request, SignedHeaders=host, Signature=0"
    );
    request.headers_mut().insert("authorization", credential.parse().unwrap());
    request
}

/// A stream of one shard, and its ARN.
async fn with_stream(endpoint: &Endpoint) -> String {
    endpoint.kinesis_ok("CreateStream", json!({ "StreamName": "orders", "ShardCount": 1 })).await;
    "arn:aws:kinesis:us-east-1:000000000000:stream/orders".to_owned()
}
