//! The KPL's aggregation format: many user records in one Kinesis record.
//!
//! ```text
//!  0         4                                                        4+n            20+n
//!  ┌─────────┬────────────────────────────────────────────────────────┬──────────────┐
//!  │ F3899AC2│  protobuf AggregatedRecord, n bytes                    │ MD5 of the n │
//!  └─────────┴────────────────────────────────────────────────────────┴──────────────┘
//!              1  repeated string  partition keys, each once
//!              2  repeated string  explicit hash keys in decimal, each once
//!              3  repeated record  1 index of its partition key
//!                                  2 index of its explicit hash key, if it has one
//!                                  3 data
//!                                  4 tags (never written, passed over)
//! ```
//!
//! There is no length, no version, no compression. [`Aggregator`] writes what the KPL writes, byte for byte: both
//! tables in order of first use, then the records, every number in its shortest form. [`decode()`] reads that and every
//! other legal way to write the same message, since other writers exist.
//!
//! **Whoever packs records must pack those of one shard.** A KCL that knows the range of its shard drops a *whole*
//! aggregate when one record in it hashes elsewhere. `shardflow-producer` sees to it; with a bare [`Aggregator`] it is
//! the caller's duty.

mod decode;
mod encode;
mod many;
mod wire;

pub use decode::{NotAnAggregate, SubRecord, deaggregate, decode, try_deaggregate};
pub use encode::{AggregateSize, Aggregator, Packed, Parcel};
pub use many::{deaggregate_all, mark_out_of_range};

/// What an aggregate starts with.
pub const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// Length of the digest that it ends with.
const DIGEST: usize = 16;

/// Fields of the messages, as protobuf tags: field number and wire type in one byte.
mod tag {
    pub(super) const PARTITION_KEY: u8 = 0x0a;
    pub(super) const EXPLICIT_HASH_KEY: u8 = 0x12;
    pub(super) const RECORD: u8 = 0x1a;
    pub(super) const RECORD_PARTITION_KEY: u8 = 0x08;
    pub(super) const RECORD_EXPLICIT_HASH_KEY: u8 = 0x10;
    pub(super) const RECORD_DATA: u8 = 0x1a;
}
