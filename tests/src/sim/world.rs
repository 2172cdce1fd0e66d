//! One world: its parts, its clock, and its life from trouble to calm.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{LeaseKey, WorkerId};
use shardflow_engine::produce::Ordering;

use super::calm;
use super::coverage::Coverage;
use super::faults::Faults;
use super::invariants::{Checks, Seen};
use super::liveness;
use super::network::{Actor, Mail};
use super::producer::Producer;
use super::script::Trouble;
use super::stream::Stream;
use super::table::Table;
use super::trace::{Broken, Subject, Trace};
use super::worker::Worker;

/// How long leases last in all worlds.
pub(super) const FAILOVER: Duration = Duration::from_secs(10);

/// What a world came to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// Records that were put.
    pub put: u64,
    /// Of these, delivered.
    pub delivered: u64,
    /// Records processed more than once.
    pub repeated: u64,
    /// Leases lost.
    pub losses: u64,
    /// Splits and merges.
    pub shards: u64,
    /// Steps that the world took.
    pub steps: u64,
    /// Simulated time.
    pub time: Duration,
    /// Which faults have met what.
    pub coverage: Coverage,
    /// Changes with everything that happens: the same seed must give the same number.
    pub fingerprint: u64,
}

/// A world that broke a promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failed {
    /// The world's seed.
    pub seed: u64,
    /// When.
    pub at: Duration,
    /// What.
    pub broken: Broken,
    /// What has happened to the subject until then, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs the world of a seed to its end.
///
/// # Errors
///
/// Which promise was broken, and when.
pub fn run(seed: u64) -> Result<Outcome, Failed> {
    World::new(seed).run(seed).0
}

/// The same, telling what happens to one lease, or to one key's records.
pub fn run_traced(seed: u64, subject: Subject) -> (Result<Outcome, Failed>, Vec<String>) {
    let mut world = World::new(seed);
    world.checks.trace = Trace { subject: Some(subject), lines: Vec::new() };
    world.run(seed)
}

/// A world.
#[derive(Debug)]
pub struct World {
    pub(super) now: Duration,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) stream: Stream,
    pub(super) table: Table,
    pub(super) producers: Vec<Producer>,
    pub(super) workers: Vec<Worker>,
    pub(super) mail: BTreeMap<(Duration, u64), Mail>,
    pub(super) mails: u64,
    pub(super) checks: Checks,
    pub(super) outcome: Outcome,
    /// What the script may bring.
    pub(super) troubles: Vec<Trouble>,
    /// How long it does.
    trouble: Duration,
    /// How far a worker's clock may be off, in millionths.
    pub(super) drift: i64,
    /// Until when the table, and the stream, refuse everything.
    pub(super) outage: (Duration, Duration),
    /// When whoever had a lock that somebody deleted has stopped to believe in it.
    pub(super) lock_is_sound_from: Duration,
    /// Names that two workers have had at the same time.
    pub(super) twins: BTreeSet<WorkerId>,
    /// Leases that somebody has deleted.
    pub(super) deleted: BTreeSet<LeaseKey>,
    /// Until when no shard is split or merged.
    pub(super) reshard_after: Duration,
    /// Since when more than one worker believes in a lease.
    pub(super) overlaps: BTreeMap<LeaseKey, Duration>,
    /// When each producer, and each worker, next wants to be woken.
    wakes: (Vec<Option<Duration>>, Vec<Option<Duration>>),
}

