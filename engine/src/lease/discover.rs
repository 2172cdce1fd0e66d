//! Leases that come to this worker: given to it by a leader, taken up again, or kept by nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use shardflow_core::{LeaseChange, LeaseKey, LeaseRow, WorkerId};

use super::Settings;
use super::coordinator::Coordinator;
use super::held::{Held, Tenure};
use super::messages::{Answer, Event, Pending, Request};
use super::sighting::Sighting;
use crate::{Moment, leader};

impl Coordinator {
    /// Rows that name this worker, although it does not hold them: given to it, a former life's, the end of a handoff, or
    /// a take whose answer was lost. Renewing proves that they are ours.
    pub(super) fn take_up_again(&mut self, now: Moment) {
        let mine = |row: &&LeaseRow| row.owner.as_ref() == Some(&self.me) && row.checkpoint_owner.is_none();
        let rows: Vec<_> = self
            .seen
            .iter()
            .map(|sighting| &sighting.row)
            .filter(mine)
            .filter(|row| self.reads(&row.stream))
            .filter(|row| !row.checkpoint.is_shard_end() && self.is_free_here(&row.key))
            .cloned()
            .collect();
        for row in rows {
            let counter = row.counter;
            self.take(now, row, LeaseChange::Renew { counter, handing_over: false, throughput: None });
        }
    }

    /// The index's answer: leases that name this worker. Those that it does not have are read.
    pub(super) fn keys_found(&mut self, answer: Answer) {
        let Answer::Keys(keys) = answer else { return };
        for key in keys {
            if self.is_free_here(&key) {
                self.send(Pending::Found, Request::Get(key));
            }
        }
    }

    pub(super) fn row_found(&mut self, now: Moment, answer: Answer) {
        if let Answer::Row(Some(row)) = answer
            && self.stopping.is_none()
        {
            self.seen.note(now, *row, &mut self.rng);
            self.take_up_again(now);
        }
    }

    /// Takes what nobody keeps, whoever leads: a lease whose counter this worker has itself seen unchanged for longer
    /// than its holder would believe in it. First up to its share among those that do so too; what these have not taken
    /// when all of them must have seen it, it takes as well if it has room.
    pub(super) fn take_what_nobody_keeps(&mut self, now: Moment) {
        let to_read: Vec<_> = self.to_read().collect();
        let unkept = |seen: &Sighting, more| {
            let here = !self.is_free_here(&seen.row.key);
            let jitter = seen.jitter(self.settings.jitter());
            !here && seen.is_unkept(now, self.patience(&seen.row, seen.settled) + jitter + more)
        };
        let due = to_read.iter().filter(|seen| unkept(seen, Duration::ZERO)).map(|seen| seen.row.clone());
        let mut due: Vec<_> = due.collect();
        if due.is_empty() {
            return;
        }
        let mine = to_read.iter().filter(|seen| !self.is_free_here(&seen.row.key)).count();
        let quick: BTreeSet<_> = self.candidates(now).filter(|c| c.quick).map(|c| c.worker).collect();
        let theirs = |seen: &&&Sighting| {
            let other = |holder: &WorkerId| *holder != self.me && quick.contains(holder);
            seen.row.holder().is_some_and(other) && self.is_free_here(&seen.row.key)
        };
        let to_part = mine + to_read.iter().filter(theirs).count() + due.len();
        let share = to_part.div_ceil(quick.len().max(1)).saturating_sub(mine);
        let room = self.settings.max_leases.saturating_sub(mine);
        let later = self.settings.look_every + self.settings.jitter();
        let late: BTreeSet<_> =
            to_read.iter().filter(|seen| unkept(seen, later)).map(|seen| seen.row.key.clone()).collect();
        self.rng.shuffle(&mut due);
        // Those that others have left for long come first, so that the share does not go to the rest.
        due.sort_by_key(|row| !late.contains(&row.key));
        due.truncate(share.max(late.len()).min(room));
        for row in due {
            self.take_from_whoever_has_it(now, row);
        }
    }

    /// A look that shows a lease of ours to be gone, or another worker's, may be older than what we wrote: a renewal
    /// tells.
    pub(super) fn doubt(&mut self, now: Moment) {
        let doubtful = |(key, held): &(&LeaseKey, &Held)| {
            let seen = self.seen.get(key).map(|seen| &seen.row);
            let ours = |row: &LeaseRow| row.counter <= held.row.counter || row.holder() == Some(&self.me);
            held.writes == 0 && !seen.is_some_and(ours)
        };
        let doubtful: Vec<_> = self.held.iter().filter(doubtful).map(|(key, _)| key.clone()).collect();
        for key in doubtful {
            if let Some(held) = self.held.get_mut(&key) {
                held.next_renewal = held.next_renewal.min(now);
            }
        }
    }

    /// How long a lease must look the same before nobody keeps it. A worker that was given one just now has not noticed
    /// yet: a KCL for Java looks every ten seconds.
    pub(super) fn patience(&self, row: &LeaseRow, settled: bool) -> Duration {
        let slow = |holder: &WorkerId| self.members.get(holder).is_some_and(|m| m.instance.is_none());
        let unnoticed = !settled && row.holder().is_some_and(slow);
        if unnoticed { self.settings.failover * 2 } else { self.settings.failover }
    }

    pub(super) fn take_from_whoever_has_it(&mut self, now: Moment, row: LeaseRow) {
        let change = LeaseChange::Take {
            worker: self.me.clone(),
            counter: row.counter,
            owner: row.owner.clone(),
            checkpoint_owner: row.checkpoint_owner.clone(),
        };
        self.take(now, row, change);
    }

