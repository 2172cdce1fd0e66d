//! What answers mean: delivered, once more, or never.

use std::collections::BTreeMap;

use shardflow_core::{Attempt, Record, Shard};

use super::Settings;
use super::description::Description;
use super::held::{Held, Trail};
use super::lane::Lane;
use super::pack::Entry;
use super::pipeline::{Delivered, Event, Flight, Outcome, Pipeline, Placed, Request, Unjudged};
use crate::{Failure, Moment, Verdict};

impl<T> Pipeline<T> {
    /// A request was answered entry by entry.
    pub(super) fn put_answered(
        &mut self,
        now: Moment,
        flight: Flight<T>,
        results: Vec<Result<Placed, Failure>>,
    ) {
        if results.len() != flight.entries.len() {
            let message = format!("{} results for {} entries", results.len(), flight.entries.len());
            return self.put_failed(now, flight, &Failure::unknown("Unreadable", message));
        }
        self.measure_request(now, &flight, None);
        let mut again = Vec::new();
        let none_counts = bug!(WholeRequestAgain) && results.iter().any(Result::is_err);
        for (entry, result) in flight.entries.into_iter().zip(results) {
            let result = if none_counts { Err(Failure::unknown("Partial", "")) } else { result };
            if bug!(PartialFailureForgotten) && result.is_err() {
                continue;
            }
            self.measure_entry(&entry, flight.sent, &result);
            match result {
                Ok(placed) => again.extend(self.judge(now, entry, placed, flight.sent)),
                Err(failure) => match failure.verdict() {
                    Verdict::Refuse | Verdict::Isolate => self.refuse(now, entry, flight.sent, &failure),
                    Verdict::Throttled if self.settings.fail_if_throttled => {
                        self.slow_down(now, &entry, flight.sent, true);
                        self.refuse(now, entry, flight.sent, &failure);
                    }
                    verdict @ (Verdict::Retry | Verdict::Throttled) => {
                        self.slow_down(now, &entry, flight.sent, verdict == Verdict::Throttled);
                        again.extend(self.note(now, entry, flight.sent, &failure));
                    }
                },
            }
        }
        self.send_again(now, again);
    }

    /// A request failed as a whole.
    pub(super) fn put_failed(&mut self, now: Moment, mut flight: Flight<T>, failure: &Failure) {
        self.measure_request(now, &flight, Some(failure));
        match failure.verdict() {
            Verdict::Refuse => {
                for entry in flight.entries {
                    self.refuse(now, entry, flight.sent, failure);
                }
            }
            // One entry that the service does not take fails all that travel with it: part them until it is alone.
            Verdict::Isolate if flight.entries.len() > 1 => {
                let second = flight.entries.split_off(flight.entries.len() / 2);
                self.isolated.extend([flight.entries, second]);
            }
            Verdict::Isolate => {
                for entry in flight.entries {
                    self.refuse(now, entry, flight.sent, failure);
                }
            }
            Verdict::Throttled if self.settings.fail_if_throttled => {
                for entry in flight.entries {
                    self.slow_down(now, &entry, flight.sent, false);
                    self.refuse(now, entry, flight.sent, failure);
                }
            }
            Verdict::Retry | Verdict::Throttled => {
                let mut again = Vec::new();
                for entry in flight.entries {
                    // Not the shard's throughput: that is told by entry.
                    self.slow_down(now, &entry, flight.sent, false);
                    again.extend(self.note(now, entry, flight.sent, failure));
                }
                self.send_again(now, again);
            }
        }
    }

    /// An entry was taken by a shard. Gives it back if it must be sent again.
    fn judge(&mut self, now: Moment, entry: Entry<T>, placed: Placed, sent: Moment) -> Option<Entry<T>> {
        let as_predicted = entry.shard.as_ref() == Some(&placed.shard_id);
        if as_predicted && let Some(lane) = self.lane_for(&entry) {
            self.lanes[lane].succeeded();
        }
        if !as_predicted && entry.shard.is_some() {
            self.map.contradicted(sent);
        }
        if as_predicted || entry.records.len() == 1 {
            self.deliver(entry, placed);
            return None;
        }
        let Some(range) = self.map.range_of(&placed.shard_id) else {
            self.unjudged.push(Unjudged { entry, placed, sent, answered: now });
            return None;
        };
        let mut records = entry.records.iter();
        if records.all(|held| range.contains(held.hash_key())) || bug!(AggregateInPart) {
            self.deliver(entry, placed);
            return None;
        }
        self.misplaced(now, entry, &placed, sent)
    }

