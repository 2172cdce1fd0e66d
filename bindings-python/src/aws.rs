//! Region, endpoint and credentials: from the environment as with any AWS tool, or from a session of boto3 or botocore.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use pyo3::prelude::*;

use crate::error;
use crate::keywords::Keywords;
use crate::runtime;

/// What leads to a service of AWS.
#[derive(Debug)]
pub(crate) struct Access {
    region: Option<String>,
    endpoint_url: Option<String>,
    /// The default chain, if there is none.
    credentials: Option<SharedCredentialsProvider>,
}

impl Access {
    /// From the keyword arguments `region`, `endpoint_url`, `credentials` and `session`.
    pub(crate) fn read(keywords: &Keywords<'_>) -> PyResult<Self> {
        let mut access = Self {
            region: keywords.text("region")?,
            endpoint_url: keywords.text("endpoint_url")?,
            credentials: keywords.take("credentials")?.map(|given| credentials(&given)).transpose()?,
        };
        if let Some(session) = keywords.take("session")? {
            access.add_session(&session)?;
        }
        Ok(access)
    }

    /// What a session has, where nothing else was said.
    fn add_session(&mut self, session: &Bound<'_, PyAny>) -> PyResult<()> {
        let wrong = || error::option("session", session, "a session of boto3 or botocore");
        if !session.hasattr("get_credentials")? {
            return Err(wrong());
        }
        if self.region.is_none() {
            // boto3's has an attribute for it, botocore's a variable.
            let region = match session.getattr("region_name") {
                Ok(region) => region,
                Err(_) => session.call_method1("get_config_variable", ("region",)).map_err(|_| wrong())?,
            };
            self.region = region.extract().map_err(|_| wrong())?;
        }
        if self.credentials.is_none() {
            let given = session.call_method0("get_credentials").map_err(|_| wrong())?;
            if given.is_none() {
                return Err(error::option("session", session, "one that finds credentials"));
            }
            self.credentials = Some(credentials(&given)?);
        }
        Ok(())
    }

    /// The configuration of any of the SDK's clients. Reads the environment and AWS's files; asks nobody over a network.
    pub(crate) fn sdk_config(self, py: Python<'_>) -> PyResult<SdkConfig> {
        let Self { region, endpoint_url, credentials } = self;
        let http = runtime::current().http.get_or_init(http_client);
        let loaded = async move {
            let region = match region {
                Some(region) => Some(Region::new(region)),
                None => {
                    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                        .or_else(ProfileFileRegionProvider::new())
                        .region()
                        .await
                }
            };
            let mut loader = aws_config::defaults(BehaviorVersion::latest())
                .region(region.clone()?)
                .http_client(http.clone());
            if let Some(url) = endpoint_url {
                loader = loader.endpoint_url(url);
            }
            if let Some(provider) = credentials {
                loader = loader.credentials_provider(provider);
            }
            Some(loader.load().await)
        };
        let loaded = runtime::wait(py, loaded, None)?.flatten();
        loaded.ok_or_else(|| {
            error::config(
                "region",
                "None",
                "no region: give region=..., or set AWS_REGION or a profile's region",
            )
        })
    }
}

/// A pool of connections of its own.
pub(crate) fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// A pair or triple of strings, or credentials of botocore, which may be renewed from time to time.
fn credentials(given: &Bound<'_, PyAny>) -> PyResult<SharedCredentialsProvider> {
    let rule = "(access key, secret key[, token]), or credentials of boto3 or botocore";
    let wrong = || error::option_unseen("credentials", rule);
    if given.hasattr("get_frozen_credentials")? {
        return Ok(SharedCredentialsProvider::new(Renewed(Arc::new(given.clone().unbind()))));
    }
    if given.hasattr("access_key")? {
        return Ok(SharedCredentialsProvider::new(frozen(given, None).map_err(|_| wrong())?));
    }
    let keys: Vec<String> = given.extract().map_err(|_| wrong())?;
    match &keys[..] {
        [access_key, secret_key] => {
            Ok(SharedCredentialsProvider::new(made(access_key, secret_key, None, None)))
        }
        [access_key, secret_key, token] => {
            Ok(SharedCredentialsProvider::new(made(access_key, secret_key, Some(token.clone()), None)))
        }
        _ => Err(wrong()),
    }
}

fn made(
    access_key: &str,
    secret_key: &str,
    token: Option<String>,
    expiry: Option<SystemTime>,
) -> Credentials {
    Credentials::new(access_key, secret_key, token, expiry, "python")
}

/// Credentials of botocore at one moment.
fn frozen(given: &Bound<'_, PyAny>, expiry: Option<SystemTime>) -> PyResult<Credentials> {
    let access_key: String = given.getattr("access_key")?.extract()?;
    let secret_key: String = given.getattr("secret_key")?.extract()?;
    let token: Option<String> = given.getattr("token")?.extract()?;
    Ok(made(&access_key, &secret_key, token, expiry))
}

/// Credentials of botocore. It is asked when the SDK needs new ones: before those that it has expire.
#[derive(Clone)]
struct Renewed(Arc<Py<PyAny>>);

impl Renewed {
    fn ask(&self, py: Python<'_>) -> PyResult<Credentials> {
        let given = self.0.bind(py);
        let now = given.call_method0("get_frozen_credentials")?;
        frozen(&now, expiry(given))
    }
}

/// When credentials of botocore expire. Only its own name for it tells; one without is asked again as the SDK sees fit.
fn expiry(given: &Bound<'_, PyAny>) -> Option<SystemTime> {
    let at = given.getattr("_expiry_time").ok().filter(|at| !at.is_none())?;
    let seconds: f64 = at.call_method0("timestamp").ok()?.extract().ok()?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let this = self.clone();
        future::ProvideCredentials::new(async move {
            // Python may ask a network, and for the GIL: neither on a thread that works for all.
            let asked = tokio::task::spawn_blocking(move || {
                Python::try_attach(|py| this.ask(py).map_err(|raised| raised.to_string()))
            });
            match asked.await {
                Ok(Some(Ok(credentials))) => Ok(credentials),
                Ok(Some(Err(raised))) => Err(CredentialsError::provider_error(raised)),
                Ok(None) | Err(_) => Err(CredentialsError::provider_error("Python has ended")),
            }
        })
    }
}

/// Without what it has.
impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewed")
    }
}
