//! Leases of ended shards that have left the stream and came to nothing: no child of them is read or will be.
//!
//! A shard that leaves retention while nobody reads it is ended without children. So is one whose children left with it.
//! Its lease can be recognised by the list of shards alone.

use std::collections::BTreeSet;

use shardflow_core::{Checkpoint, LeaseRow, Shard, ShardId, StreamIdentifier};

use super::coordinator::Coordinator;
use super::messages::{Answer, Pending, Request};
use crate::Moment;
use crate::shards::{self, Cover, ShardFilter};

impl Coordinator {
    /// Asks which shards there are, if this worker leads, it is time to, and there are such leases unless their stream still
    /// has their shards.
    pub(super) fn look_for_garbage(&mut self, now: Moment) {
        if now < self.next_garbage || !self.settings.cleans_up || !self.lock.leads(now) {
            return;
        }
        self.next_garbage = now.after(self.settings.garbage_every);
        let tracked: Vec<_> = self.streams.tracked.keys().cloned().collect();
        for stream in tracked {
            if !self.garbage(now, &stream, &[]).is_empty() {
                let pending = Pending::Garbage { stream: stream.clone() };
                self.send(pending, Request::ListShards { stream, filter: ShardFilter::All });
            }
        }
    }

    /// Deletes them, each on condition that it is as it was seen. An answer that fails is asked for again next time.
    pub(super) fn garbage_found(&mut self, now: Moment, stream: &Option<StreamIdentifier>, answer: Answer) {
        let Answer::Shards(listed) = answer else { return };
        if self.lock.leads(now) && !listed.is_empty() {
            for row in self.garbage(now, stream, &listed) {
                self.send(Pending::Tidy, Request::Delete(Box::new(row)));
            }
        }
    }

    /// The leases of a stream that nobody needs if it has these shards.
    ///
    /// None as long as the leases that are to be read leave a hole: what is missing is found by what is there. And none of
    /// a shard that a listed one comes from, which would be taken for one without parents, nor of one that has a parent or
    /// a child that is still to be read.
    fn garbage(&self, now: Moment, stream: &Option<StreamIdentifier>, listed: &[Shard]) -> Vec<LeaseRow> {
        let of_stream = || self.seen.iter().filter(|seen| seen.row.stream == *stream);
        if shards::cover(of_stream().map(|seen| &seen.row)) != Cover::Whole {
            return Vec::new();
        }
        let named: BTreeSet<&ShardId> =
            listed.iter().flat_map(|shard| shard.parents().chain([&shard.id])).collect();
        let row = |of: &LeaseRow, id| self.seen.get(&of.sibling(id)).map(|seen| &seen.row);
        let is_over = |row: &LeaseRow| row.checkpoint.is_shard_end();
        let is_begun = |row: &LeaseRow| matches!(row.checkpoint, Checkpoint::At { .. }) || is_over(row);
        let at_rest = self.settings.failover * 2;
        of_stream()
            .filter(|seen| seen.is_unkept(now, at_rest))
            .map(|seen| &seen.row)
            .filter(|ended| is_over(ended) && !named.contains(&ended.shard_id))
            .filter(|ended| ended.parents.iter().all(|id| row(ended, id).is_none_or(is_over)))
            .filter(|ended| ended.children.iter().all(|id| row(ended, id).is_none_or(is_begun)))
            .cloned()
            .collect()
    }
}
