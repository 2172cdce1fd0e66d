//! The script of a world's trouble, and what the fleet is about when it comes.

use std::time::Duration;

use fastrand::Rng;
use shardflow_core::LeaseKey;
use shardflow_local::kinesis::RecordDistributionStrategy;

use super::invariants::Seen;
use super::network::Actor;
use super::trace::Broken;
use super::world::{FAILOVER, World};

macro_rules! troubles {
    ($($(#[$doc:meta])* $trouble:ident $name:literal $weight:literal,)*) => {
        /// Something that the script brings.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Trouble { $($(#[$doc])* $trouble,)* }

        impl Trouble {
            pub(super) const ALL: &[Self] = &[$(Self::$trouble),*];

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$trouble => $name,)* }
            }

            /// How often it comes, beside the others.
            fn weight(self) -> usize {
                match self { $(Self::$trouble => $weight,)* }
            }
        }
    };
}

troubles! {
    /// A worker's process ends at once.
    Crash "crash" 2,
    /// One that is dead is started: under its name, or a fresh one.
    Start "start" 6,
    /// A worker is told to stop.
    Stop "stop" 1,
    /// All are replaced, one after the other.
    Deploy "deploy" 1,
    /// A process stands still for up to three failover times, and goes on with its old mail.
    Freeze "freeze" 2,
    /// A machine is suspended, and its clock with it.
    Suspend "suspend" 1,
    /// A worker is cut off from everything.
    Cut "cut off" 1,
    /// From the lease table only.
    CutFromTable "cut from table" 1,
    /// From the stream only.
    CutFromStream "cut from stream" 1,
    /// It can be reached again.
    Mend "mended" 4,
    /// A link that fails by degrees: the last renewals land early and are heard of late.
    Sluggish "sluggish" 1,
    /// A shard is split, or two are merged.
    Reshard "reshard" 3,
    /// The same several times, while no worker runs.
    ReshardWhileDown "reshard while down" 1,
    /// All iterators expire.
    ExpireIterators "iterators expire" 1,
    /// All subscriptions end.
    EndSubscriptions "subscriptions end" 1,
    /// The stream begins to distribute records by itself, or stops.
    Switch "distribution" 2,
    /// A worker is started under the name of another one that runs.
    Twin "same name twice" 1,
    /// Somebody deletes the lease of an open shard.
    DeleteLease "lease deleted" 1,
    /// Somebody deletes the row of a worker.
    DeleteMember "member deleted" 1,
    /// Somebody deletes the leader's lock.
    DeleteLock "lock deleted" 1,
    /// Everything in the stream leaves retention.
    Age "left retention" 1,
    /// The time by a worker's wall jumps.
    ClockJump "clock jumps" 1,
    /// The table refuses everything for a while.
    TableOutage "table refuses" 1,
    /// The stream does.
    StreamOutage "stream refuses" 1,
}

/// What a fleet can be about.
pub(super) const SITUATIONS: &[&str] = &[
    "steady",
    "starting",
    "handing over",
    "shard ended",
    "no leader",
    "lease unread",
    "stopping",
    "cut off",
    "frozen",
];

impl Trouble {
    /// Those of one world: some kinds missing, so that each is also seen without the others.
    pub(super) fn draw(switches: bool, rng: &mut Rng) -> Vec<Self> {
        let mut drawn = Vec::new();
        for trouble in Self::ALL.iter().copied() {
            let may = match trouble {
                Self::Start | Self::Mend => true,
                Self::Switch => switches,
                _ => rng.u8(..3) > 0,
            };
            if may {
                drawn.extend(std::iter::repeat_n(trouble, trouble.weight()));
            }
        }
        drawn
    }
}

impl World {
    /// One line of the script.
    pub(super) fn make_trouble(&mut self) -> Result<(), Broken> {
        let Some(trouble) = self.rng.choice(&self.troubles).copied() else { return Ok(()) };
        let number = self.rng.usize(..self.workers.len());
        let situations = self.situations();
        if !self.strike(trouble, number)? {
            return Ok(());
        }
        for situation in situations {
            self.outcome.coverage.hit(trouble.name(), situation);
        }
        Ok(())
    }

