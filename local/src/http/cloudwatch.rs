//! PutMetricData, in JSON as boto3 speaks it and in CBOR as the Rust SDK does. Either may come compressed.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use shardflow_core::limits::PUT_METRIC_DATA_BYTES;

use super::answer::{Protocol, Refusal};
use super::endpoint::{Endpoint, Incoming, Reply};
use super::exchange::Applied;
use crate::cloudwatch::PutMetricDataRequest;
use crate::control::{Call, Service};

/// Most bytes that a compressed body may come to: it guards the memory of this process, and is generous.
const INFLATED: u64 = 16 * PUT_METRIC_DATA_BYTES as u64;

impl Endpoint {
    pub(super) async fn cloudwatch_json(&self, incoming: Incoming<'_>, headers: &HeaderMap) -> Reply {
        let read = |body: &[u8]| serde_json::from_slice(body).map_err(|error| error.to_string());
        self.put_metric_data(incoming, headers, Protocol::Json10(Service::CloudWatch), read, b"{}").await
    }

    pub(super) async fn cloudwatch_cbor(&self, incoming: Incoming<'_>, headers: &HeaderMap) -> Reply {
        let read = |body: &[u8]| ciborium::from_reader(body).map_err(|error| error.to_string());
        // A map without entries.
        self.put_metric_data(incoming, headers, Protocol::Cbor, read, b"\xa0").await
    }

    async fn put_metric_data(
        &self,
        incoming: Incoming<'_>,
        headers: &HeaderMap,
        protocol: Protocol,
        read: impl Fn(&[u8]) -> Result<PutMetricDataRequest, String>,
        nothing: &'static [u8],
    ) -> Reply {
        let decoded = inflated(incoming.body.clone(), headers).and_then(|body| Ok((read(&body)?, body)));
        let (request, body) = match decoded {
            Ok(decoded) => decoded,
            Err(why) => {
                let refusal = Refusal::new("SerializationException", 400, why);
                return self.unread(&incoming, protocol, &refusal);
            }
        };
        let Incoming { operation, region, .. } = incoming;
        let call = Call { operation, resource: None, region, at: self.clock.now(), body: &body };
        self.carry_out(call, protocol, |_| {
            self.metrics
                .put(self.clock.now(), request)
                .map_err(|why| Refusal::new("InvalidParameterValueException", 400, why))?;
            Ok(Applied::fully(protocol.answer(nothing)))
        })
        .await
    }
}

fn inflated(body: Bytes, headers: &HeaderMap) -> Result<Bytes, String> {
    match headers.get(CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
        Some(b"gzip") => {
            let mut inflated = Vec::new();
            GzDecoder::new(&*body)
                .take(INFLATED)
                .read_to_end(&mut inflated)
                .map_err(|error| format!("the body is not gzip: {error}"))?;
            Ok(inflated.into())
        }
        _ => Ok(body),
    }
}
