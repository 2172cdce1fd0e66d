//! What the AWS SDK's types and errors mean to Shardflow.
//!
//! An implementation detail of `shardflow-producer` and `shardflow-consumer`, which both carry requests of
//! `shardflow-engine` out with the SDK: time-outs and the SDK's own retries, the cut of its errors into "refused" and
//! "may have been carried out", and the list of a stream's shards. And how their options come from text. Nothing in here
//! decides.
#![forbid(unsafe_code)]

#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
mod ca_bundle;
mod classify;
#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
mod digest;
#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
mod https_client;
mod limits;
mod options;
mod seed;
mod shards;

#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
pub use ca_bundle::{CaBundle, CaBundleError};
pub use classify::{classify, unreadable};
#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
pub use digest::sha256;
#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
pub use https_client::{HttpsClient, NoRoots};
pub use limits::{bounded, kinesis, kinesis_within, timeouts};
#[cfg(feature = "properties")]
pub use options::properties;
pub use options::{Takes, Word};
pub use seed::seed;
pub use shards::{list_shards, shard};
