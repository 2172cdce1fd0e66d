//! The lease table.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
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
    pub(super) members: BTreeMap<WorkerId, Member>,
    pub(super) lock: Option<LeaderLock>,
    version: Option<ClientVersion>,
    /// Until when a lease was as it is here: what a read that is not consistent may show.
    former: BTreeMap<LeaseKey, VecDeque<(Duration, Option<LeaseRow>)>>,
}

impl Table {
    /// How far behind a scan can be in a part of the table, and the index.
    const LAG: Duration = Duration::from_secs(3);

    /// Carries a request out, at a time by the worker's wall in seconds.
    pub(super) fn carry_out(
        &mut self,
        now: Duration,
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
                    self.set(now, &row.key, Some((*row).clone()));
                    (Answer::Written, Some(Written { worker, before: None, after: *row, change: None }))
                }
            },
            Request::Write { key, change } => {
                let Some(row) = self.leases.get(&key) else { return (Answer::Conflict(None), None) };
                match change.apply_to(row) {
                    None => (Answer::Conflict(Some(Box::new(row.clone()))), None),
                    Some(after) => {
                        let before = self.set(now, &key, Some(after.clone()));
                        (Answer::Written, Some(Written { worker, before, after, change: Some(change) }))
                    }
                }
            }
            Request::Delete(row) => match self.leases.get(&row.key) {
                Some(found) if (found.counter, &found.checkpoint) != (row.counter, &row.checkpoint) => {
                    unheard(Answer::Conflict(Some(Box::new(found.clone()))))
                }
                _ => {
                    self.set(now, &row.key, None);
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

    /// Sets a row, or deletes it. Gives it as it was.
    pub(super) fn set(&mut self, now: Duration, key: &LeaseKey, row: Option<LeaseRow>) -> Option<LeaseRow> {
        let before = match row {
            Some(row) => self.leases.insert(key.clone(), row),
            None => self.leases.remove(key),
        };
        let former = self.former.entry(key.clone()).or_default();
        while former.pop_front_if(|(until, _)| *until + Self::LAG < now).is_some() {}
        former.push_back((now, before.clone()));
        before
    }

    /// Makes an answer that shows all rows show some as they were a while ago, and the index all of it.
    pub(super) fn age(&self, now: Duration, worker: &WorkerId, answer: &mut Answer, rng: &mut Rng) {
        match answer {
            Answer::View { view, .. } => {
                let rows = self.keys().filter_map(|key| {
                    let ago = if rng.bool() { Duration::ZERO } else { Self::lag(rng) };
                    self.as_of(key, now.saturating_sub(ago)).cloned()
                });
                view.leases = rows.collect();
            }
            Answer::Keys(keys) => {
                let then = now.saturating_sub(Self::lag(rng));
                let mine = |key: &&LeaseKey| {
                    self.as_of(key, then).is_some_and(|row| row.owner.as_ref() == Some(worker))
                };
                *keys = self.keys().filter(mine).cloned().collect();
            }
            _ => {}
        }
    }

    fn lag(rng: &mut Rng) -> Duration {
        Duration::from_millis(rng.u64(1..u64::try_from(Self::LAG.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Every key that there is, or was a while ago.
    fn keys(&self) -> impl Iterator<Item = &LeaseKey> {
        self.former.keys()
    }

    fn as_of(&self, key: &LeaseKey, then: Duration) -> Option<&LeaseRow> {
        let since = self.former.get(key).and_then(|former| former.iter().find(|(until, _)| *until > then));
        since.map_or_else(|| self.leases.get(key), |(_, row)| row.as_ref())
    }
}
