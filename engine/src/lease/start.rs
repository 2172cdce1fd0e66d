//! A worker's first minutes: the leases that the application needs exist before they are shared out. And later ones, in
//! which somebody has deleted a lease.

use std::collections::{BTreeSet, VecDeque};

use shardflow_core::{LeaseChange, LeaseKey, LeaseRow, Shard, ShardId};

use super::coordinator::{Coordinator, Family};
use super::held::Tenure;
use super::messages::{Answer, Event, Pending, Request};
use crate::shards::{self, Cover, ShardFilter};
use crate::{Failure, Moment, Verdict};

/// How far a worker has come in making sure that every shard has a lease.
#[derive(Debug)]
pub(super) enum Start {
    /// It has not seen the table yet.
    Looking,
    /// It asks for the shards; `retry` is when to ask again.
    Listing {
        filter: ShardFilter,
        retry: Option<Moment>,
    },
    /// It enters the leases that are missing, some at a time.
    Creating {
        left: VecDeque<LeaseRow>,
        under_way: usize,
        retry: Option<Moment>,
    },
    Done,
}

impl Start {
    /// How many leases are entered at once. A new application with 10,000 shards would else send 10,000 requests.
    const AT_ONCE: usize = 25;

    pub(super) fn retry(&self) -> Option<Moment> {
        match self {
            Self::Listing { retry, .. } | Self::Creating { retry, .. } => *retry,
            Self::Looking | Self::Done => None,
        }
    }
}

impl Coordinator {
    /// The first look at the table tells whether shards must be asked for, and so does one that shows a lease to be
    /// missing.
    ///
    /// That one is not entered anew before whoever had it has stopped believing in it. A lease that is deleted while its
    /// shard is merged is not found to be missing, if the child's lease was entered by the other parent first.
    pub(super) fn begin_start(&mut self, now: Moment) {
        let rows = || self.seen.iter().map(|sighting| &sighting.row);
        let is_new = !self.started && rows().next().is_none();
        let cover = shards::cover(rows());
        let missing = !is_new && cover == Cover::Hole;
        self.missing_since = missing.then(|| self.missing_since.unwrap_or(now));
        let believed_until = self.missing_since.map(|since| since.after(self.settings.failover));
        let due = match self.start {
            Start::Looking if cover == Cover::Whole => {
                self.start = Start::Done;
                self.started = true;
                false
            }
            Start::Looking => believed_until.is_none_or(|until| until <= now),
            Start::Done => believed_until.is_some_and(|until| until <= now),
            Start::Listing { .. } | Start::Creating { .. } => false,
        };
        if due {
            let filter = ShardFilter::needed(rows(), self.settings.initial_position);
            self.start = Start::Listing { filter, retry: Some(now) };
        } else if let Some(until) = believed_until.filter(|until| *until > now) {
            self.next_look = self.next_look.min(until);
            if !self.started {
                // Another worker may be entering them just now.
                self.next_look = self.next_look.min(now.after(Self::EAGER));
            }
        }
    }

    pub(super) fn advance_start(&mut self, now: Moment) {
        match &mut self.start {
            Start::Listing { filter, retry } => {
                if retry.take_if(|at| *at <= now).is_some() {
                    let filter = *filter;
                    self.send(Pending::Shards, Request::ListShards(filter));
                }
            }
            Start::Creating { left, under_way, retry } => {
                if retry.is_some_and(|at| at > now) {
                    return;
                }
                *retry = None;
                let room = Start::AT_ONCE.saturating_sub(*under_way).min(left.len());
                let rows: Vec<_> = left.drain(..room).collect();
                *under_way += room;
                if *under_way == 0 {
                    self.start = Start::Done;
                    self.started = true;
                    self.next_look = now;
                }
                for row in rows {
                    self.send(Pending::Create, Request::Create(Box::new(row)));
                }
            }
            Start::Looking | Start::Done => {}
        }
    }

