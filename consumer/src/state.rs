//! What a worker is doing as a whole, and who is told.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use shardflow_core::WorkerId;

use crate::RunError;

/// What a worker is doing as a whole. It goes from one to the next, leaves some out at times, and never goes back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WorkerState {
    /// It makes its lease table ready and finds out which shards there are.
    Starting,
    /// It takes leases, and reads the shards that it gets.
    Running,
    /// It was asked to stop: handlers finish, and leases go to others.
    Stopping,
    /// It does nothing any more.
    Stopped {
        /// Why, unless it was asked to, or dropped.
        error: Option<RunError>,
    },
}

/// An application's function that wants to be told.
#[derive(Clone)]
pub(crate) struct Listener(Arc<Function>);

type Function = dyn Fn(&WorkerId, &WorkerState) + Send + Sync;

impl Listener {
    pub(crate) fn new(function: impl Fn(&WorkerId, &WorkerState) + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }

    pub(crate) fn tell(&self, worker: &WorkerId, state: &WorkerState) {
        // Whatever it may have left half done is its own.
        if catch_unwind(AssertUnwindSafe(|| (self.0)(worker, state))).is_err() {
            tracing::error!(%worker, ?state, "the function of Config::on_state has panicked");
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
