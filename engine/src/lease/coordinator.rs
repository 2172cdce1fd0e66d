//! The machine itself: what it is told, what it asks for, and what it holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{
    Checkpoint, LeaseChange, LeaseKey, LeaseRow, PendingCheckpoint, Shard, ShardId, View, WorkerId,
};

use super::Settings;
use super::admission::Admission;
use super::held::{Held, Tenure};
use super::messages::{Answer, CheckpointId, Event, NotWritten, Pending, Request};
use super::pending::Unanswered;
use super::report::Report;
use super::sighting::Sightings;
use super::streams::Streams;
use super::timed::Timed;
use super::write::Wrote;
use crate::leader::{Lock, Members, Written};
use crate::request::RequestIds;
use crate::{Failure, Moment, RequestId};

/// Everything that one worker decides about leases.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) me: WorkerId,
    pub(super) settings: Settings,
    pub(super) rng: Rng,
    pub(super) held: Timed<Held>,
    /// Leases that have come, gone, or been told of, since the shell last asked.
    pub(super) moved: BTreeSet<LeaseKey>,
    /// Leases that are given up, but not yet in the table.
    pub(super) leaving: Timed<Leaving>,
    /// Ended shards whose children are being entered into the table.
    pub(super) families: BTreeMap<LeaseKey, Family>,
    pub(super) seen: Sightings,
    pub(super) members: Members,
    pub(super) lock: Lock,
    pub(super) report: Report,
    pub(super) admission: Admission,
    pub(super) streams: Streams,
    pub(super) pending: Unanswered,
    pub(super) next_look: Moment,
    /// When the table is scanned again. Looks in between ask the index.
    pub(super) next_scan: Moment,
    pub(super) next_tidying: Moment,
    pub(super) next_garbage: Moment,
    pub(super) next_balancing: Moment,
    /// The time by the wall, at the last look.
    pub(super) wall: u64,
    /// The longest that a write has taken lately.
    pub(super) slowest: Duration,
    pub(super) tenures: u64,
    /// Since when it shuts down.
    pub(super) stopping: Option<Moment>,
    /// Whether it has looked, with all leases given up, for some that were given to it meanwhile.
    pub(super) looked_back: LookBack,
    pub(super) led: bool,
    pub(super) ids: RequestIds,
    pub(super) requests: VecDeque<(RequestId, Request)>,
    pub(super) events: VecDeque<Event>,
}

impl Coordinator {
    /// Pause before a failed request is tried again.
    pub(super) const PAUSE: Duration = Duration::from_millis(200);
    /// Time between looks while a lease is known to be on its way.
    pub(super) const EAGER: Duration = Duration::from_millis(500);

    /// A worker without leases, which looks at the table at once. The seed spreads workers that start together.
    #[must_use]
    pub fn new(me: WorkerId, settings: Settings, seed: u64, now: Moment) -> Self {
        let streams = Streams::one(settings.initial_position);
        Self::with(me, settings, streams, seed, now)
    }

    /// A worker of an application that reads several streams: those of [`Coordinator::set_streams`], none before.
    #[must_use]
    pub fn of_streams(me: WorkerId, settings: Settings, seed: u64, now: Moment) -> Self {
        Self::with(me, settings, Streams::several(), seed, now)
    }

