//! Every call ends.

use std::time::Duration;

use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use shardflow_engine::Failure;

/// An application's client as the engine wants it: it decides by itself what is tried again, and when.
#[must_use]
pub fn kinesis(client: &aws_sdk_kinesis::Client, timeout: Duration) -> aws_sdk_kinesis::Client {
    kinesis_within(client, timeouts(timeout))
}

/// The same, with more to say about time.
#[must_use]
pub fn kinesis_within(client: &aws_sdk_kinesis::Client, timeouts: TimeoutConfig) -> aws_sdk_kinesis::Client {
    let config = client
        .config()
        .to_builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        // The time-out bounds a stalled call too; this would look at the wall's clock twice a second for each.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    aws_sdk_kinesis::Client::from_conf(config.build())
}

/// Time-outs for a client that is to give up each call after `timeout`.
#[must_use]
pub fn timeouts(timeout: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(timeout).operation_attempt_timeout(timeout).build()
}

/// Bounds a call by time even if its client was given no means to sleep.
///
/// # Errors
///
/// The call's own, or a time-out, after which it may have been carried out.
pub async fn bounded<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let late = |_| Err(Failure::unknown("Timeout", format!("no answer within {timeout:?}")));
    tokio::time::timeout(timeout, call).await.unwrap_or_else(late)
}
