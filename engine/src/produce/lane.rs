//! The records on their way to one shard.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{HashKeyRange, Record, ShardId};

use super::held::Held;
use super::limit::Limit;
use super::pack::{Added, Bundle, Entry, Packer};
use super::snapshot::ShardSnapshot;
use crate::Moment;
use crate::backoff::Backoff;

/// The lane of one shard, or of the whole hash space while no shard is known or the service decides between them.
#[derive(Debug)]
pub(super) struct Lane<T> {
    pub(super) shard: Option<ShardId>,
    pub(super) range: HashKeyRange,
    open: Option<Bundle<T>>,
    ready: VecDeque<Entry<T>>,
    ready_bytes: usize,
    /// None while no shard is known.
    limit: Option<Limit>,
    backoff: Backoff,
    not_before: Moment,
    /// When a failure was last heard of. What was sent before is of the same trouble.
    failed_at: Option<Moment>,
    /// Where the pipeline has it in its order of wakes.
    pub(super) wake: Option<Moment>,
}

/// When a lane's entries are sent although they are not due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Haste {
    /// How long a full entry waits for company.
    pub(super) company: Duration,
    /// As many entries as one request takes.
    pub(super) entries: usize,
}

impl<T> Lane<T> {
    /// Bytes of one lane that set off a request: more at once would come upon the shard as a burst. The KPL's number.
    const BURST: usize = 256 << 10;

