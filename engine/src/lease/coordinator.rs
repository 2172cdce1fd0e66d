//! The machine itself: what it is told, what it asks for, and what it holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{Checkpoint, LeaseChange, LeaseKey, LeaseRow, Shard, ShardId, WorkerId};

use super::Settings;
use super::choose::{Choice, choose};
use super::held::{Held, Tenure};
use super::sighting::Sightings;
use super::start::Start;
use crate::request::RequestIds;
use crate::shards::ShardFilter;
use crate::{Failure, Moment, RequestId};

/// Everything that one worker decides about leases.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) me: WorkerId,
    pub(super) settings: Settings,
    pub(super) rng: Rng,
    pub(super) held: BTreeMap<LeaseKey, Held>,
    /// Leases that are given up, but not yet in the table.
    pub(super) leaving: BTreeMap<LeaseKey, Leaving>,
    /// Ended shards whose children are being entered into the table.
    pub(super) families: BTreeMap<LeaseKey, Family>,
    pub(super) seen: Sightings,
    pub(super) start: Start,
    /// Whether it has been through with the start once.
    pub(super) started: bool,
    /// Since when looks have shown that a lease is missing.
    pub(super) missing_since: Option<Moment>,
    pub(super) pending: BTreeMap<RequestId, Pending>,
    pub(super) next_look: Moment,
    pub(super) tenures: u64,
    pub(super) stopping: bool,
    pub(super) ids: RequestIds,
    pub(super) requests: VecDeque<(RequestId, Request)>,
    pub(super) events: VecDeque<Event>,
}

impl Coordinator {
    /// Pause before a failed request is tried again.
    pub(super) const PAUSE: Duration = Duration::from_millis(200);

    /// A worker without leases, which looks at the table at once. The seed spreads workers that start together.
    #[must_use]
    pub fn new(me: WorkerId, settings: Settings, seed: u64, now: Moment) -> Self {
        let mut this = Self {
            me,
            settings,
            rng: Rng::with_seed(seed),
            held: BTreeMap::new(),
            leaving: BTreeMap::new(),
            families: BTreeMap::new(),
            seen: Sightings::default(),
            start: Start::Looking,
            started: false,
            missing_since: None,
            pending: BTreeMap::new(),
            next_look: now,
            tenures: 0,
            stopping: false,
            ids: RequestIds::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
        };
        this.handle_timeout(now);
        this
    }

    // What the application wants.

    /// Stores how far a shard has been processed. [`Event::Checkpointed`] or [`Event::NotCheckpointed`] follows.
    pub fn checkpoint(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        checkpoint: Checkpoint,
        id: CheckpointId,
    ) {
        self.expire(now);
        match self.held.get_mut(key).filter(|held| held.tenure == tenure && !held.leaving) {
            Some(held) => {
                held.wanted.push_back((checkpoint, id));
                self.write_due(now);
            }
            None => self.events.push_back(Event::NotCheckpointed { id, cause: NotWritten::LeaseLost }),
        }
    }

    /// A shard has been read to its end: enters its children, which are read from their beginning.
    /// [`Event::ChildrenEntered`] or [`Event::ChildrenMustWait`] follows.
    pub fn enter_children(&mut self, now: Moment, key: &LeaseKey, tenure: Tenure, children: Vec<Shard>) {
        if self.held.get(key).is_some_and(|held| held.tenure == tenure) {
            let ids = children.iter().map(|child| child.id.clone()).collect();
            let rows =
                children.iter().map(|child| crate::shards::lease(child, Checkpoint::TrimHorizon)).collect();
            self.families.insert(key.clone(), Family { tenure, rows, ids, alone: false, retry: Some(now) });
            self.advance_families(now);
        } else {
            self.events.push_back(Event::ChildrenMustWait { key: key.clone(), tenure });
        }
    }