    /// Whether it could come.
    fn strike(&mut self, trouble: Trouble, number: usize) -> Result<bool, Broken> {
        let now = self.now;
        let alive = self.workers[number].is_alive();
        let what = format!("{}, worker {number} ({})", trouble.name(), self.workers[number].id);
        self.see(&Seen::Trouble { what: &what })?;
        match trouble {
            Trouble::Start if !alive => self.start(number, None)?,
            Trouble::Crash if alive => self.crash(number),
            Trouble::Stop if alive => self.stop(number)?,
            Trouble::Deploy => {
                for number in 0..self.workers.len() {
                    self.stop(number)?;
                    let until = self.now + Duration::from_millis(self.rng.u64(500..8_000));
                    self.run_until(until)?;
                    if !self.workers[number].is_alive() {
                        self.start(number, None)?;
                    }
                }
            }
            Trouble::Freeze if alive => {
                let freeze = Duration::from_millis(self.rng.u64(500..30_000));
                self.workers[number].frozen_until = now + freeze;
            }
            Trouble::Suspend if alive && self.workers[number].frozen_until <= now => {
                let time = Duration::from_millis(self.rng.u64(500..30_000));
                self.workers[number].suspend(now + time, time, FAILOVER);
            }
            Trouble::Cut if alive => {
                (self.workers[number].cut_from_table, self.workers[number].cut_from_stream) = (true, true);
            }
            Trouble::CutFromTable if alive => self.workers[number].cut_from_table = true,
            Trouble::CutFromStream if alive => self.workers[number].cut_from_stream = true,
            Trouble::Mend => {
                (self.workers[number].cut_from_table, self.workers[number].cut_from_stream) = (false, false);
            }
            Trouble::Sluggish if alive => {
                self.workers[number].sluggish = true;
                let broken = now + Duration::from_millis(self.rng.u64(2_000..8_000));
                self.run_until(broken)?;
                self.workers[number].sluggish = false;
                (self.workers[number].cut_from_table, self.workers[number].cut_from_stream) = (true, true);
            }
            Trouble::Reshard if self.reshard_after <= now => self.stream.reshard(now, &mut self.rng, 16),
            Trouble::ReshardWhileDown if self.reshard_after <= now => {
                (0..self.workers.len()).for_each(|number| self.crash(number));
                for _ in 0..self.rng.usize(1..4) {
                    self.stream.reshard(self.now, &mut self.rng, 16);
                    let until = self.now + Duration::from_millis(self.rng.u64(10..10_000));
                    self.run_until(until)?;
                }
                self.start_the_dead()?;
            }
            Trouble::ExpireIterators => self.stream.expire_iterators(),
            Trouble::EndSubscriptions => self.stream.end_subscriptions(),
            Trouble::Switch => {
                let strategy = match self.rng.bool() {
                    true => RecordDistributionStrategy::Auto,
                    false => RecordDistributionStrategy::UserPartitionKey,
                };
                self.stream.distribute(now, strategy);
            }
            // A KCL does not tell which of its runs it is, and is not found out.
            Trouble::Twin if !alive && !self.workers[number].is_java => {
                let ours = self.workers.iter().filter(|worker| worker.is_at_work() && !worker.is_java);
                let names: Vec<_> = ours.map(|worker| worker.id.clone()).collect();
                let Some(name) = self.rng.choice(names) else { return Ok(false) };
                self.twins.insert(name.clone());
                self.start(number, Some(name))?;
            }
            Trouble::DeleteLease => return self.delete_lease(),
            Trouble::DeleteMember => {
                let names: Vec<_> = self.table.members.keys().cloned().collect();
                let Some(name) = self.rng.choice(names) else { return Ok(false) };
                self.table.members.remove(&name);
            }
            Trouble::DeleteLock if self.table.lock.is_some() => {
                self.table.lock = None;
                // As long as a KCL believes in it.
                self.lock_is_sound_from = now + Duration::from_secs(125);
            }
            Trouble::Age => {
                self.stream.age();
                self.see(&Seen::Aged)?;
            }
            Trouble::ClockJump => self.workers[number].wall_ahead = self.rng.i64(-90..90),
            Trouble::TableOutage => self.outage.0 = now + Duration::from_millis(self.rng.u64(1_000..15_000)),
            Trouble::StreamOutage => self.outage.1 = now + Duration::from_millis(self.rng.u64(1_000..15_000)),
            _ => return Ok(false),
        }
        (0..self.workers.len()).for_each(|number| self.touched(Actor::Worker(number)));
        Ok(true)
    }

    pub(super) fn crash(&mut self, number: usize) {
        self.workers[number].crash();
        self.touched(Actor::Worker(number));
    }

    pub(super) fn stop(&mut self, number: usize) -> Result<(), Broken> {
        let did = self.workers[number].shut_down(self.now, &mut self.rng);
        self.worker_did(number, did)
    }

    /// Deletes the lease of an open shard. One whose shard is merged before that is noticed would not be missed: see
    /// `docs/testing.md`.
    fn delete_lease(&mut self) -> Result<bool, Broken> {
        let open = self.stream.shards(self.now).into_iter().filter(shardflow_core::Shard::is_open);
        let keys: Vec<_> = open.map(|shard| LeaseKey::from(&shard.id)).collect();
        let keys = keys.into_iter().filter(|key| self.table.leases.contains_key(key));
        let Some(key) = self.rng.choice(keys.collect::<Vec<_>>()) else { return Ok(false) };
        self.table.set(self.now, &key, None);
        self.deleted.insert(key.clone());
        self.reshard_after = self.now + Duration::from_secs(60);
        self.see(&Seen::Deleted { key: &key })?;
        Ok(true)
    }

    /// What the fleet is about now.
    fn situations(&mut self) -> Vec<&'static str> {
        let now = self.now;
        let shards = self.stream.shards(now);
        let rows = &self.table.leases;
        let has = |shard: &shardflow_core::Shard| rows.get(&LeaseKey::from(&shard.id));
        let open = |row: &shardflow_core::LeaseRow| !row.checkpoint.is_shard_end();
        let closed = |shard: &&shardflow_core::Shard| !shard.is_open();
        let read = |key: &LeaseKey| self.workers.iter().any(|worker| worker.believes_in(key, now));
        let found = [
            rows.is_empty(),
            rows.values().any(|row| row.checkpoint_owner.is_some()),
            shards.iter().filter(closed).any(|shard| has(shard).is_some_and(open)),
            !self.workers.iter().any(|worker| worker.leads(now)),
            rows.values().any(|row| open(row) && !read(&row.key)),
            self.workers.iter().any(|worker| worker.is_alive() && !worker.is_at_work()),
            self.workers.iter().any(|worker| worker.cut_from_table || worker.cut_from_stream),
            self.workers.iter().any(|worker| worker.frozen_until > now),
        ];
        let mut all: Vec<_> =
            SITUATIONS[1..].iter().zip(found).filter(|(_, is_so)| *is_so).map(|(name, _)| *name).collect();
        if all.is_empty() {
            all.push(SITUATIONS[0]);
        }
        all
    }
}
