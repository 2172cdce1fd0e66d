//! The way out: which entries travel together, and when.

use shardflow_core::HashKeyRange;
use shardflow_core::aggregation::Parcel;

use super::Ordering;
use super::description::Manner;
use super::held::Held;
use super::lane::Lane;
use super::lane_index::LaneIndex;
use super::limit::Limit;
use super::pack::Entry;
use super::pipeline::{Flight, Outcome, Pipeline, PutEntry, Request, lane_without_map};
use crate::Moment;

impl<T> Pipeline<T> {
    /// Sends what is due, as far as requests are free.
    pub(super) fn collect(&mut self, now: Moment) {
        while self.has_free_flight() {
            let Some(batch) = self.isolated.pop_front().or_else(|| self.next_batch(now)) else { return };
            self.send(now, batch);
        }
    }

    /// What one request carries: everything that is due and, since the request goes anyway, what will be soon.
    fn next_batch(&mut self, now: Moment) -> Option<Vec<Entry<T>>> {
        while self.wakes.first().is_some_and(|&(at, _)| at <= now) {
            let horizon = now.after(self.settings.company());
            let due: Vec<usize> = self.wakes.range(..=(horizon, usize::MAX)).map(|&(_, lane)| lane).collect();
            let mut batch = Batch { entries: Vec::new(), bytes: 0, full: false };
            for lane in due {
                self.fill(&mut batch, lane, now, horizon);
                self.rewake(lane);
                if batch.full {
                    break;
                }
            }
            if !batch.entries.is_empty() {
                return Some(batch.entries);
            }
            // All that was due has expired; look again.
        }
        None
    }

    fn fill(&mut self, batch: &mut Batch<T>, lane: usize, now: Moment, horizon: Moment) {
        self.expire(now, lane);
        while let Some(entry) = self.lanes[lane].pop(&mut self.packer, now, horizon) {
            if !batch.has_room(&entry, self.settings.request_entries, self.settings.request_bytes) {
                self.lanes[lane].unpop(entry);
                batch.full = true;
                return;
            }
            batch.bytes += entry.size();
            batch.entries.push(entry);
            match self.ordering() {
                Ordering::None => {}
                // Kinesis promises nothing about two entries of one request.
                Ordering::PerKey if bug!(TwoEntriesOfAShard) => {}
                Ordering::PerKey => return,
            }
            self.expire(now, lane);
        }
    }

    /// Settles what has become too old at the front of a lane.
    fn expire(&mut self, now: Moment, lane: usize) {
        let Some(since) = now.since_start().checked_sub(self.settings.record_ttl) else { return };
        while let Some(records) = self.lanes[lane].pop_old(Moment::from_start(since)) {
            let left = self.drop_expired(now, records);
            self.lanes[lane].push_records_front(&mut self.packer, now, left);
        }
    }

    fn send(&mut self, now: Moment, mut entries: Vec<Entry<T>>) {
        let id = self.ids.next();
        let anywhere = self.described.manner() == Some(Manner::Anywhere);
        Parcel::seal_all(entries.iter_mut().map(|entry| &mut entry.parcel));
        let put = entries.iter_mut().map(|entry| PutEntry {
            partition_key: (!anywhere || !entry.is_keyless()).then(|| entry.partition_key().clone()),
            explicit_hash_key: (!anywhere).then(|| entry.hash_key()),
            data: entry.parcel.data().clone(),
        });
        self.requests.push_back((id, Request::PutRecords(put.collect())));
        self.flights.insert(id, Flight { entries, sent: now });
        self.unblock();
    }

    /// Settles the records that are too old, and gives back the others.
    pub(super) fn drop_expired(&mut self, now: Moment, records: Vec<Held<T>>) -> Vec<Held<T>> {
        let ttl = self.settings.record_ttl;
        let (expired, left): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|held| now.since(held.accepted) >= ttl);
        for held in expired {
            self.settle_failed(held, |record, attempts| Outcome::Expired { record, attempts });
        }
        left
    }

    // Records without a map.

    /// When records that wait for the first map must be looked at.
    pub(super) fn waiting_until(&self) -> Option<Moment> {
        let first = self.waiting.front()?;
        let patience = self.settings.first_map_wait.min(self.settings.record_ttl);
        Some(first.accepted.after(patience))
    }

    /// Records that have waited too long for the first map travel alone, which is safe in any shard.
    pub(super) fn release_waiting(&mut self, now: Moment) {
        if self.waiting_until().is_some_and(|until| until <= now) {
            self.described.give_up();
            if !self.relane(now) {
                self.set_lanes(now, vec![lane_without_map()]);
            }
        }
    }

    /// Makes lanes of what is known of the shards, and tells whether enough is.
    pub(super) fn relane(&mut self, now: Moment) -> bool {
        let Some(manner) = self.described.manner().filter(|_| !self.map.open().is_empty()) else {
            return false;
        };
        self.packer.together = manner == Manner::Together;
        let (open, most) = (self.map.open(), self.settings.shard_share);
        let lanes = match manner {
            Manner::Together | Manner::Singly => open
                .iter()
                .map(|(range, shard)| Lane::new(Some(shard.clone()), *range, Some(Limit::new(most, 1))))
                .collect(),
            // All shards are one: which of them takes what is not for the producer to say.
            Manner::Anywhere => {
                vec![Lane::new(None, HashKeyRange::ALL, Some(Limit::new(most, open.len())))]
            }
        };
        self.set_lanes(now, lanes);
        true
    }

    /// Takes new lanes into use. Lanes whose shard stays are kept; the records of the others are routed anew, in order.
    pub(super) fn set_lanes(&mut self, now: Moment, mut lanes: Vec<Lane<T>>) {
        let mut homeless = Vec::new();
        for old in std::mem::take(&mut self.lanes) {
            let same = lanes.binary_search_by_key(&old.range, |lane| lane.range);
            match same.ok().map(|at| &mut lanes[at]).filter(|lane| old.is_same(lane)) {
                Some(lane) => *lane = old,
                None => homeless.extend(old.into_records()),
            }
        }
        self.index = LaneIndex::new(lanes.iter().map(|lane| lane.range.end()).collect());
        self.lanes = lanes;
        self.wakes.clear();
        for lane in 0..self.lanes.len() {
            self.lanes[lane].wake = None;
            self.rewake(lane);
        }
        for (held, due) in homeless {
            self.put_into_lane(now, held, due);
        }
        for held in std::mem::take(&mut self.waiting) {
            self.route(now, held);
        }
    }
}

struct Batch<T> {
    entries: Vec<Entry<T>>,
    bytes: usize,
    full: bool,
}

impl<T> Batch<T> {
    /// An entry that is larger than a request is meant to be still travels, alone.
    fn has_room(&self, entry: &Entry<T>, most_entries: usize, most_bytes: usize) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < most_entries && self.bytes + entry.size() <= most_bytes)
    }
}
