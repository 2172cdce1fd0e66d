//! The library's own handler, which offers each batch to whoever reads a stream of them and awaits the acknowledgement.

use std::error::Error as StdError;
use std::future::pending;
use std::ops::Deref;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use shardflow_core::UserRecord;
use tokio::sync::{mpsc, oneshot};

use crate::{Batch, CheckpointError, Checkpointer, RecordProcessor, ShardInfo, Stop};

/// A batch from a stream of [`Batches`](crate::Batches), which holds its shard up until it is acknowledged: by
/// [`Delivery::checkpoint`], by [`Delivery::done`], or with [`CheckpointMode::OnNext`](crate::CheckpointMode::OnNext) by the
/// next call.
///
/// Dropped without, it counts as a batch that its handler failed at: it comes again, after 100 ms at first and up to 30 s
/// later, unless [`Config::on_error`](crate::Config::on_error) says otherwise.
///
/// It is a [`Batch`], and so a slice of records: `for record in &delivery`, `delivery.len()`, `delivery[0]`.
#[derive(Debug)]
#[must_use = "a batch that is dropped without an acknowledgement comes again"]
pub struct Delivery {
    batch: Batch,
    shard: Arc<ShardInfo>,
    acknowledger: Arc<Acknowledger>,
}

impl Delivery {
    /// The shard that it is from.
    #[must_use]
    pub fn shard(&self) -> &ShardInfo {
        &self.shard
    }

    /// Everything up to its end is done: stores that, and lets the shard's next batch come.
    ///
    /// Once polled it is carried out, even when the future is dropped; before that, the batch is dropped with it.
    ///
    /// # Errors
    ///
    /// When the lease has gone, or the lease store does not allow it. The batch is done in any case, and the next checkpoint
    /// of its shard covers it; without one, it comes again to whoever has the lease next.
    pub async fn checkpoint(self) -> Result<(), CheckpointError> {
        let stored = self.acknowledger.checkpoint();
        // A worker that has gone holds no lease any more.
        stored.await.unwrap_or(Err(CheckpointError::LeaseLost))
    }

    /// Everything up to its end is done: lets the shard's next batch come, without the price of a checkpoint.
    ///
    /// It is covered by the next checkpoint of its shard. There is one when the shard ends, is handed over, or the worker
    /// stops; after a crash it comes again.
    pub fn done(self) {
        self.acknowledger.acknowledge(Acknowledgement::Done);
    }

    pub(crate) fn acknowledger(&self) -> Arc<Acknowledger> {
        Arc::clone(&self.acknowledger)
    }
}

impl Deref for Delivery {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.batch
    }
}

impl<'a> IntoIterator for &'a Delivery {
    type Item = &'a UserRecord;
    type IntoIter = slice::Iter<'a, UserRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.batch.iter()
    }
}

/// The way back from a batch to its shard. When the last of its owners drops it unused, the batch was dropped.
#[derive(Debug)]
pub(crate) struct Acknowledger(Mutex<Option<oneshot::Sender<Acknowledgement>>>);

#[derive(Debug)]
enum Acknowledgement {
    Done,
    Checkpoint { stored: oneshot::Sender<Result<(), CheckpointError>> },
}

impl Acknowledger {
    /// Asks for the checkpoint, whether anybody waits for what becomes of it or not.
    pub(crate) fn checkpoint(&self) -> oneshot::Receiver<Result<(), CheckpointError>> {
        let (stored, told) = oneshot::channel();
        self.acknowledge(Acknowledgement::Checkpoint { stored });
        told
    }

    /// The first one counts.
    fn acknowledge(&self, acknowledgement: Acknowledgement) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A shard that has gone needs none.
        let _needed = sender.is_some_and(|sender| sender.send(acknowledgement).is_ok());
    }
}

/// A batch that waits to be taken.
pub(crate) struct Offer {
    delivery: Delivery,
    decided: Decided,
}

