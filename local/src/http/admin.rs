//! Control over HTTP: what [`Control`](crate::Control) does, for tests in other languages. The table of paths is in the
//! documentation of the crate.

use std::time::Duration;

use base64_simd::STANDARD;
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};
use shardflow_core::KinesisRecord;

use super::Body;
use super::answer::to_json;
use super::endpoint::Endpoint;
use crate::control::{CallRecord, Calls, Entries, Fault, Operation, Outcome, Service};
use crate::kinesis::stamp::Stamp;

pub(super) const PREFIX: &str = "/_shardflow/";

/// What was wrong with a request, and its status.
type Wrong = (StatusCode, String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleShape {
    service: Option<ServiceShape>,
    operation: Option<String>,
    #[serde(alias = "stream", alias = "table")]
    resource: Option<String>,
    after: Option<u64>,
    every: Option<u64>,
    times: Option<u64>,
    fault: FaultShape,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ServiceShape {
    Kinesis,
    DynamoDb,
    CloudWatch,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FaultShape {
    Throttle,
    Refuse {
        code: String,
        status: Option<u16>,
        message: Option<String>,
    },
    Delay {
        seconds: f64,
    },
    DropRequest,
    DropResponse,
    Hang,
    FailEntries {
        every: Option<usize>,
        at: Option<Vec<usize>>,
        partition_key: Option<String>,
        code: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
struct AdvanceShape {
    seconds: f64,
}

impl Endpoint {
    pub(super) fn administer(&self, method: &Method, uri: &Uri, body: &[u8]) -> Response<Body> {
        let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (status, answer) = match self.act(method, &parts, uri.query(), body) {
            Ok(answer) => (StatusCode::OK, answer),
            Err((status, why)) => (status, json!({ "error": why })),
        };
        let mut response = Response::new(Body::Full(to_json(&answer)));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn act(&self, method: &Method, path: &[&str], query: Option<&str>, body: &[u8]) -> Result<Value, Wrong> {
        let control = &self.control;
        match (method.as_str(), path) {
            ("GET", ["health"]) => Ok(json!({
                "status": "ok",
                "version": env!("CARGO_PKG_VERSION"),
                "open_subscriptions": control.open_subscriptions(),
            })),
            ("GET", ["calls"]) => Ok(control.calls().iter().map(call_json).collect()),
            ("GET", ["totals"]) => {
                let totals = control.totals();
                Ok(totals
                    .into_iter()
                    .map(|(operation, count)| {
                        json!({ "service": service_json(operation.service()), "operation": operation.name(), "count": count })
                    })
                    .collect())
            }
            ("GET", ["metrics"]) => {
                Ok(serde_json::to_value(self.metrics.all()).expect("data have text keys and finite numbers"))
            }
            ("GET", ["rules"]) => Ok(control
                .rules()
                .iter()
                .map(|rule| json!({ "id": rule.id(), "hits": rule.hits() }))
                .collect()),
            ("POST", ["rules"]) => self.add_rule(body),
            ("DELETE", ["rules"]) => {
                control.rules().iter().for_each(crate::Rule::remove);
                Ok(json!({}))
            }
            ("DELETE", ["rules", id]) => {
                let rules = control.rules();
                let found = rules.iter().find(|rule| rule.id().to_string() == *id);
                let rule = found.ok_or_else(|| (StatusCode::NOT_FOUND, format!("there is no rule {id}")))?;
                rule.remove();
                Ok(json!({ "id": rule.id(), "hits": rule.hits() }))
            }
            ("GET", ["streams", stream, "records"]) => self.held_records(stream, query),
            ("POST", ["clear"]) => {
                control.clear();
                Ok(json!({}))
            }
            ("POST", ["iterators", "expire"]) => {
                control.expire_iterators();
                Ok(json!({}))
            }
            ("POST", ["subscriptions", "end"]) => {
                control.end_subscriptions();
                Ok(json!({}))
            }
            ("POST", ["subscriptions", "cut"]) => {
                control.cut_subscriptions();
                Ok(json!({}))
            }
            ("POST", ["clock", "advance"]) => {
                let advance: AdvanceShape = read(body)?;
                control.advance(seconds(advance.seconds)?);
                Ok(json!({ "now": epoch(self.clock.now()) }))
            }
            _ => Err((StatusCode::NOT_FOUND, format!("there is no {method} {PREFIX}{}", path.join("/")))),
        }
    }

    fn add_rule(&self, body: &[u8]) -> Result<Value, Wrong> {
        let shape: RuleShape = read(body)?;
        let mut rule = self.control.on(shape.calls()?);
        if let Some(resource) = shape.resource {
            rule = rule.stream(resource);
        }
        if let Some(calls) = shape.after {
            rule = rule.after(calls);
        }
        if let Some(nth) = shape.every {
            rule = rule.every(nth);
        }
        if let Some(times) = shape.times {
            rule = rule.times(times);
        }
        let rule = rule.then(shape.fault.fault()?);
        Ok(json!({ "id": rule.id() }))
    }

    fn held_records(&self, stream: &str, query: Option<&str>) -> Result<Value, Wrong> {
        let region = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("region=")));
        let region = region.unwrap_or(&self.regions.config().region);
        let now = self.clock.now();
        let held = self
            .regions
            .with(region, |kinesis| kinesis.holdings(now, stream))
            .map_err(|error| (StatusCode::NOT_FOUND, error.to_string()))?;
        let shard = |(shard, records): (shardflow_core::Shard, Vec<KinesisRecord>)| {
            let records: Value = records.iter().map(record_json).collect();
            json!({ "shard_id": shard.id.as_str(), "open": shard.is_open(), "records": records })
        };
        Ok(held.into_iter().map(shard).collect())
    }
}

impl RuleShape {
    fn calls(&self) -> Result<Calls, Wrong> {
        let services = match self.service {
            Some(ServiceShape::Kinesis) => vec![Service::Kinesis],
            Some(ServiceShape::DynamoDb) => vec![Service::DynamoDb],
            Some(ServiceShape::CloudWatch) => vec![Service::CloudWatch],
            None => vec![Service::Kinesis, Service::DynamoDb, Service::CloudWatch],
        };
        match (&self.operation, &services[..]) {
            (Some(name), _) => services
                .iter()
                .find_map(|service| Operation::named(*service, name))
                .map(Calls::from)
                .ok_or_else(|| wrong(format!("there is no operation {name}"))),
            (None, [service]) => Ok(Calls::from(*service)),
            (None, _) => Ok(Calls::all()),
        }
    }
}

impl FaultShape {
    fn fault(self) -> Result<Fault, Wrong> {
        Ok(match self {
            Self::Throttle => Fault::Throttle,
            Self::Refuse { code, status, message } => Fault::Refuse {
                code,
                status: status.unwrap_or(400),
                message: message.unwrap_or_else(|| "refused on request".to_owned()),
            },
            Self::Delay { seconds: delay } => Fault::Delay(seconds(delay)?),
            Self::DropRequest => Fault::DropRequest,
            Self::DropResponse => Fault::DropResponse,
            Self::Hang => Fault::Hang,
            Self::FailEntries { every, at, partition_key, code } => {
                let entries = match (every, at, partition_key) {
                    (None, None, None) => Entries::All,
                    (Some(step), None, None) => Entries::Every(step),
                    (None, Some(places), None) => Entries::At(places),
                    (None, None, Some(key)) => Entries::WithKey(key),
                    _ => {
                        return Err(wrong(
                            "fail_entries takes one of every, at and partition_key".to_owned(),
                        ));
                    }
                };
                match code {
                    Some(code) => Fault::FailEntries { entries, code },
                    None => Fault::throttle_entries(entries),
                }
            }
        })
    }
}

fn call_json(call: &CallRecord) -> Value {
    let (outcome, detail) = match &call.outcome {
        Outcome::Succeeded => ("succeeded", Value::Null),
        Outcome::PartlyFailed { entries } => ("partly_failed", json!(entries)),
        Outcome::Refused { code } => ("refused", json!(code)),
        Outcome::RequestDropped => ("request_dropped", Value::Null),
        Outcome::ResponseDropped => ("response_dropped", Value::Null),
        Outcome::Hung => ("hung", Value::Null),
        Outcome::Abandoned => ("abandoned", Value::Null),
    };
    json!({
        "at": epoch(call.at),
        "service": call.operation.service().map(service_json),
        "operation": call.operation.name(),
        "resource": call.resource,
        "region": call.region,
        "outcome": outcome,
        "detail": detail,
    })
}

fn record_json(record: &KinesisRecord) -> Value {
    json!({
        "sequence_number": record.sequence_number.as_str(),
        "partition_key": record.partition_key.as_ref().map(shardflow_core::PartitionKey::as_str),
        "data": STANDARD.encode_to_string(&record.data),
        "arrival": record.approximate_arrival.map(epoch),
    })
}

fn service_json(service: Service) -> &'static str {
    match service {
        Service::Kinesis => "kinesis",
        Service::DynamoDb => "dynamodb",
        Service::CloudWatch => "cloudwatch",
    }
}

fn epoch(time: std::time::SystemTime) -> f64 {
    Duration::from_millis(Stamp::of(time).millis()).as_secs_f64()
}

fn seconds(seconds: f64) -> Result<Duration, Wrong> {
    Duration::try_from_secs_f64(seconds).map_err(|error| wrong(format!("seconds: {error}")))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))
}

fn wrong(why: String) -> Wrong {
    (StatusCode::BAD_REQUEST, why)
}
