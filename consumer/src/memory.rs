//! Leases in the memory of one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use shardflow_core::{LeaseChange, LeaseKey, LeaseRow};

use crate::{LeaseStore, StoreError};

/// A lease table in memory. Clones share it, so that several workers of one process can.
///
/// It forgets everything with the process: for tests, and for programs that start anew each time.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeases(Arc<Mutex<BTreeMap<LeaseKey, LeaseRow>>>);

impl MemoryLeases {
    /// The rows as they are.
    #[must_use]
    pub fn rows(&self) -> Vec<LeaseRow> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, LeaseRow>> {
        // A row is replaced as a whole, so a panic elsewhere leaves no half-written one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list(&self) -> Result<Vec<LeaseRow>, StoreError> {
        Ok(self.rows())
    }

    async fn create(&self, row: &LeaseRow) -> Result<(), StoreError> {
        let mut rows = self.lock();
        match rows.get(&row.key) {
            Some(existing) => Err(StoreError::Conflict(Some(Box::new(existing.clone())))),
            None => {
                rows.insert(row.key.clone(), row.clone());
                Ok(())
            }
        }
    }

    async fn write(&self, key: &LeaseKey, change: &LeaseChange) -> Result<(), StoreError> {
        let mut rows = self.lock();
        let row = rows.get_mut(key).ok_or(StoreError::Conflict(None))?;
        match change.apply_to(row) {
            Some(changed) => {
                *row = changed;
                Ok(())
            }
            None => Err(StoreError::Conflict(Some(Box::new(row.clone())))),
        }
    }
}