impl Offer {
    /// The batch, unless it has been taken back.
    pub(crate) fn take(self) -> Option<Delivery> {
        let is_heard = {
            let sender = self.delivery.acknowledger.0.lock().unwrap_or_else(PoisonError::into_inner);
            sender.as_ref().is_some_and(|sender| !sender.is_closed())
        };
        (is_heard && self.decided.is_first()).then_some(self.delivery)
    }
}

/// Whether an offer has been taken, or taken back: whoever comes first.
#[derive(Clone, Default)]
struct Decided(Arc<AtomicBool>);

impl Decided {
    fn is_first(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// The handler of a shard whose batches are read from a stream.
pub(crate) struct Offering {
    shard: Arc<ShardInfo>,
    offers: mpsc::Sender<Offer>,
}

impl Offering {
    pub(crate) fn new(shard: &ShardInfo, offers: mpsc::Sender<Offer>) -> Self {
        Self { shard: Arc::new(shard.clone()), offers }
    }

    /// Waits until the batch has been acknowledged. Nobody gets one of a shard that is to be given up.
    async fn offer(
        &self,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> Result<Acknowledgement, Box<dyn StdError + Send + Sync>> {
        let (sender, mut acknowledged) = oneshot::channel();
        let decided = Decided::default();
        let delivery = Delivery {
            batch: batch.clone(),
            shard: Arc::clone(&self.shard),
            acknowledger: Arc::new(Acknowledger(Mutex::new(Some(sender)))),
        };
        let offer = Offer { delivery, decided: decided.clone() };
        // All arms are cancel safe.
        tokio::select! {
            biased;
            () = checkpointer.stop_asked() => return Err(Untouched.into()),
            sent = self.offers.send(offer) => if sent.is_err() { Self::unheard().await },
        }
        tokio::select! {
            biased;
            acknowledgement = &mut acknowledged => return self.heard(acknowledgement.ok()).await,
            () = checkpointer.stop_asked() => {}
        }
        if decided.is_first() {
            return Err(Untouched.into());
        }
        self.heard(acknowledged.await.ok()).await
    }

    async fn heard(
        &self,
        acknowledgement: Option<Acknowledgement>,
    ) -> Result<Acknowledgement, Box<dyn StdError + Send + Sync>> {
        if acknowledgement.is_none() && self.offers.is_closed() {
            Self::unheard().await;
        }
        acknowledgement.ok_or_else(|| Unacknowledged.into())
    }

    /// The stream was dropped, and the worker with it: this task is going to end. What it held must not count as a failure
    /// meanwhile, which a policy might answer by skipping a record.
    async fn unheard() {
        pending::<()>().await;
    }
}

impl RecordProcessor for Offering {
    type Error = Box<dyn StdError + Send + Sync>;

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), Self::Error> {
        let stored = match self.offer(batch, checkpointer).await? {
            Acknowledgement::Done => return Ok(()),
            Acknowledgement::Checkpoint { stored } => stored,
        };
        // The application is done with the batch, whatever becomes of the checkpoint: it must not have it again for that.
        if let Err(Err(error)) = stored.send(checkpointer.batch(batch).await) {
            let shard_id = self.shard.shard_id.as_str();
            tracing::warn!(shard_id, %error, "a checkpoint was not stored");
        }
        Ok(())
    }

    async fn stopping(&mut self, why: Stop, checkpointer: &Checkpointer) -> Result<(), Self::Error> {
        match why {
            Stop::Shutdown | Stop::Handoff => Ok(checkpointer.latest().await?),
            // The worker checkpoints the end itself; after a loss it is too late.
            Stop::ShardEnd | Stop::LeaseLost => Ok(()),
        }
    }
}

/// Nobody has taken the batch, and the shard is to be given up.
#[derive(Debug, thiserror::Error)]
#[error("the batch was taken back before anybody had it")]
pub(crate) struct Untouched;

/// The application has dropped the batch.
#[derive(Debug, thiserror::Error)]
#[error("the batch was dropped without an acknowledgement")]
struct Unacknowledged;
