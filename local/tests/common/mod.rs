//! SDK clients of the service, for the tests in this folder.

use aws_sdk_kinesis::config::{Config, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig};

/// A client of Kinesis at a URL, in the same process or on a port.
pub(crate) fn kinesis_at(endpoint: &str, http: SharedHttpClient) -> aws_sdk_kinesis::Client {
    let config = Config::builder()
        .behavior_version_latest()
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .endpoint_url(endpoint)
        // It goes by the wall's clock, which a paused runtime knows nothing of.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http);
    aws_sdk_kinesis::Client::from_conf(config.build())
}
