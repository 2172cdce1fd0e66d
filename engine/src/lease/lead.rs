//! Leading: competing for the lock, and carrying out what a leader decides.

use shardflow_core::{Checkpoint, LeaseChange, LeaseKey, LeaseRow, Throughput, WorkerId};

use super::Balance;
use super::coordinator::Coordinator;
use super::messages::{Event, Pending, Request};
use crate::Moment;
use crate::leader::{Decision, Load, by_count, by_utilisation};

impl Coordinator {
    /// Takes the lock, or says that it is still kept, if it is time to.
    pub(super) fn compete(&mut self, now: Moment) {
        let may = self.settings.may_lead && self.admission.is_granted() && self.stopping.is_none();
        if may && let Some(change) = self.lock.due(now, &mut self.rng) {
            self.send(Pending::Lock { change: change.clone(), sent: now }, Request::Lock(change));
        }
        let leads = self.lock.leads(now);
        if leads != self.led {
            self.led = leads;
            self.events.push_back(Event::Leads(leads));
        }
    }

    /// What a leader does after each look.
    pub(super) fn lead(&mut self, now: Moment) {
        if self.lock.leads(now) && self.streams.have_started() {
            let balances = now >= self.next_balancing;
            if balances {
                self.next_balancing = now.after(self.settings.balance_every);
            }
            let decisions = self.decide(now, balances);
            for decision in self.without_declined(decisions) {
                self.direct(now, decision);
            }
            self.end_handoffs(now);
        }
        self.tidy(now);
        self.look_for_garbage(now);
    }

    fn decide(&self, now: Moment, balances: bool) -> Vec<Decision> {
        let counts = |row: &LeaseRow| {
            self.seen.is_to_read(row) || row.checkpoint.is_shard_end() && bug!(EndedLeasesCounted)
        };
        let read = self.seen.iter().filter(|seen| counts(&seen.row) && self.reads(&seen.row.stream));
        let complete = read.filter(|seen| self.is_complete(&seen.row.stream));
        let loads = complete.filter(|seen| !self.is_directed(&seen.row.key)).map(|seen| {
            let row = &seen.row;
            let unkept = seen.is_unkept(now, self.patience(row, seen.settled));
            let mine = self.held.contains_key(&row.key);
            let free = row.holder().is_none() || unkept && !mine;
            let stays = match self.settings.balance {
                Balance::Count => true,
                Balance::Utilisation(_) => now.since(seen.owned_since) >= self.settings.balance_every * 2,
            };
            Load {
                key: &row.key,
                owner: row.owner.as_ref().filter(|_| !free),
                settled: row.checkpoint_owner.is_none() && stays,
                urgent: row.holder().is_some(),
                throughput: row.throughput.map(kib_a_second),
            }
        });
        let most = self.settings.max_leases;
        match self.settings.balance {
            Balance::Count => by_count(loads, self.candidates(now), most),
            Balance::Utilisation(weighing) => {
                let member = |worker: &WorkerId| self.members.get(worker);
                by_utilisation(loads, self.candidates(now), member, most, weighing, balances)
            }
        }
    }

    fn is_directed(&self, key: &LeaseKey) -> bool {
        self.pending.direct(key)
    }

    fn direct(&mut self, now: Moment, decision: Decision) {
        match decision {
            Decision::Give { key, to } => {
                let Some(row) = self.seen.get(&key).map(|seen| seen.row.clone()) else { return };
                if !self.is_free_here(&key) {
                    return;
                }
                if bug!(LeaderActsOnStaleScan) {
                    let LeaseRow { owner, checkpoint_owner, .. } = row;
                    let change = LeaseChange::Assign { to, owner, checkpoint_owner };
                    self.send(Pending::Direct { key: key.clone() }, Request::Write { key, change });
                } else if to == self.me {
                    self.take_from_whoever_has_it(now, row);
                } else {
                    // The KCL's condition names the owners only. With the counter in it, a lease that has just been
                    // renewed after all stays where it is.
                    let change = LeaseChange::Take {
                        worker: to,
                        counter: row.counter,
                        owner: row.owner,
                        checkpoint_owner: row.checkpoint_owner,
                    };
                    self.send(Pending::Direct { key: key.clone() }, Request::Write { key, change });
                }
            }
            Decision::Move { key, from, to } => {
                if let Some(held) = self.held.get(&key).filter(|_| from == self.me) {
                    let tenure = held.tenure;
                    if held.handing_over.is_none() && !held.leaving {
                        self.offer(&key, tenure, to);
                    }
                } else {
                    let change = LeaseChange::StartHandoff { from, to };
                    self.send(Pending::Direct { key: key.clone() }, Request::Write { key, change });
                }
            }
        }
    }

    /// Whoever does not let go in time is not waited for any longer.
    fn end_handoffs(&mut self, now: Moment) {
        let patience = self.settings.handoff_timeout + self.settings.failover;
        let overdue: Vec<_> = self
            .to_read()
            .filter(|seen| seen.row.checkpoint_owner.is_some() && now.since(seen.owned_since) >= patience)
            .map(|seen| seen.row.clone())
            .filter(|row| self.is_free_here(&row.key))
            .collect();
        for LeaseRow { key, owner, checkpoint_owner, .. } in overdue {
            let Some(to) = owner.clone() else { continue };
            let change = LeaseChange::Assign { to, owner, checkpoint_owner };
            self.send(Pending::Direct { key: key.clone() }, Request::Write { key, change });
        }
    }

    /// Deletes the leases of shards whose children are well under way, oldest first, and rows of workers that are long
    /// gone. A worker that does not lead does so for the shards that it has ended itself, as the KCL's do.
    fn tidy(&mut self, now: Moment) {
        if now < self.next_tidying || !self.settings.cleans_up {
            return;
        }
        self.next_tidying = now.after(self.settings.tidy_every);
        let leads = self.lock.leads(now);
        let ended: Vec<_> = self
            .seen
            .iter()
            .map(|seen| &seen.row)
            .filter(|row| row.checkpoint.is_shard_end() && self.reads(&row.stream) && self.is_outlived(row))
            .filter(|row| leads || row.owner.as_ref() == Some(&self.me))
            .cloned()
            .collect();
        for row in ended {
            self.send(Pending::Tidy, Request::Delete(Box::new(row)));
        }
        if leads {
            let stale: Vec<_> = self
                .members
                .stale(now, self.wall)
                .map(|member| Request::Forget {
                    worker: member.worker.clone(),
                    updated: Some(member.updated),
                })
                .collect();
            for request in stale {
                self.send(Pending::Tidy, request);
            }
        }
    }

    /// Whether nobody needs the lease of an ended shard: all of its children have been begun, and nothing before it is
    /// left. Its children would else be taken for shards without parents.
    fn is_outlived(&self, row: &LeaseRow) -> bool {
        let begun =
            |child: &LeaseRow| matches!(child.checkpoint, Checkpoint::At { .. } | Checkpoint::ShardEnd);
        let child = |id| self.seen.get(&row.sibling(id)).is_some_and(|seen| begun(&seen.row));
        let mut parents = row.parents.iter().map(|id| row.sibling(id));
        !row.children.is_empty()
            && row.children.iter().all(child)
            && parents.all(|key| self.seen.get(&key).is_none())
    }
}

fn kib_a_second(throughput: Throughput) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "nobody reads so many GiB a second")]
    let millionths = throughput.millionths() as f64;
    millionths / 1e6
}
