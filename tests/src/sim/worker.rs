//! A worker: the real coordinator and shard lives, and what the consumer's shells and an application do between them.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{Checkpoint, LeaseKey, LeaseRow, ShardId, UserRecord, WorkerId};
use shardflow_engine::consume::{
    self, Answer, Batch, Checkpoints, Finish, GiveUp, Retrieval, ShardLife, Stop, Then,
};
use shardflow_engine::lease::{self, CheckpointId, Coordinator, LossCause, Tenure};
use shardflow_engine::{Failure, Moment, RequestId};

use super::clock::Clock;
use super::faults::{Faults, happens};
use super::java::Java;
use super::keeper::Keeper;
use super::network::{Call, Reply};
use super::records::Id;

/// One worker, through all its lives.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    /// What its fresh names begin with.
    base: WorkerId,
    pub(super) life: u64,
    /// Whether it is one of the KCL for Java.
    pub(super) is_java: bool,
    clock: Clock,
    /// By how many millionths its clock may be fast, or slow.
    most_drift: i64,
    /// By how many seconds the time by its wall is ahead.
    pub(super) wall_ahead: i64,
    alive: Option<Alive>,
    /// A stopped process: its timers fire and its mail is read only from here on.
    pub(super) frozen_until: Duration,
    /// Until when it may believe in leases by a clock that has stood still.
    pub(super) deluded_until: Duration,
    /// Its requests to the table get nowhere.
    pub(super) cut_from_table: bool,
    /// Its requests to the stream get nowhere.
    pub(super) cut_from_stream: bool,
    /// Its requests are carried out at once, and it hears of it seconds later.
    pub(super) sluggish: bool,
}

/// What a running worker consists of.
#[derive(Debug)]
struct Alive {
    coordinator: Keeper,
    shards: BTreeMap<LeaseKey, Running>,
    /// Leases acquired anew while the former run of their shard still ends.
    waiting: BTreeMap<LeaseKey, (Box<LeaseRow>, Tenure, Moment)>,
    checkpoints: BTreeMap<CheckpointId, (LeaseKey, Tenure, RequestId, Checkpoint)>,
    families: BTreeMap<(LeaseKey, Tenure), RequestId>,
    next_checkpoint: u64,
    stopping: bool,
    /// How often its handlers take long.
    dawdles: u32,
    /// It was told that it cannot go on.
    unable: bool,
    /// How its shards are read, and their handlers treated.
    shard: consume::Settings,
    seed: u64,
}

#[derive(Debug)]
struct Running {
    tenure: Tenure,
    shard: ShardId,
    life: ShardLife,
    /// What the handler has done.
    done: Checkpoints,
    /// Whether it may be let go without a checkpoint: since the last one the handler has panicked, and is not asked for
    /// one any more, or one could not be stored.
    excused: bool,
}

/// What a worker has done.
#[derive(Debug)]
pub(super) enum Did {
    Called(Call),
    /// Something comes back to it after a while.
    Later(Duration, Reply),
    Began {
        tenure: Tenure,
        row: Box<LeaseRow>,
    },
    Processed {
        tenure: Tenure,
        shard: ShardId,
        records: Vec<UserRecord>,
    },
    /// A fresh handler begins behind a checkpoint.
    Restarted {
        tenure: Tenure,
        shard: ShardId,
        checkpoint: Checkpoint,
    },
    /// It has let go of a shard in good order. What it has processed, if that is not all in the last checkpoint.
    Released {
        shard: ShardId,
        unsaved: Option<Checkpoint>,
    },
    Lost {
        key: LeaseKey,
        cause: LossCause,
    },
}

