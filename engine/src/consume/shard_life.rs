//! The machine itself: what it is told, what it asks for, and how far it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use shardflow_core::{Checkpoint, KinesisRecord, LeaseRow, Shard, ShardPosition, UserRecord};

use super::Settings;
use super::fetch::Fetch;
use crate::backoff::Backoff;
use crate::request::RequestIds;
use crate::{Failure, Moment, RequestId};

/// The life of one shard in one tenure of its lease.
#[derive(Debug)]
pub struct ShardLife {
    pub(super) settings: Settings,
    pub(super) rng: Rng,
    pub(super) row: LeaseRow,
    pub(super) fetch: Fetch,
    work: Work,
    /// Read, and not given to the handler yet.
    queue: VecDeque<Batch>,
    /// Until when the lease is believed.
    until: Moment,
    stop: Option<Stop>,
    initialized: bool,
    handler: Backoff,
    handler_failures: u32,
    pub(super) ids: RequestIds,
    pub(super) requests: VecDeque<(RequestId, Request)>,
    pub(super) events: VecDeque<Event>,
}

/// What the handler is busy with.
#[derive(Debug)]
enum Work {
    /// Something is to be done, now or when it has been left alone for a while.
    Due {
        task: Task,
        at: Moment,
    },
    /// Something is being done.
    Doing {
        id: RequestId,
        task: Task,
    },
    /// It waits for records.
    Idle,
    Done,
}

#[derive(Clone, Debug)]
enum Task {
    Initialize,
    Process(Batch),
    EnterChildren(Vec<Shard>),
    Stop(Stop),
    CheckpointEnd,
}

