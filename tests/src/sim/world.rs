//! One world: its parts, its clock, its mail, and the script of its trouble.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{Fate, LeaseKey, ShardId, UserRecord, WorkerId};
use shardflow_engine::consume::ReadRequest;
use shardflow_engine::produce::{self, Ordering};
use shardflow_engine::shards::ShardFilter;
use shardflow_engine::{Failure, lease};
use shardflow_local::kinesis::RecordDistributionStrategy;

use super::faults::{Faults, dragging, happens, latency};
use super::invariants::{Checks, Handled, Seen};
use super::liveness;
use super::network::{Actor, Call, Mail, Reply};
use super::producer::{self, Producer};
use super::records::Id;
use super::stream::{Line, Stored, Stream};
use super::table::{Table, Written};
use super::worker::{self, Worker};

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
    /// Changes with everything that happens: the same seed must give the same number.
    pub fingerprint: u64,
}

/// Runs the world of a seed to its end.
///
/// # Errors
///
/// Which promise was broken, and when.
pub fn run(seed: u64) -> Result<Outcome, String> {
    run_traced(seed, None)
}

/// The same, printing the way of one key's records: of a producer and its key, both by number.
///
/// # Errors
///
/// Which promise was broken, and when.
pub fn run_traced(seed: u64, key: Option<(u16, u16)>) -> Result<Outcome, String> {
    let mut world = World::new(seed);
    world.checks.trace = key;
    world.live().map_err(|broken| format!("seed {seed} at {:?}: {broken}", world.now))?;
    Ok(world.outcome)
}

/// A world.
#[derive(Debug)]
pub struct World {
    pub(super) now: Duration,
    rng: Rng,
    faults: Faults,
    pub(super) stream: Stream,
    pub(super) table: Table,
    pub(super) producers: Vec<Producer>,
    pub(super) workers: Vec<Worker>,
    mail: BTreeMap<(Duration, u64), Mail>,
    mails: u64,
    pub(super) checks: Checks,
    outcome: Outcome,
    /// Whether the stream begins and stops to distribute records by itself.
    may_switch: bool,
}