impl Worker {
    pub(super) fn new(id: WorkerId, is_java: bool, most_drift: i64, wall_ahead: i64) -> Self {
        Self {
            base: id.clone(),
            id,
            life: 0,
            is_java,
            clock: Clock::default(),
            most_drift,
            wall_ahead,
            alive: None,
            frozen_until: Duration::ZERO,
            deluded_until: Duration::ZERO,
            cut_from_table: false,
            cut_from_stream: false,
            sluggish: false,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.is_some()
    }

    /// Whether it runs, and has not been told to stop.
    pub(super) fn is_at_work(&self) -> bool {
        self.alive.as_ref().is_some_and(|alive| !alive.stopping)
    }

    /// Starts it: under a name, or under a fresh one or its old one, as it happens.
    pub(super) fn start(&mut self, now: Duration, name: Option<WorkerId>, rng: &mut Rng) -> Vec<Did> {
        self.life += 1;
        let begins = Duration::from_millis(rng.u64(1_000_000..2_000_000));
        self.clock = Clock::new(begins, rng.i64(-self.most_drift..=self.most_drift));
        self.frozen_until = Duration::ZERO;
        self.deluded_until = Duration::ZERO;
        if let Some(name) = name {
            self.id = name;
        } else if rng.bool() {
            // A fresh name a life, as by default; else the old one.
            self.id = format!("{}.{}", self.base, self.life).parse().expect("it is short");
        }
        let settings = lease::Settings {
            look_every: Duration::from_millis(rng.u64(1_000..5_000)),
            // One at least has to, or nothing is ever evened out.
            may_lead: self.id.as_str().starts_with("w0") || rng.u8(..8) > 0,
            tidy_every: Duration::from_secs(rng.u64(5..60)),
            garbage_every: Duration::from_secs(40),
            ..Default::default()
        };
        let (id, seed, moment) = (self.id.clone(), rng.u64(..), self.moment(now));
        let coordinator = match self.is_java {
            true => Keeper::Java(Box::new(Java::new(id, seed, moment))),
            false => Keeper::Ours(Box::new(Coordinator::new(id, settings, seed, moment))),
        };
        self.alive = Some(Alive {
            coordinator,
            shards: BTreeMap::new(),
            waiting: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            families: BTreeMap::new(),
            next_checkpoint: 0,
            stopping: false,
            dawdles: 0,
            unable: false,
            shard: shard_settings(rng),
            seed: rng.u64(..),
        });
        self.drain(now, rng)
    }

    pub(super) fn crash(&mut self) {
        self.alive = None;
        self.life += 1;
    }

    pub(super) fn shut_down(&mut self, now: Duration, rng: &mut Rng) -> Vec<Did> {
        let moment = self.moment(now);
        if let Some(alive) = &mut self.alive {
            alive.stopping = true;
            alive.coordinator.shut_down(moment);
            for (key, (_, tenure, _)) in std::mem::take(&mut alive.waiting) {
                alive.coordinator.leave(moment, &key, tenure);
            }
        }
        self.drain(now, rng)
    }

    fn moment(&self, now: Duration) -> Moment {
        self.clock.at(now)
    }

    /// Its machine is suspended, and its clock with it: when it wakes up it believes that no time has passed.
    pub(super) fn suspend(&mut self, until: Duration, time: Duration, failover: Duration) {
        self.frozen_until = until;
        self.deluded_until = until + failover;
        self.clock.stands_still(time);
    }

    /// When it wants to be woken, frozen or not.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let alive = self.alive.as_ref()?;
        let lives = alive.shards.values().filter_map(|running| running.life.poll_timeout());
        let at = lives.chain(alive.coordinator.poll_timeout()).min()?;
        Some(self.clock.when(at).max(self.frozen_until))
    }

    /// Whether it would process records of a lease at this time.
    pub(super) fn believes_in(&self, key: &LeaseKey, now: Duration) -> bool {
        // A suspended machine believes in nothing, and its clock is not to be read.
        let suspended = self.deluded_until > now && self.frozen_until > now;
        !suspended && self.alive.as_ref().is_some_and(|alive| alive.coordinator.holds(key, self.moment(now)))
    }

    /// Whether it leads, as it thinks.
    pub(super) fn leads(&self, now: Duration) -> bool {
        self.alive.as_ref().is_some_and(|alive| alive.coordinator.leads(self.moment(now)))
    }

    /// The leases that it would process records of at this time.
    pub(super) fn believes(&self, now: Duration) -> impl Iterator<Item = LeaseKey> {
        let held = self.alive.iter().flat_map(|alive| alive.coordinator.held());
        held.filter(move |key| self.believes_in(key, now))
    }

    pub(super) fn wake(&mut self, now: Duration, rng: &mut Rng) -> Vec<Did> {
        let moment = self.moment(now);
        if let Some(alive) = &mut self.alive {
            alive.coordinator.handle_timeout(moment);
            for running in alive.shards.values_mut() {
                running.life.handle_timeout(moment);
            }
        }
        self.drain(now, rng)
    }

