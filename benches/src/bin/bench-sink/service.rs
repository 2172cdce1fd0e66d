//! From a request to its answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::counts::{Count, Counts};
use crate::put_records;
use crate::streams::{Stream, Streams};

/// Everything behind the ports.
#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) counts: Counts,
    pub(crate) streams: Streams,
    pub(crate) sequence: Count,
    /// Buffers for bodies, used again: megabytes of fresh memory for each request would cost more than reading it.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Service {
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
        let path = request.uri().path().to_owned();
        let body = self.read(request).await?;
        let answer = match (operation.as_str(), path.as_str()) {
            ("PutRecords", _) => {
                put_records::answer(self, &body).map_or_else(|| refused("unreadable"), json_text)
            }
            ("ListShards", _) => self.about_stream(&body, |stream| json!({ "Shards": stream.list() })),
            ("DescribeStream", _) => {
                self.about_stream(&body, |stream| json!({ "StreamDescription": stream.describe() }))
            }
            ("DescribeStreamSummary", _) => {
                self.about_stream(&body, |stream| json!({ "StreamDescriptionSummary": stream.describe() }))
            }
            ("", "/stats") => self.counts.tell().map_or_else(|error| refused(&error.to_string()), told),
            ("", "/reset") => {
                self.counts.reset();
                told(json!({}))
            }
            // CloudWatch's PutMetricData, say: it is taken, and that is all.
            _ => {
                self.counts.other_calls.add(1);
                Response::new(Full::from("<Response/>"))
            }
        };
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        Ok(answer)
    }

    async fn read(&self, request: Request<Incoming>) -> Result<Vec<u8>, hyper::Error> {
        let mut bytes = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        bytes.clear();
        let length =
            request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        bytes.reserve(length.unwrap_or(0));
        // Hyper sends "100 Continue", if the client waits for it, when the body is first polled.
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    }

    fn about_stream(&self, body: &[u8], tell: impl Fn(&Stream) -> Value) -> Response<Full<Bytes>> {
        self.counts.other_calls.add(1);
        let request: BTreeMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let text = |key| request.get(key).and_then(Value::as_str);
        match text("StreamName").or_else(|| text("StreamARN")?.rsplit('/').next()) {
            Some(name) => told(tell(&self.streams.named(name))),
            None => refused("no stream is named"),
        }
    }
}

fn told(value: impl Into<Value>) -> Response<Full<Bytes>> {
    json_text(value.into().to_string().into_bytes())
}

fn json_text(text: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    response.headers_mut().insert("x-amzn-requestid", HeaderValue::from_static("bench-sink"));
    response
}

fn refused(why: &str) -> Response<Full<Bytes>> {
    let mut response = told(json!({ "__type": "InvalidArgumentException", "message": why }));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
