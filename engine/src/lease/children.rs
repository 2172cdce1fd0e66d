//! The children of a shard that has ended: they have leases before it is done.

use std::collections::BTreeSet;

use shardflow_core::{LeaseChange, LeaseKey, LeaseRow, ShardId};

use super::coordinator::{Coordinator, Family};
use super::held::Tenure;
use super::messages::{Answer, Event, Pending, Request};
use crate::Moment;
use crate::shards::ShardFilter;

impl Coordinator {
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
                if ids.is_empty() {
                    // A table has no empty sets; and nothing to say is nothing to write.
                    self.families.remove(&key);
                    self.events.push_back(Event::ChildrenEntered { key, tenure });
                    continue;
                }
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
                let all = Request::ListShards { stream: row.stream.clone(), filter: ShardFilter::All };
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
        if self.seen.get(&child.key).is_some() || bug!(MergedChildAlone) {
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
            | Answer::Shards(_)
            | Answer::Described(_) => {
                self.families.remove(key);
                self.events.push_back(Event::ChildrenEntered { key: key.clone(), tenure });
            }
            Answer::Failed(_) => family.retry = Some(now.after(Self::PAUSE)),
        }
    }
}