    /// Gives a lease up: to the worker that is to get it, or to whoever wants it. One whose shard has ended is just
    /// dropped.
    pub fn leave(&mut self, now: Moment, key: &LeaseKey, tenure: Tenure) {
        self.expire(now);
        if let Some(held) = self.held.get_mut(key).filter(|held| held.tenure == tenure) {
            held.leaving = true;
            self.leave_ready(now);
        }
    }

    /// Stops taking leases. Those that are held are kept until each is left.
    pub fn shut_down(&mut self, now: Moment) {
        self.stopping = true;
        self.expire(now);
    }

    /// Looks at the table now, since something has happened that may have freed a lease.
    pub fn look_soon(&mut self, now: Moment) {
        self.next_look = self.next_look.min(now);
        self.handle_timeout(now);
    }

    // What happened.

    /// Time has passed: what is too old is lost, what is due is written.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.expire(now);
        self.write_due(now);
        self.leave_ready(now);
        self.retry_leaving(now);
        self.advance_families(now);
        self.advance_start(now);
        if now >= self.next_look && !self.stopping && !self.is_looking() {
            let spread = 0.9 + 0.2 * self.rng.f64();
            self.next_look = now.after(self.settings.scan_every.mul_f64(spread));
            self.send(Pending::Look, Request::List);
        }
    }

    /// The table or the stream answered.
    pub fn handle_answer(&mut self, now: Moment, id: RequestId, answer: Answer) {
        let Some(pending) = self.pending.remove(&id) else { return };
        self.expire(now);
        match (pending, answer) {
            (Pending::Look, Answer::Rows(rows)) => self.looked(now, rows),
            (Pending::Look, answer) => self.look_failed(now, answer),
            (Pending::Shards, answer) => self.shards_listed(now, answer),
            (Pending::Relatives { key, tenure, missing }, answer) => {
                self.relatives_listed(now, &key, tenure, &missing, answer);
            }
            (Pending::Create { family }, answer) => self.created(now, family, answer),
            (Pending::Children { key, tenure }, answer) => self.children_noted(now, &key, tenure, answer),
            (Pending::Renew { key, tenure, counter, sent }, answer) => {
                self.written(now, &key, tenure, counter, sent, None, answer);
            }
            (Pending::Checkpoint { key, tenure, counter, sent, checkpoint }, answer) => {
                self.written(now, &key, tenure, counter, sent, Some(checkpoint), answer);
            }
            (Pending::Take { before, change, sent }, answer) => {
                self.took(now, &before, &change, sent, answer);
            }
            // Whether it was granted shows in the row.
            (Pending::Ask, _) => {}
            (Pending::Leave { key }, answer) => self.left(now, &key, answer),
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
        let look = (!self.stopping && !self.is_looking()).then_some(self.next_look);
        let held = self.held.values().flat_map(|held| self.wakes(held)).min();
        let leaving = self.leaving.values().filter_map(|leaving| leaving.retry).min();
        let families = self.families.values().filter_map(|family| family.retry).min();
        [look, held, leaving, families, self.start.retry()].into_iter().flatten().min()
    }

    // What is so.

    /// Whether records of the lease may be processed at `now`.
    #[must_use]
    pub fn holds(&self, key: &LeaseKey, now: Moment) -> bool {
        self.held.get(key).is_some_and(|held| now < held.until(self.settings.failover))
    }

    /// The leases that it has, with their tenures.
    pub fn held(&self) -> impl Iterator<Item = (&LeaseKey, Tenure)> {
        self.held.iter().map(|(key, held)| (key, held.tenure))
    }

    /// Whether it has seen the table and made sure that every shard has a lease.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// Whether nothing is held and nothing under way that gives a lease up.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held.is_empty() && self.leaving.is_empty()
    }

    // Looking at the table.

    fn is_looking(&self) -> bool {
        self.pending.values().any(|pending| matches!(pending, Pending::Look))
    }

    fn looked(&mut self, now: Moment, rows: Vec<LeaseRow>) {
        self.seen.look(now, rows);
        self.begin_start(now);
        if self.stopping {
            return;
        }
        self.take_up_again(now);
        for choice in choose(&self.me, &self.seen, now, &self.settings, &mut self.rng) {
            self.go_for(now, choice);
        }
        self.look_again_in_time(now);
    }

    /// Rows that name this worker, although it does not hold them: a former life's, a handoff's end, or a take whose
    /// answer was lost. Renewing proves that they still are ours.
    fn take_up_again(&mut self, now: Moment) {
        let mine: Vec<_> = self
            .seen
            .iter()
            .map(|sighting| &sighting.row)
            .filter(|row| row.owner.as_ref() == Some(&self.me) && row.checkpoint_owner.is_none())
            .filter(|row| {
                !row.checkpoint.is_shard_end()
                    && self.seen.parents_are_done(row)
                    && self.is_free_here(&row.key)
            })
            .cloned()
            .collect();
        for row in mine {
            let change = LeaseChange::Renew { counter: row.counter, handing_over: false, throughput: None };
            self.take(now, row, change);
        }
    }

    fn go_for(&mut self, now: Moment, choice: Choice) {
        match choice {
            Choice::Take(key) => {
                if let Some(row) =
                    self.seen.get(&key).map(|s| s.row.clone()).filter(|_| self.is_free_here(&key))
                {
                    let change = LeaseChange::Take {
                        worker: self.me.clone(),
                        counter: row.counter,
                        owner: row.owner.clone(),
                        checkpoint_owner: row.checkpoint_owner.clone(),
                    };
                    self.take(now, row, change);
                }
            }
            Choice::Ask { key, from } => {
                let change = LeaseChange::StartHandoff { from, to: self.me.clone() };
                self.send(Pending::Ask, Request::Write { key, change });
                // The old owner needs a while; look whether it is done sooner than usual.
                self.next_look = self.next_look.min(now.after(Self::EAGER));
            }
        }
    }

    /// Time between looks while a lease is known to be on its way.
    pub(super) const EAGER: Duration = Duration::from_secs(1);

    /// Whether nothing is under way here that concerns the lease.
    fn is_free_here(&self, key: &LeaseKey) -> bool {
        let taking =
            |pending: &Pending| matches!(pending, Pending::Take { before, .. } if before.key == *key);
        !self.held.contains_key(key) && !self.leaving.contains_key(key) && !self.pending.values().any(taking)
    }

    fn take(&mut self, now: Moment, before: LeaseRow, change: LeaseChange) {
        let key = before.key.clone();
        self.send(
            Pending::Take { before: Box::new(before), change: change.clone(), sent: now },
            Request::Write { key, change },
        );
    }

    /// Brings the next look forward to when a lease would count as free, or while one is being handed to us.
    fn look_again_in_time(&mut self, now: Moment) {
        let expiry =
            self.seen.first_expiry(&self.me, self.settings.failover).map(|at| at.max(now.after(Self::PAUSE)));
        let coming = self
            .seen
            .iter()
            .any(|s| s.row.owner.as_ref() == Some(&self.me) && s.row.checkpoint_owner.is_some());
        let eager = coming.then(|| now.after(Self::EAGER));
        self.next_look =
            [Some(self.next_look), expiry, eager].into_iter().flatten().min().unwrap_or(self.next_look);
    }

    fn look_failed(&mut self, now: Moment, answer: Answer) {
        if let Answer::Failed(failure) = answer {
            self.start_failed(now, failure);
        }
        self.next_look = self.next_look.min(now.after(Self::EAGER));
    }

    pub(super) fn send(&mut self, pending: Pending, request: Request) {
        let id = self.ids.next();
        self.pending.insert(id, pending);
        self.requests.push_back((id, request));
    }
}

