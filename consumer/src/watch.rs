//! Where the parts of a worker note how they stand, and where that is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shardflow_core::{LeaseKey, LeaseRow, Stream, WorkerId};
use shardflow_engine::Moment;
use shardflow_engine::lease::Tenure;

use crate::clock::Clock;
use crate::health::Patience;
use crate::lease_watch::LeaseNotes;
use crate::shard_watch::ShardWatch;
use crate::state::Listener;
use crate::stream_health::StreamNotes;
use crate::{Health, RunError, WorkerState};

/// Tells how a worker stands, while its future is awaited and after it has ended: for a health check, for example. Cheap to
/// clone; does not keep the worker running.
#[derive(Clone, Debug)]
pub struct Watch(pub(crate) Arc<Board>);

impl Watch {
    /// The worker's name, as it stands in the lease table.
    #[must_use]
    pub fn worker_id(&self) -> &WorkerId {
        &self.0.worker
    }

    /// How the worker stands now.
    ///
    /// Costs a look at what its parts have noted: a copy of a few hundred bytes for each shard, no I/O, and no waiting for
    /// handlers. May be called from any thread.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health()
    }
}

/// What the parts of one worker have noted.
#[derive(Debug)]
pub(crate) struct Board {
    worker: WorkerId,
    clock: Clock,
    patience: Patience,
    listener: Option<Listener>,
    state: Mutex<WorkerState>,
    streams: Mutex<StreamNotes>,
    leases: Mutex<LeaseNotes>,
    /// The shards that have a task.
    shards: Mutex<BTreeMap<LeaseKey, ShardWatch>>,
}

impl Board {
    pub(crate) fn new(
        worker: WorkerId,
        streams: StreamNotes,
        clock: Clock,
        patience: Patience,
        listener: Option<Listener>,
    ) -> Self {
        Self {
            worker,
            clock,
            patience,
            listener,
            state: Mutex::new(WorkerState::Starting),
            streams: Mutex::new(streams),
            leases: Mutex::default(),
            shards: Mutex::default(),
        }
    }

    /// The stream, where there is one only.
    pub(crate) fn only_stream(&self) -> Option<Stream> {
        match &*self.streams() {
            StreamNotes::One(stream) => Some(stream.clone()),
            StreamNotes::Several(_) => None,
        }
    }

    /// What is noted of streams.
    pub(crate) fn streams(&self) -> MutexGuard<'_, StreamNotes> {
        lock(&self.streams)
    }

    /// What is noted of leases.
    pub(crate) fn leases(&self) -> MutexGuard<'_, LeaseNotes> {
        lock(&self.leases)
    }

    /// A task begins for a shard.
    pub(crate) fn begins(
        &self,
        stream: &Stream,
        row: &LeaseRow,
        tenure: Tenure,
        until: Moment,
    ) -> ShardWatch {
        let watch = ShardWatch::new(stream, row, until, self.clock.now());
        lock(&self.shards).insert(row.key.clone(), watch.clone());
        self.leases().began(&row.key, tenure);
        watch
    }

    /// The task of a shard has ended.
    pub(crate) fn ended(&self, key: &LeaseKey) {
        lock(&self.shards).remove(key);
    }

    /// The worker as a whole goes on to something else, which is told.
    pub(crate) fn becomes(&self, state: WorkerState) {
        *lock(&self.state) = state.clone();
        if matches!(state, WorkerState::Stopped { .. }) {
            lock(&self.shards).clear();
        }
        if let Some(listener) = &self.listener {
            listener.tell(&self.worker, &state);
        }
    }

    /// Whether the worker has not been running yet.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(*lock(&self.state), WorkerState::Starting)
    }

    fn health(&self) -> Health {
        let now = self.clock.now();
        let state = lock(&self.state).clone();
        let mut shards = BTreeMap::new();
        let stopped = matches!(state, WorkerState::Stopped { .. });
        let leases = self.leases();
        if !stopped {
            shards.extend(leases.shards(now));
            shards.extend(lock(&self.shards).iter().map(|(key, watch)| (key.clone(), watch.health(now))));
        }
        Health {
            worker_id: self.worker.clone(),
            streams: self.streams().health(now),
            leads: leases.leads && !stopped,
            leases: if stopped { 0 } else { leases.held },
            seen: leases.seen.map(|at| now.since(at)),
            trouble: leases.trouble(now),
            shards: shards.into_values().collect(),
            state,
            patience: self.patience,
        }
    }
}

/// Tells at its end that the worker has stopped, however that comes about.
pub(crate) struct Ending(Arc<Board>);

impl Ending {
    pub(crate) fn of(board: Arc<Board>) -> Self {
        Self(board)
    }

    /// The worker has ended by itself.
    pub(crate) fn with(self, result: &Result<(), RunError>) {
        self.0.becomes(WorkerState::Stopped { error: result.as_ref().err().cloned() });
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let stopped = matches!(*lock(&self.0.state), WorkerState::Stopped { .. });
        if !stopped {
            let failed = || RunError::Failed { what: "the supervisor".into() };
            self.0.becomes(WorkerState::Stopped { error: std::thread::panicking().then(failed) });
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Held for copies only; what a panic has left half noted is noted again.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
