//! Records as a handler gets them.

use std::ops::Deref;
use std::slice;
use std::time::Duration;

use shardflow_core::{Checkpoint, UserRecord};
use shardflow_engine::consume;

/// Records of one shard, in order; at least one. Aggregates are taken apart. Cheap to clone.
///
/// It is a slice of records: `for record in &batch`, `batch.len()`, `batch[0]`.
#[derive(Clone, Debug)]
pub struct Batch(pub(crate) consume::Batch);

impl Batch {
    /// How far behind the newest record of the shard its last record is: the service's `MillisBehindLatest`. Zero when
    /// there was nothing more to read.
    #[must_use]
    pub fn behind_latest(&self) -> Duration {
        self.0.behind
    }

    /// Where to go on behind it: everything up to its last record is done.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.last().checkpoint()
    }

    /// Its last record.
    pub(crate) fn last(&self) -> &UserRecord {
        self.0.records.last().expect("a batch holds at least one record")
    }
}

/// Everything up to the end of the batch is done.
impl From<&Batch> for Checkpoint {
    fn from(batch: &Batch) -> Self {
        batch.last().checkpoint()
    }
}

impl Deref for Batch {
    type Target = [UserRecord];

    fn deref(&self) -> &[UserRecord] {
        &self.0.records
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a UserRecord;
    type IntoIter = slice::Iter<'a, UserRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