    pub(super) fn answered(
        &mut self,
        now: Duration,
        reply: Reply,
        faults: &Faults,
        rng: &mut Rng,
    ) -> Vec<Did> {
        let moment = self.moment(now);
        let mut did = Vec::new();
        if let Some(alive) = &mut self.alive {
            match reply {
                Reply::Put(..) => {}
                Reply::Lease(id, answer) => alive.coordinator.handle_answer(moment, id, answer),
                Reply::Read(key, tenure, id, answer) => alive.answer(moment, &key, tenure, id, answer),
                Reply::Handled(key, tenure, id, batch) => {
                    alive.handled(moment, &key, tenure, id, &batch, faults, rng, &mut did);
                }
            }
        }
        did.extend(self.drain(now, rng));
        did
    }

    /// Carries out all that its machines ask for, until they ask for nothing more.
    fn drain(&mut self, now: Duration, rng: &mut Rng) -> Vec<Did> {
        let moment = self.moment(now);
        let mut did = Vec::new();
        let Some(alive) = &mut self.alive else { return did };
        loop {
            let before = did.len();
            while let Some((id, request)) = alive.coordinator.poll_request() {
                did.push(Did::Called(Call::Lease(id, request)));
            }
            let mut events = Vec::new();
            while let Some(event) = alive.coordinator.poll_event() {
                events.push(event);
            }
            let quiet = events.is_empty();
            for event in events {
                alive.lease_event(moment, event, &mut did);
            }
            let keys: Vec<_> = alive.shards.keys().cloned().collect();
            let mut still = true;
            for key in keys {
                still &= !alive.drain_shard(moment, &key, rng, &mut did);
            }
            if quiet && still && did.len() == before {
                break;
            }
        }
        if alive.unable || alive.stopping && alive.shards.is_empty() && alive.coordinator.is_idle() {
            self.crash();
        }
        did
    }
}

impl Alive {
    fn lease_event(&mut self, now: Moment, event: lease::Event, did: &mut Vec<Did>) {
        use lease::Event;
        match event {
            Event::Acquired { row, tenure, until } => {
                if self.stopping {
                    self.coordinator.leave(now, &row.key, tenure);
                } else if self.shards.contains_key(&row.key) {
                    self.waiting.insert(row.key.clone(), (row, tenure, until));
                } else {
                    self.begin(now, row, tenure, until, did);
                }
            }
            Event::Kept { key, tenure, until } => {
                if let Some(running) = self.running(&key, tenure) {
                    running.life.kept(now, until);
                }
                if let Some(waiting) = self.waiting.get_mut(&key).filter(|waiting| waiting.1 == tenure) {
                    waiting.2 = until;
                }
            }
            Event::HandoffAsked { key, tenure } => {
                if let Some(running) = self.running(&key, tenure) {
                    running.life.stop(now, Stop::Handoff);
                } else if self.waiting.get(&key).is_some_and(|waiting| waiting.1 == tenure) {
                    self.waiting.remove(&key);
                    self.coordinator.leave(now, &key, tenure);
                }
            }
            Event::LetGo { key, tenure } => {
                if let Some(running) = self.running(&key, tenure) {
                    running.life.stop(now, Stop::Shutdown);
                }
            }
            Event::Lost { key, tenure, cause } => {
                if let Some(running) = self.running(&key, tenure) {
                    running.life.stop(now, Stop::LeaseLost);
                }
                self.waiting.retain(|waiting, (_, t, _)| *waiting != key || *t != tenure);
                did.push(Did::Lost { key, cause });
            }
            Event::Checkpointed { id } => {
                if let Some((key, tenure, request, at)) = self.checkpoints.remove(&id) {
                    if let Some(running) = self.running(&key, tenure) {
                        running.done.stored(at);
                        running.excused = false;
                    }
                    self.answer(now, &key, tenure, request, Answer::Done);
                }
            }
            Event::NotCheckpointed { id, .. } => {
                if let Some((key, tenure, request, _)) = self.checkpoints.remove(&id) {
                    if let Some(running) = self.running(&key, tenure) {
                        running.excused = true;
                        // The handler fails at it, and gets the batch again.
                        let shard = running.shard.clone();
                        let checkpoint = running.done.clone().restart().0;
                        did.push(Did::Restarted { tenure, shard, checkpoint });
                    }
                    self.answer(now, &key, tenure, request, lost());
                }
            }
            Event::ChildrenEntered { key, tenure } => {
                if let Some(id) = self.families.remove(&(key.clone(), tenure)) {
                    self.answer(now, &key, tenure, id, Answer::Done);
                }
            }
            Event::ChildrenMustWait { key, tenure } => {
                if let Some(id) = self.families.remove(&(key.clone(), tenure)) {
                    self.answer(now, &key, tenure, id, lost());
                }
            }
            // The consumer ends with an error then.
            Event::Unable(failure) => self.unable |= failure.code == "DuplicateWorkerId",
            Event::Leads(_)
            | Event::ClockSkew { .. }
            | Event::StreamFound { .. }
            | Event::StreamListed { .. }
            | Event::StreamFails { .. }
            | Event::StreamDeleted { .. } => {}
        }
    }