    pub(super) fn take(&mut self, now: Moment, before: LeaseRow, change: LeaseChange) {
        let key = before.key.clone();
        let pending = Pending::Take { before: Box::new(before), change: change.clone(), sent: now };
        self.send(pending, Request::Write { key, change });
    }

    /// Whether nothing is under way here that concerns the lease.
    pub(super) fn is_free_here(&self, key: &LeaseKey) -> bool {
        !self.held.contains_key(key) && !self.leaving.contains_key(key) && !self.pending.concern(key)
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
        self.answered_after(now.since(sent));
        let sent = if bug!(LateTakeBelieved) { now } else { sent };
        if now.since(sent) >= self.settings.failover {
            return;
        }
        let row = change.apply_to(before).expect("a change that was written fits the row that it names");
        self.hold(now, row, sent);
    }

    /// A lease is ours.
    pub(super) fn hold(&mut self, now: Moment, row: LeaseRow, sent: Moment) {
        self.tenures += u64::from(!bug!(SameTenureAgain));
        let next = sent.after(self.settings.renew_after(self.slowest));
        let key = row.key.clone();
        self.seen.note(now, row.clone(), &mut self.rng);
        // Its stream may have been removed since it was asked for.
        let leaving = self.stopping.is_some() || !self.reads(&row.stream);
        let held = Held::new(Tenure(self.tenures), row, sent, next);
        self.moved.insert(key.clone());
        self.held.insert(key.clone(), Held { leaving, ..held });
        self.tell_if_ready(&key);
        self.leave_ready(now);
    }

    /// Tells of leases whose parents are done.
    pub(super) fn tell_ready(&mut self) {
        let waiting = self.held.iter().filter(|(_, held)| held.waiting);
        let waiting: Vec<_> = waiting.map(|(key, _)| key.clone()).collect();
        for key in waiting {
            self.tell_if_ready(&key);
        }
    }

    /// Tells of a lease if its parents are done, and nobody was told of it.
    fn tell_if_ready(&mut self, key: &LeaseKey) {
        let Some(held) = self.held.get(key).filter(|held| held.waiting && !held.leaving) else { return };
        // A look may be older than a parent's lease that was entered here, and not show it.
        let read_here = held.row.parents.iter().any(|parent| {
            let parent = self.held.get(&held.row.sibling(parent));
            parent.is_some_and(|parent| !parent.row.checkpoint.is_shard_end())
        });
        if read_here || !self.seen.parents_are_done(&held.row) {
            return;
        }
        let Some(held) = self.held.get_mut(key) else { return };
        held.waiting = false;
        self.moved.insert(key.clone());
        let until = held.until(self.settings.failover);
        let row = Box::new(held.row.clone());
        self.events.push_back(Event::Acquired { row, tenure: held.tenure, until });
    }

    /// Brings the next look forward to when a lease would count as kept by nobody, or while one is being handed to us.
    pub(super) fn look_again_in_time(&mut self, now: Moment) {
        let jitter = self.settings.jitter();
        let expiry = |seen: &Sighting| {
            let patience = self.patience(&seen.row, seen.settled);
            let own = if self.lock.leads(now) { Duration::ZERO } else { seen.jitter(jitter) };
            let first = seen.since.after(patience + own);
            if first > now { first } else { first.after(self.settings.look_every + jitter) }
        };
        let others = self.to_read().filter(|seen| seen.row.holder() != Some(&self.me));
        let others = others.filter(|seen| self.is_free_here(&seen.row.key));
        let expiry = others.map(expiry).filter(|at| *at > now).min();
        let coming = self
            .to_read()
            .any(|s| s.row.owner.as_ref() == Some(&self.me) && s.row.checkpoint_owner.is_some());
        let eager = coming.then(|| now.after(Self::EAGER));
        let pause = now.after(Self::PAUSE);
        let sooner = [expiry.map(|at| at.max(pause)), eager].into_iter().flatten().min();
        if let Some(sooner) = sooner.filter(|at| *at < self.next_look) {
            self.next_look = sooner;
            if self.seen.len() < Settings::PAGE || expiry.is_some_and(|at| at <= sooner) {
                self.next_scan = self.next_scan.min(sooner);
            }
        }
    }

    /// Who has let a lease expire is given none before it shows that it lives.
    pub(super) fn note_failures(&mut self, now: Moment) {
        let mut failed = Vec::new();
        let to_read = self.seen.iter().filter(|seen| !seen.row.checkpoint.is_shard_end());
        for seen in to_read.filter(|seen| self.reads(&seen.row.stream)) {
            if let Some(holder) = seen.row.holder().filter(|holder| **holder != self.me)
                && seen.is_unkept(now, self.patience(&seen.row, seen.settled))
            {
                failed.push(holder.clone());
            }
        }
        for worker in failed {
            self.members.failed(now, &worker);
        }
    }

    /// The workers that may be given leases, this one among them.
    pub(super) fn candidates(&self, now: Moment) -> impl Iterator<Item = leader::Candidate<'_>> {
        let others = self.members.live(now).filter(|member| member.worker != self.me);
        let others = others
            .map(|member| leader::Candidate { worker: &member.worker, quick: member.instance.is_some() });
        let me = leader::Candidate { worker: &self.me, quick: true };
        others.chain(self.stopping.is_none().then_some(me))
    }
}
