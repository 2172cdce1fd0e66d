//! Keeping leases: what is written when, and what the table's answers mean.

use std::collections::BTreeSet;
use std::time::Duration;

use shardflow_core::{Checkpoint, LeaseChange, LeaseKey, LeaseRow, PendingCheckpoint};

use super::coordinator::Coordinator;
use super::held::{Held, Tenure};
use super::messages::{Answer, Event, LossCause, NotWritten, Pending, Request};
use crate::{Moment, Verdict};

/// Most writes of one lease that are under way beside each other.
const BESIDE: u32 = 3;

/// What was written by a renewal, which they all are.
#[derive(Debug)]
pub(super) enum Wrote {
    Renewal,
    Checkpoint(Checkpoint),
    Prepare(PendingCheckpoint),
}

impl Coordinator {
    /// What is not believed any more is lost.
    pub(super) fn expire(&mut self, now: Moment) {
        let failover = self.settings.failover;
        let handoff_timeout = self.settings.handoff_timeout;
        let overdue =
            |held: &Held| held.handing_over.is_some_and(|since| now.since(since) >= handoff_timeout);
        for key in self.due(now) {
            let Some(held) = self.held.get(&key) else { continue };
            let cause = if now >= held.until(failover) {
                LossCause::Expired
            } else if overdue(held) && !held.leaving {
                LossCause::HandedOver
            } else {
                continue;
            };
            let handed_over = cause == LossCause::HandedOver;
            let Some(held) = self.lose(&key, cause) else { continue };
            if handed_over {
                self.let_go(now, key, &held.row);
            }
        }
    }

    /// Writes checkpoints that were asked for, and renews what is due.
    pub(super) fn write_due(&mut self, now: Moment) {
        let mut due = Vec::new();
        let hedge_after = self.settings.hedge_after();
        let measure_every = self.settings.measure_every();
        for key in self.due(now) {
            let writes = |held: &Held| held.next_write(hedge_after).is_some_and(|at| at <= now);
            if !self.held.get(&key).is_some_and(writes) {
                continue;
            }
            let Some(held) = self.held.get_mut(&key) else { continue };
            // A write beside one that is not answered yet: whichever lands, the other one is refused by it.
            held.unsure |= held.writes > 0;
            held.writes += 1;
            held.wrote_at = now;
            held.not_before = None;
            let (tenure, counter, sent) = (held.tenure, held.row.counter, now);
            let prepare = held.prepares.front().map(|(pending, _)| pending.clone());
            let (pending, change) = match (held.furthest(), prepare) {
                (Some(checkpoint), _) => {
                    let throughput = held.measure(now, measure_every);
                    let change =
                        LeaseChange::Checkpoint { counter, checkpoint: checkpoint.clone(), throughput };
                    (Pending::Checkpoint { key: key.clone(), tenure, counter, sent, checkpoint }, change)
                }
                (None, Some(pending)) => {
                    let PendingCheckpoint { checkpoint, state, .. } = pending.clone();
                    let change = LeaseChange::Prepare { counter, checkpoint, state };
                    (Pending::Prepare { key: key.clone(), tenure, counter, sent, pending }, change)
                }
                (None, None) => {
                    let (handing_over, throughput) =
                        (held.handing_over.is_some(), held.measure(now, Held::MOMENT));
                    let change = LeaseChange::Renew { counter, handing_over, throughput };
                    (Pending::Renew { key: key.clone(), tenure, counter, sent }, change)
                }
            };
            due.push((pending, Request::Write { key, change }));
        }
        for (pending, request) in due {
            self.send(pending, request);
        }
    }

    /// The held leases that need attention now.
    pub(super) fn due(&mut self, now: Moment) -> BTreeSet<LeaseKey> {
        let times = self.times();
        self.held.due(now, |held| times.wakes(held))
    }

    pub(super) fn times(&self) -> Times {
        Times {
            failover: self.settings.failover,
            hedge_after: self.settings.hedge_after(),
            handoff_timeout: self.settings.handoff_timeout,
            grace: self.grace(),
        }
    }

    /// A write has taken that long. What is renewed next is renewed sooner where that is long.
    pub(super) fn answered_after(&mut self, took: Duration) {
        self.slowest = took.max(self.slowest.mul_f64(0.9));
    }

    /// A renewal, or a checkpoint made or noted, was answered.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of the request that is answered")]
    pub(super) fn written(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        counter: u64,
        sent: Moment,
        wrote: Wrote,
        answer: Answer,
    ) {
        self.answered_after(now.since(sent));
        let renew_after = self.settings.renew_after(self.slowest);
        let sent = if bug!(LifeFromAnswer) { now } else { sent };
        // An answer to an earlier holding says nothing about this one.
        let present = |held: &&mut Held| held.tenure == tenure || bug!(StaleTenureAnswer);
        let Some(held) = self.held.get_mut(key).filter(present) else { return };
        held.writes -= 1;
        match answer {
            Answer::Written => {
                held.proven_at = held.proven_at.max(sent);
                // If it is not the first answer on this counter, the one before has told the rest.
                if held.row.counter == counter {
                    held.row.counter = counter + 1;
                    held.unsure = false;
                }
                held.next_renewal = held.proven_at.after(renew_after);
                match wrote {
                    Wrote::Renewal => {}
                    Wrote::Checkpoint(checkpoint) => {
                        held.row.checkpoint = checkpoint.max(held.row.checkpoint.clone());
                        held.row.pending = None;
                    }
                    Wrote::Prepare(pending) => held.row.pending = Some(pending),
                }
                let until = held.until(self.settings.failover);
                self.events.push_back(Event::Kept { key: key.clone(), tenure, until });
                self.tell_stored(now, key);
            }
            // Refused by the write that it was sent beside, which is known to have landed.
            Answer::Conflict(_) if held.row.counter > counter => {}
            Answer::Conflict(Some(row)) => self.conflicted(now, key, counter, &wrote, *row),
            Answer::Conflict(None) => drop(self.lose(key, LossCause::Deleted)),
            Answer::Failed(failure) => {
                held.unsure = true;
                held.not_before = Some(now.after(Self::PAUSE.mul_f64(0.5 + self.rng.f64())));
                if failure.verdict() == Verdict::Refuse {
                    for id in held.give_up() {
                        let cause = NotWritten::Refused(failure.clone());
                        self.events.push_back(Event::NotCheckpointed { id, cause });
                    }
                }
            }
            Answer::View { .. }
            | Answer::Keys(_)
            | Answer::Row(_)
            | Answer::Shards(_)
            | Answer::Described(_) => held.unsure = true,
        }
        self.leave_ready(now);
    }