    pub(super) fn new(shard: Option<ShardId>, range: HashKeyRange, limit: Option<Limit>) -> Self {
        Self {
            limit,
            shard,
            range,
            open: None,
            ready: VecDeque::new(),
            ready_bytes: 0,
            // A shard's buckets refill within a second; a long wait after a short burst would waste them.
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(2)),
            not_before: Moment::START,
            failed_at: None,
            wake: None,
        }
    }

    /// Whether it is the lane of the same shard, or of as many.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let shards = |lane: &Self| lane.limit.as_ref().map(Limit::shards);
        self.shard == other.shard && self.range == other.range && shards(self) == shards(other)
    }

    /// Adds a record behind all others. Tells whether that can change when something is to be sent.
    pub(super) fn push(
        &mut self,
        packer: &mut Packer<T>,
        haste: Haste,
        now: Moment,
        held: Held<T>,
        due: Moment,
    ) -> bool {
        if !packer.packs(self.shard.as_ref()) {
            let entry = Packer::alone(held, due, self.shard.as_ref(), self.range);
            self.enqueue(entry, haste, now);
            return true;
        }
        match packer.add(&mut self.open, held, due) {
            Added::Along => return false,
            Added::Sooner => {}
            Added::Full(full) => self.enqueue_full(packer, haste, now, full),
        }
        true
    }

    /// Whether it is packing something that takes this record too.
    pub(super) fn has_room(&mut self, packer: &mut Packer<T>, record: &Record) -> bool {
        self.open.as_mut().is_some_and(|open| packer.has_room(open, record))
    }

    /// Closes what it is packing, as if it were full.
    pub(super) fn close(&mut self, packer: &mut Packer<T>, haste: Haste, now: Moment) {
        if let Some(full) = self.open.take() {
            self.enqueue_full(packer, haste, now, full);
        }
    }

    /// Whether something is being packed.
    pub(super) fn is_packing(&self) -> bool {
        self.open.is_some()
    }

    /// Whether it may not send now.
    pub(super) fn is_held_back(&self, now: Moment) -> bool {
        self.not_before > now || self.limit.as_ref().is_some_and(|limit| limit.opens_at() > now)
    }

    fn enqueue_full(&mut self, packer: &mut Packer<T>, haste: Haste, now: Moment, full: Bundle<T>) {
        let mut entry = packer.close(full, self.shard.as_ref(), self.range);
        entry.due = entry.due.min(now.after(haste.company));
        self.enqueue(entry, haste, now);
    }

    fn enqueue(&mut self, entry: Entry<T>, haste: Haste, now: Moment) {
        self.ready_bytes += entry.size();
        self.ready.push_back(entry);
        if (self.ready_bytes >= Self::BURST || self.ready.len() >= haste.entries)
            && let Some(front) = self.ready.front_mut()
        {
            front.due = front.due.min(now);
        }
    }

    /// Puts entries before all others, in their order, to be sent as soon as the lane may.
    pub(super) fn push_front(&mut self, now: Moment, entries: impl DoubleEndedIterator<Item = Entry<T>>) {
        for mut entry in entries.rev() {
            entry.due = now;
            self.ready_bytes += entry.size();
            if bug!(RetriedBehindNewer) { self.ready.push_back(entry) } else { self.ready.push_front(entry) }
        }
    }

    /// Puts records before all others, packed anew.
    pub(super) fn push_records_front(&mut self, packer: &mut Packer<T>, now: Moment, records: Vec<Held<T>>) {
        let mut entries = Vec::new();
        let mut open = None;
        for held in records {
            if !packer.packs(self.shard.as_ref()) {
                entries.push(Packer::alone(held, now, self.shard.as_ref(), self.range));
            } else if let Added::Full(full) = packer.add(&mut open, held, now) {
                entries.push(packer.close(full, self.shard.as_ref(), self.range));
            }
        }
        if let Some(last) = open {
            entries.push(packer.close(last, self.shard.as_ref(), self.range));
        }
        self.push_front(now, entries.into_iter());
    }

    /// Takes the first entry of a lane that is due: one that is ready or, behind those, what is being packed if that is
    /// due by `horizon` itself.
    pub(super) fn pop(&mut self, packer: &mut Packer<T>, now: Moment, horizon: Moment) -> Option<Entry<T>> {
        if self.not_before > now || self.limit.as_mut().is_some_and(|limit| !limit.is_open(now)) {
            return None;
        }
        let entry = match self.ready.pop_front() {
            Some(entry) => {
                self.ready_bytes -= entry.size();
                entry
            }
            None => {
                let due = self.open.take_if(|open| open.due <= horizon)?;
                packer.close(due, self.shard.as_ref(), self.range)
            }
        };
        if let Some(limit) = &mut self.limit {
            limit.spend(entry.size());
        }
        Some(entry)
    }

    /// Takes out the records of the first entry if one of them was accepted before `since`, whether the lane may send or
    /// not.
    pub(super) fn pop_old(&mut self, since: Moment) -> Option<Vec<Held<T>>> {
        if self.oldest()? > since {
            return None;
        }
        match self.ready.pop_front() {
            Some(entry) => {
                self.ready_bytes -= entry.size();
                Some(entry.records)
            }
            None => self.open.take().map(Bundle::into_records),
        }
    }

    /// When the oldest record of its first entry was accepted.
    pub(super) fn oldest(&self) -> Option<Moment> {
        match self.ready.front() {
            Some(front) => Some(front.oldest),
            None => self.open.as_ref().map(|open| open.oldest),
        }
    }

    /// When the oldest record of all was accepted. What was sent again stands before older ones.
    pub(super) fn oldest_of_all(&self) -> Option<Moment> {
        let ready = self.ready.iter().map(|entry| entry.oldest);
        ready.chain(self.open.as_ref().map(|open| open.oldest)).min()
    }

    /// How its shard stands; nothing while none is known.
    pub(super) fn snapshot(&self, now: Moment) -> Option<ShardSnapshot> {
        let limit = self.limit.as_ref()?;
        let (share_used, share_allowed) = limit.shares(now);
        let ready: usize = self.ready.iter().map(|entry| entry.records.len()).sum();
        let open_again = self.not_before.max(limit.opens_at());
        Some(ShardSnapshot {
            shard: self.shard.clone(),
            records: ready + self.open.as_ref().map_or(0, Bundle::len),
            share_used,
            share_allowed,
            throttled: limit.is_cut(now),
            held_back: (open_again > now).then(|| open_again.since(now)),
        })
    }

    /// Gives back an entry that found no room in a request.
    pub(super) fn unpop(&mut self, entry: Entry<T>) {
        if let Some(limit) = &mut self.limit {
            limit.give_back(entry.size());
        }
        self.ready_bytes += entry.size();
        self.ready.push_front(entry);
    }

    /// When something in it is to be sent; nothing if it is empty.
    pub(super) fn due(&self) -> Option<Moment> {
        let due = match self.ready.front() {
            Some(front) => front.due,
            None => self.open.as_ref()?.due,
        };
        let opens = self.limit.as_ref().map_or(Moment::START, Limit::opens_at);
        Some(due.max(self.not_before).max(opens))
    }

    /// Makes all that it has due now.
    pub(super) fn hurry(&mut self, now: Moment) {
        if let Some(front) = self.ready.front_mut() {
            front.due = front.due.min(now);
        }
        if let Some(open) = &mut self.open {
            open.due = open.due.min(now);
        }
    }

    /// The shard did not take something that was sent then: leave it alone for a while. `throttled` if it takes less than
    /// it is given.
    pub(super) fn failed(&mut self, now: Moment, sent: Moment, throttled: bool, rng: &mut Rng) {
        if self.failed_at.is_some_and(|at| sent <= at) {
            return;
        }
        self.failed_at = Some(now);
        self.not_before = self.not_before.max(now.after(self.backoff.fail(rng)));
        if throttled && let Some(limit) = &mut self.limit {
            limit.refused(now);
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.backoff.succeed();
    }

    /// All its records, in order.
    pub(super) fn into_records(self) -> impl Iterator<Item = (Held<T>, Moment)> {
        let ready = self.ready.into_iter().map(|entry| (entry.due, entry.records));
        let open = self.open.into_iter().map(|open| (open.due, open.into_records()));
        ready.chain(open).flat_map(|(due, records)| records.into_iter().map(move |held| (held, due)))
    }
}
