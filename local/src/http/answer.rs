//! Answers in the shape of each protocol.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::Body;
use crate::control::Service;
use crate::kinesis::KinesisError;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    /// Kinesis.
    Json11,
    /// DynamoDB and CloudWatch.
    Json10(Service),
    /// CloudWatch with the Rust SDK.
    Cbor,
}

/// A call that was refused: by a service, or by a rule in its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) status: u16,
    /// The words, or a body that is ready to be sent.
    pub(super) content: Content,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Content {
    Message(String),
    Ready(String),
}

#[derive(Serialize)]
struct ErrorShape<'a> {
    #[serde(rename = "__type")]
    code: &'a str,
    message: &'a str,
}

impl Protocol {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json11 => "application/x-amz-json-1.1",
            Self::Json10(_) => "application/x-amz-json-1.0",
            Self::Cbor => "application/cbor",
        })
    }

    pub(super) fn answer(self, body: impl Into<Bytes>) -> Response<Body> {
        self.respond(StatusCode::OK, Body::Full(body.into()))
    }

    pub(super) fn refuse(self, refusal: &Refusal) -> Response<Body> {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        let body: Bytes = match &refusal.content {
            Content::Ready(body) => body.clone().into(),
            Content::Message(message) => {
                let code = self.qualified(&refusal.code);
                let shape = ErrorShape { code: &code, message };
                match self {
                    Self::Json11 | Self::Json10(_) => to_json(&shape),
                    Self::Cbor => to_cbor(&shape),
                }
            }
        };
        let mut response = self.respond(status, Body::Full(body));
        if let Ok(code) = HeaderValue::from_str(&refusal.code) {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    }

    fn respond(self, status: StatusCode, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, self.content_type());
        if self == Self::Cbor {
            response.headers_mut().insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
        }
        response
    }

    /// The code with the namespace that the service puts before it. Clients cut it off.
    fn qualified(self, code: &str) -> String {
        match self {
            Self::Json11 => code.to_owned(),
            Self::Json10(Service::DynamoDb) => format!("com.amazonaws.dynamodb.v20120810#{code}"),
            Self::Json10(Service::CloudWatch | Service::Kinesis) | Self::Cbor => {
                format!("com.amazonaws.cloudwatch#{code}")
            }
        }
    }
}

impl Refusal {
    pub(super) fn new(code: impl Into<String>, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, content: Content::Message(message.into()) }
    }
}

impl From<KinesisError> for Refusal {
    fn from(error: KinesisError) -> Self {
        Self::new(error.code().as_str(), 400, error.message())
    }
}

pub(super) fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("our shapes have text keys and finite numbers").into()
}

fn to_cbor(value: &impl Serialize) -> Bytes {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("writing to memory does not fail");
    bytes.into()
}
