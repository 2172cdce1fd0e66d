//! How a handler says what is done.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use shardflow_core::{Checkpoint, LeaseKey, LeaseRow, PendingCheckpoint, UserRecord};
use shardflow_engine::consume::{Admission, Checkpoints};
use shardflow_engine::lease::Tenure;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::lease_keeper::Command;
use crate::shard_runner::Orders;
use crate::shard_watch::ShardWatch;
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
    orders: watch::Receiver<Orders>,
    range: Arc<Mutex<Checkpoints>>,
    watch: ShardWatch,
}

impl Checkpointer {
    pub(crate) fn new(
        row: &LeaseRow,
        tenure: Tenure,
        keeper: mpsc::Sender<Command>,
        orders: watch::Receiver<Orders>,
        watch: ShardWatch,
    ) -> Self {
        let range = Arc::new(Mutex::new(Checkpoints::of(row)));
        Self { key: row.key.clone(), tenure, keeper, orders, range, watch }
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
        if self.admit(&checkpoint)? == Admission::Stored {
            return Ok(());
        }
        let (reply, replied) = oneshot::channel();
        let command = Command::Checkpoint {
            key: self.key.clone(),
            tenure: self.tenure,
            checkpoint: checkpoint.clone(),
            reply,
        };
        let began = Instant::now();
        let written = self.written(command, replied).await;
        self.watch.checkpointed(&checkpoint, written.is_ok(), began.elapsed());
        written?;
        self.range().stored(checkpoint);
        Ok(())
    }

    /// The handler is given so many bytes, which the leader may want to know of.
    pub(crate) fn delivers(&self, batch: &Batch) {
        let bytes = batch.0.records.data_bytes() as u64;
        // A keeper that is busy does without: it is an average.
        let (key, tenure) = (self.key.clone(), self.tenure);
        let _told = self.keeper.try_send(Command::Delivered { key, tenure, bytes }).is_ok();
    }

    /// Notes a checkpoint, with whatever the application wants to find beside it, and does not make it yet: the first half
    /// of a checkpoint in two phases. It takes the place of one that was noted before; every checkpoint that is made drops
    /// it.
    ///
    /// If the worker dies between the two, the next one finds it in [`ShardInfo::pending`](crate::ShardInfo::pending). What
    /// it means is the application's to decide: the records behind the last checkpoint come again in any case.
    ///
    /// The position is a batch, for its end, a record, or a [`Checkpoint`]. Costs one write to the lease store, which keeps
    /// the state in the lease's row: DynamoDB takes up to 400 KB for all of it, and charges for each KB. The KCL's
    /// `prepareCheckpoint`.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::at`].
    pub async fn prepare(
        &self,
        at: impl Into<Checkpoint> + Send,
        state: Option<Bytes>,
    ) -> Result<PreparedCheckpoint, CheckpointError> {
        let checkpoint = at.into();
        if self.admit(&checkpoint)? == Admission::Write {
            let pending = PendingCheckpoint::new(checkpoint.clone(), state);
            let (reply, replied) = oneshot::channel();
            let command = Command::Prepare {
                key: self.key.clone(),
                tenure: self.tenure,
                pending: pending.clone(),
                reply,
            };
            self.written(command, replied).await?;
            self.range().prepared(pending);
        }
        Ok(PreparedCheckpoint { checkpointer: self.clone(), checkpoint })
    }

    fn admit(&self, checkpoint: &Checkpoint) -> Result<Admission, CheckpointError> {
        self.range().admit(checkpoint).map_err(|range| CheckpointError::OutOfRange {
            asked: checkpoint.clone(),
            stored: range.stored,
            given: range.given,
        })
    }

    async fn written(
        &self,
        command: Command,
        replied: oneshot::Receiver<Result<(), CheckpointError>>,
    ) -> Result<(), CheckpointError> {
        // A keeper that has ended keeps no lease any more.
        self.keeper.send(command).await.map_err(|_| CheckpointError::LeaseLost)?;
        replied.await.unwrap_or(Err(CheckpointError::LeaseLost))
    }

    /// Waits until the shard is to be given up, which a handler hears of otherwise when its call has returned. Cancel safe.
    pub(crate) async fn stop_asked(&self) {
        // Without anybody to give orders, it is given up as well.
        let _ordered = self.orders.clone().wait_for(|orders| orders.stop.is_some()).await.is_ok();
    }

    /// The checkpoint that is noted for later.
    pub(crate) fn pending(&self) -> Option<PendingCheckpoint> {
        self.range().pending().cloned()
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

/// A checkpoint that is noted and not made: the second half of one in two phases. Dropping it leaves the note.
#[derive(Clone, Debug)]
pub struct PreparedCheckpoint {
    checkpointer: Checkpointer,
    checkpoint: Checkpoint,
}

impl PreparedCheckpoint {
    /// Where it would be.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Makes the checkpoint, and drops the note. Once more, it does nothing.
    ///
    /// # Errors
    ///
    /// When the lease has gone, or a later record is checkpointed already.
    pub async fn commit(&self) -> Result<(), CheckpointError> {
        self.checkpointer.at(self.checkpoint.clone()).await
    }
}