/// A lease that is given up, until the table says so.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) change: LeaseChange,
    pub(super) tries: u32,
    /// When to try again; `None` while a try is under way.
    pub(super) retry: Option<Moment>,
}

/// The children of a shard that has ended.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) tenure: Tenure,
    /// Those that are not in the table yet.
    pub(super) rows: VecDeque<LeaseRow>,
    pub(super) ids: BTreeSet<ShardId>,
    /// Whether a second parent that has no lease has been found to be gone from the stream.
    pub(super) alone: bool,
    /// When to go on; `None` while a request is under way.
    pub(super) retry: Option<Moment>,
}

/// What an answer will be about.
#[derive(Debug)]
pub(super) enum Pending {
    Look,
    Shards,
    /// Whether the other parent of a child is still in the stream.
    Relatives {
        key: LeaseKey,
        tenure: Tenure,
        missing: BTreeSet<ShardId>,
    },
    /// A row of the first start, or a child of the lease.
    Create {
        family: Option<(LeaseKey, Tenure)>,
    },
    Children {
        key: LeaseKey,
        tenure: Tenure,
    },
    Renew {
        key: LeaseKey,
        tenure: Tenure,
        counter: u64,
        sent: Moment,
    },
    Checkpoint {
        key: LeaseKey,
        tenure: Tenure,
        counter: u64,
        sent: Moment,
        checkpoint: Checkpoint,
    },
    Take {
        before: Box<LeaseRow>,
        change: LeaseChange,
        sent: Moment,
    },
    Ask,
    Leave {
        key: LeaseKey,
    },
}

