//! What an application's client brings stays as it is: credentials that rotate, signatures, region and account, endpoints, HTTP
//! client and proxy, on either of tokio's runtimes.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, future};
use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_kinesis::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_kinesis::config::{BehaviorVersion, ConfigBag, Credentials, Intercept, Region};
use aws_sdk_kinesis::error::BoxError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpClient};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use shardflow_local::{Config as LocalConfig, Listen, Local};
use shardflow_producer::{Config, Producer, Record, Stream};
use shardflow_tests::clients::Place;
use shardflow_tests::wire::{answer, between, credential, operation};

/// Credentials are for a minute and are given out a quarter of a minute before, but the service's clock is ahead by half a
/// minute: for some 20 s of each it refuses what the SDK holds.
#[tokio::test(start_paused = true)]
async fn records_outlive_credentials_that_the_service_takes_for_expired() {
    let local = Local::new(LocalConfig::default()).unwrap();
    local.create_stream("orders", 2).unwrap();
    let rotation = Rotation { local: local.clone(), start: local.now() };
    let refused = Arc::new(Mutex::new(BTreeSet::new()));
    let place = Place::inside(&local).through(|http| refuses_expired(http, &rotation, &refused));
    let config = place.kinesis_config().credentials_provider(rotation.clone()).time_source(rotation);
    let kinesis = aws_sdk_kinesis::Client::from_conf(config.build());
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), Config::default());
    let mut tickets = Vec::new();
    for number in 0..500 {
        tickets.push(producer.put(record(number)).await.unwrap());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut repeated = 0;
    for ticket in tickets {
        repeated += usize::from(ticket.await.unwrap().attempts > 1);
    }
    assert!(repeated > 50, "{repeated} were refused first");
    assert_eq!(refused.lock().unwrap().len(), 4, "one after the other");
    assert_eq!(stored(&local), 500);
}

#[derive(Clone, Debug)]
struct Rotation {
    local: Local,
    start: SystemTime,
}

impl Rotation {
    const LIFE: Duration = Duration::from_secs(60);

    fn expires(&self, number: u32) -> SystemTime {
        self.start + Self::LIFE * (number + 1)
    }
}

impl TimeSource for Rotation {
    fn now(&self) -> SystemTime {
        self.local.now()
    }
}

impl ProvideCredentials for Rotation {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let soon = self.now() + Self::LIFE / 4;
        let number = (0..).find(|&number| self.expires(number) > soon).unwrap();
        let expires = Some(self.expires(number));
        future::ProvideCredentials::ready(Ok(Credentials::new(
            number.to_string(),
            "secret",
            None,
            expires,
            "tests",
        )))
    }
}

fn refuses_expired(
    http: SharedHttpClient,
    rotation: &Rotation,
    refused: &Arc<Mutex<BTreeSet<u32>>>,
) -> SharedHttpClient {
    let (rotation, refused) = (rotation.clone(), Arc::clone(refused));
    between(http, move |request, on| {
        let number: u32 = credential(&request).split('/').next().unwrap().parse().unwrap();
        if rotation.now() + Rotation::LIFE / 2 < rotation.expires(number) {
            return on.call(request);
        }
        refused.lock().unwrap().insert(number);
        let body = r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#;
        HttpConnectorFuture::ready(Ok(answer(400, body.to_owned())))
    })
}

