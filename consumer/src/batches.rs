//! A worker as one stream of batches: what a loop reads.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use shardflow_core::WorkerId;
use tokio::sync::mpsc;

use crate::offer::{Acknowledger, Offer};
use crate::{Delivery, RunError, Stopper, Watch, Worker};

/// The batches of all shards that a worker has, in one stream. Made by [`Consumer::batches`](crate::Consumer::batches).
///
/// ```no_run
/// use shardflow_consumer::{CheckpointMode, Consumer};
///
/// # async fn example(consumer: Consumer) -> Result<(), Box<dyn std::error::Error>> {
/// let mut batches = consumer.batches(CheckpointMode::Manual)?;
/// let stopper = batches.stopper(); // stopper.graceful() from a signal handler
/// while let Some(batch) = batches.next().await.transpose()? {
///     for record in &batch {
///         println!("{} {:?} {:?}", batch.shard().shard_id, record.partition_key, record.data);
///     }
///     batch.checkpoint().await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// Batches of one shard come in order and one at a time, the next one when the former is acknowledged; those of different
/// shards take turns. So a loop that acknowledges each batch before it asks for the next has one in hand, and one that hands
/// them to tasks has as many as there are shards. A shard whose batch is in hand reads one batch ahead and then waits.
///
/// The stream ends after a stop, and never because there is nothing to read: [`Stopper::graceful`] takes back what nobody
/// has in hand and waits for the rest to be acknowledged, so go on asking for batches until there are no more. A handoff to
/// another worker waits in the same way, for 30 s. After an error it ends as well.
///
/// Dropping it ends the worker at once, as dropping a [`Worker`] does. It starts with the call that makes it, whether it is
/// polled or not.
///
/// It does not tell when a shard begins or is given up. An application that keeps something for each shard, or gathers
/// records of many batches before they are safe, is a [`RecordProcessor`](crate::RecordProcessor).
#[must_use = "a worker that is dropped stops at once"]
pub struct Batches {
    /// Dropped before `last`, so that its shard can tell a stream that is gone from a batch that was dropped.
    offered: mpsc::Receiver<Offer>,
    worker: Worker,
    checkpoints: CheckpointMode,
    /// What the next call checkpoints, with [`CheckpointMode::OnNext`].
    last: Option<Arc<Acknowledger>>,
    over: bool,
}

/// When the checkpoints of a stream of [`Batches`] are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CheckpointMode {
    /// By [`Delivery::checkpoint`]. A batch that is dropped without an acknowledgement counts as a failure of its handler.
    Manual,
    /// Whoever asks for the next batch has processed the one before, which is checkpointed then. A batch that is dropped stays
    /// in hand until the next call, and is acknowledged by it; to have it again, drop the stream.
    OnNext,
}

impl Batches {
    pub(crate) fn new(worker: Worker, offered: mpsc::Receiver<Offer>, checkpoints: CheckpointMode) -> Self {
        Self { offered, worker, checkpoints, last: None, over: false }
    }

    /// The next batch; `None` behind a stop or an error.
    ///
    /// Cancel safe: no batch is lost when the future is dropped. With [`CheckpointMode::OnNext`] the batch before counts as
    /// processed nevertheless.
    ///
    /// # Errors
    ///
    /// When the worker cannot start, or not go on.
    pub async fn next(&mut self) -> Option<Result<Delivery, RunError>> {
        poll_fn(|context| self.poll(context)).await
    }

    /// A handle that stops it, from a signal handler for example.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.worker.stopper()
    }

    /// A handle that tells how the worker stands, for a health check for example.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.worker.watch()
    }

    /// The worker's name, as it stands in the lease table.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        self.worker.id()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Delivery, RunError>>> {
        if let Some(last) = self.last.take() {
            last.checkpoint();
        }
        if self.over {
            return Poll::Ready(None);
        }
        while let Poll::Ready(Some(offer)) = self.offered.poll_recv(context) {
            // What has been taken back meanwhile is left out.
            let Some(delivery) = offer.take() else { continue };
            if self.checkpoints == CheckpointMode::OnNext {
                self.last = Some(delivery.acknowledger());
            }
            return Poll::Ready(Some(Ok(delivery)));
        }
        let ended = ready!(Pin::new(&mut self.worker).poll(context));
        self.over = true;
        Poll::Ready(ended.err().map(Err))
    }
}

impl futures_core::Stream for Batches {
    type Item = Result<Delivery, RunError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("id", self.id())
            .field("checkpoints", &self.checkpoints)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