    fn begin(&mut self, now: Moment, row: Box<LeaseRow>, tenure: Tenure, until: Moment, did: &mut Vec<Did>) {
        self.seed = self.seed.wrapping_add(1);
        let shard = row.shard_id.clone();
        let life = ShardLife::new((*row).clone(), until, self.shard.clone(), self.seed, now);
        let running = Running { tenure, shard, life, done: Checkpoints::of(&row), excused: false };
        self.shards.insert(row.key.clone(), running);
        did.push(Did::Began { tenure, row });
    }

    fn running(&mut self, key: &LeaseKey, tenure: Tenure) -> Option<&mut Running> {
        self.shards.get_mut(key).filter(|running| running.tenure == tenure)
    }

    fn answer(&mut self, now: Moment, key: &LeaseKey, tenure: Tenure, id: RequestId, answer: Answer) {
        if let Some(running) = self.running(key, tenure) {
            running.life.handle_answer(now, id, answer);
        }
    }

    /// Whether the shard asked for something or ended.
    fn drain_shard(&mut self, now: Moment, key: &LeaseKey, rng: &mut Rng, did: &mut Vec<Did>) -> bool {
        let mut any = false;
        while let Some(running) = self.shards.get_mut(key) {
            if let Some((id, request)) = running.life.poll_request() {
                any = true;
                let tenure = running.tenure;
                self.shard_request(now, key, tenure, id, request, rng, did);
                continue;
            }
            let Some(event) = running.life.poll_event() else { break };
            any = true;
            if let consume::Event::Finished(finish) = event {
                let tenure = running.tenure;
                if finish == Finish::Released {
                    let (latest, stored) = (running.done.latest(), &running.done.restart().0);
                    let unsaved = (latest > *stored && !running.excused).then_some(latest);
                    did.push(Did::Released { shard: running.shard.clone(), unsaved });
                }
                self.shards.remove(key);
                if finish != Finish::LeaseLost {
                    self.coordinator.leave(now, key, tenure);
                }
                if finish == Finish::ShardEnd {
                    self.coordinator.look_soon(now);
                }
                if let Some((row, tenure, until)) = self.waiting.remove(key) {
                    self.begin(now, row, tenure, until, did);
                }
            }
        }
        any
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a request with its address, and where its consequences go"
    )]
    fn shard_request(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        id: RequestId,
        request: consume::Request,
        rng: &mut Rng,
        did: &mut Vec<Did>,
    ) {
        use consume::Request;
        match request {
            Request::Read(request) => {
                did.push(Did::Called(Call::Read(key.clone(), tenure, id, request)));
            }
            Request::Room { .. } => self.answer(now, key, tenure, id, Answer::Done),
            Request::Initialize => {
                let reply = Reply::Read(key.clone(), tenure, id, Answer::Done);
                did.push(Did::Later(Duration::from_millis(rng.u64(0..20)), reply));
            }
            Request::Process(batch) => {
                let last = batch.records.last().expect("a batch holds a record").checkpoint();
                if let Some(running) = self.running(key, tenure) {
                    running.done.given(last);
                }
                // Most are quick; now and then one takes longer than a lease lasts.
                let slow = happens(rng, self.dawdles);
                let millis = if slow { rng.u64(1_000..15_000) } else { rng.u64(0..100) };
                did.push(Did::Later(
                    Duration::from_millis(millis),
                    Reply::Handled(key.clone(), tenure, id, batch),
                ));
            }
            Request::DeadLetter { .. } => {
                let failure = Answer::Failed(Failure::refused("DeadLetterFailed", "by the script"));
                let answer = if rng.bool() { Answer::Done } else { failure };
                let reply = Reply::Read(key.clone(), tenure, id, answer);
                did.push(Did::Later(Duration::from_millis(rng.u64(0..100)), reply));
            }
            Request::Pass(batch) => self.pass(now, key, tenure, id, &batch, did),
            Request::Restart => {
                if let Some(running) = self.running(key, tenure) {
                    let (checkpoint, passed) = running.done.restart();
                    running.excused = false;
                    did.push(Did::Restarted {
                        tenure,
                        shard: running.shard.clone(),
                        checkpoint: checkpoint.clone(),
                    });
                    running.life.handle_answer(now, id, Answer::Fresh { checkpoint, passed });
                }
            }
            Request::EnterChildren(children) => {
                self.families.insert((key.clone(), tenure), id);
                self.coordinator.enter_children(now, key, tenure, children);
            }
            Request::Stop(Stop::Shutdown | Stop::Handoff) => {
                let done = self.running(key, tenure).map(|running| running.done.latest());
                match done.filter(|done| matches!(done, Checkpoint::At { .. })) {
                    Some(done) => self.checkpoint(now, key, tenure, id, done),
                    None => self.answer(now, key, tenure, id, Answer::Done),
                }
            }
            Request::Stop(Stop::ShardEnd | Stop::LeaseLost) => {
                self.answer(now, key, tenure, id, Answer::Done);
            }
            Request::CheckpointEnd => self.checkpoint(now, key, tenure, id, Checkpoint::ShardEnd),
        }
    }

    /// What is decided without the handler counts as processed.
    fn pass(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        id: RequestId,
        batch: &Batch,
        did: &mut Vec<Did>,
    ) {
        let Some(running) = self.running(key, tenure) else { return };
        did.push(Did::Processed { tenure, shard: running.shard.clone(), records: batch.records.to_vec() });
        let at = batch.records.last().expect("a batch holds a record").checkpoint();
        if running.done.passed(at.clone()) {
            self.checkpoint(now, key, tenure, id, at);
        } else {
            self.answer(now, key, tenure, id, Answer::Done);
        }
    }

    fn checkpoint(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        request: RequestId,
        at: Checkpoint,
    ) {
        self.next_checkpoint += 1;
        let id = CheckpointId(self.next_checkpoint);
        self.checkpoints.insert(id, (key.clone(), tenure, request, at.clone()));
        self.coordinator.checkpoint(now, key, tenure, at, id);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an answer with its address, and where its consequences go"
    )]
    fn handled(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        id: RequestId,
        batch: &Batch,
        faults: &Faults,
        rng: &mut Rng,
        did: &mut Vec<Did>,
    ) {
        self.dawdles = faults.handler_dawdles;
        let Some(running) = self.running(key, tenure) else { return };
        let poison =
            |record: &UserRecord| faults.poison.is_some_and(|one| Id::of(&record.data).is_one_of(one));
        if happens(rng, faults.handler_fails) || batch.records.iter().any(poison) {
            running.done.failed();
            let failure = Failure::refused("HandlerFailed", "by the script");
            let panics = rng.u8(..4) == 0;
            running.excused |= panics;
            let answer = if panics { Answer::Panicked(failure) } else { Answer::Failed(failure) };
            return running.life.handle_answer(now, id, answer);
        }
        did.push(Did::Processed { tenure, shard: running.shard.clone(), records: batch.records.to_vec() });
        let done = batch.records.last().expect("a batch holds a record").checkpoint();
        running.done.succeeded();
        if rng.u8(..4) > 0 {
            self.checkpoint(now, key, tenure, id, done);
        } else {
            self.answer(now, key, tenure, id, Answer::Done);
        }
    }
}

fn lost() -> Answer {
    Answer::Failed(Failure::refused("LeaseLost", "the lease is no longer held"))
}

/// Any policy about handlers that fail.
fn shard_settings(rng: &mut Rng) -> consume::Settings {
    let then = rng.choice([Then::Skip, Then::DeadLetter, Then::Rest]).expect("there are three");
    let give_up = GiveUp { after: rng.u32(1..4), then };
    let rest = Duration::from_secs(rng.u64(1..60));
    let give_up = rng.bool().then_some(give_up);
    let retrieval = if rng.bool() { Retrieval::FanOut } else { Retrieval::Polling };
    consume::Settings { give_up, rest, retrieval, ..consume::Settings::default() }
}
