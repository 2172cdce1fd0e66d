//! What reading a shard asks for, and what it is answered.

use std::time::{Duration, SystemTime};

use shardflow_core::{Checkpoint, KinesisRecord, SequenceNumber, Shard, ShardPosition};

use crate::Failure;

/// What reading a shard asks for. One thing at a time.
#[derive(Clone, Debug)]
pub enum ReadRequest {
    /// Get an iterator.
    OpenIterator(ShardPosition),
    /// Read.
    GetRecords {
        /// From where.
        iterator: String,
        /// Most records.
        limit: usize,
    },
    /// List all shards of the stream: the end of the shard did not tell its children, or the service does not know it.
    ListShards,
}

/// What became of it, unless it failed.
#[derive(Clone, Debug)]
pub enum ReadAnswer {
    /// An iterator, and when it was asked for.
    Iterator {
        /// The iterator.
        iterator: String,
        /// The time by the wall, for a shard that starts at its newest record.
        asked: SystemTime,
    },
    /// Records.
    Page(Page),
    /// The shards of the stream.
    Shards(Vec<Shard>),
}

/// What one read gave.
#[derive(Clone, Debug)]
pub struct Page {
    /// Records.
    pub records: Vec<KinesisRecord>,
    /// From where to read on; none at the end of the shard.
    pub next: Option<String>,
    /// How far behind the newest record of the shard it ends.
    pub behind: Duration,
    /// The shards that came from this one, at its end.
    pub children: Vec<Shard>,
}

/// What reading a shard tells.
#[derive(Clone, Debug)]
pub enum ReadEvent {
    /// A request failed; it is tried again.
    Failed {
        /// How.
        failure: Failure,
        /// How many times in a row.
        times: u32,
    },
    /// The stream is not there. It is looked for again and again.
    StreamMissing,
    /// The service does not know the shard any more, so that all its records have left retention. Those that were not read
    /// are lost, and the shard counts as read to its end.
    LeftRetention,
    /// The place where reading was to go on is not of this stream, which was deleted and created again under the same name.
    /// The shard is read from its oldest record.
    ForeignPosition {
        /// The number that the service does not take.
        number: SequenceNumber,
    },
    /// Data that looked like an aggregate was none, and was delivered as it is.
    CorruptAggregate {
        /// Where it lies.
        at: Checkpoint,
    },
    /// An aggregate held a record of another shard's hash keys, and was left out as was asked for.
    AggregateDropped {
        /// Where it lies.
        at: Checkpoint,
        /// How many records it held.
        records: usize,
    },
}
