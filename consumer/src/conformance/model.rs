//! What a store has been told so far, by the meaning of the words.

use std::collections::BTreeMap;

use shardflow_core::{ClientVersion, LeaderLock, LeaseChange, LeaseKey, LeaseRow, Member, View, WorkerId};
use tokio::time::{Instant, sleep};

use super::words::{WORKERS, Words, first_row, worker};
use super::{Asked, LAG, Nonconforming};
use crate::LeaseStore;

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) leases: BTreeMap<LeaseKey, LeaseRow>,
    pub(super) members: BTreeMap<WorkerId, Member>,
    pub(super) lock: Option<LeaderLock>,
    pub(super) version: Option<ClientVersion>,
}

/// A conflict brings the lease along, if it is about one that is there.
type Meaning = Result<(), Option<Box<LeaseRow>>>;

impl Model {
    pub(super) fn carry_out(&mut self, words: &Words) -> Meaning {
        match words {
            Words::Create(row) => match self.leases.get(&row.key) {
                Some(existing) => Err(Some(Box::new(existing.clone()))),
                None => {
                    self.leases.insert(row.key.clone(), row.clone());
                    Ok(())
                }
            },
            Words::Write(key, change) => {
                let row = self.leases.get_mut(key).ok_or(None)?;
                *row = change.apply_to(row).ok_or_else(|| Some(Box::new(row.clone())))?;
                Ok(())
            }
            Words::Delete(expected) => {
                match self.leases.get(&expected.key) {
                    Some(row) if row.counter != expected.counter || row.checkpoint != expected.checkpoint => {
                        return Err(Some(Box::new(row.clone())));
                    }
                    _ => self.leases.remove(&expected.key),
                };
                Ok(())
            }
            Words::Put(member) => {
                self.members.insert(member.worker.clone(), member.clone());
                Ok(())
            }
            Words::Leave(worker, updated) => {
                let seen = self.members.get(worker).map(|member| member.updated);
                if seen.is_some() && updated.is_some() && seen != *updated {
                    return Err(None);
                }
                self.members.remove(worker);
                Ok(())
            }
            Words::Lock(change) => {
                self.lock = change.apply_to(self.lock.as_ref()).map_err(|_held| None)?;
                Ok(())
            }
            Words::Claim(version, _) => match self.version {
                Some(_) => Err(None),
                None => {
                    self.version = Some(version.clone());
                    Ok(())
                }
            },
        }
    }

    pub(super) fn lease(&self, key: &LeaseKey) -> Option<&LeaseRow> {
        self.leases.get(key)
    }

    /// Two requests of which the store may carry out one.
    pub(super) fn rivals(&self) -> [Words; 2] {
        match self.leases.values().next() {
            None => [Words::Create(first_row()), Words::Create(first_row())],
            Some(row) => [WORKERS[0], WORKERS[1]].map(|name| {
                let take = LeaseChange::Take {
                    worker: worker(name),
                    counter: row.counter,
                    owner: row.owner.clone(),
                    checkpoint_owner: row.checkpoint_owner.clone(),
                };
                Words::Write(row.key.clone(), take)
            }),
        }
    }

    /// Waits until the store shows what it was told.
    pub(super) async fn compare(&self, store: &dyn LeaseStore, asked: &Asked) -> Result<(), Nonconforming> {
        let meant = self.view();
        let deadline = Instant::now() + LAG;
        loop {
            let shown = store.view().await.map(sorted);
            let mut assigned = true;
            for name in WORKERS {
                let worker = worker(name);
                let keys = store.assigned(&worker).await.map(|mut keys| {
                    keys.sort();
                    keys
                });
                assigned &= keys.is_ok_and(|keys| keys == self.assigned(&worker));
            }
            match shown {
                Ok(shown) if shown == meant && assigned => return Ok(()),
                shown if deadline <= Instant::now() => {
                    let meant = format!("{meant:?}, and by owner the same");
                    return Err(asked.answered(&(shown, assigned), &meant));
                }
                _ => sleep(LAG / 100).await,
            }
        }
    }

    fn view(&self) -> View {
        let mut view = View::default();
        view.leases = self.leases.values().cloned().collect();
        view.members = self.members.values().cloned().collect();
        view.lock.clone_from(&self.lock);
        view.version.clone_from(&self.version);
        view
    }

    fn assigned(&self, worker: &WorkerId) -> Vec<LeaseKey> {
        let assigned = self.leases.values().filter(|row| row.owner.as_ref() == Some(worker));
        assigned.map(|row| row.key.clone()).collect()
    }
}

fn sorted(mut view: View) -> View {
    view.leases.sort_by(|a, b| a.key.cmp(&b.key));
    view.members.sort_by(|a, b| a.worker.cmp(&b.worker));
    view
}
