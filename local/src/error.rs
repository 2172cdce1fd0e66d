//! Why the service does not start.

use std::error::Error;
use std::net::SocketAddr;

/// The service did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The account of the configuration is none.
    #[error("account {account:?} is not twelve digits")]
    Account {
        /// As it was given.
        account: String,
    },
    /// The region of the configuration is none.
    #[error("region {region:?} is not made of the characters a-z 0-9 -")]
    Region {
        /// As it was given.
        region: String,
    },
    /// The port is taken, or not for this user.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no certificate, or TLS does not take it.
    #[error("cannot set up TLS")]
    Tls {
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The embedded DynamoDB did not start.
    #[error("cannot open the in-memory database")]
    Database {
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
}
