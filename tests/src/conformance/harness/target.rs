//! A server, and what it can do.

use std::time::Duration;

use aws_sdk_kinesis::config::{Credentials, Region, SharedHttpClient, retry::RetryConfig};
use aws_smithy_types::body::SdkBody;
use shardflow_local::{Config, Limits, Local, Service};

use super::{Context, Need};

/// A server as it was started, and what it can do in this set-up.
#[derive(Clone, Debug)]
pub struct Target {
    name: String,
    endpoint: String,
    http: SharedHttpClient,
    time: Time,
    throttles: bool,
    fan_out: bool,
    metrics: Metrics,
    /// Longest that one check may take.
    patience: Duration,
}

/// How time passes for a server.
#[derive(Clone, Debug)]
pub enum Time {
    /// On tokio's clock, which is paused: sleeping takes no time.
    Paused,
    /// Our own service in this process: its clock is put forward.
    Ours(Local),
    /// Our own service somewhere else: its clock is put forward over HTTP.
    Admin,
    /// As it does; a check may sleep so long.
    Wall {
        /// The longest.
        longest: Duration,
    },
}

/// How the metrics that came in can be read.
#[derive(Clone, Debug)]
enum Metrics {
    Sink(Local),
    Query,
    No,
}

/// The suite's own time, on a clock that jumps: no check passes a week.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

impl Target {
    /// The name of our own service in the table of deviations.
    pub const OURS: &str = "shardflow-local";

    /// The names of all servers in that table.
    pub const KNOWN: &[&str] = &[Self::OURS, "localstack"];

    /// Our own service in this process, without a socket, on tokio's clock, which must be paused.
    ///
    /// # Errors
    ///
    /// When it cannot start.
    pub fn in_process(throttles: bool) -> Result<Self, String> {
        let limits = if throttles { Limits::default() } else { Limits::unthrottled() };
        let local = Local::new(Config::default().limits(limits)).map_err(|error| error.to_string())?;
        Ok(Self {
            name: Self::OURS.to_owned(),
            endpoint: local.endpoint_url().to_owned(),
            http: local.http_client(),
            time: Time::Paused,
            throttles,
            fan_out: true,
            metrics: Metrics::Sink(local),
            patience: A_WEEK,
        })
    }

    /// Our own service in this process, behind a port.
    #[must_use]
    pub fn ours(local: &Local, endpoint: &str, http: SharedHttpClient, throttles: bool) -> Self {
        Self {
            metrics: Metrics::Sink(local.clone()),
            ..Self::at(Self::OURS, endpoint, http, Time::Ours(local.clone())).throttles(throttles)
        }
    }

    /// A server behind a URL. It is believed to have fan-out and metrics that can be asked for, and not to throttle.
    #[must_use]
    pub fn at(name: &str, endpoint: &str, http: SharedHttpClient, time: Time) -> Self {
        Self {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            http,
            metrics: if matches!(time, Time::Admin) { Metrics::No } else { Metrics::Query },
            time,
            throttles: false,
            fan_out: true,
            patience: Duration::from_secs(60),
        }
    }

    /// Whether it throttles shards.
    #[must_use]
    pub fn throttles(self, throttles: bool) -> Self {
        Self { throttles, ..self }
    }

    /// Whether it has SubscribeToShard.
    #[must_use]
    pub fn fan_out(self, fan_out: bool) -> Self {
        Self { fan_out, ..self }
    }

    /// How long a check may take. Default: a minute.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Its name in the table of deviations.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first of the needs that it does not meet, as a reason for leaving a check out.
    #[must_use]
    pub fn lacks(&self, needs: &[Need]) -> Option<String> {
        needs.iter().find_map(|need| {
            let reason = match need {
                Need::Throttles if !self.throttles => "it does not throttle shards",
                Need::NoThrottles if self.throttles => "it throttles shards",
                Need::FanOut if !self.fan_out => "it has no SubscribeToShard",
                Need::Metrics if matches!(self.metrics, Metrics::No) => "its metrics cannot be read",
                Need::Passing(time) => match self.time {
                    Time::Wall { longest } if longest < *time => {
                        return Some(format!("{time:?} would have to pass, and its time cannot be advanced"));
                    }
                    Time::Wall { .. } | Time::Paused | Time::Ours(_) | Time::Admin => return None,
                },
                Need::Throttles | Need::NoThrottles | Need::FanOut | Need::Metrics => return None,
            };
            Some(reason.to_owned())
        })
    }

    pub(super) fn longest(&self) -> Duration {
        self.patience
    }

    /// Clients for one check, with names of its own.
    pub(super) fn context(&self) -> Context {
        let region = Region::new("us-east-1");
        let credentials = Credentials::new("test", "test", None, None, "conformance");
        // A retry would hide what the server did.
        let once = RetryConfig::disabled();
        let kinesis = aws_sdk_kinesis::Config::builder()
            .behavior_version_latest()
            .region(region.clone())
            .credentials_provider(credentials.clone())
            .endpoint_url(&self.endpoint)
            .http_client(self.http.clone())
            .retry_config(once.clone());
        let dynamodb = aws_sdk_dynamodb::Config::builder()
            .behavior_version_latest()
            .region(region.clone())
            .credentials_provider(credentials.clone())
            .endpoint_url(&self.endpoint)
            .http_client(self.http.clone())
            .retry_config(once.clone());
        let cloudwatch = aws_sdk_cloudwatch::Config::builder()
            .behavior_version_latest()
            .region(region)
            .credentials_provider(credentials)
            .endpoint_url(&self.endpoint)
            .http_client(self.http.clone())
            .retry_config(once);
        Context::new(
            self.clone(),
            aws_sdk_kinesis::Client::from_conf(kinesis.build()),
            aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            aws_sdk_cloudwatch::Client::from_conf(cloudwatch.build()),
        )
    }

    /// Lets time pass for the server.
    pub(super) async fn pass(&self, kinesis: &aws_sdk_kinesis::Client, by: Duration) -> Result<(), String> {
        match &self.time {
            Time::Paused | Time::Wall { .. } => tokio::time::sleep(by).await,
            Time::Ours(local) => {
                local.control().advance(by);
                // What is due now happens on other tasks.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Time::Admin => advance(kinesis, by).await?,
        }
        Ok(())
    }

    /// The service whose metrics can be looked at, if it is ours.
    pub(super) fn sink(&self) -> Option<&Local> {
        match &self.metrics {
            Metrics::Sink(local) => Some(local),
            Metrics::Query | Metrics::No => None,
        }
    }

    /// Whether a service is among those that a server of this name has.
    #[must_use]
    pub fn services_of(name: &str) -> &'static [Service] {
        match name {
            "kinesis-mock" => &[Service::Kinesis],
            "dynamodb-local" => &[Service::DynamoDb],
            _ => &[Service::Kinesis, Service::DynamoDb, Service::CloudWatch],
        }
    }
}

/// Puts the clock forward of a `shardflow-local` that runs elsewhere. The request is a call of the SDK that is rewritten on
/// its way, so that it goes by the same connection and trusts the same certificate.
async fn advance(kinesis: &aws_sdk_kinesis::Client, by: Duration) -> Result<(), String> {
    let body = format!(r#"{{"seconds":{}}}"#, by.as_secs_f64());
    let call = kinesis.list_streams().customize().mutate_request(move |request| {
        let uri = format!("{}/_shardflow/clock/advance", request.uri().trim_end_matches('/'));
        // A URI that was one and has a path behind it is still one.
        request.set_uri(uri).unwrap_or_default();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body.as_str());
    });
    call.send().await.map(drop).map_err(super::told)
}