#[tokio::test]
async fn streams_of_other_regions_and_accounts_on_one_thread() {
    streams_of_other_regions_and_accounts().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_other_regions_and_accounts_on_several_threads() {
    streams_of_other_regions_and_accounts().await;
}

async fn streams_of_other_regions_and_accounts() {
    let mut producers = Vec::new();
    for (region, account) in [("eu-west-1", "111111111111"), ("us-east-2", "222222222222")] {
        let local = Local::new(LocalConfig::default().region(region).account(account)).unwrap();
        let arn = local.create_stream("orders", 2).unwrap();
        assert_eq!((arn.region(), arn.account()), (region, account));
        let seen = Seen::default();
        let place = Place::inside(&local).through(|http| seen.through(http));
        let config = place.kinesis_config().region(Region::new(region)).credentials_provider(credentials());
        let kinesis = aws_sdk_kinesis::Client::from_conf(config.build());
        let producer = Producer::new(kinesis, arn.clone().into(), Config::default());
        producers.push((local, arn, seen, producer));
    }
    for number in 0..1_000 {
        for (.., producer) in &producers {
            drop(producer.put(record(number)).await.unwrap());
        }
    }
    for (local, arn, seen, producer) in producers {
        producer.close(Duration::from_secs(30)).await.unwrap();
        assert_eq!(stored(&local), 1_000);
        for Request { operation, credential, body, .. } in seen.requests() {
            assert_eq!(credential.split('/').nth(2), Some(arn.region()));
            assert!(body.contains(&format!(r#""StreamARN":"{arn}""#)), "{operation}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_those_of_the_client() {
    let arn = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders";
    for (stream, fips, dual_stack, hosts) in [
        ("orders", false, false, ["kinesis.eu-west-1.amazonaws.com"; 2]),
        ("orders", true, false, ["kinesis-fips.eu-west-1.amazonaws.com"; 2]),
        ("orders", false, true, ["kinesis.eu-west-1.api.aws"; 2]),
        ("orders", true, true, ["kinesis-fips.eu-west-1.api.aws"; 2]),
        (
            arn,
            true,
            true,
            [
                "000000000000.control-kinesis-fips.eu-west-1.api.aws",
                "000000000000.data-kinesis-fips.eu-west-1.api.aws",
            ],
        ),
    ] {
        let local = Local::new(LocalConfig::default().region("eu-west-1")).unwrap();
        local.create_stream("orders", 1).unwrap();
        let seen = Seen::default();
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(credentials())
            .use_fips(fips)
            .use_dual_stack(dual_stack)
            .http_client(seen.through(local.http_client()))
            .sleep_impl(TokioSleep::new());
        let kinesis = aws_sdk_kinesis::Client::from_conf(config.build());
        let stream: Stream = stream.parse().unwrap();
        let producer = Producer::new(kinesis, stream, Config::default());
        producer.put(record(1)).await.unwrap().await.unwrap();
        let [control, data] = hosts;
        let requests = seen.requests();
        assert!(requests.iter().any(|request| request.operation == "PutRecords"));
        for Request { operation, host, .. } in requests {
            let expected = if operation == "PutRecords" { data } else { control };
            assert_eq!(host, expected, "{operation}");
        }
    }
}

#[tokio::test]
async fn a_proxy_stays_in_between() {
    let local = Local::new(LocalConfig::default()).unwrap();
    local.create_stream("orders", 1).unwrap();
    // It takes requests for any host, as a proxy does.
    let server = local.serve(Listen::default()).await.unwrap();
    let proxy = ProxyConfig::http(server.endpoint()).unwrap();
    let http = Builder::new().build_with_connector_fn(move |_settings, _components| {
        Connector::builder().proxy_config(proxy.clone()).build_http()
    });
    let kinesis = Place::at("http://kinesis.invalid").through(|_| http).kinesis();
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), Config::default());
    producer.put(record(1)).await.unwrap().await.unwrap();
    assert_eq!(stored(&local), 1);
}

#[tokio::test(start_paused = true)]
async fn the_body_that_is_signed_is_the_one_that_is_sent() {
    assert_eq!(signed(|config| config).await, ["the body"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_signs_no_bodies_goes_on_so() {
    assert_eq!(signed(|config| config.interceptor(Unsigned)).await, ["no body"; 3]);
}

/// What of its PutRecords requests a client signs.
async fn signed(
    client: impl Fn(aws_sdk_kinesis::config::Builder) -> aws_sdk_kinesis::config::Builder,
) -> Vec<&'static str> {
    let local = Local::new(LocalConfig::default()).unwrap();
    local.create_stream("orders", 1).unwrap();
    let signed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&signed);
    let place = Place::inside(&local).through(|http| {
        between(http, move |request, on| {
            if operation(&request) == "PutRecords" {
                seen.lock().unwrap().push(what_is_signed(&request));
            }
            on.call(request)
        })
    });
    let config = client(place.kinesis_config().credentials_provider(credentials()));
    let kinesis = aws_sdk_kinesis::Client::from_conf(config.build());
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), Config::default());
    for number in 0..3 {
        producer.put(record(number)).await.unwrap().await.unwrap();
    }
    std::mem::take(&mut signed.lock().unwrap())
}

/// As the service finds it out.
fn what_is_signed(request: &HttpRequest) -> &'static str {
    let body = request.body().bytes().unwrap();
    let (_, signature) = request.headers().get("authorization").unwrap().split_once("Signature=").unwrap();
    if signature == signature_of(request, SignableBody::Bytes(body)) {
        "the body"
    } else if signature == signature_of(request, SignableBody::UnsignedPayload) {
        "no body"
    } else {
        "something else"
    }
}

fn signature_of(request: &HttpRequest, body: SignableBody<'_>) -> String {
    let header = |name| request.headers().get(name).unwrap();
    let date = [("", 0..4), ("-", 4..6), ("-", 6..11), (":", 11..13), (":", 13..16)]
        .map(|(mark, part)| format!("{mark}{}", header("x-amz-date").get(part).unwrap()));
    let date = DateTime::from_str(&date.concat(), Format::DateTime).unwrap();
    let identity = credentials().into();
    let how = SigningParams::builder().identity(&identity).region("us-east-1").name("kinesis");
    let how = how.time(date.try_into().unwrap()).settings(SigningSettings::default()).build().unwrap();
    let (_, signed) = header("authorization").split_once("SignedHeaders=").unwrap();
    let signed: BTreeSet<_> = signed.split_once(',').unwrap().0.split(';').collect();
    let headers = request.headers().iter().filter(|(name, _)| signed.contains(name));
    let request = SignableRequest::new(request.method(), request.uri(), headers, body).unwrap();
    sign(request, &how.into()).unwrap().into_parts().1
}

/// Has an SDK's client sign no bodies.
#[derive(Debug)]
struct Unsigned;

#[dyn_dispatch_hint]
impl Intercept for Unsigned {
    fn name(&self) -> &'static str {
        "Unsigned"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(PayloadSigningOverride::unsigned_payload());
        Ok(())
    }
}

/// The requests that went through a client.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<Request>>>);

#[derive(Clone, Debug)]
struct Request {
    operation: String,
    host: String,
    credential: String,
    body: String,
}

impl Seen {
    fn through(&self, http: SharedHttpClient) -> SharedHttpClient {
        let seen = Arc::clone(&self.0);
        between(http, move |request, on| {
            let body = request.body().bytes().unwrap_or_default();
            seen.lock().unwrap().push(Request {
                operation: operation(&request).to_owned(),
                host: request.uri().split('/').nth(2).unwrap().to_owned(),
                credential: credential(&request).to_owned(),
                body: String::from_utf8(body.to_vec()).unwrap(),
            });
            on.call(request)
        })
    }

    fn requests(&self) -> Vec<Request> {
        self.0.lock().unwrap().clone()
    }
}

fn credentials() -> Credentials {
    Credentials::new("test", "test", None, None, "tests")
}

fn record(number: usize) -> Record {
    Record::new(format!("key-{number}"), format!("record {number}")).unwrap()
}

fn stored(local: &Local) -> usize {
    local.records("orders").unwrap().iter().flat_map(|shard| shard.user_records()).count()
}