    /// The row is not as we believed: ours by another of our own writes, being handed over, or another worker's.
    fn conflicted(&mut self, now: Moment, key: &LeaseKey, counter: u64, wrote: &Wrote, row: LeaseRow) {
        let Some(held) = self.held.get_mut(key) else { return };
        let ours = row.holder() == Some(&self.me) && row.checkpoint_owner != row.owner;
        // One write of ours at most can have landed on the counter that all of them expected.
        let as_written = match wrote {
            Wrote::Renewal => true,
            Wrote::Checkpoint(checkpoint) => *checkpoint == row.checkpoint,
            Wrote::Prepare(pending) => row.pending.as_ref() == Some(pending),
        };
        let landed = row.counter == counter + 1 && (held.unsure || as_written);
        let landed = landed && !bug!(OwnWriteTakenForLoss);
        if !ours || (row.counter != counter && !landed) {
            drop(self.lose(key, LossCause::Taken));
            return;
        }
        // It proves that the lease was ours when that write landed, not now: the older proof stays.
        held.unsure = false;
        held.next_renewal = now;
        held.not_before = None;
        let asked = row.checkpoint_owner.is_some() && held.handing_over.is_none();
        let measured = held.row.throughput;
        held.row = row;
        held.row.throughput = measured;
        if asked {
            self.asked_for(now, key);
        }
        self.tell_stored(now, key);
    }

    /// Tells which of the checkpoints that were asked for are stored, or passed by one that is.
    fn tell_stored(&mut self, now: Moment, key: &LeaseKey) {
        let Some(held) = self.held.get_mut(key) else { return };
        let stored = &held.row.checkpoint;
        held.wanted.retain(|(wanted, id)| {
            let done = wanted <= stored;
            if done {
                self.events.push_back(Event::Checkpointed { id: *id });
            }
            !done
        });
        let noted = held.row.pending.as_ref();
        while let Some((_, id)) = held.prepares.pop_front_if(|(pending, _)| Some(&*pending) == noted) {
            self.events.push_back(Event::Checkpointed { id });
        }
        if stored.is_shard_end() {
            // Its children need not wait for the next look.
            let row = held.row.clone();
            self.seen.note(now, row, &mut self.rng);
            self.tell_ready();
        }
    }

    /// Forgets a lease and tells so.
    pub(super) fn lose(&mut self, key: &LeaseKey, cause: LossCause) -> Option<Held> {
        let mut held = self.held.remove(key)?;
        self.moved.insert(key.clone());
        self.drop_family(key);
        for id in held.give_up() {
            self.events.push_back(Event::NotCheckpointed { id, cause: NotWritten::LeaseLost });
        }
        // Whoever was not told that it came need not hear that it went.
        if !held.waiting {
            self.events.push_back(Event::Lost { key: key.clone(), tenure: held.tenure, cause });
        }
        Some(held)
    }

    pub(super) fn drop_family(&mut self, key: &LeaseKey) {
        if let Some(family) = self.families.remove(key) {
            let tenure = family.tenure;
            self.events.push_back(Event::ChildrenMustWait { key: key.clone(), tenure });
        }
    }
}

/// By what a held lease needs attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    failover: Duration,
    hedge_after: Duration,
    handoff_timeout: Duration,
    grace: Option<Duration>,
}

impl Times {
    /// When a held lease next needs attention.
    pub(super) fn wakes(&self, held: &Held) -> Option<Moment> {
        let leaves = held.is_ready_to_leave().then_some(Moment::START);
        let write = held.next_write(self.hedge_after);
        let overdue = held.handing_over.filter(|_| !held.leaving);
        let overdue = overdue.map(|since| since.after(self.handoff_timeout));
        let let_go = self.grace.and_then(|grace| held.is_let_go_at(grace));
        [Some(held.until(self.failover)), leaves, write, overdue, let_go].into_iter().flatten().min()
    }
}

impl Held {
    /// When it is to be written next: when it is due, or when one that is under way takes too long.
    fn next_write(&self, hedge_after: Duration) -> Option<Moment> {
        if self.leaving || self.writes >= BESIDE {
            return None;
        }
        let due = if self.is_waited_for() { Moment::START } else { self.next_renewal };
        let beside = if self.writes > 0 { self.wrote_at.after(hedge_after) } else { Moment::START };
        Some(due.max(beside).max(self.not_before.unwrap_or(Moment::START)))
    }
}
