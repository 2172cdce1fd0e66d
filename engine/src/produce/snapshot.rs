//! How things stand: what is held, how old it is, and which shards are slow.

use std::time::Duration;

use shardflow_core::ShardId;

use super::lane::Lane;
use super::pack::Entry;
use super::pipeline::Pipeline;
use crate::Moment;

/// How a pipeline stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Bytes of all records that are not settled, each counted as [`Settings::cost`](super::Settings::cost).
    pub bytes: usize,
    /// Records that are not settled.
    pub records: u64,
    /// How long ago the oldest of them was accepted.
    pub oldest: Option<Duration>,
    /// PutRecords requests that wait for their answers.
    pub requests_in_flight: usize,
    /// One for each shard that is written, in the order of their ranges.
    pub shards: Vec<ShardSnapshot>,
}

/// How a shard stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardSnapshot {
    /// Which; `None` for all of them where the service decides.
    pub shard: Option<ShardId>,
    /// Records that wait to be sent there.
    pub records: usize,
    /// The share of the shard's capacity that is in use, over about a second.
    pub share_used: f64,
    /// The share that may be.
    pub share_allowed: f64,
    /// Whether it has refused something for throughput, and gets less than the settings allow since then.
    pub throttled: bool,
    /// For how long nothing will be sent there.
    pub held_back: Option<Duration>,
}

impl<T> Pipeline<T> {
    /// How things stand. Costs a look at each entry, not at each record.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let sent = self.flights.values().flat_map(|flight| &flight.entries);
        let entries = sent
            .chain(self.isolated.iter().flatten())
            .chain(self.unjudged.iter().map(|unjudged| &unjudged.entry))
            .map(|entry: &Entry<T>| entry.oldest);
        let waiting = self.waiting.front().map(|held| held.accepted);
        let oldest = entries.chain(waiting).chain(self.lanes.iter().filter_map(Lane::oldest_of_all)).min();
        Snapshot {
            bytes: self.held_bytes(),
            records: self.held_records(),
            oldest: oldest.map(|oldest| now.since(oldest)),
            requests_in_flight: self.flights.len(),
            shards: self.lanes.iter().filter_map(|lane| lane.snapshot(now)).collect(),
        }
    }

    /// Records that are not settled.
    #[must_use]
    pub fn held_records(&self) -> u64 {
        self.epochs.held()
    }
}