/// What a coordinator asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// All rows of the lease table.
    List,
    /// Change a row, if it is as the change says.
    Write {
        /// The row.
        key: LeaseKey,
        /// The change.
        change: LeaseChange,
    },
    /// Enter a new row, if there is none of its key.
    Create(Box<LeaseRow>),
    /// The shards of the stream.
    ListShards(ShardFilter),
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The rows of the table.
    Rows(Vec<LeaseRow>),
    /// It was written.
    Written,
    /// The condition did not hold. The row as it is, if there is one.
    Conflict(Option<Box<LeaseRow>>),
    /// The shards.
    Shards(Vec<Shard>),
    /// It failed, or may have been carried out.
    Failed(Failure),
}

/// The caller's own mark on a checkpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CheckpointId(pub u64);

/// What a coordinator tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A lease is ours: its shard is to be processed from the row's checkpoint.
    Acquired {
        /// The row as it is stored now.
        row: Box<LeaseRow>,
        /// The holding.
        tenure: Tenure,
        /// Until when it is believed.
        until: Moment,
    },
    /// A lease has been proved once more.
    Kept {
        /// The lease.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
        /// Until when it is believed.
        until: Moment,
    },
    /// Another worker is to get the lease: finish, checkpoint, and [`Coordinator::leave`] it.
    HandoffAsked {
        /// The lease.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
    },
    /// The lease is no longer ours. Nothing more can be checkpointed.
    Lost {
        /// The lease.
        key: LeaseKey,
        /// The holding that has ended.
        tenure: Tenure,
        /// Why.
        cause: LossCause,
    },
    /// A checkpoint is stored.
    Checkpointed {
        /// Whose it is.
        id: CheckpointId,
    },
    /// A checkpoint is not stored, or not by us.
    NotCheckpointed {
        /// Whose it is.
        id: CheckpointId,
        /// Why.
        cause: NotWritten,
    },
    /// The children of an ended shard have leases now, so the shard's own can be ended.
    ChildrenEntered {
        /// The lease of the parent.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
    },
    /// The children of an ended shard cannot be entered now: another parent of theirs still waits for its own lease, or
    /// this one's is lost. Ask again after a while, if it is still held.
    ChildrenMustWait {
        /// The lease of the parent that has ended.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
    },
    /// The worker cannot start: the table or the stream is not there, or not allowed.
    Unable(Failure),
}

/// Why a lease was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LossCause {
    /// It could not be renewed in time.
    Expired,
    /// Another worker has it.
    Taken,
    /// Its row is gone.
    Deleted,
    /// It was asked of us, and we took too long to let go.
    HandedOver,
}

/// Why a checkpoint was not stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotWritten {
    /// The lease is no longer ours.
    LeaseLost,
    /// The table does not allow it.
    Refused(Failure),
}
