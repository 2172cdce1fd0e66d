//! Everything behind the endpoint, and how a request finds its service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};

use super::Body;
use super::answer::{Protocol, Refusal};
use super::kinesis::named_stream;
use super::target::{Target, region};
use crate::clock::RunningClock;
use crate::cloudwatch::MetricSink;
use crate::control::{Asked, Control, Operation, Service};
use crate::dynamodb::DynamoDb;
use crate::regions::Regions;
use crate::{Config, StartError};

/// The services, and what stands between them and a request.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) clock: Arc<RunningClock>,
    pub(crate) regions: Arc<Regions>,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) metrics: MetricSink,
    pub(crate) control: Control,
    requests: AtomicU64,
}

/// What a client gets.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Response<Body>),
    /// Nothing: its connection is cut.
    Cut,
}

/// A request whose operation is known.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pub(super) operation: Operation,
    pub(super) region: &'a str,
    pub(super) body: Bytes,
}

impl Endpoint {
    pub(crate) fn new(config: Config) -> Result<Self, StartError> {
        let clock = Arc::new(RunningClock::start(config.clock.clone()));
        let regions = Arc::new(Regions::new(config));
        Ok(Self {
            dynamodb: DynamoDb::new(Arc::clone(&clock))?,
            metrics: MetricSink::default(),
            control: Control::new(Arc::clone(&clock), Arc::clone(&regions)),
            clock,
            regions,
            requests: AtomicU64::new(0),
        })
    }

    pub(crate) async fn handle(&self, request: Request<Bytes>) -> Reply {
        let (head, body) = request.into_parts();
        let reply = if head.uri.path().starts_with(super::admin::PREFIX) {
            Reply::Answer(self.administer(&head.method, &head.uri, &body))
        } else {
            let region = region(&head).unwrap_or(&self.regions.config().region);
            match Target::of(&head) {
                Target::Json(operation) => {
                    let incoming = Incoming { operation, region, body };
                    match operation.service() {
                        Service::Kinesis if is_cbor(&head) => {
                            self.unread(&incoming, Protocol::Json11, &cbor_for_kinesis())
                        }
                        Service::Kinesis => self.kinesis(incoming).await,
                        Service::DynamoDb => self.dynamodb(incoming).await,
                        Service::CloudWatch => self.cloudwatch_json(incoming, &head.headers).await,
                    }
                }
                Target::Cbor(operation) => {
                    self.cloudwatch_cbor(Incoming { operation, region, body }, &head.headers).await
                }
                Target::Unknown(service, name) => self.unknown_operation(service, name, region),
                Target::None(words) => self.no_operation(&head.method, words, region),
            }
        };
        self.with_request_id(reply)
    }

    /// Refuses a call that cannot be read, and logs it.
    pub(super) fn unread(&self, incoming: &Incoming<'_>, protocol: Protocol, refusal: &Refusal) -> Reply {
        let Incoming { operation, region, body } = incoming;
        self.control.unread(Asked::Known(*operation), named_stream(body), region, &refusal.code);
        Reply::Answer(protocol.refuse(refusal))
    }

    fn unknown_operation(&self, service: Service, name: &str, region: &str) -> Reply {
        let protocol = match service {
            Service::Kinesis => Protocol::Json11,
            Service::DynamoDb | Service::CloudWatch => Protocol::Json10(service),
        };
        let refusal = Refusal::new(UNKNOWN, 400, "this operation is not known here");
        let asked = Asked::Unknown { service: Some(service), name: name.to_owned() };
        self.control.unread(asked, None, region, &refusal.code);
        Reply::Answer(protocol.refuse(&refusal))
    }

    fn no_operation(&self, method: &Method, words: &str, region: &str) -> Reply {
        let help = "this is shardflow-local: Kinesis, DynamoDB and CloudWatch PutMetricData for AWS SDKs, and \
                    /_shardflow/health for people";
        let status = if method == Method::POST {
            let asked = Asked::Unknown { service: None, name: words.to_owned() };
            self.control.unread(asked, None, region, UNKNOWN);
            400
        } else {
            // Not a call but a person who looks around.
            404
        };
        Reply::Answer(Protocol::Json11.refuse(&Refusal::new(UNKNOWN, status, help)))
    }

    fn with_request_id(&self, reply: Reply) -> Reply {
        let Reply::Answer(mut response) = reply else { return reply };
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("00000000-0000-4000-8000-{number:012x}");
        let id = HeaderValue::from_str(&id).expect("it is made of digits");
        response.headers_mut().insert("x-amzn-requestid", id);
        Reply::Answer(response)
    }
}

const UNKNOWN: &str = "UnknownOperationException";

fn is_cbor(head: &http::request::Parts) -> bool {
    let kind = head.headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/x-amz-cbor"))
}

fn cbor_for_kinesis() -> Refusal {
    Refusal::new(
        "SerializationException",
        400,
        "Kinesis speaks JSON here: set the Java property aws.cborEnabled=false, or AWS_CBOR_DISABLE=1",
    )
}
