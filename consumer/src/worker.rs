//! A running worker, and how to stop it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use shardflow_core::WorkerId;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::supervisor::Stopping;
use crate::{Health, RunError, Watch};

/// A running worker: a future that ends when it has stopped, or cannot go on.
///
/// Dropping it ends it at once, as a crash would: its leases go to others after the failover time, and what was not
/// checkpointed is processed again. Stop it with a [`Stopper`] first. Polling it is cancel safe.
#[derive(Debug)]
#[must_use = "a worker that is dropped stops at once"]
pub struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) task: AbortOnDropHandle<Result<(), RunError>>,
    pub(crate) stopping: watch::Sender<Stopping>,
    pub(crate) watch: Watch,
}

impl Worker {
    /// Its name, as it stands in the lease table.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.id
    }

    /// A handle that stops it, from a signal handler for example.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stopping.clone())
    }

    /// A handle that tells how it stands, for a health check for example.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// How it stands now: [`Watch::health`].
    #[must_use]
    pub fn health(&self) -> Health {
        self.watch.health()
    }
}

impl Future for Worker {
    type Output = Result<(), RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.task).poll(context));
        Poll::Ready(
            ended.unwrap_or_else(|error| Err(RunError::Failed { what: format!("the supervisor ({error})") })),
        )
    }
}

/// Stops a worker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Stopping>);

impl Stopper {
    /// Lets each handler finish its batch and calls its `stopping`, then leaves the leases to others and ends the worker.
    ///
    /// It waits for handlers as long as they take. A second call does not wait any more: see [`Stopper::now`].
    pub fn graceful(&self) {
        self.stop(None);
    }

    /// The same, for as long as is given. The handlers that are still at work then are dropped, and their leases left to
    /// others like the rest; what they have not checkpointed is processed again. What the operating system gives a process
    /// that it has told to end, less a few seconds, is the right time.
    ///
    /// The worker ends no later than a quarter of the failover time after that, whatever its handlers and the lease store do.
    /// A lease whose handler does not let go of its thread, or that cannot be written, goes to others after the failover
    /// time. A second call does not wait any more: see [`Stopper::now`].
    pub fn graceful_within(&self, time: Duration) {
        // A deadline beyond the end of tokio's time is as good as none.
        self.stop(Instant::now().checked_add(time));
    }

    fn stop(&self, by: Option<Instant>) {
        self.0.send_modify(|stopping| {
            *stopping = match stopping {
                Stopping::Not => Stopping::Graceful { by },
                Stopping::Graceful { .. } | Stopping::Now => Stopping::Now,
            }
        });
    }

    /// Ends the worker without waiting for its handlers, which are dropped. Its leases go to others after the failover time.
    pub fn now(&self) {
        self.0.send_replace(Stopping::Now);
    }
}