    pub(super) fn shards_listed(&mut self, now: Moment, answer: Answer) {
        let Start::Listing { filter, .. } = self.start else { return };
        match answer {
            Answer::Shards(listed) => {
                self.fill_in_hash_keys(&listed);
                let rows: Vec<_> = self.seen.iter().map(|sighting| &sighting.row).collect();
                match shards::plan(&listed, &rows, filter, self.settings.initial_position) {
                    Ok(left) => {
                        let left: VecDeque<_> = left.into();
                        self.start = Start::Creating { left, under_way: 0, retry: None };
                    }
                    // Caught in the middle of a reshard: the next answer will be whole.
                    Err(shards::Incomplete) => {
                        self.start = Start::Listing { filter, retry: Some(now.after(Self::PAUSE)) };
                    }
                }
            }
            Answer::Failed(failure) => self.start_failed(now, failure),
            Answer::View { .. }
            | Answer::Keys(_)
            | Answer::Row(_)
            | Answer::Written
            | Answer::Conflict(_) => {
                self.start_failed(now, Failure::refused("Unreadable", "an answer of another kind"));
            }
        }
    }

    /// Leases of old KCLs do not say which hash keys their shards own, and without that a missing one is not noticed.
    fn fill_in_hash_keys(&mut self, listed: &[Shard]) {
        let lacking = self.seen.iter().map(|seen| &seen.row).filter(|row| row.hash_key_range.is_none());
        let found: Vec<_> = lacking
            .filter_map(|row| {
                let shard = listed.iter().find(|shard| shard.id == row.shard_id)?;
                Some((row.key.clone(), LeaseChange::HashKeys { range: shard.hash_key_range }))
            })
            .collect();
        for (key, change) in found {
            self.send(Pending::Tidy, Request::Write { key, change });
        }
    }

    /// Tells what will not get better by itself; tries the rest again.
    pub(super) fn start_failed(&mut self, now: Moment, failure: Failure) {
        if self.started {
            // A worker that has leases goes on with them; the next look will show that one is still missing.
            self.start = Start::Done;
            return;
        }
        let again = now.after(Self::PAUSE.mul_f64(1.0 + self.rng.f64()));
        match &mut self.start {
            Start::Looking => self.next_look = again,
            Start::Listing { retry, .. } | Start::Creating { retry, .. } => *retry = Some(again),
            Start::Done => return,
        }
        match failure.verdict() {
            Verdict::Refuse | Verdict::Isolate => self.events.push_back(Event::Unable(failure)),
            Verdict::Retry | Verdict::Throttled => {}
        }
    }

    /// A row was entered, or was there already: another worker starts too, or the answer to an earlier try was lost.
    pub(super) fn created(&mut self, now: Moment, answer: Answer) {
        if let Start::Creating { under_way, .. } = &mut self.start {
            *under_way -= 1;
        }
        if let Answer::Failed(failure) = answer {
            // Which row it was does not matter: the next plan has it again.
            self.start = Start::Looking;
            self.start_failed(now, failure);
        }
    }

    // The children of a shard that has ended.

