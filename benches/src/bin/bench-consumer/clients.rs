//! Clients as an application's, for a service on a loopback port.

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};

fn credentials() -> Credentials {
    Credentials::new("any", "any", None, None, "bench")
}

/// One for each client, so that leases have connections of their own.
fn http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

pub(crate) fn kinesis(endpoint: &str) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .http_client(http())
        .credentials_provider(credentials());
    aws_sdk_kinesis::Client::from_conf(config.build())
}

pub(crate) fn dynamodb(endpoint: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .http_client(http())
        .credentials_provider(credentials());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}