    /// When aggregates whose shard the map does not know must be given up: all of one at once, when its newest record is
    /// too old. What is left of it must not be sent again, since it may well be where it belongs.
    pub(super) fn unjudged_until(&self) -> Option<Moment> {
        let ttl = self.settings.record_ttl;
        self.unjudged.iter().map(|unjudged| unjudged.newest().after(ttl)).min()
    }

    /// No map has told in time where an aggregate went: its records are given back.
    pub(super) fn release_unjudged(&mut self, now: Moment) {
        if self.unjudged_until().is_none_or(|until| until > now) {
            return;
        }
        for unjudged in std::mem::take(&mut self.unjudged) {
            if now.since(unjudged.newest()) < self.settings.record_ttl {
                self.unjudged.push(unjudged);
            } else {
                let Unjudged { mut entry, placed, sent, .. } = unjudged;
                let message =
                    format!("whether {} is the shard of all its records is not known", placed.shard_id);
                Trail::note(&mut entry.records, sent, now, &Failure::unknown("Misplaced", message));
                for held in entry.records {
                    self.settle_failed(held, |record, attempts| Outcome::Expired { record, attempts });
                }
            }
        }
        self.unblock();
    }

    /// A KCL will drop this aggregate, so none of its records counts as delivered.
    fn misplaced(&mut self, now: Moment, entry: Entry<T>, placed: &Placed, sent: Moment) -> Option<Entry<T>> {
        let message = format!("{} took an aggregate that holds records of another shard", placed.shard_id);
        self.described.misplaced(now);
        // The map says that it would go there: until one that explains this is known, that is better not done too often.
        if self.lane_for(&entry).is_some() {
            self.slow_down(now, &entry, sent, false);
        }
        // Readers that do not look at hash ranges will deliver it, so it is not certain to be absent.
        self.note(now, entry, sent, &Failure::unknown("Misplaced", message))
    }

    fn deliver(&mut self, entry: Entry<T>, placed: Placed) {
        self.measure_delivered(&entry.records, &placed.shard_id);
        self.held_bytes -= entry.sum.bytes;
        match entry.sum.epoch {
            Some(epoch) => self.epochs.delivered(epoch, entry.records.len()),
            None => entry.records.iter().for_each(|held| self.epochs.delivered(held.epoch, 1)),
        }
        self.packer.keep_data(entry.parcel);
        self.events.push_back(Event::Delivered(Delivered { placed, records: entry.records }));
    }

    fn refuse(&mut self, now: Moment, mut entry: Entry<T>, sent: Moment, failure: &Failure) {
        Trail::note(&mut entry.records, sent, now, failure);
        for held in entry.records {
            self.settle_failed(held, |record, attempts| Outcome::Refused { record, attempts });
        }
    }

    /// Notes a failed try. What is left of the entry comes back to be sent again.
    fn note(
        &mut self,
        now: Moment,
        mut entry: Entry<T>,
        sent: Moment,
        failure: &Failure,
    ) -> Option<Entry<T>> {
        Trail::note(&mut entry.records, sent, now, failure);
        if now.since(entry.oldest) < self.settings.record_ttl {
            return Some(entry);
        }
        let records = self.drop_expired(now, std::mem::take(&mut entry.records));
        // It no longer is what was packed; a shard of none makes it be packed anew.
        (!records.is_empty()).then(|| Entry { records, shard: None, ..entry })
    }

    /// Puts entries back at the front of their lanes. One whose lane is still there goes as it was packed, the records
    /// of the others are packed anew for the shards that own them now.
    fn send_again(&mut self, now: Moment, entries: Vec<Entry<T>>) {
        let mut whole: BTreeMap<usize, Vec<Entry<T>>> = BTreeMap::new();
        let mut loose: BTreeMap<usize, Vec<Held<T>>> = BTreeMap::new();
        for entry in entries {
            match self.lane_for(&entry) {
                Some(lane) => whole.entry(lane).or_default().push(entry),
                None => {
                    for held in entry.records {
                        loose.entry(self.lane_of(held.hash_key())).or_default().push(held);
                    }
                }
            }
        }
        for (lane, entries) in whole {
            self.lanes[lane].push_front(now, entries.into_iter());
            self.rewake(lane);
        }
        for (lane, records) in loose {
            self.lanes[lane].push_records_front(&mut self.packer, now, records);
            self.rewake(lane);
        }
    }

    fn slow_down(&mut self, now: Moment, entry: &Entry<T>, sent: Moment, throttled: bool) {
        let lane = self.lane_of(entry.hash_key());
        self.lanes[lane].failed(now, sent, throttled, &mut self.rng);
    }

