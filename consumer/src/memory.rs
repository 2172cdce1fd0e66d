//! Leases in the memory of one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use shardflow_core::{
    ClientVersion, LeaderLock, LeaseChange, LeaseKey, LeaseRow, LockChange, Member, View, WorkerId,
};

use crate::{LeaseStore, StoreError};

/// A lease table in memory. Clones share it, so that several workers of one process can.
///
/// It forgets everything with the process: for tests, and for programs that start anew each time.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeases(Arc<Mutex<Tables>>);

impl MemoryLeases {
    /// The leases as they are, by key.
    #[must_use]
    pub fn rows(&self) -> Vec<LeaseRow> {
        self.lock().leases.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // A row is replaced as a whole, so a panic elsewhere leaves no half-written one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn view(&self) -> Result<View, StoreError> {
        let tables = self.lock();
        let mut view = View::default();
        view.leases = tables.leases.values().cloned().collect();
        view.members = tables.members.values().cloned().collect();
        view.lock.clone_from(&tables.lock);
        view.version.clone_from(&tables.version);
        Ok(view)
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<LeaseRow>, StoreError> {
        Ok(self.lock().leases.get(key).cloned())
    }

    async fn assigned(&self, worker: &WorkerId) -> Result<Vec<LeaseKey>, StoreError> {
        let tables = self.lock();
        let assigned = tables.leases.values().filter(|row| row.owner.as_ref() == Some(worker));
        Ok(assigned.map(|row| row.key.clone()).collect())
    }

    async fn create(&self, row: &LeaseRow) -> Result<(), StoreError> {
        let mut tables = self.lock();
        match tables.leases.get(&row.key) {
            Some(existing) => Err(conflict(existing)),
            None => {
                tables.leases.insert(row.key.clone(), row.clone());
                Ok(())
            }
        }
    }

    async fn write(&self, key: &LeaseKey, change: &LeaseChange) -> Result<(), StoreError> {
        let mut tables = self.lock();
        let row = tables.leases.get_mut(key).ok_or(StoreError::Conflict(None))?;
        *row = change.apply_to(row).ok_or_else(|| conflict(row))?;
        Ok(())
    }

    async fn delete(&self, key: &LeaseKey, expected: &LeaseRow) -> Result<(), StoreError> {
        let mut tables = self.lock();
        match tables.leases.get(key) {
            Some(row) if (row.counter, &row.checkpoint) != (expected.counter, &expected.checkpoint) => {
                Err(conflict(row))
            }
            _ => {
                tables.leases.remove(key);
                Ok(())
            }
        }
    }

    async fn put_member(&self, member: &Member) -> Result<(), StoreError> {
        self.lock().members.insert(member.worker.clone(), member.clone());
        Ok(())
    }

    async fn delete_member(&self, worker: &WorkerId, updated: Option<u64>) -> Result<(), StoreError> {
        let mut tables = self.lock();
        match (tables.members.get(worker), updated) {
            (Some(member), Some(updated)) if member.updated != updated => Err(StoreError::Conflict(None)),
            _ => {
                tables.members.remove(worker);
                Ok(())
            }
        }
    }

    async fn change_lock(&self, change: &LockChange) -> Result<(), StoreError> {
        let mut tables = self.lock();
        tables.lock = change.apply_to(tables.lock.as_ref()).map_err(|_held| StoreError::Conflict(None))?;
        Ok(())
    }

    async fn claim(&self, version: &ClientVersion, _worker: &WorkerId) -> Result<(), StoreError> {
        let mut tables = self.lock();
        if tables.version.is_some() {
            return Err(StoreError::Conflict(None));
        }
        tables.version = Some(version.clone());
        Ok(())
    }
}

fn conflict(row: &LeaseRow) -> StoreError {
    StoreError::Conflict(Some(Box::new(row.clone())))
}

#[derive(Debug, Default)]
struct Tables {
    leases: BTreeMap<LeaseKey, LeaseRow>,
    members: BTreeMap<WorkerId, Member>,
    lock: Option<LeaderLock>,
    version: Option<ClientVersion>,
}
