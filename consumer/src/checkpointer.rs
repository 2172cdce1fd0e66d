//! How a handler says what is done.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shardflow_core::{Checkpoint, LeaseKey, UserRecord};
use shardflow_engine::consume::{Admission, Checkpoints};
use shardflow_engine::lease::Tenure;
use tokio::sync::{mpsc, oneshot};

use crate::lease_keeper::Command;
use crate::{Batch, CheckpointError};

/// Stores how far a shard has been processed, for as long as its lease is held. Cheap to clone.
///
/// Every method is cancel safe in that nothing goes backwards, but a call that is dropped may have stored its checkpoint
/// nevertheless.
#[derive(Clone, Debug)]
pub struct Checkpointer {
    key: LeaseKey,
    tenure: Tenure,
    keeper: mpsc::Sender<Command>,
    range: Arc<Mutex<Checkpoints>>,
}

impl Checkpointer {
    pub(crate) fn new(
        key: LeaseKey,
        tenure: Tenure,
        stored: Checkpoint,
        keeper: mpsc::Sender<Command>,
    ) -> Self {
        Self { key, tenure, keeper, range: Arc::new(Mutex::new(Checkpoints::new(stored))) }
    }

    /// Everything up to the end of this batch is done.
    ///
    /// # Errors
    ///
    /// When the lease has gone, or a later batch is checkpointed already.
    pub async fn batch(&self, batch: &Batch) -> Result<(), CheckpointError> {
        self.at(batch.last().checkpoint()).await
    }

    /// Everything up to and including this record is done.
    ///
    /// # Errors
    ///
    /// When the lease has gone, or a later record is checkpointed already.
    pub async fn record(&self, record: &UserRecord) -> Result<(), CheckpointError> {
        self.at(record.checkpoint()).await
    }

    /// Everything that the handler was given is done: up to the end of the batch that it is busy with, or else of the
    /// last one that it processed. A batch that it failed at is not among them.
    ///
    /// # Errors
    ///
    /// When the lease has gone.
    pub async fn latest(&self) -> Result<(), CheckpointError> {
        let latest = self.range().latest();
        self.at(latest).await
    }

    /// Everything up to a position is done.
    ///
    /// # Errors
    ///
    /// When the lease has gone, or the position lies outside of what the handler was given and has not checkpointed.
    pub async fn at(&self, checkpoint: Checkpoint) -> Result<(), CheckpointError> {
        let admitted = self.range().admit(&checkpoint);
        match admitted {
            Ok(Admission::Stored) => return Ok(()),
            Ok(Admission::Write) => {}
            Err(range) => {
                let (stored, given) = (range.stored, range.given);
                return Err(CheckpointError::OutOfRange { asked: checkpoint, stored, given });
            }
        }
        let (reply, replied) = oneshot::channel();
        let command = Command::Checkpoint {
            key: self.key.clone(),
            tenure: self.tenure,
            checkpoint: checkpoint.clone(),
            reply,
        };
        // A keeper that has ended keeps no lease any more.
        self.keeper.send(command).await.map_err(|_| CheckpointError::LeaseLost)?;
        replied.await.unwrap_or(Err(CheckpointError::LeaseLost))?;
        self.range().stored(checkpoint);
        Ok(())
    }

    /// The handler is given so many bytes, which the leader may want to know of.
    pub(crate) fn delivers(&self, batch: &Batch) {
        let bytes = batch.into_iter().map(|record| record.data.len() as u64).sum();
        // A keeper that is busy does without: it is an average.
        let (key, tenure) = (self.key.clone(), self.tenure);
        let _told = self.keeper.try_send(Command::Delivered { key, tenure, bytes }).is_ok();
    }

    /// The handler is given everything up to here.
    pub(crate) fn given(&self, up_to: Checkpoint) {
        self.range().given(up_to);
    }

    /// The handler has processed what it was given, or not.
    pub(crate) fn processed(&self, succeeded: bool) {
        let mut range = self.range();
        if succeeded { range.succeeded() } else { range.failed() }
    }

    /// A record is decided without the handler. Tells whether its checkpoint can be written at once.
    pub(crate) fn passed(&self, record: Checkpoint) -> bool {
        self.range().passed(record)
    }

    /// A fresh handler begins at the checkpoint that is stored, which is told, with what was passed over behind it.
    pub(crate) fn restart(&self) -> (Checkpoint, BTreeSet<Checkpoint>) {
        self.range().restart()
    }

    fn range(&self) -> MutexGuard<'_, Checkpoints> {
        // Held for a comparison only; a panic cannot leave it half changed.
        self.range.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