    pub(super) fn advance_families(&mut self, now: Moment) {
        let due: Vec<_> = self
            .families
            .iter()
            .filter(|(_, family)| family.retry.is_some_and(|at| at <= now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            let Some(Family { tenure, rows, ids, alone, retry }) = self.families.get_mut(&key) else {
                continue;
            };
            *retry = None;
            let tenure = *tenure;
            let Some(row) = rows.front().cloned() else {
                let change = LeaseChange::Children { children: ids.clone() };
                self.send(Pending::Children { key: key.clone(), tenure }, Request::Write { key, change });
                continue;
            };
            let missing = if *alone { BTreeSet::new() } else { self.missing_parents(&key, &row) };
            if missing.is_empty() {
                let row = Box::new(self.to_be_read_here(&key, row));
                let pending = Pending::CreateChild { key, tenure, row: row.clone(), sent: now };
                self.send(pending, Request::Create(row));
            } else {
                let all = Request::ListShards(ShardFilter::All);
                self.send(Pending::Relatives { key, tenure, missing }, all);
            }
        }
    }

    /// A child of a shard that ends here is ours from the start, if nothing else of its parents is still to be read: it
    /// goes on without anybody having to give it to somebody.
    fn to_be_read_here(&self, ended: &LeaseKey, mut child: LeaseRow) -> LeaseRow {
        let parents = child.parents.iter().map(|parent| child.sibling(parent));
        let mut others = parents.filter(|key| key != ended).filter_map(|key| self.seen.get(&key));
        let last = others.all(|seen| seen.row.checkpoint.is_shard_end());
        let parent = self.held.get(ended).filter(|held| held.handing_over.is_none() && !held.leaving);
        // The parent's own lease ends.
        let has_room = self.held.len() <= self.settings.max_leases;
        if last && parent.is_some() && has_room && self.stopping.is_none() {
            child.owner = Some(self.me.clone());
        }
        child
    }

    /// Parents of a merged shard that have no lease. One may still get it, when its own parent ends; a child that was
    /// entered before would be read before it.
    fn missing_parents(&self, ended: &LeaseKey, child: &LeaseRow) -> BTreeSet<ShardId> {
        if self.seen.get(&child.key).is_some() {
            return BTreeSet::new();
        }
        let missing = |parent: &&ShardId| {
            let key = child.sibling(parent);
            key != *ended && self.seen.get(&key).is_none()
        };
        child.parents.iter().filter(missing).cloned().collect()
    }

    pub(super) fn relatives_listed(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        missing: &BTreeSet<ShardId>,
        answer: Answer,
    ) {
        let Some(family) = self.families.get_mut(key).filter(|family| family.tenure == tenure) else {
            return;
        };
        let gone = match answer {
            Answer::Shards(listed) => !listed.iter().any(|shard| missing.contains(&shard.id)),
            _ => false,
        };
        if gone {
            family.alone = true;
            family.retry = Some(now);
        } else {
            // Not waited for in here, so that the shard can be given up meanwhile.
            self.families.remove(key);
            self.events.push_back(Event::ChildrenMustWait { key: key.clone(), tenure });
            // The lease that is missing will show in the table.
            self.next_look = self.next_look.min(now.after(Self::EAGER / 2));
        }
    }

    /// A child was entered, or was there already.
    pub(super) fn child_created(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        row: LeaseRow,
        sent: Moment,
        answer: Answer,
    ) {
        let done = matches!(answer, Answer::Written | Answer::Conflict(_));
        let fresh = now.since(sent) < self.settings.failover;
        if matches!(answer, Answer::Written) && fresh && row.owner.as_ref() == Some(&self.me) {
            self.hold(now, row, sent);
        }
        if let Some(family) = self.families.get_mut(key).filter(|family| family.tenure == tenure) {
            if done {
                family.rows.pop_front();
                family.retry = Some(now);
            } else {
                family.retry = Some(now.after(Self::PAUSE));
            }
        }
    }

    pub(super) fn children_noted(&mut self, now: Moment, key: &LeaseKey, tenure: Tenure, answer: Answer) {
        let Some(family) = self.families.get_mut(key).filter(|family| family.tenure == tenure) else {
            return;
        };
        match answer {
            // Without a row there is nothing to note it in; the renewal will find that out.
            Answer::Written
            | Answer::Conflict(_)
            | Answer::View { .. }
            | Answer::Keys(_)
            | Answer::Row(_)
            | Answer::Shards(_) => {
                self.families.remove(key);
                self.events.push_back(Event::ChildrenEntered { key: key.clone(), tenure });
            }
            Answer::Failed(_) => family.retry = Some(now.after(Self::PAUSE)),
        }
    }
}
