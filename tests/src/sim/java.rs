//! A worker of the KCL for Java 3.x as others see it: what it writes into the table, on which conditions, and when.
//!
//! It renews every 3.3 s, finds what it was given by the index every 10 s, and counts the life of a lease from the answer
//! that proved it. As the leader, by a lock of 120 s that it renews every 30 s, it looks every 20 s, gives away what it has
//! seen unrenewed for a failover time, on condition of the owners only, and evens counts out every third time. It takes
//! nothing by itself, gives nothing back when it stops, and takes its own landed writes for another's.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{
    Checkpoint, ClientVersion, InitialPosition, LeaderLock, LeaseChange, LeaseKey, LeaseRow, LockChange,
    Member, Shard, View, WorkerId,
};
use shardflow_engine::lease::{Answer, CheckpointId, Event, LossCause, NotWritten, Request, Tenure};
use shardflow_engine::shards::{self, Cover, ShardFilter};
use shardflow_engine::{Moment, RequestId};

use super::world::FAILOVER;

const RENEW: Duration = Duration::from_millis(3_308);
const DISCOVER: Duration = Duration::from_millis(9_975);
const ASSIGN: Duration = Duration::from_secs(20);
const REPORT: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(30);
const LOCK: Duration = Duration::from_secs(120);
const HANDOFF: Duration = Duration::from_secs(30);
const SILENT: u64 = 60;

