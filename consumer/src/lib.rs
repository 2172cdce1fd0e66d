//! Reads Amazon Kinesis Data Streams with any number of workers: what the Kinesis Client Library (KCL) does, without a JVM.
//!
//! Workers share the shards of a stream by leases in a DynamoDB table. Each shard is processed by one worker at a time, in
//! order, parents before children; how far it has come is checkpointed in its lease, and goes on from there when the lease
//! moves. Aggregates of the KPL are taken apart. Records are asked for, or sent by enhanced fan-out: see [`Retrieval`].
//!
//! ```no_run
//! use shardflow_consumer::{Batch, Checkpointer, Config, Consumer, DynamoDbLeases, RecordProcessor, ShardInfo};
//!
//! struct Billing;
//!
//! impl RecordProcessor for Billing {
//!     type Error = std::io::Error;
//!
//!     async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), Self::Error> {
//!         for record in batch {
//!             println!("{:?} {:?}", record.partition_key, record.data);
//!         }
//!         checkpointer.batch(batch).await.map_err(std::io::Error::other)
//!     }
//! }
//!
//! # async fn example(
//! #     kinesis: aws_sdk_kinesis::Client,
//! #     dynamodb: aws_sdk_dynamodb::Client,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let leases = DynamoDbLeases::new(dynamodb, "billing".parse()?); // the application's name is the table's
//! let consumer = Consumer::new(kinesis, leases, "orders".parse()?, Config::default());
//! let worker = consumer.run(|_shard: &ShardInfo| Billing)?;
//! let stopper = worker.stopper(); // stopper.graceful() from a signal handler
//! worker.await?;
//! # Ok(())
//! # }
//! ```
//!
//! **How it fails.** A handler that fails gets the same batch again, with growing waits, and nothing behind it: no record
//! is skipped, unless [`Config::on_error`] says so. [`CheckpointError`] tells a handler that its lease has gone. [`RunError`] ends a worker that cannot start.
//! Delivery is at least once: after a crash a shard goes on from its last checkpoint.
//!
//! **How to see that it is well.** [`Worker::watch`] gives a handle whose [`Watch::health`] tells what each shard waits for,
//! and is never healthy while a shard whose lease the worker has is not read. [`Config::on_state`] tells of starts and stops.
//!
//! **What it costs.** A task a shard, memory for records that are not processed yet up to [`Config::max_buffered_bytes`] for all
//! of them, and a thread that keeps the leases, so that neither a slow handler nor a blocked runtime can cost one.
//!
//! **As a loop** an application reads one stream of the [`Batches`] of all shards, and acknowledges each.
//!
//! **Without leases** a [`ShardReader`] reads one shard from a position that its caller keeps, for stream engines with
//! checkpoints of their own; [`list_shards()`] tells which shards there are.
//!
//! **Beside the KCL for Java.** Workers of both share a lease table, lead each other's fleets, and replace each other one
//! process at a time: `docs/leases.md` says what to expect. [`ConfigKey`] has all options of the KCL by name;
//! `docs/kcl-options.md` is their table.
//!
//! **Several streams** are read by one consumer, with one set of workers, one lease table and one byte budget, and are added
//! and removed while it runs: see [`Consumer::streams`] and [`Streams`].
//!
//! **TLS** is the SDK's client's. The features `rustls-ring` and `rustls-aws-lc`, of which none is a default, have an HTTP client
//! for it, `HttpsClient`, which takes certificates of your own.
#![forbid(unsafe_code)]

mod batch;
mod batches;
mod checkpointer;
mod client;
mod clients;
mod clock;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod consumer;
mod dynamodb;
mod ecs;
mod error;
mod error_policy;
mod fan_out;
mod health;
mod host;
mod lease_keeper;
mod lease_watch;
mod leases;
mod list_shards;
mod memory;
mod metrics;
mod offer;
mod page;
mod processor;
mod reader;
mod reads;
mod retrieval;
mod room;
mod shard_runner;
mod shard_watch;
mod sharing;
mod spans;
mod state;
mod store;
mod stream_health;
mod streams;
mod supervisor;
mod watch;
mod worker;

pub use batch::Batch;
pub use batches::{Batches, CheckpointMode};
pub use checkpointer::{Checkpointer, PreparedCheckpoint};
pub use config::{Applies, Config, ConfigKey, LeaseThread, Strays};
#[cfg(feature = "properties")]
pub use config::{NotApplied, Properties, PropertiesError};
pub use consumer::Consumer;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use dynamodb::fuzz;
pub use dynamodb::{CreateTable, DynamoDbLeases, TableName};
pub use error::{CheckpointError, ConfigError, ReadError, RunError};
pub use error_policy::{DeadLetter, ErrorPolicy};
pub use health::{Behind, Health, LeaseTrouble, Problem, ShardHealth, WaitsFor};
pub use leases::{Leases, RewindError};
pub use list_shards::list_shards;
pub use memory::MemoryLeases;
pub use offer::Delivery;
pub use processor::{RecordProcessor, ShardInfo, Stop};
pub use reader::{FromShard, ReadFrom, ShardReader};
pub use retrieval::{FanOutConsumer, Retrieval};
pub use shardflow_core::{
    Checkpoint, ClientVersion, ConsumerArn, ConsumerName, GlueCompression, GlueEncoded, HashKeyRange,
    InitialPosition, Invalid, LeaderLock, LeaseChange, LeaseKey, LeaseRow, LockChange, Member,
    PendingCheckpoint, SchemaVersionId, SequenceNumber, Shard, ShardId, ShardPosition, Stream, StreamArn,
    StreamIdentifier, StreamName, Throughput, UnknownKey, UserRecord, Utilisation, View, WorkerId,
};
#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
pub use shardflow_sdk::{CaBundle, CaBundleError, HttpsClient, NoRoots};
pub use sharing::{Balance, WorkerMetrics};
pub use state::WorkerState;
pub use store::{LeaseStore, StoreError};
pub use stream_health::{StreamError, StreamHealth, StreamTrouble};
pub use streams::{FormerStreams, StreamConfig, Streams};
pub use watch::Watch;
pub use worker::{Stopper, Worker};
