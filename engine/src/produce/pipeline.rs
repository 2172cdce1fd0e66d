//! The machine itself: what it is given, what it asks for, and where its records are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use fastrand::Rng;
use shardflow_core::{
    Attempt, Fate, HashKey, HashKeyRange, PartitionKey, Record, SequenceNumber, Shard, ShardId,
};

use super::description::{Described, Description, Manner};
use super::epochs::{Epochs, FlushId};
use super::held::{Held, Trail};
use super::lane::{Haste, Lane};
use super::lane_index::LaneIndex;
use super::pack::{Entry, Packer};
use super::shard_map::ShardMap;
use super::{Measure, Ordering, Settings};
use crate::request::RequestIds;
use crate::{Failure, Moment, RequestId};

/// Everything that is decided about the records of one stream.
///
/// `T` is the caller's own mark on a record, given back when the record settles; the pipeline does not look at it.
#[derive(Debug)]
pub struct Pipeline<T> {
    pub(super) settings: Settings,
    pub(super) rng: Rng,
    pub(super) map: ShardMap,
    pub(super) described: Described,
    /// Where the next records without a key go.
    pub(super) point: HashKey,
    /// Records on their way in; kept for its memory.
    arriving: Vec<Held<T>>,
    /// Records that came before the first map.
    pub(super) waiting: VecDeque<Held<T>>,
    /// One lane an open shard, in the order of their ranges, or one for all where the service decides; none before the
    /// first map.
    pub(super) lanes: Vec<Lane<T>>,
    /// Where their ranges end.
    pub(super) index: LaneIndex,
    /// The lanes that have something to send, by when. Changed only when a lane's first entry changes, so that a put
    /// costs no more with a thousand shards than with one.
    pub(super) wakes: BTreeSet<(Moment, usize)>,
    pub(super) packer: Packer<T>,
    /// Parts of a request that was refused as a whole, to be sent by themselves.
    pub(super) isolated: VecDeque<Vec<Entry<T>>>,
    pub(super) flights: BTreeMap<RequestId, Flight<T>>,
    /// Aggregates that were taken by a shard that is not in the map.
    pub(super) unjudged: Vec<Unjudged<T>>,
    pub(super) epochs: Epochs,
    pub(super) held_bytes: usize,
    pub(super) ids: RequestIds,
    pub(super) requests: VecDeque<(RequestId, Request)>,
    pub(super) events: VecDeque<Event<T>>,
    /// Empty unless they are wanted.
    pub(super) measures: VecDeque<Measure>,
}

/// A PutRecords request that waits for its answer.
#[derive(Debug)]
pub(super) struct Flight<T> {
    pub(super) entries: Vec<Entry<T>>,
    pub(super) sent: Moment,
}

/// An aggregate that was taken by a shard whose range is not known.
#[derive(Debug)]
pub(super) struct Unjudged<T> {
    pub(super) entry: Entry<T>,
    pub(super) placed: Placed,
    pub(super) sent: Moment,
    pub(super) answered: Moment,
}

impl<T> Unjudged<T> {
    /// When its newest record was accepted.
    pub(super) fn newest(&self) -> Moment {
        self.entry.records.iter().map(|held| held.accepted).max().unwrap_or(self.sent)
    }
}

