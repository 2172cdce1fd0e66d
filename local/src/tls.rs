//! A certificate for localhost, made when it is needed.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::StartError;

/// A self-signed certificate and its key. It is its own root: a client trusts it by trusting its PEM.
pub(crate) struct Certificate {
    made: CertifiedKey<KeyPair>,
    pem: String,
}

impl Certificate {
    pub(crate) fn make() -> Result<Self, StartError> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|source| StartError::Tls { source: source.into() })?;
        let pem = made.cert.pem();
        Ok(Self { made, pem })
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, StartError> {
        let tls = |source: rustls::Error| StartError::Tls { source: source.into() };
        let key = PrivateKeyDer::try_from(self.made.signing_key.serialize_der())
            .map_err(|source| StartError::Tls { source: source.into() })?;
        // The provider is named, so that it does not matter which others the program links.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_no_client_auth()
            .with_single_cert(vec![self.made.cert.der().clone()], key)
            .map_err(tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}
