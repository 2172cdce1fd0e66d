//! The machine itself: what it is told, what it asks for, and how far it is.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{Checkpoint, LeaseRow, Shard};

use super::fetch::Fetch;
use super::room::Room;
use super::trouble::Trouble;
use super::work::{Task, Work};
use super::{ReadAnswer, ReadEvent, ReadRequest, Records, Settings, Start};
use crate::backoff::Backoff;
use crate::request::RequestIds;
use crate::{Failure, Moment, RequestId};

/// The life of one shard in one tenure of its lease.
#[derive(Debug)]
pub struct ShardLife {
    pub(super) settings: Settings,
    pub(super) rng: Rng,
    pub(super) fetch: Fetch,
    pub(super) room: Room,
    pub(super) work: Work,
    /// Read, and not given to the handler yet.
    pub(super) queue: VecDeque<Batch>,
    /// Until when the lease is believed.
    pub(super) until: Moment,
    pub(super) stop: Option<Stop>,
    /// Whether there is a handler that has heard of the shard.
    pub(super) initialized: bool,
    /// The records that the handler fails at.
    pub(super) trouble: Trouble,
    /// Records that are decided and that a fresh handler reads once more.
    pub(super) passed: BTreeSet<Checkpoint>,
    pub(super) handler: Backoff,
    /// Failures in a row of what is no batch.
    pub(super) handler_failures: u32,
    pub(super) ids: RequestIds,
    pub(super) requests: VecDeque<(RequestId, Request)>,
    pub(super) events: VecDeque<Event>,
}

impl ShardLife {
    /// The life of a shard whose lease has just been acquired.
    #[must_use]
    pub fn new(row: LeaseRow, until: Moment, settings: Settings, seed: u64, now: Moment) -> Self {
        let (least, most) = settings.handler_backoff;
        let mut rng = Rng::with_seed(seed);
        let start = Start::behind(&row.checkpoint, settings.timestamp);
        let mut this = Self {
            fetch: Fetch::new(row.shard_id, row.hash_key_range, start, settings.clone(), rng.fork(), now),
            room: Room::new(settings.retrieval),
            settings,
            rng,
            work: Work::Due { task: Task::Initialize, at: now },
            queue: VecDeque::new(),
            until,
            stop: None,
            initialized: false,
            trouble: Trouble::default(),
            passed: BTreeSet::new(),
            handler: Backoff::new(least, most),
            handler_failures: 0,
            ids: RequestIds::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
        };
        this.handle_timeout(now);
        this
    }

    // What the application, or the lease, wants.

    /// The lease has been proved once more.
    pub fn kept(&mut self, now: Moment, until: Moment) {
        self.until = until.max(self.until);
        self.handle_timeout(now);
    }

    /// The shard is to be given up. What the handler is busy with is waited for. A lost lease outweighs everything.
    pub fn stop(&mut self, now: Moment, stop: Stop) {
        self.stop = Some(self.stop.map_or(stop, |before| before.max(stop)));
        self.handle_timeout(now);
    }

    // What happened.

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.advance_work(now);
        self.advance_fetch(now);
    }

    /// A request was answered, or given up.
    pub fn handle_answer(&mut self, now: Moment, id: RequestId, answer: Answer) {
        match std::mem::replace(&mut self.work, Work::Idle) {
            Work::Doing { id: doing, task, .. } if doing == id => self.worked(now, task, answer),
            work => {
                self.work = work;
                if !self.room.granted(id) {
                    self.read(now, id, answer);
                }
            }
        }
        self.handle_timeout(now);
    }

    // What to do about it.

    /// The next request to carry out.
    pub fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.requests.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When `handle_timeout` must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let work = match &self.work {
            Work::Due { at, .. } => Some(*at),
            Work::Doing { warn_at, .. } => *warn_at,
            Work::Idle | Work::Done => None,
        };
        let fetch = match self.may_fetch() {
            true if self.room.is_asked() => self.fetch.due_without_records(),
            true => self.fetch.due(),
            false => None,
        };
        [work, fetch].into_iter().flatten().min()
    }

    // What is so.

    /// Whether there is nothing more to do.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.work, Work::Done)
    }

    // Reading.

    fn read(&mut self, now: Moment, id: RequestId, answer: Answer) {
        let caught_up = match &answer {
            Answer::Read(ReadAnswer::Page(page)) => Some(page.behind.is_zero()),
            Answer::Read(ReadAnswer::Delivered(delivery)) => Some(delivery.behind.is_zero()),
            _ => None,
        };
        let answer = match answer {
            Answer::Read(answer) => Ok(answer),
            Answer::Failed(failure) => Err(failure),
            // It is no answer to anything that reading asks for.
            Answer::Done | Answer::Untouched | Answer::Fresh { .. } | Answer::Panicked(_) => {
                Err(Failure::unknown("Unreadable", "an answer of another kind"))
            }
        };
        let was_reading = self.fetch.is_reading();
        let batch = self.fetch.answered(now, id, answer);
        if was_reading && !self.fetch.is_reading() {
            let bytes = batch.as_ref().map_or(0, Batch::bytes);
            self.settle_room(caught_up.map(|caught_up| (bytes, caught_up)));
        }
        // What a fresh handler is to get is read for it.
        if !self.rests() {
            let open = batch.and_then(|batch| self.undecided(batch));
            self.queue.extend(open);
        }
    }

    fn advance_fetch(&mut self, now: Moment) {
        while self.may_fetch() {
            if self.fetch.wants_records(now) && !self.room.is_granted() {
                self.ask_for_room();
                break;
            }
            let Some((id, request)) = self.fetch.advance(now, &mut self.ids) else { break };
            self.requests.push_back((id, Request::Read(request)));
        }
        self.events.extend(self.fetch.take_events().into_iter().map(Event::Read));
    }

    /// A few batches ahead, and nothing more once the shard is to be given up.
    fn may_fetch(&self) -> bool {
        self.queue.len() < self.settings.read_ahead.max(1)
            && self.stop.is_none()
            && !self.is_finished()
            && !self.rests()
    }
}