impl<T> Pipeline<T> {
    /// A pipeline without records. The seed decides the waits between tries, and nothing else.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            point: HashKey(rng.u128(..)),
            rng,
            map: ShardMap::new(),
            described: Described::new(settings.distribution),
            arriving: Vec::new(),
            waiting: VecDeque::new(),
            lanes: Vec::new(),
            index: LaneIndex::default(),
            wakes: BTreeSet::new(),
            packer: Packer::new(&settings),
            isolated: VecDeque::new(),
            flights: BTreeMap::new(),
            unjudged: Vec::new(),
            epochs: Epochs::default(),
            held_bytes: 0,
            ids: RequestIds::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            measures: VecDeque::new(),
            settings,
        }
    }

    // What the application wants.

    /// Accepts a record.
    pub fn put(&mut self, accepted: Moment, record: Record, tag: T) {
        self.put_all(accepted, std::iter::once((record, tag)));
    }

    /// Accepts records, of which many at once cost less each.
    ///
    /// They may be put together and somewhat later than they were `accepted`; [`Pipeline::handle_timeout`] follows.
    pub fn put_all(&mut self, accepted: Moment, records: impl Iterator<Item = (Record, T)>) {
        let mut arriving = std::mem::take(&mut self.arriving);
        for (record, tag) in records {
            self.held_bytes += Settings::cost(&record);
            let epoch = self.epochs.accept();
            arriving.push(Held { record, tag, accepted, epoch, trail: Trail::default() });
        }
        // Before any of them moves on: a record that is moved right after it was written makes the processor wait until all
        // that it has written before is where it belongs, and with a thousand lanes that is far away.
        let hash_keys = HashKey::of_all(arriving.iter().map(|held| &held.record));
        for (held, hash_key) in arriving.iter_mut().zip(hash_keys) {
            held.record.note_hash_key(hash_key);
        }
        for held in arriving.drain(..) {
            if self.lanes.is_empty() {
                self.map.want_first(accepted);
                self.described.want_first(accepted);
                self.waiting.push_back(held);
            } else {
                self.route(accepted, held);
            }
        }
        self.arriving = arriving;
    }

    /// Sends what is held without waiting for company. [`Event::Flushed`] follows when all that was accepted before is
    /// settled.
    pub fn flush(&mut self, now: Moment) -> FlushId {
        let id = self.epochs.flush();
        for lane in 0..self.lanes.len() {
            self.lanes[lane].hurry(now);
            self.rewake(lane);
        }
        self.collect(now);
        self.tell_flushes();
        id
    }

    /// Gives every record back that is not settled. Requests under way are not waited for.
    pub fn abandon(&mut self, now: Moment) {
        let flights = std::mem::take(&mut self.flights);
        let in_flight = flights.into_values().flat_map(|flight| {
            let failure =
                Failure::unknown("Abandoned", "given up while a request that carries it is under way");
            flight.entries.into_iter().map(move |entry| (entry, flight.sent, failure.clone()))
        });
        let unjudged = std::mem::take(&mut self.unjudged).into_iter().map(|unjudged| {
            let shard = unjudged.placed.shard_id;
            let message = format!("taken by {shard}, which may not be the shard of all its records");
            (unjudged.entry, unjudged.sent, Failure::unknown("Misplaced", message))
        });
        let mut records: Vec<Held<T>> = Vec::new();
        for (mut entry, sent, failure) in in_flight.chain(unjudged).collect::<Vec<_>>() {
            Trail::note(&mut entry.records, sent, now, &failure);
            records.append(&mut entry.records);
        }
        records
            .extend(std::mem::take(&mut self.isolated).into_iter().flatten().flat_map(|entry| entry.records));
        records.extend(
            std::mem::take(&mut self.lanes).into_iter().flat_map(Lane::into_records).map(|(held, _)| held),
        );
        records.extend(std::mem::take(&mut self.waiting));
        self.wakes.clear();
        self.requests.clear();
        for held in records {
            self.settle_failed(held, |record, attempts| Outcome::Abandoned { record, attempts });
        }
        self.tell_flushes();
    }

    // What happened.

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.refresh(now);
        self.release_waiting(now);
        self.release_unjudged(now);
        self.collect(now);
        self.tell_flushes();
    }

    /// A request was answered, or given up.
    pub fn handle_answer(&mut self, now: Moment, id: RequestId, answer: Answer) {
        if self.map.is_answer(id) {
            match answer {
                Answer::Shards(shards) => self.map_loaded(now, shards),
                Answer::Failed(failure) => self.map_failed(now, &failure),
                Answer::Put(_) | Answer::Described(_) => self.map_failed(now, &of_another_kind()),
            }
        } else if self.described.is_answer(id) {
            match answer {
                Answer::Described(description) => self.description_loaded(now, description),
                Answer::Failed(_) | Answer::Put(_) | Answer::Shards(_) => self.description_failed(now),
            }
        } else if let Some(flight) = self.flights.remove(&id) {
            match answer {
                Answer::Put(results) => self.put_answered(now, flight, results),
                Answer::Failed(failure) => self.put_failed(now, flight, &failure),
                Answer::Shards(_) | Answer::Described(_) => {
                    self.put_failed(now, flight, &of_another_kind());
                }
            }
            self.unblock();
        }
        self.refresh(now);
        self.release_waiting(now);
        self.release_unjudged(now);
        self.collect(now);
        self.tell_flushes();
    }

    // What to do about it.

    /// The next request to carry out.
    pub fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.requests.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// Takes back the memory of records that have been told, for the next ones. It may, and need not, be called.
    pub fn reuse(&mut self, told: Delivered<T>) {
        let mut records = told.records;
        records.clear();
        self.packer.keep_records(records);
    }

    /// When `handle_timeout` must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let lanes = self.wakes.first().filter(|_| self.has_free_flight()).map(|&(at, _)| at);
        [lanes, self.map.due(), self.described.due(), self.waiting_until(), self.unjudged_until()]
            .into_iter()
            .flatten()
            .min()
    }

    // What is so.

    /// Bytes of all records that are not settled, each counted as [`Settings::cost`].
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Largest record that the stream takes, partition key included, as far as that is known.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        self.settings.record_bytes.min(self.described.record_bytes().unwrap_or(usize::MAX))
    }

    /// Whether every accepted record is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held_bytes == 0
    }

    // The way in.

    /// Puts a record into the lane of its shard.
    pub(super) fn route(&mut self, now: Moment, held: Held<T>) {
        let limit = self.record_bytes();
        if held.record.size() > limit {
            return self.refuse_large(now, held, limit);
        }
        // What a flush already waits for does not wait for company.
        let due =
            if held.epoch != self.epochs.present() { now } else { held.accepted.after(self.settings.linger) };
        self.put_into_lane(now, held, due);
    }

    pub(super) fn put_into_lane(&mut self, now: Moment, held: Held<T>, due: Moment) {
        if held.record.is_keyless() && self.described.manner() != Some(Manner::Anywhere) {
            self.spread(now, held, due);
        } else {
            let lane = self.lane_of(held.hash_key());
            self.push(now, lane, held, due);
        }
    }

    pub(super) fn push(&mut self, now: Moment, lane: usize, held: Held<T>, due: Moment) {
        let haste = self.haste();
        if self.lanes[lane].push(&mut self.packer, haste, now, held, due) {
            self.rewake(lane);
        }
    }

    pub(super) fn haste(&self) -> Haste {
        Haste { company: self.settings.company(), entries: self.settings.request_entries }
    }

    /// The order that is kept. Where the service decides which shard takes what, there is none to keep.
    pub(super) fn ordering(&self) -> Ordering {
        match self.described.manner() {
            Some(Manner::Anywhere) => Ordering::None,
            Some(Manner::Together | Manner::Singly) | None => self.settings.ordering,
        }
    }

    pub(super) fn lane_of(&self, key: HashKey) -> usize {
        self.index.lane_of(key)
    }

    /// Keeps the order of wakes true after a lane has changed.
    pub(super) fn rewake(&mut self, lane: usize) {
        let expires = self.lanes[lane].oldest().map(|oldest| oldest.after(self.settings.record_ttl));
        let due = self.lanes[lane].due().map(|due| expires.map_or(due, |expires| due.min(expires)));
        let wake = due.filter(|_| !self.is_blocked(lane));
        let before = std::mem::replace(&mut self.lanes[lane].wake, wake);
        if before != wake {
            if let Some(before) = before {
                self.wakes.remove(&(before, lane));
            }
            if let Some(wake) = wake {
                self.wakes.insert((wake, lane));
            }
        }
    }

    /// Whether the lane's order forbids sending: something of its keys is under way.
    pub(super) fn is_blocked(&self, lane: usize) -> bool {
        match self.ordering() {
            Ordering::None => false,
            Ordering::PerKey => {
                let range = self.lanes[lane].range;
                let mut under_way = self
                    .flights
                    .values()
                    .flat_map(|flight| &flight.entries)
                    .chain(self.isolated.iter().flatten())
                    .chain(self.unjudged.iter().map(|unjudged| &unjudged.entry));
                under_way.any(|entry| entry.range.overlaps(&range))
            }
        }
    }

    pub(super) fn has_free_flight(&self) -> bool {
        self.flights.len() < self.settings.requests_in_flight
    }

    /// After an answer, lanes that had to wait for it may send.
    pub(super) fn unblock(&mut self) {
        match self.ordering() {
            Ordering::None => {}
            Ordering::PerKey => (0..self.lanes.len()).for_each(|lane| self.rewake(lane)),
        }
    }
}

