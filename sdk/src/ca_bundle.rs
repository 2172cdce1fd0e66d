//! Certificates of authorities that an application trusts.

use std::io;
use std::path::{Path, PathBuf};

use aws_smithy_runtime_api::box_error::BoxError;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Certificates of authorities (CA), looked through: each of them can be trusted by a client.
#[derive(Clone, Debug)]
pub struct CaBundle {
    pem: Vec<u8>,
}

impl CaBundle {
    /// Certificates in PEM, one after the other, with any text in between. Sections of other kinds are passed over.
    ///
    /// # Errors
    ///
    /// When it is no PEM, when there is no certificate in it, and when one of them cannot be read.
    pub fn from_pem(pem: impl Into<Vec<u8>>) -> Result<Self, CaBundleError> {
        let pem = pem.into();
        // The SDK's client looks at them with its first request only, and panics then.
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate =
                certificate.map_err(|error| CaBundleError::NotPem { source: error.to_string().into() })?;
            let number = roots.len() + 1;
            roots
                .add(certificate)
                .map_err(|source| CaBundleError::NotACertificate { number, source: source.into() })?;
        }
        if roots.is_empty() {
            return Err(CaBundleError::Empty);
        }
        Ok(Self { pem })
    }

    /// The same, from a file: what `AWS_CA_BUNDLE` names for other SDKs, say. It is read now, and not again.
    ///
    /// # Errors
    ///
    /// When it cannot be read, and those of [`CaBundle::from_pem`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CaBundleError> {
        let path = path.as_ref();
        let unreadable = |source| CaBundleError::Unreadable { path: path.to_owned(), source };
        Self::from_pem(std::fs::read(path).map_err(unreadable)?)
    }

    pub(crate) fn into_pem(self) -> Vec<u8> {
        self.pem
    }
}

/// A bundle of certificates cannot be trusted, since it cannot be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaBundleError {
    /// The file cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is cut off, or garbled.
    #[error("the certificates are not in PEM")]
    NotPem {
        /// What is wrong with it.
        source: BoxError,
    },
    /// There is no certificate in it: in DER it has to be converted, with `openssl x509 -inform der`, say.
    #[error("there is no certificate in PEM (BEGIN CERTIFICATE) in it")]
    Empty,
    /// What PEM calls a certificate is none, or not one that can be a root.
    #[error("certificate {number} of the bundle cannot be read")]
    NotACertificate {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        source: BoxError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bundle_is_told_from_what_is_a_bad_one() {
        for nothing in
            ["", "certificates, to come", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
        {
            assert!(matches!(CaBundle::from_pem(nothing), Err(CaBundleError::Empty)), "{nothing}");
        }
        let garbled = "-----BEGIN CERTIFICATE-----\nno base64!\n-----END CERTIFICATE-----\n";
        for not_pem in [garbled, "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
            assert!(matches!(CaBundle::from_pem(not_pem), Err(CaBundleError::NotPem { .. })), "{not_pem}");
        }
        let zeros = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(CaBundle::from_pem(zeros), Err(CaBundleError::NotACertificate { number: 1, .. })));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = CaBundle::from_file("no/such/file.pem").expect_err("there is none");
        assert_eq!(error.to_string(), "cannot read the certificates in no/such/file.pem");
    }
}
