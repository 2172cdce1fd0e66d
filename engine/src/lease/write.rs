//! Keeping leases: what is written when, and what the table's answers mean.

use shardflow_core::{Checkpoint, LeaseChange, LeaseKey, LeaseRow};

use super::coordinator::{Answer, Coordinator, Event, Leaving, LossCause, NotWritten, Pending, Request};
use super::held::{Held, Tenure};
use crate::{Moment, Verdict};

impl Coordinator {
    /// What is not believed any more is lost.
    pub(super) fn expire(&mut self, now: Moment) {
        let failover = self.settings.failover;
        let overdue = |held: &Held| {
            held.handing_over.is_some_and(|since| now.since(since) >= self.settings.handoff_timeout)
        };
        let gone: Vec<_> = self
            .held
            .iter()
            .filter_map(|(key, held)| {
                if now >= held.until(failover) {
                    Some((key.clone(), LossCause::Expired))
                } else if overdue(held) && !held.leaving {
                    Some((key.clone(), LossCause::HandedOver))
                } else {
                    None
                }
            })
            .collect();
        for (key, cause) in gone {
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
        for (key, held) in &mut self.held {
            if held.writing || held.leaving || held.next_renewal > now && held.wanted.is_empty() {
                continue;
            }
            if held.not_before.is_some_and(|at| at > now) {
                continue;
            }
            held.writing = true;
            held.not_before = None;
            let (tenure, counter) = (held.tenure, held.row.counter);
            let pending = match held.furthest() {
                Some(checkpoint) => {
                    Pending::Checkpoint { key: key.clone(), tenure, counter, sent: now, checkpoint }
                }
                None => Pending::Renew { key: key.clone(), tenure, counter, sent: now },
            };
            let change = match &pending {
                Pending::Checkpoint { checkpoint, .. } => {
                    LeaseChange::Checkpoint { counter, checkpoint: checkpoint.clone() }
                }
                _ => LeaseChange::Renew {
                    counter,
                    handing_over: held.handing_over.is_some(),
                    throughput: None,
                },
            };
            due.push((pending, Request::Write { key: key.clone(), change }));
        }
        for (pending, request) in due {
            self.send(pending, request);
        }
    }

    /// When a held lease next needs attention.
    pub(super) fn wakes(&self, held: &Held) -> impl Iterator<Item = Moment> + use<> {
        let write = (!held.writing && !held.leaving).then(|| {
            let due = if held.wanted.is_empty() { held.next_renewal } else { Moment::START };
            held.not_before.map_or(due, |at| at.max(due))
        });
        let overdue = held.handing_over.map(|since| since.after(self.settings.handoff_timeout));
        let overdue = overdue.filter(|_| !held.leaving);
        [Some(held.until(self.settings.failover)), write, overdue].into_iter().flatten()
    }

    /// A renewal, or a checkpoint, was answered.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of the request that is answered")]
    pub(super) fn written(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        counter: u64,
        sent: Moment,
        checkpoint: Option<Checkpoint>,
        answer: Answer,
    ) {
        let renew_every = self.settings.renew_every();
        // An answer to an earlier holding says nothing about this one.
        let Some(held) = self.held.get_mut(key).filter(|held| held.tenure == tenure) else { return };
        held.writing = false;
        match answer {
            Answer::Written => {
                held.row.counter = counter + 1;
                held.unsure = false;
                held.proven_at = sent;
                held.next_renewal = sent.after(renew_every);
                if let Some(checkpoint) = checkpoint {
                    held.row.checkpoint = checkpoint;
                    held.row.pending = None;
                }
                let until = held.until(self.settings.failover);
                self.events.push_back(Event::Kept { key: key.clone(), tenure, until });
                self.tell_stored(key);
            }
            Answer::Conflict(Some(row)) => self.conflicted(now, key, counter, checkpoint, *row),
            Answer::Conflict(None) => drop(self.lose(key, LossCause::Deleted)),
            Answer::Failed(failure) => {
                held.unsure = true;
                held.not_before = Some(now.after(Self::PAUSE.mul_f64(0.5 + self.rng.f64())));
                if failure.verdict() == Verdict::Refuse {
                    for (_, id) in std::mem::take(&mut held.wanted) {
                        let cause = NotWritten::Refused(failure.clone());
                        self.events.push_back(Event::NotCheckpointed { id, cause });
                    }
                }
            }
            Answer::Rows(_) | Answer::Shards(_) => held.unsure = true,
        }
        self.leave_ready(now);
    }

    /// The row is not as we believed: ours by another of our own writes, being handed over, or another worker's.
    fn conflicted(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        counter: u64,
        checkpoint: Option<Checkpoint>,
        row: LeaseRow,
    ) {
        let Some(held) = self.held.get_mut(key) else { return };
        let ours = row.holder() == Some(&self.me) && row.checkpoint_owner != row.owner;
        // One write of ours at most can have landed on the counter that all of them expected.
        let landed = row.counter == counter + 1
            && (held.unsure || checkpoint.as_ref().is_none_or(|checkpoint| *checkpoint == row.checkpoint));
        if !ours || (row.counter != counter && !landed) {
            drop(self.lose(key, LossCause::Taken));
            return;
        }
        // It proves that the lease was ours when that write landed, not now: the older proof stays.
        held.unsure = false;
        held.next_renewal = now;
        let asked = row.checkpoint_owner.is_some() && held.handing_over.is_none();
        held.row = row;
        if asked {
            held.handing_over = Some(now);
            let event = Event::HandoffAsked { key: key.clone(), tenure: held.tenure };
            self.events.push_back(event);
        }
        self.tell_stored(key);
    }

    /// Tells which of the checkpoints that were asked for are stored, or passed by one that is.
    fn tell_stored(&mut self, key: &LeaseKey) {
        let Some(held) = self.held.get_mut(key) else { return };
        let stored = &held.row.checkpoint;
        held.wanted.retain(|(wanted, id)| {
            let done = wanted <= stored;
            if done {
                self.events.push_back(Event::Checkpointed { id: *id });
            }
            !done
        });
    }

    /// A take, or a renewal of a row that names us, was answered.
    pub(super) fn took(
        &mut self,
        now: Moment,
        before: &LeaseRow,
        change: &LeaseChange,
        sent: Moment,
        answer: Answer,
    ) {
        // Whatever else came back, the next look at the table tells. So it does of a take that was answered so late
        // that others may count it as free again.
        let Answer::Written = answer else { return };
        if now.since(sent) >= self.settings.failover {
            return;
        }
        let row = change.apply_to(before).expect("a change that was written fits the row that it names");
        self.tenures += 1;
        let held = Held {
            tenure: Tenure(self.tenures),
            proven_at: sent,
            next_renewal: sent.after(self.settings.renew_every()),
            writing: false,
            unsure: false,
            not_before: None,
            handing_over: None,
            leaving: self.stopping,
            wanted: Default::default(),
            row: row.clone(),
        };
        if !self.stopping {
            let until = held.until(self.settings.failover);
            self.events.push_back(Event::Acquired { row: Box::new(row), tenure: held.tenure, until });
        }
        self.held.insert(before.key.clone(), held);
        self.leave_ready(now);
    }

    /// Forgets a lease and tells so.
    fn lose(&mut self, key: &LeaseKey, cause: LossCause) -> Option<Held> {
        let mut held = self.held.remove(key)?;
        self.drop_family(key);
        for (_, id) in std::mem::take(&mut held.wanted) {
            self.events.push_back(Event::NotCheckpointed { id, cause: NotWritten::LeaseLost });
        }
        self.events.push_back(Event::Lost { key: key.clone(), tenure: held.tenure, cause });
        Some(held)
    }

    fn drop_family(&mut self, key: &LeaseKey) {
        if let Some(family) = self.families.remove(key) {
            let tenure = family.tenure;
            self.events.push_back(Event::ChildrenMustWait { key: key.clone(), tenure });
        }
    }

    // Giving up.

    /// Gives up the leases that are left and have nothing under way.
    pub(super) fn leave_ready(&mut self, now: Moment) {
        let ready = |held: &Held| held.leaving && !held.writing;
        let keys: Vec<_> =
            self.held.iter().filter(|(_, held)| ready(held)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(held) = self.held.remove(&key) else { continue };
            self.drop_family(&key);
            for (_, id) in held.wanted {
                self.events.push_back(Event::NotCheckpointed { id, cause: NotWritten::LeaseLost });
            }
            if !held.row.checkpoint.is_shard_end() {
                self.let_go(now, key, &held.row);
            }
        }
    }

    /// Writes that the lease is the next worker's, or anybody's.
    fn let_go(&mut self, now: Moment, key: LeaseKey, row: &LeaseRow) {
        let (owner, checkpoint_owner) = (row.owner.clone(), row.checkpoint_owner.clone());
        let change = match &owner {
            Some(to) if checkpoint_owner.is_some() => {
                LeaseChange::Assign { to: to.clone(), owner: owner.clone(), checkpoint_owner }
            }
            _ => LeaseChange::Evict { owner, checkpoint_owner },
        };
        self.leaving.insert(key, Leaving { change, tries: 0, retry: Some(now) });
        self.retry_leaving(now);
    }

    pub(super) fn retry_leaving(&mut self, now: Moment) {
        let mut due = Vec::new();
        for (key, leaving) in &mut self.leaving {
            if leaving.retry.take_if(|at| *at <= now).is_some() {
                leaving.tries += 1;
                due.push((key.clone(), leaving.change.clone()));
            }
        }
        for (key, change) in due {
            self.send(Pending::Leave { key: key.clone() }, Request::Write { key, change });
        }
    }

    pub(super) fn left(&mut self, now: Moment, key: &LeaseKey, answer: Answer) {
        /// After that many tries others will find the lease unkept as soon as we would have told them.
        const TRIES: u32 = 10;
        match answer {
            Answer::Conflict(Some(row))
                if row.holder() == Some(&self.me) && !row.checkpoint.is_shard_end() =>
            {
                // A handoff began while we were leaving: the row names somebody to give it to.
                let tries = self.leaving.remove(key).map_or(0, |leaving| leaving.tries);
                if tries < TRIES {
                    self.let_go(now, key.clone(), &row);
                }
            }
            Answer::Failed(_) => {
                if let Some(leaving) = self.leaving.get_mut(key) {
                    leaving.retry = Some(now.after(Self::PAUSE));
                }
                self.leaving.retain(|_, leaving| leaving.tries < TRIES);
            }
            Answer::Written | Answer::Conflict(_) | Answer::Rows(_) | Answer::Shards(_) => {
                self.leaving.remove(key);
            }
        }
    }
}
