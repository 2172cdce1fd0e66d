//! Where reading starts.

use std::time::SystemTime;

use crate::SequenceNumber;

/// Where an application starts in a stream that it has never read. It counts once per application: a shard that comes
/// from a split or merge is always read from its first record.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum InitialPosition {
    /// At the oldest record that the stream still has. The default: nothing is skipped.
    #[default]
    TrimHorizon,
    /// Behind the newest record.
    Latest,
    /// At the first record that arrived at or after this time.
    AtTimestamp(SystemTime),
}

/// Where reading of one shard starts: the types of GetShardIterator and SubscribeToShard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ShardPosition {
    /// At the oldest record that the shard still has.
    TrimHorizon,
    /// Behind its newest record.
    Latest,
    /// At the first record that arrived at or after this time.
    AtTimestamp(SystemTime),
    /// At the record with this number, or the first one behind it.
    AtSequenceNumber(SequenceNumber),
    /// At the first record behind this number.
    AfterSequenceNumber(SequenceNumber),
}