/// One such worker's keeping of leases.
#[derive(Debug)]
pub(super) struct Java {
    me: WorkerId,
    rng: Rng,
    held: BTreeMap<LeaseKey, Held>,
    /// Rows as its last look showed them, and since when it has seen their counter and their owners so.
    seen: BTreeMap<LeaseKey, (LeaseRow, Moment, Moment)>,
    lock: Option<(LeaderLock, Moment)>,
    /// The version of the lock in its hands, and when that was last proved.
    mine: Option<(String, Moment)>,
    /// When it renews, discovers, assigns, reports and asks for the lock next.
    next: [Moment; 5],
    rounds: u64,
    tenures: u64,
    stopping: bool,
    ids: u64,
    pending: BTreeMap<RequestId, Pending>,
    requests: VecDeque<(RequestId, Request)>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Held {
    tenure: Tenure,
    row: LeaseRow,
    proven_at: Moment,
    /// Whether nobody has been told, since its parents are not done.
    waiting: bool,
    writing: bool,
    handing_over: Option<Moment>,
    wanted: VecDeque<(Checkpoint, CheckpointId)>,
    /// Children that are to be entered, and how often that has been tried.
    children: Option<(Vec<Shard>, u32)>,
}

#[derive(Debug)]
enum Pending {
    Look,
    Index,
    Found,
    Take(Box<LeaseRow>, LeaseChange),
    Write(LeaseKey, Tenure, LeaseChange),
    Shards(ShardFilter),
    Child(LeaseKey, Tenure),
    Lock(LockChange, Moment),
    Other,
}

impl Java {
    pub(super) fn new(me: WorkerId, seed: u64, now: Moment) -> Self {
        let mut this = Self {
            me,
            rng: Rng::with_seed(seed),
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            lock: None,
            mine: None,
            next: [now; 5],
            rounds: 0,
            tenures: 0,
            stopping: false,
            ids: 0,
            pending: BTreeMap::new(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
        };
        this.send(Pending::Other, Request::Claim(ClientVersion::V3));
        this.handle_timeout(now);
        this
    }

    // What the application wants.

    pub(super) fn checkpoint(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        at: Checkpoint,
        id: CheckpointId,
    ) {
        match self.held.get_mut(key).filter(|held| held.tenure == tenure) {
            Some(held) => held.wanted.push_back((at, id)),
            None => self.events.push_back(Event::NotCheckpointed { id, cause: NotWritten::LeaseLost }),
        }
        self.handle_timeout(now);
    }

    pub(super) fn enter_children(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        children: Vec<Shard>,
    ) {
        match self.held.get_mut(key).filter(|held| held.tenure == tenure) {
            Some(held) => {
                held.children = Some((children, held.children.take().map_or(0, |(_, tries)| tries)));
            }
            None => self.events.push_back(Event::ChildrenMustWait { key: key.clone(), tenure }),
        }
        self.enter_next(key, tenure);
        self.handle_timeout(now);
    }

    pub(super) fn leave(&mut self, now: Moment, key: &LeaseKey, tenure: Tenure) {
        if self.held.get(key).is_some_and(|held| held.tenure == tenure) {
            self.drop_held(key, None);
        }
        self.handle_timeout(now);
    }

    pub(super) fn look_soon(&mut self, now: Moment) {
        self.next[2] = self.next[2].min(now);
        self.handle_timeout(now);
    }

    pub(super) fn shut_down(&mut self, now: Moment) {
        self.stopping = true;
        let held: Vec<_> =
            self.held.iter().map(|(key, held)| (key.clone(), held.tenure, held.waiting)).collect();
        for (key, tenure, waiting) in held {
            if waiting {
                self.held.remove(&key);
            } else {
                self.events.push_back(Event::LetGo { key, tenure });
            }
        }
        if let Some((version, _)) = self.mine.take() {
            let release = LockChange::Release { owner: self.me.clone(), version };
            self.send(Pending::Other, Request::Lock(release));
        }
        self.handle_timeout(now);
    }

    // What happened.

    pub(super) fn handle_timeout(&mut self, now: Moment) {
        let late = |held: &Held| now >= held.proven_at.after(FAILOVER);
        let gone: Vec<_> =
            self.held.iter().filter(|(_, held)| late(held)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.drop_held(&key, Some(LossCause::Expired));
        }
        let overdue = |held: &Held| held.handing_over.is_some_and(|since| now.since(since) >= HANDOFF);
        let overdue: Vec<_> =
            self.held.iter().filter(|(_, held)| overdue(held)).map(|(key, _)| key.clone()).collect();
        for key in overdue {
            self.drop_held(&key, Some(LossCause::HandedOver));
        }
        let renews = self.is_due(now, 0, RENEW);
        let keys: Vec<_> = self.held.keys().cloned().collect();
        for key in keys {
            self.write(&key, renews);
        }
        if self.stopping {
            return;
        }
        if self.is_due(now, 1, DISCOVER) {
            self.send(Pending::Index, Request::Assigned);
        }
        if self.is_due(now, 2, ASSIGN) {
            self.send(Pending::Look, Request::Look);
        }
        if self.is_due(now, 3, REPORT) {
            self.send(Pending::Other, Request::Report(Box::new(Member::new(self.me.clone(), 0))));
        }
        if self.is_due(now, 4, HEARTBEAT) {
            self.compete(now);
        }
    }

    fn is_due(&mut self, now: Moment, which: usize, every: Duration) -> bool {
        let due = self.next[which] <= now;
        if due {
            self.next[which] = now.after(every);
        }
        due
    }

    pub(super) fn handle_answer(&mut self, now: Moment, id: RequestId, answer: Answer) {
        match (self.pending.remove(&id), answer) {
            (Some(Pending::Look), Answer::View { view, wall }) => self.looked(now, *view, wall),
            (Some(Pending::Index), Answer::Keys(keys)) => {
                for key in keys.into_iter().filter(|key| !self.held.contains_key(key)).collect::<Vec<_>>() {
                    self.send(Pending::Found, Request::Get(key));
                }
            }
            (Some(Pending::Found), Answer::Row(Some(row))) => {
                let mine = row.owner.as_ref() == Some(&self.me) && row.checkpoint_owner.is_none();
                if mine
                    && !row.checkpoint.is_shard_end()
                    && !self.held.contains_key(&row.key)
                    && !self.stopping
                {
                    let change =
                        LeaseChange::Renew { counter: row.counter, handing_over: false, throughput: None };
                    let request = Request::Write { key: row.key.clone(), change: change.clone() };
                    self.send(Pending::Take(row, change), request);
                }
            }
            (Some(Pending::Take(row, change)), Answer::Written) if !self.stopping => {
                if let Some(row) = change.apply_to(&row) {
                    self.hold(now, row);
                }
            }
            (Some(Pending::Write(key, tenure, change)), answer) => {
                self.written(now, &key, tenure, &change, answer);
            }
            (Some(Pending::Shards(filter)), Answer::Shards(listed)) => {
                let rows: Vec<_> = self.seen.values().map(|(row, ..)| row).collect();
                let planned =
                    shards::plan(&listed, &rows, filter, InitialPosition::TrimHorizon).unwrap_or_default();
                for row in planned {
                    self.send(Pending::Other, Request::Create(Box::new(row)));
                }
            }
            (Some(Pending::Child(key, tenure)), answer) => {
                let done = matches!(answer, Answer::Written | Answer::Conflict(_));
                let held = self.held.get_mut(&key).filter(|held| held.tenure == tenure);
                if let Some((children, _)) = held.and_then(|held| held.children.as_mut())
                    && done
                    && !children.is_empty()
                {
                    children.remove(0);
                }
                self.enter_next(&key, tenure);
            }
            (
                Some(Pending::Lock(LockChange::Create(by) | LockChange::Replace { by, .. }, sent)),
                Answer::Written,
            ) => {
                if self.mine.is_none() {
                    // What was seen before is forgotten: nothing can have expired yet.
                    self.seen.clear();
                }
                self.mine = Some((by.version, sent));
            }
            (Some(Pending::Lock(..)), Answer::Conflict(_)) => self.mine = None,
            _ => {}
        }
        self.handle_timeout(now);
    }

    // What to do about it.

    pub(super) fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.requests.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let held = self.held.values().map(|held| held.proven_at.after(FAILOVER)).min();
        let regular = if self.stopping { &self.next[..1] } else { &self.next[..] };
        let regular = regular.iter().copied().min().filter(|_| !self.stopping || !self.held.is_empty());
        held.into_iter().chain(regular).min()
    }