impl ShardLife {
    /// The life of a shard whose lease has just been acquired.
    #[must_use]
    pub fn new(row: LeaseRow, until: Moment, settings: Settings, seed: u64, now: Moment) -> Self {
        let (least, most) = settings.handler_backoff;
        let mut this = Self {
            rng: Rng::with_seed(seed),
            fetch: Fetch::new(&row.checkpoint, &settings, now),
            work: Work::Due { task: Task::Initialize, at: now },
            queue: VecDeque::new(),
            until,
            stop: None,
            initialized: false,
            handler: Backoff::new(least, most),
            handler_failures: 0,
            ids: RequestIds::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            settings,
            row,
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
            Work::Doing { id: doing, task } if doing == id => self.worked(now, task, answer),
            work => {
                self.work = work;
                if let Some(batch) = self.fetched(now, id, answer) {
                    self.queue.push_back(batch);
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
            Work::Doing { .. } | Work::Idle | Work::Done => None,
        };
        let fetch = self.may_fetch().then(|| self.fetch.due()).flatten();
        [work, fetch].into_iter().flatten().min()
    }

    // What is so.

    /// Whether there is nothing more to do.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.work, Work::Done)
    }

    /// One batch ahead, and nothing more once the shard is to be given up.
    pub(super) fn may_fetch(&self) -> bool {
        self.queue.is_empty() && self.stop.is_none() && !self.is_finished()
    }

    // Working.

    fn advance_work(&mut self, now: Moment) {
        loop {
            match &self.work {
                Work::Doing { .. } | Work::Done => return,
                Work::Due { task, at } => {
                    if let Some(stop) = self.stop.filter(|stop| self.outweighs(*stop, task)) {
                        self.stop_instead(now, stop);
                    } else if *at > now {
                        return;
                    } else {
                        let task = task.clone();
                        self.begin(task);
                    }
                }
                Work::Idle => match self.next_task(now) {
                    Some(task) => self.work = Work::Due { task, at: now },
                    None => return,
                },
            }
        }
    }

    /// Whether a task that is due is left to the shard's next owner.
    fn outweighs(&self, stop: Stop, task: &Task) -> bool {
        match task {
            Task::Initialize | Task::Process(_) | Task::EnterChildren(_) => true,
            Task::Stop(before) => *before == Stop::ShardEnd,
            // The last step of a shard that is done is still taken, if it can be.
            Task::CheckpointEnd => stop == Stop::LeaseLost || self.handler_failures > 0,
        }
    }

    fn stop_instead(&mut self, now: Moment, stop: Stop) {
        if self.initialized {
            self.work = Work::Due { task: Task::Stop(stop), at: now };
        } else {
            // A handler that has not heard of the shard need not hear of its end.
            self.finish(Finish::of(stop));
        }
    }

    fn next_task(&mut self, now: Moment) -> Option<Task> {
        if let Some(stop) = self.stop {
            return Some(Task::Stop(stop));
        }
        // Its end by time alone is told by the coordinator, and then there is a stop.
        if now >= self.until {
            return None;
        }
        let batch = self.queue.pop_front().map(Task::Process);
        batch.or_else(|| self.fetch.end().map(|children| Task::EnterChildren(children.to_vec())))
    }

    fn begin(&mut self, task: Task) {
        let request = match &task {
            Task::Initialize => Request::Initialize,
            Task::Process(batch) => Request::Process(batch.clone()),
            Task::EnterChildren(children) => Request::EnterChildren(children.clone()),
            Task::Stop(stop) => Request::Stop(*stop),
            Task::CheckpointEnd => Request::CheckpointEnd,
        };
        let id = self.ids.next();
        self.requests.push_back((id, request));
        self.work = Work::Doing { id, task };
    }

    fn worked(&mut self, now: Moment, task: Task, answer: Answer) {
        let failure = match answer {
            Answer::Done => None,
            Answer::Failed(failure) => Some(failure),
            Answer::Iterator { .. } | Answer::Page(_) | Answer::Shards(_) => {
                Some(Failure::unknown("Unreadable", "an answer of another kind"))
            }
        };
        match (task, failure) {
            // The shard goes whether the handler has managed to say good-bye or not.
            (Task::Stop(stop @ (Stop::Shutdown | Stop::Handoff | Stop::LeaseLost)), failure) => {
                if let Some(failure) = failure {
                    self.handler_failures += 1;
                    self.events.push_back(Event::HandlerFailed {
                        failure,
                        times: self.handler_failures,
                        again: None,
                    });
                }
                self.finish(Finish::of(stop));
            }
            (task @ Task::EnterChildren(_), Some(failure)) => {
                self.events.push_back(Event::ChildrenWait { failure });
                self.work = Work::Due { task, at: now.after(Self::CHILDREN_WAIT) };
            }
            (task, Some(failure)) => {
                let wait = self.handler.fail(&mut self.rng);
                self.handler_failures += 1;
                let again = self.stop.is_none().then_some(wait);
                self.events.push_back(Event::HandlerFailed { failure, times: self.handler_failures, again });
                self.work = Work::Due { task, at: now.after(wait) };
            }
            (task, None) => {
                self.handler.succeed();
                self.handler_failures = 0;
                self.initialized = true;
                self.work = match task {
                    Task::Initialize | Task::Process(_) => Work::Idle,
                    Task::EnterChildren(_) => Work::Due { task: Task::Stop(Stop::ShardEnd), at: now },
                    Task::Stop(_) => Work::Due { task: Task::CheckpointEnd, at: now },
                    Task::CheckpointEnd => return self.finish(Finish::ShardEnd),
                };
            }
        }
    }

    /// Pause before the children of a shard are entered again. The other parent of one may take its time.
    const CHILDREN_WAIT: Duration = Duration::from_secs(1);

    fn finish(&mut self, finish: Finish) {
        self.work = Work::Done;
        self.queue.clear();
        self.events.push_back(Event::Finished(finish));
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
    pub records: Arc<[UserRecord]>,
    /// How far behind the newest record of the shard the last of them is.
    pub behind: Duration,
}

/// What a shard's life asks for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Get an iterator.
    OpenIterator(ShardPosition),
    /// Read.
    GetRecords {
        /// From where.
        iterator: String,
        /// Most records.
        limit: usize,
    },
    /// List all shards of the stream: the end of the shard did not tell its children.
    ListShards,
    /// Tell the handler that it is going to get this shard's records.
    Initialize,
    /// Give the handler a batch.
    Process(Batch),
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
    /// An iterator, and when it was asked for.
    Iterator {
        /// The iterator.
        iterator: String,
        /// The time by the wall, for a shard that starts at its newest record.
        asked: SystemTime,
    },
    /// Records.
    Page(Page),
    /// The shards of the stream.
    Shards(Vec<Shard>),
    /// What had no other answer is done.
    Done,
    /// It failed.
    Failed(Failure),
}

/// What one read gave.
#[derive(Clone, Debug)]
pub struct Page {
    /// Records.
    pub records: Vec<KinesisRecord>,
    /// From where to read on; none at the end of the shard.
    pub next: Option<String>,
    /// How far behind the newest record of the shard it ends.
    pub behind: Duration,
    /// The shards that came from this one, at its end.
    pub children: Vec<Shard>,
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
    /// Reading failed.
    ReadFailed {
        /// How.
        failure: Failure,
        /// How many times in a row.
        times: u32,
    },
    /// The shard's children cannot have their leases yet; it is tried again.
    ChildrenWait {
        /// Why.
        failure: Failure,
    },
    /// Data that looked like an aggregate was none, and was delivered as it is.
    CorruptAggregate {
        /// Where it lies.
        at: Checkpoint,
    },
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
    fn of(stop: Stop) -> Self {
        match stop {
            Stop::ShardEnd => Self::ShardEnd,
            Stop::Shutdown | Stop::Handoff => Self::Released,
            Stop::LeaseLost => Self::LeaseLost,
        }
    }
}
