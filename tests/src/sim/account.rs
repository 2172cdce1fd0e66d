//! What has happened in a world, told to those who check.

use std::time::Duration;

use shardflow_core::{Fate, LeaseKey, UserRecord, WorkerId};
use shardflow_engine::produce;

use super::invariants::{Handled, Seen};
use super::network::{Actor, Call, Mail};
use super::producer;
use super::records::Id;
use super::stream::Stored;
use super::table::Written;
use super::trace::Broken;
use super::worker::{self, Worker};
use super::world::{FAILOVER, World};

impl World {
    pub(super) fn stored(&mut self, stored: Vec<Stored>) -> Result<(), Broken> {
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

    pub(super) fn written(&mut self, written: &Written) -> Result<(), Broken> {
        let Written { worker, before, after, change } = written;
        let children: Vec<_> = if after.checkpoint.is_shard_end() {
            let of = |shard: &shardflow_core::Shard| shard.parents().any(|parent| *parent == after.shard_id);
            let shards = self.stream.shards(self.now).into_iter();
            shards.filter(of).map(|shard| LeaseKey::from(&shard.id)).collect()
        } else {
            Vec::new()
        };
        let lacks =
            |child: &LeaseKey| !self.table.leases.contains_key(child) && !self.deleted.contains(child);
        let orphans: Vec<_> = children.into_iter().filter(lacks).collect();
        // Those of a shard that was done before may have been begun, done and tidied away.
        let first = before.as_ref().is_none_or(|before| !before.checkpoint.is_shard_end());
        self.see(&Seen::Written {
            worker,
            before: before.as_ref(),
            after,
            change: change.as_ref(),
            orphans: if first { &orphans } else { &[] },
        })
    }

    /// Looks at what a worker believes since something has happened to it. Beliefs end by time alone and begin so never.
    fn check_beliefs(&mut self, number: usize) -> Result<(), Broken> {
        let now = self.now;
        let mut shared: Vec<LeaseKey> = self.overlaps.keys().cloned().collect();
        let others = |world: &Self, key: &LeaseKey| {
            world.workers.iter().enumerate().any(|(n, other)| n != number && other.believes_in(key, now))
        };
        shared.extend(self.workers[number].believes(now).filter(|key| others(self, key)));
        for key in shared {
            let by: Vec<_> = self.workers.iter().filter(|worker| worker.believes_in(&key, now)).collect();
            if by.len() < 2 {
                self.overlaps.remove(&key);
                continue;
            }
            let allowed = self.allowed(&by);
            let by: Vec<_> = by.iter().map(|worker| worker.id.clone()).collect();
            let time = now - *self.overlaps.entry(key.clone()).or_insert(now);
            self.see(&Seen::Believed { key: &key, by: &by, time, allowed })?;
        }
        if self.workers[number].leads(now) {
            let leaders = self.workers.iter().filter(|worker| worker.leads(now));
            let mut by: Vec<WorkerId> = leaders.map(|worker| worker.id.clone()).collect();
            by.sort();
            by.dedup();
            let deluded =
                self.workers.iter().any(|worker| worker.leads(now) && worker.deluded_until > Duration::ZERO);
            if by.len() > 1 && !deluded && self.drift == 0 && self.lock_is_sound_from <= self.now {
                self.see(&Seen::Leaders { by: &by })?;
            }
        }
        Ok(())
    }

    /// How long workers may believe in one lease, by their clocks and names.
    fn allowed(&self, by: &[&Worker]) -> Duration {
        if by.iter().any(|worker| self.twins.contains(&worker.id)) {
            return Duration::MAX;
        }
        let drift = u32::try_from(self.drift).unwrap_or(u32::MAX);
        let drift = if drift > 0 { FAILOVER * drift * 3 / 1_000_000 } else { Duration::ZERO };
        // A KCL counts from the answer, and does not wait for one longer than that.
        let java = by.iter().any(|worker| worker.is_java);
        let drift = if java { drift + Duration::from_secs(3) } else { drift };
        let deluded = by.iter().any(|worker| worker.deluded_until > self.now);
        if deluded { drift + FAILOVER } else { drift }
    }

    pub(super) fn producer_did(&mut self, number: usize, did: Vec<producer::Did>) -> Result<(), Broken> {
        for did in did {
            match did {
                producer::Did::Called(call) => {
                    if let Call::Put(_, produce::Request::PutRecords(entries)) = &call {
                        let ids: Vec<_> = entries.iter().flat_map(Id::all_of).collect();
                        self.see(&Seen::Sent { ids: &ids })?;
                    }
                    self.call(Actor::Producer(number), call)?;
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
        self.touched(Actor::Producer(number));
        let held = self.producers[number].held_bytes();
        let producer = u16::try_from(number).map_err(|_| "too many producers")?;
        self.see(&Seen::Held { producer, bytes: held })
    }

    pub(super) fn worker_did(&mut self, number: usize, did: Vec<worker::Did>) -> Result<(), Broken> {
        let life = self.workers[number].life;
        for did in did {
            match did {
                worker::Did::Called(call) => self.call(Actor::Worker(number), call)?,
                worker::Did::Later(after, reply) => {
                    self.post(self.now + after, Mail::Answered { to: Actor::Worker(number), life, reply });
                }
                worker::Did::Began { tenure, row } => {
                    let parents = row
                        .parents
                        .iter()
                        .filter_map(|parent| self.table.leases.get(&LeaseKey::from(parent)));
                    let unfinished_parents =
                        parents.filter(|parent| !parent.checkpoint.is_shard_end()).count();
                    self.see(&Seen::Began { run: (number, life, tenure), row: &row, unfinished_parents })?;
                }
                worker::Did::Processed { tenure, shard, records } => {
                    let records: Vec<_> = records.iter().map(handled).collect();
                    let repeated = self.checks.progress.processed(&records);
                    self.outcome.repeated += repeated;
                    self.see(&Seen::Processed {
                        run: (number, life, tenure),
                        shard: &shard,
                        records: &records,
                    })?;
                }
                worker::Did::Restarted { tenure, shard, checkpoint } => {
                    let run = (number, life, tenure);
                    self.see(&Seen::Restarted { run, shard: &shard, checkpoint: &checkpoint })?;
                }
                worker::Did::Released { shard, unsaved } => {
                    self.see(&Seen::Released { shard: &shard, unsaved: unsaved.as_ref() })?;
                }
                worker::Did::Lost { key, cause } => {
                    self.outcome.losses += 1;
                    let row = self.table.leases.get(&key).cloned();
                    let worker = self.workers[number].id.clone();
                    // A KCL takes its own landed writes for another's, as it may.
                    let alone = !self.twins.contains(&worker) && !self.workers[number].is_java;
                    self.see(&Seen::Lost { worker: &worker, row: row.as_ref(), cause, alone })?;
                }
            }
        }
        self.touched(Actor::Worker(number));
        self.check_beliefs(number)
    }
}

fn handled(record: &UserRecord) -> Handled {
    Handled { id: Id::of(&record.data), at: record.checkpoint(), out_of_range: record.out_of_range }
}

/// Whether a record whose delivery failed may be in the stream nevertheless.
pub(super) fn may_be_there(outcome: &produce::Outcome) -> bool {
    outcome.fate() == Some(Fate::Unknown)
}