impl World {
    /// The world of a seed, before anything has happened.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot: workers have short names")]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let ordering = if rng.bool() { Ordering::PerKey } else { Ordering::None };
        // Where the service decides the shard, no order per key can be kept.
        let may_switch = ordering == Ordering::None && rng.u8(..3) == 0;
        let producers = (0..rng.u16(1..3)).map(|number| Producer::new(number, ordering, &mut rng)).collect();
        let workers = (0..rng.usize(1..5))
            .map(|n| Worker::new(format!("w{n}").parse().expect("it is short")))
            .collect();
        Self {
            now: Duration::ZERO,
            faults: Faults::draw(&mut rng),
            stream: Stream::new(rng.u32(1..6), may_switch),
            table: Table::default(),
            producers,
            workers,
            mail: BTreeMap::new(),
            mails: 0,
            checks: Checks::new(ordering),
            outcome: Outcome::default(),
            may_switch,
            rng,
        }
    }

    fn live(&mut self) -> Result<(), String> {
        let trouble = Duration::from_secs(self.rng.u64(30..150));
        for worker in 0..self.workers.len() {
            self.start(worker)?;
        }
        while self.now < trouble {
            let until = self.now + Duration::from_millis(self.rng.u64(200..6_000));
            self.run_until(until)?;
            self.make_trouble()?;
        }
        self.heal()?;
        // The longest of all waits: a handler's, a lease's, a frozen worker's mail.
        let patience = self.now + Duration::from_secs(400);
        while let Err(not_yet) = liveness::check(self) {
            if self.now >= patience {
                return Err(format!("the world does not heal: {not_yet}"));
            }
            let until = self.now + Duration::from_secs(1);
            self.run_until(until)?;
            // One that was told to stop before comes back when it has.
            self.start_the_dead()?;
        }
        self.outcome.time = self.now;
        self.outcome.shards = self.stream.shards(self.now).len() as u64;
        self.checks.end()
    }

    /// One line of the script.
    fn make_trouble(&mut self) -> Result<(), String> {
        let worker = self.rng.usize(..self.workers.len());
        let now = self.now;
        match self.rng.u8(..20) {
            0 | 1 => self.workers[worker].crash(),
            2..=5 if !self.workers[worker].is_alive() => self.start(worker)?,
            6 => {
                let did = self.workers[worker].shut_down(now, &mut self.rng);
                self.worker_did(worker, did)?;
            }
            7 | 8 => {
                let freeze = Duration::from_millis(self.rng.u64(500..30_000));
                self.workers[worker].frozen_until = now + freeze;
            }
            9 => self.workers[worker].cut = true,
            10 | 11 => self.workers[worker].cut = false,
            12..=14 => self.stream.reshard(now, &mut self.rng, 12),
            15 => {
                self.stream.expire_iterators();
                self.stream.end_subscriptions();
            }
            17 if self.may_switch => self.stream.distribute(now, RecordDistributionStrategy::Auto),
            18 if self.may_switch => {
                self.stream.distribute(now, RecordDistributionStrategy::UserPartitionKey);
            }
            16 => {
                // A link that fails by degrees: the last renewals land early and are heard of late.
                self.workers[worker].sluggish = true;
                let broken = now + Duration::from_millis(self.rng.u64(2_000..8_000));
                self.run_until(broken)?;
                self.workers[worker].sluggish = false;
                self.workers[worker].cut = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// All trouble stops.
    fn heal(&mut self) -> Result<(), String> {
        self.faults = Faults::NONE;
        self.see(&Seen::Healing)?;
        for producer in &mut self.producers {
            producer.next_put = None;
        }
        for worker in 0..self.workers.len() {
            self.workers[worker].cut = false;
            self.workers[worker].frozen_until = self.now;
        }
        self.start_the_dead()
    }

    fn start_the_dead(&mut self) -> Result<(), String> {
        for worker in 0..self.workers.len() {
            if !self.workers[worker].is_alive() {
                self.start(worker)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, worker: usize) -> Result<(), String> {
        let did = self.workers[worker].start(self.now, &mut self.rng);
        self.worker_did(worker, did)
    }

    /// Lets time pass, event by event.
    fn run_until(&mut self, until: Duration) -> Result<(), String> {
        loop {
            let mail = self.mail.first_key_value().map(|(&(at, _), _)| at);
            let producers = self.producers.iter().enumerate().map(|(n, p)| (p.timeout(), Actor::Producer(n)));
            let workers = self.workers.iter().enumerate().map(|(n, w)| (w.timeout(), Actor::Worker(n)));
            let timer = producers
                .chain(workers)
                .filter_map(|(at, actor)| at.map(|at| (at.max(self.now), actor)))
                .min_by_key(|&(at, _)| at);
            let next = [mail, timer.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(at) = next.filter(|&at| at <= until) else { break };
            // Beliefs end by time alone, so they are looked at just before and just after.
            self.now = at.max(self.now);
            self.check_beliefs()?;
            self.outcome.steps += 1;
            match timer {
                Some((at, actor)) if mail.is_none_or(|mail| at <= mail) => self.wake(actor)?,
                _ => self.deliver()?,
            }
            self.check_beliefs()?;
        }
        self.now = until;
        Ok(())
    }

    fn wake(&mut self, actor: Actor) -> Result<(), String> {
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

    fn deliver(&mut self) -> Result<(), String> {
        let Some(((at, number), mail)) = self.mail.pop_first() else { return Ok(()) };
        self.outcome.fingerprint =
            self.outcome.fingerprint.wrapping_mul(0x0100_0000_01b3) ^ (at.subsec_nanos() as u64) ^ number;
        match mail {
            Mail::Arrives { from, life, name, sent, call } => self.arrives(from, life, name, sent, call),
            Mail::Answered { to: Actor::Producer(number), reply, .. } => {
                if let Reply::Put(_, produce::Answer::Put(results)) = &reply {
                    self.see(&Seen::Answered { producer: number, results })?;
                }
                let did = self.producers[number].answered(self.now, reply);
                self.producer_did(number, did)
            }
            Mail::Answered { to: Actor::Worker(number), life, reply } => {
                let worker = &mut self.workers[number];
                if worker.frozen_until > self.now {
                    let at = worker.frozen_until;
                    self.post(at, Mail::Answered { to: Actor::Worker(number), life, reply });
                    return Ok(());
                }
                if worker.life != life {
                    return Ok(());
                }
                let did = worker.answered(self.now, reply, self.faults.handler_fails, &mut self.rng);
                self.worker_did(number, did)
            }
        }
    }

    // The network.

    fn post(&mut self, at: Duration, mail: Mail) {
        self.mails += 1;
        self.mail.insert((at, self.mails), mail);
    }

    fn call(&mut self, from: Actor, call: Call) {
        let sent = self.now;
        let (life, name, cut) = match from {
            Actor::Producer(_) => (0, None, false),
            Actor::Worker(number) => {
                let worker = &self.workers[number];
                (worker.life, Some(worker.id.clone()), worker.cut)
            }
        };
        if cut || happens(&mut self.rng, self.faults.request_lost) {
            let given_up = sent + call.timeout();
            self.post(given_up, Mail::Answered { to: from, life, reply: call.given_up() });
        } else {
            let at = sent + latency(&mut self.rng, self.faults.late);
            self.post(at, Mail::Arrives { from, life, name, sent, call });
        }
    }

    /// A request reaches the stream or the table, however late.
    fn arrives(
        &mut self,
        from: Actor,
        life: u64,
        name: Option<WorkerId>,
        sent: Duration,
        call: Call,
    ) -> Result<(), String> {
        let given_up = (sent + call.timeout()).max(self.now);
        let lost = call.given_up();
        let line = |key: &LeaseKey, tenure, id| match from {
            Actor::Producer(number) | Actor::Worker(number) => (number, life, key.clone(), tenure, id),
        };
        let reply = match call {
            Call::Read(ref key, tenure, id, ReadRequest::Receive { subscription, .. }) => {
                match self.stream.receive(self.now, &line(key, tenure, subscription)) {
                    Some(answer) => Reply::Read(key.clone(), tenure, id, answer),
                    // The service has nothing to say yet.
                    None => {
                        let again = self.now + Duration::from_millis(300);
                        if again < given_up {
                            self.post(again, Mail::Arrives { from, life, name, sent, call });
                        } else {
                            self.post(given_up, Mail::Answered { to: from, life, reply: lost });
                        }
                        return Ok(());
                    }
                }
            }
            Call::Read(ref key, tenure, id, _) => {
                let line = line(key, tenure, id);
                self.carry_out(name, Some(line), call)?
            }
            Call::Put(..) | Call::Lease(..) => self.carry_out(name, None, call)?,
        };
        let sluggish = matches!(from, Actor::Worker(number) if self.workers[number].sluggish);
        let way = if sluggish { dragging(&mut self.rng) } else { latency(&mut self.rng, self.faults.late) };
        let back = self.now + way;
        let heard = back < given_up && !happens(&mut self.rng, self.faults.answer_lost);
        let (at, reply) = if heard { (back, reply) } else { (given_up, lost) };
        self.post(at, Mail::Answered { to: from, life, reply });
        Ok(())
    }

    fn carry_out(&mut self, name: Option<WorkerId>, line: Option<Line>, call: Call) -> Result<Reply, String> {
        if happens(&mut self.rng, self.faults.refused) {
            let failure = match self.rng.u8(..3) {
                0 => Failure::unknown("InternalFailure", "by the script"),
                _ => Failure::refused("ThrottlingException", "by the script"),
            };
            return Ok(call.failed(failure));
        }
        let now = self.now;
        Ok(match call {
            Call::Put(id, produce::Request::ListShards { closed }) => {
                let listed =
                    self.stream.list(now, if closed { ShardFilter::All } else { ShardFilter::AtLatest });
                Reply::Put(id, listed.map_or_else(produce::Answer::Failed, produce::Answer::Shards))
            }
            Call::Put(id, produce::Request::Describe) => Reply::Put(id, self.stream.describe(now)),
            Call::Put(id, produce::Request::PutRecords(entries)) => {
                let Self { stream, rng, faults, .. } = self;
                let (answer, stored) = stream.put(now, entries, || happens(rng, faults.entry_refused));
                self.stored(stored)?;
                Reply::Put(id, answer)
            }
            Call::Lease(id, lease::Request::ListShards { filter, .. }) => {
                let listed = self.stream.list(now, filter);
                Reply::Lease(id, listed.map_or_else(lease::Answer::Failed, lease::Answer::Shards))
            }
            Call::Lease(id, request) => {
                let name = name.ok_or("a producer wants a lease")?;
                // Clocks of workers are up to half a minute apart.
                let skew = u64::from(name.as_str().as_bytes().get(1).copied().unwrap_or_default()) % 4 * 10;
                let wall = 1_795_000_000 + now.as_secs() + skew;
                let (answer, written) = self.table.carry_out(&name, wall, request);
                if let Some(written) = written {
                    self.written(&written)?;
                }
                Reply::Lease(id, answer)
            }
            Call::Read(key, tenure, id, request) => {
                let shard: ShardId = key.as_str().parse().map_err(|error| format!("{error}"))?;
                let line = line.ok_or("a producer reads a shard")?;
                let answer = self.stream.read(now, line, &shard, request);
                Reply::Read(key, tenure, id, answer)
            }
        })
    }

    // What has happened, for those who check.

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        self.checks.see(self.now, seen)
    }

    fn stored(&mut self, stored: Vec<Stored>) -> Result<(), String> {
        if stored.is_empty() {
            return Ok(());
        }
        let shards = self.stream.shards(self.now);
        for Stored { placed, entry } in stored {
            let ids = Id::all_of(&entry);
            let shard = shards.iter().find(|shard| shard.id == placed.shard_id);
            let range = shard.ok_or("an entry lies in no shard")?.hash_key_range;
            self.see(&Seen::Stored { placed: &placed, range, ids: &ids })?;
        }
        Ok(())
    }

    fn written(&mut self, written: &Written) -> Result<(), String> {
        let Written { worker, before, after, change } = written;
        let children: Vec<_> = if after.checkpoint.is_shard_end() {
            let of = |shard: &shardflow_core::Shard| shard.parents().any(|parent| *parent == after.shard_id);
            self.stream
                .shards(self.now)
                .into_iter()
                .filter(of)
                .map(|shard| LeaseKey::from(&shard.id))
                .collect()
        } else {
            Vec::new()
        };
        let orphans: Vec<_> =
            children.into_iter().filter(|child| !self.table.leases.contains_key(child)).collect();
        self.see(&Seen::Written {
            worker,
            before: before.as_ref(),
            after,
            change: change.as_ref(),
            orphans: &orphans,
        })
    }

    fn check_beliefs(&mut self) -> Result<(), String> {
        let mut believers: BTreeMap<LeaseKey, usize> = BTreeMap::new();
        for worker in &self.workers {
            for key in worker.believes(self.now) {
                *believers.entry(key.clone()).or_default() += 1;
            }
        }
        self.see(&Seen::Beliefs { believers: &believers })
    }

    fn producer_did(&mut self, number: usize, did: Vec<producer::Did>) -> Result<(), String> {
        for did in did {
            match did {
                producer::Did::Called(call) => {
                    if let Call::Put(_, produce::Request::PutRecords(entries)) = &call {
                        let ids: Vec<_> = entries.iter().flat_map(Id::all_of).collect();
                        self.see(&Seen::Sent { ids: &ids })?;
                    }
                    self.call(Actor::Producer(number), call);
                }
                producer::Did::Put(id, record) => {
                    self.outcome.put += 1;
                    self.see(&Seen::Put { id, record: &record })?;
                }
                producer::Did::Settled(id, outcome) => {
                    self.outcome.delivered += u64::from(outcome.fate().is_none());
                    self.see(&Seen::Settled { id, outcome: &outcome })?;
                }
            }
        }
        let held = self.producers[number].held_bytes();
        let producer = u16::try_from(number).map_err(|_| "too many producers")?;
        self.see(&Seen::Held { producer, bytes: held })
    }

    fn worker_did(&mut self, number: usize, did: Vec<worker::Did>) -> Result<(), String> {
        for did in did {
            match did {
                worker::Did::Called(call) => self.call(Actor::Worker(number), call),
                worker::Did::Later(after, reply) => {
                    let life = self.workers[number].life;
                    self.post(self.now + after, Mail::Answered { to: Actor::Worker(number), life, reply });
                }
                worker::Did::Began { shard, row } => {
                    let parents = row
                        .parents
                        .iter()
                        .filter_map(|parent| self.table.leases.get(&LeaseKey::from(parent)));
                    let unfinished = parents.filter(|parent| !parent.checkpoint.is_shard_end()).count();
                    self.see(&Seen::Began { shard: &shard, unfinished_parents: unfinished })?;
                }
                worker::Did::Processed { shard, records } => {
                    let records: Vec<_> = records.iter().map(handled).collect();
                    let repeated = self.checks.progress.processed(&records);
                    self.outcome.repeated += repeated;
                    self.see(&Seen::Processed { shard: &shard, records: &records })?;
                }
                worker::Did::Lost { key, cause } => {
                    self.outcome.losses += 1;
                    let row = self.table.leases.get(&key).cloned();
                    let worker = self.workers[number].id.clone();
                    self.see(&Seen::Lost { worker: &worker, row: row.as_ref(), cause })?;
                }
            }
        }
        Ok(())
    }
}

fn handled(record: &UserRecord) -> Handled {
    Handled { id: Id::of(&record.data), at: record.checkpoint(), out_of_range: record.out_of_range }
}

/// Whether a record whose delivery failed may be in the stream nevertheless.
pub(super) fn may_be_there(outcome: &produce::Outcome) -> bool {
    outcome.fate() == Some(Fate::Unknown)
}
