//! Calling CloudWatch with the AWS SDK.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_cloudwatch::config::StalledStreamProtectionConfig;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::operation::put_metric_data::PutMetricDataError;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::Config;
use crate::waiting::Batch;

/// CloudWatch, as far as a publisher needs it. Every call ends within the time-out.
#[derive(Debug)]
pub(crate) struct Client {
    cloudwatch: aws_sdk_cloudwatch::Client,
    namespace: String,
    timeout: Duration,
}

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// What helps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// To wait: too many calls, no answer, an error of the service.
    Passing,
    /// Nothing that is done here: the call is not allowed.
    Forbidden,
    /// To leave out the datum that is wrong.
    Invalid,
}

impl Client {
    pub(crate) fn new(client: &aws_sdk_cloudwatch::Client, config: &Config) -> Self {
        let timeout = config.call_timeout;
        let timeouts = TimeoutConfig::builder().operation_timeout(timeout).operation_attempt_timeout(timeout);
        let own = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            // The time-out bounds a stalled call too; this would look at the wall's clock twice a second for each.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let cloudwatch = aws_sdk_cloudwatch::Client::from_conf(own.build());
        Self { cloudwatch, namespace: config.namespace.as_str().to_owned(), timeout }
    }

    /// Puts a batch, and again while that may help.
    pub(crate) async fn put(&self, batch: &Batch) -> Result<(), Failure> {
        let mut tries = 1;
        loop {
            match self.put_once(batch).await {
                Err(failure) if failure.kind == Kind::Passing && tries < TRIES => {
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                end => return end,
            }
        }
    }

    async fn put_once(&self, batch: &Batch) -> Result<(), Failure> {
        let call = self.cloudwatch.put_metric_data().namespace(&self.namespace);
        let sent = call.set_metric_data(Some(batch.data())).send();
        // Bounds the call even if the client was given no means to sleep.
        match tokio::time::timeout(self.timeout, sent).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(classify(&error)),
            Err(_elapsed) => Err(Failure {
                kind: Kind::Passing,
                code: "Timeout".to_owned(),
                message: format!("no answer within {:?}", self.timeout),
            }),
        }
    }
}

/// How often a batch is tried in one publication, and the longest first pause: as the SDK's standard retries.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The pause after so many tries: twice as long each time, and less of it by chance, so that processes that were throttled
/// together do not come back together.
fn pause(tries: u32) -> Duration {
    let longest = FIRST_PAUSE * 2_u32.saturating_pow(tries.saturating_sub(1));
    longest.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

fn classify(error: &SdkError<PutMetricDataError>) -> Failure {
    let (kind, code) = match error {
        SdkError::ConstructionFailure(_) => (Kind::Forbidden, "NotSent"),
        SdkError::TimeoutError(_) => (Kind::Passing, "Timeout"),
        SdkError::DispatchFailure(_) => (Kind::Passing, "ConnectionFailed"),
        SdkError::ServiceError(answer) => {
            let (status, code) = (answer.raw().status().as_u16(), answer.err().code());
            let kind = kind(status, code.unwrap_or_default());
            let message = answer.err().message().unwrap_or_default().to_owned();
            let code = code.map_or_else(|| format!("Http{status}"), str::to_owned);
            return Failure { kind, code, message };
        }
        // An answer that cannot be read, and whatever the SDK will distinguish one day.
        _ => (Kind::Passing, "Unreadable"),
    };
    Failure { kind, code: code.to_owned(), message: chain(error) }
}

/// What an answer says by its status and code.
fn kind(status: u16, code: &str) -> Kind {
    // API PutMetricData, "Errors": InvalidParameterCombination, InvalidParameterValue and MissingParameter; common errors:
    // ValidationError. In CBOR they end in Exception.
    let invalid = ["InvalidParameter", "MissingParameter", "MissingRequiredParameter", "Validation"];
    if status == 413 || invalid.iter().any(|start| code.starts_with(start)) {
        Kind::Invalid
    } else if matches!(status, 401 | 403) || code.starts_with("AccessDenied") {
        Kind::Forbidden
    } else {
        // A code that is not known may pass, too.
        Kind::Passing
    }
}

/// The error and what caused it, in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, code, expected) in [
            (400, "ThrottlingException", Kind::Passing),
            (400, "Throttling", Kind::Passing),
            (500, "InternalServiceFault", Kind::Passing),
            (503, "", Kind::Passing),
            (400, "SomethingNew", Kind::Passing),
            (403, "AccessDenied", Kind::Forbidden),
            (400, "AccessDeniedException", Kind::Forbidden),
            (403, "InvalidClientTokenId", Kind::Forbidden),
            (400, "InvalidParameterValue", Kind::Invalid),
            (400, "InvalidParameterCombinationException", Kind::Invalid),
            (400, "MissingRequiredParameterException", Kind::Invalid),
            (400, "ValidationError", Kind::Invalid),
            (413, "", Kind::Invalid),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn pauses_double_and_differ() {
        for tries in 1..=3 {
            let longest = FIRST_PAUSE * (1 << (tries - 1));
            let pauses: Vec<_> = (0..20).map(|_| pause(tries)).collect();
            assert!(pauses.iter().all(|&pause| pause >= longest / 2 && pause <= longest), "{pauses:?}");
            assert!(pauses.iter().any(|&pause| pause != pauses[0]));
        }
    }
}