/// Why a shard is given up. A later one outweighs an earlier one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stop {
    /// All its records have been processed, and there will be no more.
    ShardEnd,
    /// The worker shuts down.
    Shutdown,
    /// Another worker is to have it.
    Handoff,
    /// Another worker has it, or may have it.
    LeaseLost,
}

/// Records to be processed, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The records; at least one.
    pub records: Records,
    /// How far behind the newest record of the shard the last of them is.
    pub behind: Duration,
}

impl Batch {
    /// Where its first and its last record lie.
    pub(super) fn ends(&self) -> (Checkpoint, Checkpoint) {
        let ends = self.records.first().zip(self.records.last());
        let (first, last) = ends.expect("a batch holds at least one record");
        (first.checkpoint(), last.checkpoint())
    }

    /// Leaves the first `at` records in it, and gives the others.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let (mine, others) = self.records.split_at(at);
        let (mine, others) = (mine.to_vec().into(), others.to_vec().into());
        self.records = mine;
        Self { records: others, behind: self.behind }
    }
}

/// What a shard's life asks for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Something that reading needs.
    Read(ReadRequest),
    /// Wait for room to read that much into; it is had until the read is answered.
    Room {
        /// How much it may be.
        bytes: usize,
    },
    /// Tell the handler that it is going to get this shard's records.
    Initialize,
    /// Give the handler a batch.
    Process(Batch),
    /// Give a record that the handler cannot process to the sink of dead letters.
    DeadLetter {
        /// The record.
        batch: Batch,
        /// How the handler failed at last.
        failure: Failure,
    },
    /// A record is decided without the handler: let checkpoints pass it.
    Pass(Batch),
    /// Make a fresh handler in place of the one there is, which begins at the last checkpoint.
    Restart,
    /// Enter leases for the shards that came from this one.
    EnterChildren(Vec<Shard>),
    /// Tell the handler that it will get no more.
    Stop(Stop),
    /// Store that the shard is done.
    CheckpointEnd,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What reading asked for.
    Read(ReadAnswer),
    /// What had no other answer is done.
    Done,
    /// Nobody has looked at the batch: it was taken back, since the shard is to be given up. That is no failure.
    Untouched,
    /// There is a fresh handler.
    Fresh {
        /// The checkpoint that is stored.
        checkpoint: Checkpoint,
        /// The records behind it that were passed over.
        passed: BTreeSet<Checkpoint>,
    },
    /// The handler panicked, and is of no use any more.
    Panicked(Failure),
    /// It failed.
    Failed(Failure),
}

/// What a shard's life tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// The handler failed, or the last checkpoint of the shard did.
    HandlerFailed {
        /// How.
        failure: Failure,
        /// How many times in a row.
        times: u32,
        /// When it is tried again; `None` if it is not.
        again: Option<Duration>,
    },
    /// A call of the handler, or of the sink of dead letters, has not returned yet.
    Slow {
        /// How long it has been going on.
        time: Duration,
    },
    /// A record was passed over, since the handler failed too often.
    Skipped {
        /// The record.
        at: Checkpoint,
        /// How it failed at last.
        failure: Failure,
        /// How many times.
        times: u32,
    },
    /// The sink of dead letters has a record that the handler cannot process.
    DeadLettered {
        /// The record.
        at: Checkpoint,
    },
    /// The sink of dead letters failed; it is tried again.
    DeadLetterFailed {
        /// How.
        failure: Failure,
        /// How many times in a row.
        times: u32,
        /// When it is tried again.
        again: Duration,
    },
    /// The handler failed too often: the lease is kept, and nothing read or processed for a while.
    Resting {
        /// How it failed at last.
        failure: Failure,
        /// How long.
        time: Duration,
    },
    /// The shard's children cannot have their leases yet; it is tried again.
    ChildrenWait {
        /// Why.
        failure: Failure,
    },
    /// Something about reading.
    Read(ReadEvent),
    /// There is nothing more to do.
    Finished(Finish),
}

/// How a shard's life ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finish {
    /// The shard is done for good.
    ShardEnd,
    /// The handler has let go of it; the lease can be left.
    Released,
    /// The lease was lost.
    LeaseLost,
}

impl Finish {
    pub(super) fn of(stop: Stop) -> Self {
        match stop {
            Stop::ShardEnd => Self::ShardEnd,
            Stop::Shutdown | Stop::Handoff => Self::Released,
            Stop::LeaseLost => Self::LeaseLost,
        }
    }
}
