//! Giving leases up: to a worker that is to have them, or to whoever wants them.

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_core::{LeaseChange, LeaseKey, LeaseRow, WorkerId};

use super::coordinator::{Coordinator, Leaving, LookBack};
use super::held::Tenure;
use super::messages::{Answer, Event, NotWritten, Pending, Request};
use crate::Moment;
use crate::leader::{Decision, Load, by_count};

impl Coordinator {
    /// Takes no more leases, and gives up those that are held: each is offered to a live worker, and goes on being
    /// processed until that one has had time to notice. [`Event::LetGo`] asks for its end.
    ///
    /// The row that says that this worker is there goes first, and the leader's lock with it: nobody gives a lease to a
    /// worker that is about to go.
    pub fn shut_down(&mut self, now: Moment) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(now);
        self.expire(now);
        let mut shares = self.share_out(now, |row| self.held.contains_key(&row.key));
        let mut offers = Vec::new();
        for (key, held) in self.held.iter_mut() {
            let to = shares.remove(key).filter(|_| !held.leaving);
            if held.waiting {
                held.leaving = true;
            } else if held.handing_over.is_none() {
                let (key, tenure) = (key.clone(), held.tenure);
                match to {
                    Some(to) => offers.push((key, tenure, to)),
                    None => self.events.push_back(Event::LetGo { key, tenure }),
                }
            }
        }
        for (key, tenure, to) in offers {
            self.offer(&key, tenure, to);
        }
        if self.admission.is_granted() {
            let request = Request::Forget { worker: self.me.clone(), updated: None };
            self.send(Pending::Forget, request);
        }
        if let Some(change) = self.lock.release() {
            self.send(Pending::Lock { change: change.clone(), sent: now }, Request::Lock(change));
        }
        self.handle_timeout(now);
    }

    /// Who is to have which lease, if those that are `ours` are free.
    fn share_out(&self, now: Moment, ours: impl Fn(&LeaseRow) -> bool) -> BTreeMap<LeaseKey, WorkerId> {
        let loads = self.to_read().map(|seen| Load {
            key: &seen.row.key,
            owner: seen.row.owner.as_ref().filter(|_| !ours(&seen.row)),
            settled: false,
            urgent: true,
            throughput: None,
        });
        let given = by_count(loads, self.candidates(now), self.settings.max_leases).into_iter();
        let given = given.filter_map(|decision| match decision {
            Decision::Give { key, to } => Some((key, to)),
            Decision::Move { .. } => None,
        });
        given.collect()
    }

    /// Begins to hand a lease of ours over.
    pub(super) fn offer(&mut self, key: &LeaseKey, tenure: Tenure, to: WorkerId) {
        let change = LeaseChange::StartHandoff { from: self.me.clone(), to: to.clone() };
        let pending = Pending::Offer { key: key.clone(), tenure, to };
        self.send(pending, Request::Write { key: key.clone(), change });
    }

    pub(super) fn offered(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        to: WorkerId,
        answer: Answer,
    ) {
        let Some(held) = self.held.get_mut(key).filter(|held| held.tenure == tenure) else { return };
        match answer {
            Answer::Written => {
                held.row.checkpoint_owner = held.row.owner.replace(to);
                self.asked_for(now, key);
            }
            // It is offered to another one already, or it is unknown whether it is: its next renewal tells.
            _ if held.handing_over.is_none() => {
                held.next_renewal = now;
                if self.stopping.is_some() {
                    self.events.push_back(Event::LetGo { key: key.clone(), tenure });
                }
            }
            _ => {}
        }
    }

    /// Another worker is to have a lease of ours. One that nobody was told of goes at once.
    pub(super) fn asked_for(&mut self, now: Moment, key: &LeaseKey) {
        let Some(held) = self.held.get_mut(key) else { return };
        held.handing_over = Some(now);
        if held.waiting {
            held.leaving = true;
        } else if self.stopping.is_none() {
            self.events.push_back(Event::HandoffAsked { key: key.clone(), tenure: held.tenure });
        }
    }

    /// Handoffs that a look at the table shows, sooner than the next renewal would.
    pub(super) fn notice_handoffs(&mut self, now: Moment) {
        let me = &self.me;
        let asked: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.handing_over.is_none())
            .filter_map(|(key, held)| {
                let row = &self.seen.get(key)?.row;
                let ours = row.checkpoint_owner.as_ref() == Some(me) && row.owner.as_ref() != Some(me);
                // A look may be older than what we have written since, but not older than this holding.
                (ours && row.counter >= held.began_with).then(|| (key.clone(), row.owner.clone()))
            })
            .collect();
        for (key, owner) in asked {
            if let Some(held) = self.held.get_mut(&key) {
                held.row.owner = owner;
                held.row.checkpoint_owner = Some(self.me.clone());
                self.asked_for(now, &key);
            }
        }
        self.leave_ready(now);
    }

    /// How long leases that are offered since the shutdown are kept: a look, and a little for the answers. Whoever is to have
    /// them looks twice a second from then on.
    pub(super) fn grace(&self) -> Option<Duration> {
        self.stopping.map(|_| self.settings.look_every + Self::EAGER)
    }

    pub(super) fn let_go_in_time(&mut self, now: Moment) {
        let Some(grace) = self.grace() else { return };
        for key in self.due(now) {
            let Some(held) = self.held.get_mut(&key) else { continue };
            if held.is_let_go_at(grace).is_some_and(|at| at <= now) {
                held.let_go = true;
                self.events.push_back(Event::LetGo { key, tenure: held.tenure });
            }
        }
    }

    /// Looks once more before it goes: a worker that stops at the same time may have handed a lease to this one.
    pub(super) fn look_back(&mut self) {
        let gave_up = self.stopping.is_some() && self.held.is_empty() && self.leaving.is_empty();
        if gave_up && self.looked_back == LookBack::Not && self.admission.is_granted() {
            self.looked_back = LookBack::Looking;
            self.send(Pending::Look, Request::Look);
        }
    }

    /// Passes on what the last look shows to be ours.
    pub(super) fn pass_on(&mut self, now: Moment) {
        if self.looked_back != LookBack::Looking {
            return;
        }
        self.looked_back = LookBack::Done;
        let mine = |row: &LeaseRow| row.owner.as_ref() == Some(&self.me) && row.checkpoint_owner.is_none();
        let mut shares = self.share_out(now, mine);
        let rows: Vec<_> = self.seen.iter().map(|seen| &seen.row).filter(|row| mine(row)).cloned().collect();
        for row in rows.into_iter().filter(|row| !row.checkpoint.is_shard_end()) {
            let owner = row.owner.clone();
            let change = match shares.remove(&row.key) {
                Some(to) => LeaseChange::Assign { to, owner, checkpoint_owner: None },
                None => LeaseChange::Evict { owner, checkpoint_owner: None },
            };
            self.leaving.insert(row.key, Leaving { change, tries: 0, retry: Some(now) });
        }
        self.retry_leaving(now);
    }

    /// Gives up the leases that are left and have nothing under way.
    pub(super) fn leave_ready(&mut self, now: Moment) {
        for key in self.due(now) {
            if self.held.get(&key).is_none_or(|held| !held.is_ready_to_leave()) {
                continue;
            }
            let Some(mut held) = self.held.remove(&key) else { continue };
            self.moved.insert(key.clone());
            self.drop_family(&key);
            for id in held.give_up() {
                self.events.push_back(Event::NotCheckpointed { id, cause: NotWritten::LeaseLost });
            }
            let keeps = self.stopping.is_some() && bug!(NotReleasedOnStop);
            if !held.row.checkpoint.is_shard_end() && !keeps {
                self.let_go(now, key, &held.row);
            }
        }
    }

    /// Writes that the lease is the next worker's, or anybody's.
    pub(super) fn let_go(&mut self, now: Moment, key: LeaseKey, row: &LeaseRow) {
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
        for key in self.leaving.due(now, |leaving| leaving.retry) {
            let Some(leaving) = self.leaving.get_mut(&key) else { continue };
            leaving.retry = None;
            leaving.tries += 1;
            due.push((key, leaving.change.clone()));
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
                    if leaving.tries >= TRIES {
                        self.leaving.remove(key);
                    }
                }
            }
            Answer::Written
            | Answer::Conflict(_)
            | Answer::View { .. }
            | Answer::Keys(_)
            | Answer::Row(_)
            | Answer::Shards(_)
            | Answer::Described(_) => {
                self.leaving.remove(key);
            }
        }
    }
}