impl World {
    /// The world of a seed, before anything has happened.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot: workers have short names")]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let ordering = if rng.bool() { Ordering::PerKey } else { Ordering::None };
        // Where the service decides the shard, no order per key can be kept.
        let switches = ordering == Ordering::None && rng.u8(..3) == 0;
        let most_pause = if rng.u8(..4) == 0 { 100 } else { 2_000 };
        let producers: Vec<_> = (0..rng.u16(1..3))
            .map(|number| {
                let pace = Duration::from_millis(rng.u64(5..most_pause));
                Producer::new(number, ordering, pace, &mut rng)
            })
            .collect();
        let drift = if rng.u8(..3) == 0 { rng.i64(1..5_000) } else { 0 };
        let most_workers = if rng.u8(..6) == 0 { 13 } else { 5 };
        let mut workers: Vec<_> = (0..rng.usize(1..most_workers))
            .map(|n| {
                let id: WorkerId = format!("w{n}").parse().expect("it is short");
                Worker::new(id, false, drift, rng.i64(0..30))
            })
            .collect();
        let java = rng.u8(..5) == 0;
        for worker in &mut workers[1..] {
            worker.is_java = java && rng.bool();
        }
        let longest = if rng.u8(..8) == 0 { 500 } else { 150 };
        Self {
            now: Duration::ZERO,
            faults: Faults::draw(&mut rng),
            stream: Stream::new(rng.u32(1..9), switches),
            table: Table::default(),
            wakes: (vec![None; producers.len()], vec![None; workers.len()]),
            producers,
            workers,
            mail: BTreeMap::new(),
            mails: 0,
            checks: Checks::new(ordering, Trace::default()),
            outcome: Outcome::default(),
            troubles: Trouble::draw(switches, &mut rng),
            trouble: Duration::from_secs(rng.u64(30..longest)),
            drift,
            outage: (Duration::ZERO, Duration::ZERO),
            lock_is_sound_from: Duration::ZERO,
            twins: BTreeSet::new(),
            deleted: BTreeSet::new(),
            reshard_after: Duration::ZERO,
            overlaps: BTreeMap::new(),
            rng,
        }
    }

    /// Lives to the end. Gives what it came to, and what has happened to the traced subject.
    pub(super) fn run(mut self, seed: u64) -> (Result<Outcome, Failed>, Vec<String>) {
        // A panic is a broken promise as well.
        let lived = catch_unwind(AssertUnwindSafe(|| self.live())).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Broken { promise: "no panic", what: text.unwrap_or_default(), subject: None })
        });
        let trace = std::mem::take(&mut self.checks.trace.lines);
        match lived {
            Ok(()) => (Ok(self.outcome), trace),
            Err(broken) => (Err(Failed { seed, at: self.now, broken, trace: trace.clone() }), trace),
        }
    }

    fn live(&mut self) -> Result<(), Broken> {
        (0..self.producers.len()).for_each(|number| self.touched(Actor::Producer(number)));
        for worker in 0..self.workers.len() {
            self.start(worker, None)?;
        }
        while self.now < self.trouble {
            let until = self.now + Duration::from_millis(self.rng.u64(200..6_000));
            self.run_until(until)?;
            self.make_trouble()?;
        }
        self.heal()?;
        // The longest of all waits: a handler's, a lease's, a frozen worker's mail.
        let patience = if self.has_java() { 900 } else { 400 };
        self.converge(Duration::from_secs(patience))?;
        calm::live(self)?;
        self.outcome.time = self.now;
        self.outcome.shards = self.stream.shards(self.now).len() as u64;
        self.checks.end()
    }

    /// Lets time pass until all is well.
    pub(super) fn converge(&mut self, within: Duration) -> Result<(), Broken> {
        let patience = self.now + within;
        while let Err((not_yet, subject)) = liveness::check(self) {
            if self.now >= patience {
                let what = format!("not within {within:?}: {not_yet}");
                return Err(Broken { promise: "liveness", what, subject });
            }
            self.run_until(self.now + Duration::from_secs(1))?;
            // One that was told to stop before comes back when it has.
            self.start_the_dead()?;
        }
        Ok(())
    }

    /// All trouble stops.
    fn heal(&mut self) -> Result<(), Broken> {
        self.faults = Faults::NONE;
        self.outage = (Duration::ZERO, Duration::ZERO);
        self.see(&Seen::Healing)?;
        for producer in 0..self.producers.len() {
            self.producers[producer].next_put = None;
            self.touched(Actor::Producer(producer));
        }
        let java = self.has_java();
        for number in 0..self.workers.len() {
            let worker = &mut self.workers[number];
            (worker.cut_from_table, worker.cut_from_stream) = (false, false);
            // A KCL that leads gives nothing to one whose clock is off by more than a minute.
            if java {
                worker.wall_ahead %= 10;
            }
            // A clock that stands still for so long goes on then and not before.
            if worker.deluded_until <= self.now {
                worker.frozen_until = self.now;
            }
            self.touched(Actor::Worker(number));
        }
        self.start_the_dead()
    }

    pub(super) fn start_the_dead(&mut self) -> Result<(), Broken> {
        for worker in 0..self.workers.len() {
            if !self.workers[worker].is_alive() {
                self.start(worker, None)?;
            }
        }
        Ok(())
    }

    /// Starts a worker; under a fresh name if its own is another's by now, and none is given.
    pub(super) fn start(&mut self, number: usize, name: Option<WorkerId>) -> Result<(), Broken> {
        let own = &self.workers[number].id;
        let taken = |(n, other): (usize, &Worker)| n != number && other.is_alive() && other.id == *own;
        let fresh = self.workers.iter().enumerate().any(taken);
        let fresh = fresh.then(|| format!("w{number}.{}", self.workers[number].life + 1).parse());
        let fresh = fresh.transpose().map_err(|error| format!("{error}"))?;
        let did = self.workers[number].start(self.now, name.or(fresh), &mut self.rng);
        self.worker_did(number, did)
    }

    pub(super) fn has_java(&self) -> bool {
        self.workers.iter().any(|worker| worker.is_java)
    }

    /// One more worker.
    pub(super) fn join(&mut self) -> Result<usize, Broken> {
        let number = self.workers.len();
        let id = format!("w{number}").parse().map_err(|error| format!("{error}"))?;
        self.workers.push(Worker::new(id, false, self.drift, 0));
        self.wakes.1.push(None);
        self.start(number, None)?;
        Ok(number)
    }

    /// Lets time pass, event by event.
    pub(super) fn run_until(&mut self, until: Duration) -> Result<(), Broken> {
        loop {
            let mail = self.mail.first_key_value().map(|(&(at, _), _)| at);
            let (producers, workers) = &self.wakes;
            let producers = producers.iter().enumerate().map(|(n, at)| (at, Actor::Producer(n)));
            let workers = workers.iter().enumerate().map(|(n, at)| (at, Actor::Worker(n)));
            let timer = producers
                .chain(workers)
                .filter_map(|(at, actor)| at.map(|at| (at.max(self.now), actor)))
                .min_by_key(|&(at, _)| at);
            let next = [mail, timer.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(at) = next.filter(|&at| at <= until) else { break };
            self.now = at.max(self.now);
            self.outcome.steps += 1;
            match timer {
                Some((at, actor)) if mail.is_none_or(|mail| at <= mail) => self.wake(actor)?,
                _ => self.deliver()?,
            }
        }
        self.now = until;
        Ok(())
    }

    fn wake(&mut self, actor: Actor) -> Result<(), Broken> {
        let now = self.now;
        match actor {
            Actor::Producer(number) => {
                let did = self.producers[number].wake(now, &mut self.rng);
                self.producer_did(number, did)
            }
            Actor::Worker(number) => {
                let did = self.workers[number].wake(now, &mut self.rng);
                self.worker_did(number, did)
            }
        }
    }

    /// Something has happened to a part: it may want to be woken at another time.
    pub(super) fn touched(&mut self, actor: Actor) {
        match actor {
            Actor::Producer(number) => self.wakes.0[number] = self.producers[number].timeout(),
            Actor::Worker(number) => self.wakes.1[number] = self.workers[number].timeout(),
        }
    }

    /// Tells those who check.
    pub(super) fn see(&mut self, seen: &Seen<'_>) -> Result<(), Broken> {
        self.checks.see(self.now, seen)
    }
}