    /// The lane that an entry was packed for, if it is still there with the same range.
    fn lane_for(&self, entry: &Entry<T>) -> Option<usize> {
        entry.shard.as_ref()?;
        let lane = self.lane_of(entry.range.start());
        let Lane { shard, range, .. } = &self.lanes[lane];
        (*shard == entry.shard && *range == entry.range).then_some(lane)
    }

    // The shard map.

    /// Asks for the map and the description when it is time.
    pub(super) fn refresh(&mut self, now: Moment) {
        if self.described.is_due(now) {
            let id = self.ids.next();
            self.described.asking(id, now);
            self.requests.push_back((id, Request::Describe));
        }
        if self.map.is_due(now) {
            let id = self.ids.next();
            let closed = !self.unjudged.is_empty();
            self.map.asking(id, now, closed);
            self.requests.push_back((id, Request::ListShards { closed }));
        }
    }

    pub(super) fn map_loaded(&mut self, now: Moment, shards: Vec<Shard>) {
        let asked = self.map.asked_for_closed();
        if !self.map.loaded(now, shards, self.settings.map_age, &mut self.rng) {
            return;
        }
        self.relane(now);
        let mut again = Vec::new();
        for unjudged in std::mem::take(&mut self.unjudged) {
            match self.map.range_of(&unjudged.placed.shard_id) {
                Some(range) if unjudged.entry.records.iter().all(|held| range.contains(held.hash_key())) => {
                    self.deliver(unjudged.entry, unjudged.placed);
                }
                // Asked for before that shard was known to be, or without the closed ones.
                None if asked.is_none_or(|asked| asked < unjudged.answered) => {
                    self.map.contradicted(now);
                    self.unjudged.push(unjudged);
                }
                _ => {
                    let Unjudged { entry, placed, sent, .. } = unjudged;
                    again.extend(self.misplaced(now, entry, &placed, sent));
                }
            }
        }
        self.send_again(now, again);
        self.unblock();
    }

    pub(super) fn map_failed(&mut self, now: Moment, failure: &Failure) {
        self.map.failed(now, &mut self.rng);
        // Without any map, a stream that is not there or not allowed is told to those who wait; later on, PutRecords
        // tells it itself, and what is known of the shards serves on.
        match failure.verdict() {
            Verdict::Refuse | Verdict::Isolate => {
                for mut held in std::mem::take(&mut self.waiting) {
                    let accepted = held.accepted;
                    Trail::note(std::slice::from_mut(&mut held), accepted, now, failure);
                    self.settle_failed(held, |record, attempts| Outcome::Refused { record, attempts });
                }
            }
            Verdict::Retry | Verdict::Throttled => {}
        }
    }

    // The description of the stream.

    pub(super) fn description_loaded(&mut self, now: Moment, description: Description) {
        let before = self.described.manner();
        self.described.loaded(now, description, self.settings.description_age, &mut self.rng);
        self.packer.keep_within(description.record_bytes);
        if self.described.manner() != before {
            self.relane(now);
        }
    }

    pub(super) fn description_failed(&mut self, now: Moment) {
        let before = self.described.manner();
        self.described.failed(now, &mut self.rng);
        if self.described.manner() != before {
            self.relane(now);
        }
    }

    /// The record came before it was known how large it may be.
    pub(super) fn refuse_large(&mut self, now: Moment, mut held: Held<T>, limit: usize) {
        let message =
            format!("{} bytes with its partition key, the stream takes {limit}", held.record.size());
        let (accepted, failure) = (held.accepted, Failure::refused("RecordTooLarge", message));
        Trail::note(std::slice::from_mut(&mut held), accepted, now, &failure);
        self.settle_failed(held, |record, attempts| Outcome::Refused { record, attempts });
    }

    // The way out.

    pub(super) fn settle_failed(
        &mut self,
        held: Held<T>,
        outcome: impl FnOnce(Record, Vec<Attempt>) -> Outcome,
    ) {
        let attempts = held.trail.attempts(held.accepted);
        self.held_bytes -= Settings::cost(&held.record);
        self.epochs.failed(held.epoch);
        let hash_key = held.hash_key();
        let outcome = outcome(held.record.displaced(), attempts);
        self.measure_failed(hash_key, held.trail.len(), &outcome);
        self.events.push_back(Event::Settled { tag: held.tag, outcome });
    }

    pub(super) fn tell_flushes(&mut self) {
        while let Some((id, failed)) = self.epochs.next_done() {
            self.events.push_back(Event::Flushed { id, failed });
        }
    }
}