/// What a pipeline asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// List the stream's shards, all pages.
    ListShards {
        /// Whether closed ones are wanted too: one of them may have taken something.
        closed: bool,
    },
    /// Tell what the stream is like.
    Describe,
    /// Put these entries.
    PutRecords(Vec<PutEntry>),
}

/// One entry of a PutRecords request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PutEntry {
    /// Its partition key. Absent for a record without one where the service decides its shard.
    pub partition_key: Option<PartitionKey>,
    /// The hash key that decides its shard. Absent where the service does.
    pub explicit_hash_key: Option<HashKey>,
    /// Its data.
    pub data: Bytes,
}

impl PutEntry {
    /// What it counts in a request: the service counts data and partition key.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len() + self.partition_key.as_ref().map_or(0, |key| key.as_bytes().len())
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The shards.
    Shards(Vec<Shard>),
    /// What the stream is like.
    Described(Description),
    /// What became of each entry, in the order of the request.
    Put(Vec<Result<Placed, Failure>>),
    /// The request failed as a whole.
    Failed(Failure),
}

/// Where an entry was put.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Placed {
    /// The shard that took it.
    pub shard_id: ShardId,
    /// Its place there.
    pub sequence_number: SequenceNumber,
}

/// What a pipeline tells.
#[derive(Debug)]
pub enum Event<T> {
    /// An entry was delivered, and all records with it.
    Delivered(Delivered<T>),
    /// A record was not delivered.
    Settled {
        /// Whose it is.
        tag: T,
        /// What became of it; not [`Outcome::Delivered`].
        outcome: Outcome,
    },
    /// All records accepted before a flush are settled.
    Flushed {
        /// The flush.
        id: FlushId,
        /// How many of those accepted since the flush before were not delivered.
        failed: u64,
    },
}

