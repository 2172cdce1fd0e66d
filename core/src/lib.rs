//! The vocabulary of Amazon Kinesis Data Streams and the aggregation format of the Kinesis Producer Library (KPL).
//!
//! Streams, shards, hash keys, sequence numbers and records are types here that cannot hold a value the service
//! would refuse; text is checked once, where it comes in, and an [`Invalid`] error says which rule it broke.
//! [`aggregation`] packs many small records into one Kinesis record and takes them apart again, byte for byte as the
//! KPL and the KCL do. There is no I/O, no clock and no task in this crate, so it serves a Lambda function as well as
//! the `shardflow-producer` and `shardflow-consumer` that are built on it.
//!
//! ```
//! use shardflow_core::{Record, aggregation::{AggregateSize, Aggregator}};
//!
//! let mut aggregator = Aggregator::new(AggregateSize::default());
//! aggregator.try_push(Record::new("user-1", "clicked")?).expect("two small records fit");
//! aggregator.try_push(Record::new("user-2", "paid")?).expect("two small records fit");
//! let packed = aggregator.finish().expect("it holds two records");
//!
//! let records = shardflow_core::aggregation::decode(&packed.data).expect("we packed it ourselves");
//! assert_eq!(records[1].data, "paid");
//! # Ok::<(), shardflow_core::Invalid>(())
//! ```
//!
//! **Errors.** [`Invalid`] for text and numbers that break a rule; [`aggregation::NotAnAggregate`] for bytes that are
//! to be delivered as they are. Nothing panics on input.
//!
//! **Cost.** Keys and payloads are [`bytes::Bytes`]: cloning a record or taking an aggregate apart copies no payload.
//!
//! **It will not** talk to a service, and it does not decide anything: see `shardflow-engine` for that.
#![forbid(unsafe_code)]

pub mod aggregation;
mod attempt;
mod checkpoint;
mod fan_out;
mod fleet;
mod glue;
mod hash_key;
mod identifier;
mod invalid;
mod lease;
pub mod limits;
mod partition_key;
mod position;
mod record;
mod sequence;
mod shard;
mod stream;

pub use attempt::{Attempt, Fate};
pub use checkpoint::Checkpoint;
pub use fan_out::{ConsumerArn, ConsumerName};
pub use fleet::{ClientVersion, LeaderLock, LockChange, LockHeld, Member, Throughput, Utilisation, View};
pub use glue::{GlueCompression, GlueEncoded, SchemaVersionId};
pub use hash_key::{HashKey, HashKeyRange};
pub use identifier::StreamIdentifier;
pub use invalid::{Invalid, UnknownKey};
pub use lease::{LeaseChange, LeaseKey, LeaseRow, PendingCheckpoint, WorkerId};
pub use partition_key::PartitionKey;
pub use position::{InitialPosition, ShardPosition};
pub use record::{KinesisRecord, Record, UserRecord};
pub use sequence::SequenceNumber;
pub use shard::{Shard, ShardId};
pub use stream::{RecordDistribution, Stream, StreamArn, StreamName};
