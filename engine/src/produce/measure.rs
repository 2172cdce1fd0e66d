//! What there is to measure, told for a request or an entry at a time, and only to those who want to hear it.

use std::time::Duration;

use shardflow_core::{HashKey, ShardId};

use super::description::Manner;
use super::held::Held;
use super::pack::Entry;
use super::pipeline::{Flight, Outcome, Pipeline, Placed};
use crate::{Failure, Moment};

/// A thing that can be counted. Told only if [`Settings::measured`](super::Settings::measured) says so.
///
/// Values that several records have come once, with how many have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Measure {
    /// A PutRecords request was answered, or given up.
    Request {
        /// How long that took.
        took: Duration,
        /// The entries that it carried.
        entries: usize,
        /// The records in those.
        records: usize,
        /// The code with which it failed as a whole.
        failure: Option<String>,
    },
    /// So was one of its entries.
    Entry {
        /// The shard that took it, otherwise the one that it was meant for, if that is known.
        shard: Option<ShardId>,
        /// The records in it.
        records: usize,
        /// How long they had waited since they were accepted, or since the last try.
        waited: Vec<(Duration, usize)>,
        /// What became of it.
        end: EntryEnd,
    },
    /// Records are settled.
    Settled {
        /// The shard that took them, otherwise the one that they were meant for, if that is known.
        shard: Option<ShardId>,
        /// How often they were tried again.
        retries: Vec<(u32, usize)>,
        /// What became of them.
        end: RecordsEnd,
    },
}

/// What became of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntryEnd {
    /// The shard took it, with that many bytes.
    Put(usize),
    /// It failed by itself, with this code.
    Failed(String),
    /// Its request failed.
    Unanswered,
}

/// What became of records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordsEnd {
    /// They are in the stream, with that many bytes of data.
    Delivered(usize),
    /// Their time to live ran out.
    Expired,
    /// They were refused or given up.
    Failed,
}

impl<T> Pipeline<T> {
    /// The next thing to count.
    pub fn poll_measure(&mut self) -> Option<Measure> {
        self.measures.pop_front()
    }

    /// A request was answered: entry by entry, or as a whole.
    pub(super) fn measure_request(&mut self, now: Moment, flight: &Flight<T>, failure: Option<&Failure>) {
        if self.settings.measured {
            self.measures.push_back(Measure::Request {
                took: now.since(flight.sent),
                entries: flight.entries.len(),
                records: flight.entries.iter().map(|entry| entry.records.len()).sum(),
                failure: failure.map(|failure| failure.code.clone()),
            });
            if failure.is_some() {
                for entry in &flight.entries {
                    self.push_entry(entry, flight.sent, entry.shard.as_ref(), EntryEnd::Unanswered);
                }
            }
        }
    }

    /// An entry was answered. What is noted of this try comes later.
    pub(super) fn measure_entry(&mut self, entry: &Entry<T>, sent: Moment, result: &Result<Placed, Failure>) {
        if self.settings.measured {
            let (shard, end) = match result {
                Ok(placed) => (Some(&placed.shard_id), EntryEnd::Put(entry.size())),
                Err(failure) => (entry.shard.as_ref(), EntryEnd::Failed(failure.code.clone())),
            };
            self.push_entry(entry, sent, shard, end);
        }
    }

    fn push_entry(&mut self, entry: &Entry<T>, sent: Moment, shard: Option<&ShardId>, end: EntryEnd) {
        let since = |held: &Held<T>| held.trail.ended().unwrap_or(held.accepted);
        self.measures.push_back(Measure::Entry {
            shard: shard.cloned(),
            records: entry.records.len(),
            waited: runs(entry.records.iter().map(|held| sent.since(since(held)))),
            end,
        });
    }

    pub(super) fn measure_delivered(&mut self, records: &[Held<T>], shard: &ShardId) {
        if self.settings.measured {
            self.measures.push_back(Measure::Settled {
                shard: Some(shard.clone()),
                retries: runs(records.iter().map(|held| held.trail.len())),
                end: RecordsEnd::Delivered(records.iter().map(|held| held.record.data().len()).sum()),
            });
        }
    }

    pub(super) fn measure_failed(&mut self, hash_key: HashKey, tries: u32, outcome: &Outcome) {
        if self.settings.measured {
            let (retries, end) = match outcome {
                // The KPL counts that it expired as one more try.
                Outcome::Expired { .. } => (tries, RecordsEnd::Expired),
                Outcome::Refused { .. } => (tries.saturating_sub(1), RecordsEnd::Failed),
                Outcome::Abandoned { .. } | Outcome::Delivered { .. } => (tries, RecordsEnd::Failed),
            };
            let shard = self.predicted(hash_key).cloned();
            self.measures.push_back(Measure::Settled { shard, retries: vec![(retries, 1)], end });
        }
    }

    /// The shard that the key belongs to, unless the service decides.
    fn predicted(&self, key: HashKey) -> Option<&ShardId> {
        if self.described.manner() == Some(Manner::Anywhere) {
            return None;
        }
        let open = self.map.open();
        open.get(open.partition_point(|(range, _)| range.end() < key)).map(|(_, shard)| shard)
    }
}

/// Values in a row that are the same, once each.
fn runs<V: PartialEq>(values: impl Iterator<Item = V>) -> Vec<(V, usize)> {
    let mut runs: Vec<(V, usize)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => runs.push((value, 1)),
        }
    }
    runs
}
