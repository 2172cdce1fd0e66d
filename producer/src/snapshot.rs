//! How a producer stands, for health checks and tests.

use std::time::Duration;

use shardflow_core::ShardId;
use shardflow_engine::produce;

/// How a producer stood at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Bytes of all records that are not settled, counted as [`Producer::buffered_bytes`](crate::Producer::buffered_bytes)
    /// does.
    pub buffered_bytes: usize,
    /// Records that are not settled.
    pub buffered_records: u64,
    /// How long ago the oldest of them was accepted. Near [`Config::record_ttl`](crate::Config::record_ttl), records are
    /// about to expire.
    pub oldest: Option<Duration>,
    /// PutRecords requests under way.
    pub requests_in_flight: usize,
    /// One for each shard that is written, in the order of their hash keys; none while the shards are not known.
    pub shards: Vec<ShardSnapshot>,
}

/// How one shard stood.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShardSnapshot {
    /// Which. `None` stands for all shards together, where the service decides which of them takes a record.
    pub shard_id: Option<ShardId>,
    /// Records that wait to be sent there. Those under way do not count.
    pub buffered_records: usize,
    /// The share of the shard's 1 MiB and 1,000 records a second that this producer used in about the last second.
    pub share_used: f64,
    /// The share that it may use: [`Config::rate_limit`](crate::Config::rate_limit), or less after the shard has refused
    /// something.
    pub share_allowed: f64,
    /// Whether the shard has refused something for throughput, and gets less than it could since then. It gets all of it
    /// back within some ten seconds.
    pub throttled: bool,
    /// For how much longer nothing is sent there: it has failed, or has had its share.
    pub held_back_for: Option<Duration>,
}

impl From<produce::Snapshot> for Snapshot {
    fn from(snapshot: produce::Snapshot) -> Self {
        let produce::Snapshot { bytes, records, oldest, requests_in_flight, shards } = snapshot;
        let shards = shards.into_iter().map(Into::into).collect();
        Self { buffered_bytes: bytes, buffered_records: records, oldest, requests_in_flight, shards }
    }
}

impl From<produce::ShardSnapshot> for ShardSnapshot {
    fn from(snapshot: produce::ShardSnapshot) -> Self {
        let produce::ShardSnapshot { shard, records, share_used, share_allowed, throttled, held_back } =
            snapshot;
        Self {
            shard_id: shard,
            buffered_records: records,
            share_used,
            share_allowed,
            throttled,
            held_back_for: held_back,
        }
    }
}
