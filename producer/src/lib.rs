//! Writes to Amazon Kinesis Data Streams: what the Kinesis Producer Library (KPL) does, in-process and in bounded memory.
//!
//! Records are packed into aggregates of their shard, in the KPL's format, and put many at a time. What fails is tried
//! again, and each record that was accepted is settled exactly once: delivered, or given back with what was tried.
//!
//! ```no_run
//! use shardflow_producer::{Config, Producer, Record};
//!
//! # async fn example(aws: &aws_sdk_kinesis::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let producer = Producer::new(aws.clone(), "orders".parse()?, Config::default());
//! let ticket = producer.put(Record::new("user-1", "hello")?).await?; // waits for room only
//! let receipt = ticket.await?; // waits for the outcome; need not be awaited
//! println!("{} {}", receipt.shard_id, receipt.sequence_number);
//! producer.flush().await?;
//! # Ok(())
//! # }
//! ```
//!
//! **How it fails.** [`PutError`] says that a record was not accepted, [`RecordError`] that an accepted one was not
//! delivered; both carry the record. A `RecordError` also tells the attempts and whether Kinesis may have the record
//! nevertheless ([`RecordError::fate`]). Delivery is at least once: a request whose answer is lost is repeated.
//!
//! **What it costs.** One task on the runtime that first puts, and at most [`Config::max_buffered_bytes`] for all that it
//! holds. By default a record waits up to 100 ms for company ([`Config::linger`]).
//!
//! **What it tells.** The KPL's metrics, under its names, through the [`metrics`](::metrics) facade: install a
//! recorder before the first put. [A table](https://github.com/shardflow/shardflow/blob/main/docs/metrics.md) has them all.
//! A `tracing` span of level debug for each request to the service. And [`Producer::snapshot`] for health checks.
//!
//! **What it will not do.** It creates no stream, and it does not keep the order of records by default; see
//! [`Config::ordering`].
//!
//! **Coming from the KPL.** [`ConfigKey`] has all of its options by name; `docs/kpl-options.md` in the repository is their table.
//! The feature `properties` reads the KPL's configuration files.
//!
//! The SDK's client brings credentials, region, endpoint, proxy and TLS; retries of the SDK are switched off for it here,
//! since the producer retries by itself. The features `rustls-ring` and `rustls-aws-lc`, of which none is a default, have an
//! HTTP client for it, `HttpsClient`, on ring or on AWS-LC, which takes certificates of your own. With either, that library
//! computes the SHA-256 of PutRecords requests too, which the SDK signs, whatever the HTTP client: where a processor has no
//! instructions for it the SDK's own takes twice the time. AWS-LC does so if both are there; and a `PayloadSigningOverride` of
//! the client's own stays.
#![forbid(unsafe_code)]

mod body;
mod client;
mod config;
mod driver;
mod error;
mod inbox;
mod metrics;
mod producer;
mod reserve;
mod snapshot;
mod ticket;

pub use config::{
    Applies, BufferSize, Config, ConfigKey, ConnectTimeout, MetricsDimension, MetricsGranularity,
    MetricsLevel, Ordering, RateLimit, RequestBytes, RequestEntries, RequestsInFlight,
};
#[cfg(feature = "properties")]
pub use config::{NotApplied, PropertiesError};
pub use error::{ConfigError, FlushError, PutError, RecordError};
pub use producer::Producer;
pub use reserve::SharedBuffer;
pub use shardflow_core::aggregation::AggregateSize;
pub use shardflow_core::{
    Attempt, Fate, HashKey, Invalid, PartitionKey, Record, RecordDistribution, SequenceNumber, ShardId,
    Stream, UnknownKey,
};
#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
pub use shardflow_sdk::{CaBundle, CaBundleError, HttpsClient, NoRoots};
pub use snapshot::{ShardSnapshot, Snapshot};
pub use ticket::{Receipt, Ticket};
