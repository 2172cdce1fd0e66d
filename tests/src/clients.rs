//! SDK clients for tests.

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use shardflow_local::Local;

/// Where a service is, and how to get there.
#[derive(Clone, Debug)]
pub struct Place {
    endpoint: String,
    http: SharedHttpClient,
}

impl Place {
    /// Inside this process, without a socket: works under a paused clock.
    #[must_use]
    pub fn inside(local: &Local) -> Self {
        Self { endpoint: local.endpoint_url().into(), http: local.http_client() }
    }

    /// Behind a URL. Every call makes connections of its own.
    #[must_use]
    pub fn at(endpoint: &str) -> Self {
        let http = Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        Self { endpoint: endpoint.into(), http }
    }

    /// The same place by another HTTP client, made of this one's.
    #[must_use]
    pub fn through(self, client: impl FnOnce(SharedHttpClient) -> SharedHttpClient) -> Self {
        Self { http: client(self.http), ..self }
    }

    /// A Kinesis client.
    #[must_use]
    pub fn kinesis(&self) -> aws_sdk_kinesis::Client {
        self.kinesis_with(credentials())
    }

    /// A Kinesis client that was not even told where to look for credentials.
    #[must_use]
    pub fn kinesis_without_provider(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::from_conf(self.kinesis_config().build())
    }

    /// A Kinesis client with credentials from somewhere.
    #[must_use]
    pub fn kinesis_with(&self, provider: impl ProvideCredentials + 'static) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::from_conf(self.kinesis_config().credentials_provider(provider).build())
    }

    /// What a Kinesis client needs besides credentials.
    #[must_use]
    pub fn kinesis_config(&self) -> aws_sdk_kinesis::config::Builder {
        aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.endpoint)
            .http_client(self.http.clone())
            .sleep_impl(TokioSleep::new())
    }

    /// A DynamoDB client.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        self.dynamodb_with(credentials())
    }

    /// A DynamoDB client with credentials from somewhere.
    #[must_use]
    pub fn dynamodb_with(&self, provider: impl ProvideCredentials + 'static) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.endpoint)
            .http_client(self.http.clone())
            .credentials_provider(provider)
            .sleep_impl(TokioSleep::new());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A CloudWatch client.
    #[must_use]
    pub fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        let config = aws_sdk_cloudwatch::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.endpoint)
            .http_client(self.http.clone())
            .credentials_provider(credentials())
            .sleep_impl(TokioSleep::new());
        aws_sdk_cloudwatch::Client::from_conf(config.build())
    }
}

fn credentials() -> Credentials {
    Credentials::new("test", "test", None, None, "tests")
}

/// Looks for credentials and finds none, as the SDK's own chain does on a machine that has none.
#[derive(Clone, Copy, Debug)]
pub struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("there are none on this machine")))
    }
}