    fn with(me: WorkerId, settings: Settings, streams: Streams, seed: u64, now: Moment) -> Self {
        let mut this = Self {
            lock: Lock::new(me.clone(), settings.lock_lasts),
            report: Report::default(),
            rng: Rng::with_seed(seed),
            held: Timed::default(),
            moved: BTreeSet::new(),
            leaving: Timed::default(),
            families: BTreeMap::new(),
            seen: Sightings::default(),
            members: Members::default(),
            admission: Admission::Unknown,
            streams,
            pending: Unanswered::default(),
            next_look: now,
            next_scan: now,
            next_tidying: now.after(settings.tidy_every),
            next_garbage: now.after(settings.garbage_every),
            next_balancing: now.after(settings.balance_every),
            wall: 0,
            slowest: Duration::ZERO,
            tenures: 0,
            stopping: None,
            looked_back: LookBack::Not,
            led: false,
            ids: RequestIds::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            me,
            settings,
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

    /// Notes a checkpoint that the application may make later. [`Event::Checkpointed`] or [`Event::NotCheckpointed`] follows.
    pub fn prepare(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        pending: PendingCheckpoint,
        id: CheckpointId,
    ) {
        self.expire(now);
        match self.held.get_mut(key).filter(|held| held.tenure == tenure && !held.leaving) {
            Some(held) => {
                held.prepares.push_back((pending, id));
                self.write_due(now);
            }
            None => self.events.push_back(Event::NotCheckpointed { id, cause: NotWritten::LeaseLost }),
        }
    }

    /// The handler was given so many bytes. What a shard brings is told to the leader with the renewals of its lease.
    pub fn delivered(&mut self, key: &LeaseKey, tenure: Tenure, bytes: u64) {
        if let Some(held) = self.held.get_mut(key).filter(|held| held.tenure == tenure) {
            held.delivered = held.delivered.saturating_add(bytes);
        }
    }

    /// A shard has been read to its end: enters its children, which are read from their beginning.
    /// [`Event::ChildrenEntered`] or [`Event::ChildrenMustWait`] follows.
    pub fn enter_children(&mut self, now: Moment, key: &LeaseKey, tenure: Tenure, children: Vec<Shard>) {
        match self.held.get(key).filter(|held| held.tenure == tenure) {
            Some(parent) => {
                let stream = parent.row.stream.clone();
                let ids = children.iter().map(|child| child.id.clone()).collect();
                let beginning =
                    if bug!(ChildrenAtLatest) { Checkpoint::Latest } else { Checkpoint::TrimHorizon };
                let row = |child| crate::shards::lease(child, beginning.clone());
                let rows = children.iter().map(|child| row(child).of_stream(stream.clone())).collect();
                let family = Family { tenure, rows, ids, alone: false, retry: Some(now) };
                self.families.insert(key.clone(), family);
                self.advance_families(now);
            }
            None => self.events.push_back(Event::ChildrenMustWait { key: key.clone(), tenure }),
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
        self.let_go_in_time(now);
        self.leave_ready(now);
        self.retry_leaving(now);
        self.look_back();
        self.advance_families(now);
        self.describe(now);
        self.advance_start(now);
        self.report_in_time(now);
        self.compete(now);
        self.look_in_time(now);
    }

    /// The table or the stream answered.
    pub fn handle_answer(&mut self, now: Moment, id: RequestId, answer: Answer) {
        let Some(pending) = self.pending.remove(id) else { return };
        self.expire(now);
        match (pending, answer) {
            (Pending::Look, Answer::View { view, wall }) => self.looked(now, *view, wall),
            (Pending::Look, answer) => self.look_failed(now, answer),
            (Pending::Assigned, answer) => self.keys_found(answer),
            (Pending::Found, answer) => self.row_found(now, answer),
            (Pending::Described(stream), answer) => self.described(now, stream, answer),
            (Pending::Shards { stream }, answer) => self.shards_listed(now, &stream, answer),
            (Pending::Relatives { key, tenure, missing }, answer) => {
                self.relatives_listed(now, &key, tenure, &missing, answer);
            }
            (Pending::Garbage { stream }, answer) => self.garbage_found(now, &stream, answer),
            (Pending::Create { stream }, answer) => self.created(now, &stream, answer),
            (Pending::CreateChild { key, tenure, row, sent }, answer) => {
                self.child_created(now, &key, tenure, *row, sent, answer);
            }
            (Pending::Children { key, tenure }, answer) => self.children_noted(now, &key, tenure, answer),
            (Pending::Renew { key, tenure, counter, sent }, answer) => {
                self.written(now, &key, tenure, counter, sent, Wrote::Renewal, answer);
            }
            (Pending::Checkpoint { key, tenure, counter, sent, checkpoint }, answer) => {
                self.written(now, &key, tenure, counter, sent, Wrote::Checkpoint(checkpoint), answer);
            }
            (Pending::Prepare { key, tenure, counter, sent, pending }, answer) => {
                self.written(now, &key, tenure, counter, sent, Wrote::Prepare(pending), answer);
            }
            (Pending::Take { before, change, sent }, answer) => {
                self.took(now, &before, &change, sent, answer);
            }
            (Pending::Offer { key, tenure, to }, answer) => self.offered(now, &key, tenure, to, answer),
            (Pending::Leave { key }, answer) => self.left(now, &key, answer),
            (Pending::Report, answer) => self.report.answered(now, &answer, self.settings.report_every),
            (Pending::Lock { change, sent }, answer) => {
                let written = match answer {
                    Answer::Written => Written::Yes,
                    Answer::Conflict(_) => Written::No,
                    _ => Written::Unknown,
                };
                self.lock.answered(now, &change, sent, written);
                // Whoever leads decides at once, and whoever does not wants to know who does.
                self.next_look = self.next_look.min(match written {
                    Written::Yes if self.led => self.next_look,
                    Written::Yes | Written::No => now,
                    Written::Unknown => now.after(Self::EAGER),
                });
            }
            (Pending::Claim, answer) => self.claimed(now, answer),
            // Whether it was carried out shows at the next look, and does not matter to one that goes.
            (Pending::Direct { .. } | Pending::Tidy | Pending::Forget, _) => {}
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

    /// The next lease of which has changed whether it is held, or whether it waits for its parents.
    pub fn poll_moved(&mut self) -> Option<LeaseKey> {
        self.moved.pop_first()
    }

    /// When `handle_timeout` must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let goes_on = self.stopping.is_none();
        let look = (goes_on && !self.is_looking()).then_some(self.next_look);
        let times = self.times();
        let held = self.held.next(|held| times.wakes(held));
        let leaving = self.leaving.next(|leaving| leaving.retry);
        let families = self.families.values().filter_map(|family| family.retry).min();
        let admitted = goes_on && self.admission.is_granted();
        let report = admitted.then(|| self.report.wakes()).flatten();
        let lock = (admitted && self.settings.may_lead).then(|| self.lock.wakes()).flatten();
        let streams = [self.next_description(), self.start_goes_on()].into_iter().flatten().min();
        [look, held, leaving, families, report, lock, streams].into_iter().flatten().min()
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

    /// The holding of a lease, if it has that.
    #[must_use]
    pub fn tenure(&self, key: &LeaseKey) -> Option<Tenure> {
        self.held.get(key).map(|held| held.tenure)
    }

    /// The leases that it has and that wait for their parents to be done, by any worker.
    pub fn waiting(&self) -> impl Iterator<Item = &LeaseRow> {
        self.held.values().filter(|held| held.waiting).map(|held| &held.row)
    }

    /// A lease, if it is one of those.
    #[must_use]
    pub fn waits(&self, key: &LeaseKey) -> Option<&LeaseRow> {
        self.held.get(key).filter(|held| held.waiting).map(|held| &held.row)
    }

    /// Whether this worker leads.
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        self.lock.leads(now)
    }

    /// Whether it has seen the table and made sure that every shard has a lease; of several streams, that they can be had is
    /// not waited for.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.streams.have_started()
    }

    /// Whether nothing is held and nothing under way that gives something up.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let goes = |pending: &Pending| {
            matches!(pending, Pending::Forget | Pending::Take { .. } | Pending::CreateChild { .. })
                || matches!(pending, Pending::Lock { .. })
        };
        let looked_back = self.looked_back == LookBack::Done || !self.admission.is_granted();
        looked_back && self.held.is_empty() && self.leaving.is_empty() && !self.pending.values().any(goes)
    }

    // Looking at the table.

    pub(super) fn is_looking(&self) -> bool {
        self.pending.is_looking()
    }

    fn look_in_time(&mut self, now: Moment) {
        if now < self.next_look || self.stopping.is_some() || self.is_looking() {
            return;
        }
        let spread = 0.95 + 0.1 * self.rng.f64();
        self.next_look = now.after(self.settings.look_every.mul_f64(spread));
        if now < self.next_scan && self.streams.have_started() {
            self.send(Pending::Assigned, Request::Assigned);
        } else {
            self.send(Pending::Look, Request::Look);
        }
    }

    fn looked(&mut self, now: Moment, view: View, wall: u64) {
        let View { leases, members, lock, version, .. } = view;
        self.wall = wall;
        self.next_scan = now;
        if let Some(pages) = u32::try_from(leases.len() / Settings::PAGE).ok().filter(|pages| *pages > 0) {
            self.next_scan = now.after(self.settings.look_every * pages);
        }
        if let Some(duplicate) = self.report.look(now, wall, self.rng.u64(..), &self.me, &members) {
            self.events.push_back(Event::Unable(duplicate));
            return;
        }
        for (worker, ahead) in self.members.look(now, wall, members) {
            // Half of what makes a KCL leader take it for dead.
            if ahead.unsigned_abs() >= Members::SILENT.as_secs() / 2 && self.report.tell_skew(&worker) {
                self.events.push_back(Event::ClockSkew { worker, ahead });
            }
        }
        let (renewed, robbed) = self.seen.look(now, leases, &mut self.rng);
        renewed.iter().for_each(|worker| self.members.renewed(now, worker));
        // It was taken by a worker that has seen sooner than this one that nobody keeps it.
        robbed.iter().for_each(|worker| self.members.failed(now, worker));
        if let Some(failure) = self.other_keys() {
            self.events.push_back(Event::Unable(failure));
            return;
        }
        if !self.admit(now, version.as_ref()) {
            return;
        }
        self.note_declines(now);
        self.note_failures(now);
        self.lock.look(now, lock.as_ref());
        if self.stopping.is_some() {
            self.pass_on(now);
            return;
        }
        self.begin_start(now);
        self.notice_handoffs(now);
        self.doubt(now);
        self.tell_ready();
        self.take_up_again(now);
        self.lead(now);
        self.retire(now);
        self.take_what_nobody_keeps(now);
        self.look_again_in_time(now);
    }

    fn look_failed(&mut self, now: Moment, answer: Answer) {
        if self.stopping.is_some() {
            self.looked_back = LookBack::Done;
        }
        if let Answer::Failed(failure) = answer {
            self.table_failed(now, failure);
        }
        self.next_look = self.next_look.min(now.after(Self::EAGER));
    }

    pub(super) fn send(&mut self, pending: Pending, request: Request) {
        let id = self.ids.next();
        self.pending.insert(id, pending);
        self.requests.push_back((id, request));
    }

    /// Tells that the worker cannot go on.
    pub(super) fn unable(&mut self, code: &str, message: String) {
        self.events.push_back(Event::Unable(Failure::refused(code, message)));
    }
}

/// A worker's last look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LookBack {
    Not,
    Looking,
    Done,
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