/// The records of an entry that was delivered.
#[derive(Debug)]
pub struct Delivered<T> {
    pub(super) placed: Placed,
    pub(super) records: Vec<Held<T>>,
}

impl<T> Delivered<T> {
    /// Where they are.
    #[must_use]
    pub fn placed(&self) -> &Placed {
        &self.placed
    }

    /// Each record's mark, and what it has counted: its [`Settings::cost`].
    pub fn tags(&self) -> impl Iterator<Item = (&T, usize)> {
        self.records.iter().map(|held| (&held.tag, Settings::cost(&held.record)))
    }

    /// Each record's mark, its index in the aggregate unless it travelled alone, and the tries that it took.
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = (T, Option<u64>, u32)> {
        let alone = self.records.len() == 1;
        let mut index = 0;
        self.records.drain(..).map(move |held| {
            let place = (!alone).then_some(index);
            index += 1;
            (held.tag, place, held.trail.len() + 1)
        })
    }

    /// The same as [`Outcome::Delivered`].
    pub fn outcomes(&mut self) -> impl Iterator<Item = (T, Outcome)> {
        let placed = self.placed.clone();
        self.drain().map(move |(tag, sub_sequence_number, attempts)| {
            (tag, Outcome::Delivered { placed: placed.clone(), sub_sequence_number, attempts })
        })
    }
}

/// What became of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is in the stream.
    Delivered {
        /// Where.
        placed: Placed,
        /// Its index in its aggregate; `None` if it travelled alone.
        sub_sequence_number: Option<u64>,
        /// Tries that it took, this one included.
        attempts: u32,
    },
    /// Its time to live ran out.
    Expired {
        /// The record.
        record: Record,
        /// What was tried.
        attempts: Vec<Attempt>,
    },
    /// The service does not take it.
    Refused {
        /// The record.
        record: Record,
        /// What was tried; the last one says why.
        attempts: Vec<Attempt>,
    },
    /// It was given up with everything else.
    Abandoned {
        /// The record.
        record: Record,
        /// What was tried.
        attempts: Vec<Attempt>,
    },
}

impl Outcome {
    /// What is known of the record's fate.
    #[must_use]
    pub fn fate(&self) -> Option<Fate> {
        match self {
            Self::Delivered { .. } => None,
            Self::Expired { attempts, .. }
            | Self::Refused { attempts, .. }
            | Self::Abandoned { attempts, .. } => {
                Some(attempts.iter().map(|attempt| attempt.fate).max().unwrap_or(Fate::Absent))
            }
        }
    }
}

fn of_another_kind() -> Failure {
    Failure::unknown("Unreadable", "an answer of another kind")
}

/// The lanes of a pipeline that knows no shard: one, for the whole space.
pub(super) fn lane_without_map<T>() -> Lane<T> {
    // Without a shard there is nothing to have a share of.
    Lane::new(None, HashKeyRange::ALL, None)
}
