//! An HTTP client for the AWS SDK, over TLS.

use std::time::Duration;

use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::RootCertStore;

use crate::CaBundle;

/// An HTTP client for the AWS SDK: HTTP/1.1, HTTP/2 where a call needs it, and TLS 1.2 and 1.3 by rustls, on the
/// cryptography of a feature: `rustls-ring` or `rustls-aws-lc`.
///
/// It trusts the certificate authorities of the platform, those of a file that `SSL_CERT_FILE` names in their place, and those
/// that it is told of. Time limits, proxy, FIPS and dual-stack endpoints are the SDK's configuration. A connection that nothing
/// used for 60 s is closed.
#[derive(Clone, Debug)]
pub struct HttpsClient {
    crypto: CryptoMode,
    platform: bool,
    bundles: Vec<CaBundle>,
}

impl HttpsClient {
    /// On [ring](https://crates.io/crates/ring): needs a C compiler to be built.
    #[cfg(feature = "rustls-ring")]
    #[must_use]
    pub fn ring() -> Self {
        Self::on(CryptoMode::Ring)
    }

    /// On [AWS-LC](https://crates.io/crates/aws-lc-rs): the faster one where the processor has wide vectors, and with key
    /// exchange that is hard for quantum computers too. Takes about a minute of a C compiler to be built.
    #[cfg(feature = "rustls-aws-lc")]
    #[must_use]
    pub fn aws_lc() -> Self {
        Self::on(CryptoMode::AwsLc)
    }

    fn on(crypto: CryptoMode) -> Self {
        Self { crypto, platform: true, bundles: Vec::new() }
    }

    /// Trusts these authorities too, say that of a proxy which looks into connections.
    #[must_use]
    pub fn trust(mut self, bundle: CaBundle) -> Self {
        self.bundles.push(bundle);
        self
    }

    /// Trusts these authorities, and no others that it was told of before or that the platform has.
    #[must_use]
    pub fn trust_only(self, bundle: CaBundle) -> Self {
        Self { platform: false, bundles: vec![bundle], ..self }
    }

    /// The client, for `http_client` of a configuration of the SDK.
    ///
    /// Each has connections of its own, which its clones share: lease tables are better off with one to themselves. It opens
    /// as many at a time as there are calls under way, over HTTP/2 one for all. Blocks for a few milliseconds, in which it reads
    /// the platform's certificates.
    ///
    /// # Errors
    ///
    /// When it would trust nobody, since the platform has no certificates and it was told of none.
    #[expect(clippy::missing_panics_doc, reason = "the SDK's builder of a context has nothing to check")]
    pub fn build(self) -> Result<SharedHttpClient, NoRoots> {
        // Without any, the SDK's client panics in a debug build and trusts nobody in others.
        let platform = self.platform && platform_has_roots();
        if !platform && self.bundles.is_empty() {
            return Err(NoRoots);
        }
        let trust = TrustStore::empty().with_native_roots(platform);
        let trust = self
            .bundles
            .into_iter()
            .fold(trust, |trust, bundle| trust.with_pem_certificate(bundle.into_pem()));
        let context = TlsContext::builder().with_trust_store(trust).build();
        Ok(aws_smithy_http_client::Builder::new()
            .pool_idle_timeout(IDLE)
            .tls_provider(Provider::Rustls(self.crypto))
            .tls_context(context.expect("there is nothing to check in it"))
            .build_https())
    }
}

/// There is no certificate authority to trust: on a bare container image a package such as `ca-certificates` is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no certificates of authorities on this machine: install some, name a file with SSL_CERT_FILE, or bring a CaBundle"
)]
pub struct NoRoots;

/// As the AWS SDK for Java: `CONNECTION_MAX_IDLE_TIMEOUT`. hyper's 90 s would be used where a load balancer has hung up already.
const IDLE: Duration = Duration::from_secs(60);

fn platform_has_roots() -> bool {
    let found = rustls_native_certs::load_native_certs().certs;
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(found);
    usable > 0
}
