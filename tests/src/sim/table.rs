//! The lease table.

use std::collections::BTreeMap;

use shardflow_core::{ClientVersion, LeaderLock, LeaseChange, LeaseKey, LeaseRow, Member, View, WorkerId};
use shardflow_engine::lease::{Answer, Request};

/// A write that has landed.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) worker: WorkerId,
    pub(super) before: Option<LeaseRow>,
    pub(super) after: LeaseRow,
    pub(super) change: Option<LeaseChange>,
}

/// The rows, changed in atomic steps as DynamoDB does.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) leases: BTreeMap<LeaseKey, LeaseRow>,
    members: BTreeMap<WorkerId, Member>,
    lock: Option<LeaderLock>,
    version: Option<ClientVersion>,
}

impl Table {
    /// Carries a request out, at a time by the worker's wall in seconds.
    pub(super) fn carry_out(
        &mut self,
        worker: &WorkerId,
        wall: u64,
        request: Request,
    ) -> (Answer, Option<Written>) {
        let worker = worker.clone();
        let unheard = |answer| (answer, None);
        match request {
            Request::Look => {
                let mut view = View::default();
                view.leases = self.leases.values().cloned().collect();
                view.members = self.members.values().cloned().collect();
                view.lock.clone_from(&self.lock);
                view.version.clone_from(&self.version);
                unheard(Answer::View { view: Box::new(view), wall })
            }
            Request::Assigned => {
                let mine = self.leases.values().filter(|row| row.owner.as_ref() == Some(&worker));
                unheard(Answer::Keys(mine.map(|row| row.key.clone()).collect()))
            }
            Request::Get(key) => unheard(Answer::Row(self.leases.get(&key).cloned().map(Box::new))),
            Request::Create(row) => match self.leases.get(&row.key) {
                Some(existing) => (Answer::Conflict(Some(Box::new(existing.clone()))), None),
                None => {
                    self.leases.insert(row.key.clone(), (*row).clone());
                    (Answer::Written, Some(Written { worker, before: None, after: *row, change: None }))
                }
            },
            Request::Write { key, change } => {
                let Some(row) = self.leases.get_mut(&key) else { return (Answer::Conflict(None), None) };
                match change.apply_to(row) {
                    None => (Answer::Conflict(Some(Box::new(row.clone()))), None),
                    Some(after) => {
                        let before = Some(std::mem::replace(row, after.clone()));
                        (Answer::Written, Some(Written { worker, before, after, change: Some(change) }))
                    }
                }
            }
            Request::Delete(row) => match self.leases.get(&row.key) {
                Some(found) if (found.counter, &found.checkpoint) != (row.counter, &row.checkpoint) => {
                    unheard(Answer::Conflict(Some(Box::new(found.clone()))))
                }
                _ => {
                    self.leases.remove(&row.key);
                    unheard(Answer::Written)
                }
            },
            Request::Report(mut member) => {
                member.updated = wall;
                self.members.insert(member.worker.clone(), *member);
                unheard(Answer::Written)
            }
            Request::Forget { worker, updated } => {
                let same = |member: &Member| updated.is_none_or(|updated| member.updated == updated);
                if self.members.get(&worker).is_some_and(same) {
                    self.members.remove(&worker);
                }
                unheard(Answer::Written)
            }
            Request::Lock(change) => match change.apply_to(self.lock.as_ref()) {
                Ok(lock) => {
                    self.lock = lock;
                    unheard(Answer::Written)
                }
                Err(_) => unheard(Answer::Conflict(None)),
            },
            Request::Claim(version) => match self.version {
                Some(_) => unheard(Answer::Conflict(None)),
                None => {
                    self.version = Some(version);
                    unheard(Answer::Written)
                }
            },
            Request::ListShards { .. } | Request::Describe(_) => unreachable!("the stream answers that"),
        }
    }
}