    // What is so.

    pub(super) fn holds(&self, key: &LeaseKey, now: Moment) -> bool {
        self.held.get(key).is_some_and(|held| !held.waiting && now < held.proven_at.after(FAILOVER))
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &LeaseKey> {
        self.held.keys()
    }

    pub(super) fn leads(&self, now: Moment) -> bool {
        self.mine.as_ref().is_some_and(|(_, proven)| now < proven.after(LOCK))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && self.pending.is_empty()
    }

    // Its own leases.

    fn hold(&mut self, now: Moment, row: LeaseRow) {
        self.tenures += 1;
        let tenure = Tenure::numbered(self.tenures);
        let held = Held {
            tenure,
            row: row.clone(),
            proven_at: now,
            waiting: true,
            writing: false,
            handing_over: None,
            wanted: VecDeque::new(),
            children: None,
        };
        self.held.insert(row.key.clone(), held);
        self.seen.entry(row.key.clone()).or_insert((row, now, now));
        // Whether its parents are done shows at the next look.
        self.next[2] = self.next[2].min(now);
    }

    fn tell_ready(&mut self) {
        for (key, held) in self.held.iter_mut().filter(|(_, held)| held.waiting) {
            let parents =
                held.row.parents.iter().filter_map(|parent| self.seen.get(&held.row.sibling(parent)));
            if parents.into_iter().all(|(row, ..)| row.checkpoint.is_shard_end()) {
                held.waiting = false;
                let (row, until) = (Box::new(held.row.clone()), held.proven_at.after(FAILOVER));
                self.events.push_back(Event::Acquired { row, tenure: held.tenure, until });
                if held.handing_over.is_some() {
                    self.events.push_back(Event::HandoffAsked { key: key.clone(), tenure: held.tenure });
                }
            }
        }
    }

    /// A checkpoint that is wanted, or a renewal. Never two writes of one lease at once.
    fn write(&mut self, key: &LeaseKey, renews: bool) {
        let Some(held) = self.held.get_mut(key).filter(|held| !held.writing) else { return };
        let counter = held.row.counter;
        let change = match held.wanted.front() {
            Some((checkpoint, _)) => {
                LeaseChange::Checkpoint { counter, checkpoint: checkpoint.clone(), throughput: None }
            }
            None if renews => {
                LeaseChange::Renew { counter, handing_over: held.handing_over.is_some(), throughput: None }
            }
            None => return,
        };
        held.writing = true;
        let pending = Pending::Write(key.clone(), held.tenure, change.clone());
        self.send(pending, Request::Write { key: key.clone(), change });
    }

    fn written(&mut self, now: Moment, key: &LeaseKey, tenure: Tenure, change: &LeaseChange, answer: Answer) {
        let Some(held) = self.held.get_mut(key).filter(|held| held.tenure == tenure) else { return };
        held.writing = false;
        match answer {
            Answer::Written => {
                held.row = change.apply_to(&held.row).unwrap_or_else(|| held.row.clone());
                held.proven_at = now;
                if matches!(change, LeaseChange::Checkpoint { .. })
                    && let Some((_, id)) = held.wanted.pop_front()
                {
                    self.events.push_back(Event::Checkpointed { id });
                }
                let until = held.proven_at.after(FAILOVER);
                self.events.push_back(Event::Kept { key: key.clone(), tenure, until });
            }
            Answer::Conflict(Some(row))
                if row.checkpoint_owner.as_ref() == Some(&self.me) && row.counter == held.row.counter =>
            {
                held.row = *row;
                held.handing_over = Some(now);
                if !held.waiting {
                    self.events.push_back(Event::HandoffAsked { key: key.clone(), tenure });
                }
            }
            Answer::Conflict(_) => self.drop_held(key, Some(LossCause::Taken)),
            // Tried again with the next pass.
            _ => self.next[0] = self.next[0].min(now.after(Duration::from_millis(500))),
        }
    }

    /// It is not held any more. One that is being handed over goes to whoever is to have it.
    fn drop_held(&mut self, key: &LeaseKey, cause: Option<LossCause>) {
        let Some(held) = self.held.remove(key) else { return };
        for (_, id) in held.wanted {
            self.events.push_back(Event::NotCheckpointed { id, cause: NotWritten::LeaseLost });
        }
        if held.children.is_some() {
            self.events.push_back(Event::ChildrenMustWait { key: key.clone(), tenure: held.tenure });
        }
        if let Some(cause) = cause.filter(|_| !held.waiting) {
            self.events.push_back(Event::Lost { key: key.clone(), tenure: held.tenure, cause });
        }
        let kept = !matches!(cause, Some(LossCause::Taken | LossCause::Expired));
        if let Some(to) = held.row.owner.clone().filter(|_| kept && held.handing_over.is_some()) {
            let change = LeaseChange::Assign {
                to,
                owner: held.row.owner,
                checkpoint_owner: held.row.checkpoint_owner,
            };
            self.send(Pending::Other, Request::Write { key: key.clone(), change });
        }
    }

    /// Enters one child after the other. One of two parents waits until the other has its lease, or for long.
    fn enter_next(&mut self, key: &LeaseKey, tenure: Tenure) {
        let Some(held) = self.held.get_mut(key).filter(|held| held.tenure == tenure) else { return };
        let Some((children, tries)) = &mut held.children else { return };
        let Some(child) = children.first() else {
            held.children = None;
            self.events.push_back(Event::ChildrenEntered { key: key.clone(), tenure });
            return;
        };
        let lacks = |parent| {
            let parent = held.row.sibling(parent);
            parent != *key && !self.seen.contains_key(&parent)
        };
        if child.parents().any(lacks) && *tries < 60 {
            *tries += 1;
            self.next[2] = self.next[2].min(self.next[0]);
            self.events.push_back(Event::ChildrenMustWait { key: key.clone(), tenure });
            return;
        }
        let row = shards::lease(child, Checkpoint::TrimHorizon);
        self.send(Pending::Child(key.clone(), tenure), Request::Create(Box::new(row)));
    }

    // The fleet.

    fn looked(&mut self, now: Moment, view: View, wall: u64) {
        let View { leases, members, lock, .. } = view;
        let before = std::mem::take(&mut self.seen);
        for row in leases {
            let old = before.get(&row.key);
            let owners =
                |old: &LeaseRow| old.owner == row.owner && old.checkpoint_owner == row.checkpoint_owner;
            let since = old
                .filter(|(old, ..)| old.counter == row.counter && old.owner == row.owner)
                .map_or(now, |o| o.1);
            let owned = old.filter(|(old, ..)| owners(old)).map_or(now, |o| o.2);
            self.seen.insert(row.key.clone(), (row, since, owned));
        }
        let same = |lock: &LeaderLock| {
            self.lock.as_ref().filter(|(old, _)| old.version == lock.version).map(|o| o.1)
        };
        self.lock = lock.map(|lock| (lock.clone(), same(&lock).unwrap_or(now)));
        self.tell_ready();
        if self.held.values().any(|held| held.waiting) {
            self.next[2] = self.next[2].min(now.after(Duration::from_secs(5)));
        }
        if !self.leads(now) || self.stopping {
            return;
        }
        if shards::cover(self.seen.values().map(|(row, ..)| row)) == Cover::Hole {
            let filter =
                ShardFilter::needed(self.seen.values().map(|(row, ..)| row), InitialPosition::TrimHorizon);
            self.send(Pending::Shards(filter), Request::ListShards { stream: None, filter });
            self.next[2] = self.next[2].min(now.after(Duration::from_secs(2)));
        }
        self.assign(now, &members, wall);
    }

    fn compete(&mut self, now: Moment) {
        let version = format!("java-{:016x}", self.rng.u64(..));
        let by = LeaderLock::new(self.me.clone(), version, LOCK);
        let change = match (&self.mine, &self.lock) {
            (Some((version, _)), _) => LockChange::Replace { version: version.clone(), by },
            (None, None) => LockChange::Create(by),
            (None, Some((lock, since))) if lock.released || now.since(*since) > lock.lasts => {
                LockChange::Replace { version: lock.version.clone(), by }
            }
            (None, Some(_)) => {
                self.next[2] = self.next[2].min(now);
                return;
            }
        };
        self.send(Pending::Lock(change.clone(), now), Request::Lock(change));
    }

    /// Gives away what nobody keeps, by count, and evens counts out every third time.
    fn assign(&mut self, now: Moment, members: &[Member], wall: u64) {
        self.rounds += 1;
        let active = members.iter().filter(|member| wall.abs_diff(member.updated) <= SILENT);
        let mut loads: BTreeMap<WorkerId, Vec<LeaseKey>> =
            active.map(|member| (member.worker.clone(), Vec::new())).collect();
        let open: Vec<_> =
            self.seen.values().filter(|(row, ..)| !row.checkpoint.is_shard_end()).cloned().collect();
        let mut free = Vec::new();
        for (row, since, owned) in open {
            let overdue = row.checkpoint_owner.is_some() && now.since(owned) >= HANDOFF + FAILOVER;
            if row.holder().is_none() || now.since(since) > FAILOVER || overdue {
                free.push(row);
            } else if let Some(load) = row.owner.as_ref().and_then(|owner| loads.get_mut(owner)) {
                // Only what is not on its way can be moved.
                load.extend(row.checkpoint_owner.is_none().then(|| row.key.clone()));
            }
        }
        for LeaseRow { key, owner, checkpoint_owner, .. } in free {
            let Some((to, load)) = loads.iter_mut().min_by_key(|(_, load)| load.len()) else { return };
            load.push(key.clone());
            let change = LeaseChange::Assign { to: to.clone(), owner, checkpoint_owner };
            self.send(Pending::Other, Request::Write { key, change });
        }
        if self.rounds % 3 == 1 {
            let most = loads
                .iter()
                .max_by_key(|(_, load)| load.len())
                .map(|(worker, load)| (worker.clone(), load.clone()));
            let least = loads
                .iter()
                .min_by_key(|(_, load)| load.len())
                .map(|(worker, load)| (worker.clone(), load.len()));
            if let (Some((from, mut load)), Some((to, count))) = (most, least)
                && load.len() > count + 1
                && let Some(key) = load.pop()
            {
                let change = LeaseChange::StartHandoff { from, to };
                self.send(Pending::Other, Request::Write { key, change });
            }
        }
    }

    fn send(&mut self, pending: Pending, request: Request) {
        self.ids += 1;
        let id = RequestId::numbered(self.ids);
        self.pending.insert(id, pending);
        self.requests.push_back((id, request));
    }
}
