//! What the two consumers of Python have in common: the consumer in Rust, its worker, and its end.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pyo3::prelude::*;
use shardflow_consumer::{
    Batches, CheckpointMode, Consumer, ErrorPolicy, Health, RunError, ShardInfo, Stopper, Watch, WorkerState,
};
use tokio::sync::watch;
use tokio::time::timeout;

use super::delivery::InHand;
use super::processor::{Place, Processor};
use super::settings::{Settings, Source};
use crate::{error, runtime};

/// A consumer in Rust, the worker that it runs, and the process that it belongs to.
#[derive(Debug)]
pub(crate) struct Work {
    pub(super) settings: Settings,
    generation: usize,
    begun: Mutex<Option<Begun>>,
    is_stopped: AtomicBool,
    /// What a loop has and has not acknowledged.
    in_hand: Mutex<Vec<Weak<InHand>>>,
}

/// A worker that was started.
#[derive(Clone, Debug)]
struct Begun {
    watch: Watch,
    stopper: Stopper,
    /// How it has ended.
    ended: watch::Receiver<Option<Result<(), RunError>>>,
    /// For a loop; without them it calls handlers.
    batches: Option<Arc<tokio::sync::Mutex<Batches>>>,
}

/// How long a worker may take to end beyond what its handlers are given: it writes its leases meanwhile.
const LAST_WRITES: Duration = Duration::from_millis(2_500);

/// When a loop that waits with batches in hand is told of them.
const FORGOTTEN: Duration = Duration::from_secs(30);

impl Work {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            generation: runtime::generation(),
            begun: Mutex::default(),
            is_stopped: AtomicBool::new(false),
            in_hand: Mutex::default(),
        })
    }

    pub(crate) fn exit_timeout(&self) -> Duration {
        self.settings.exit_timeout
    }

    pub(crate) fn own(&self) -> PyResult<()> {
        if self.generation == runtime::generation() { Ok(()) } else { Err(error::forked("consumer")) }
    }

    /// Starts it as a loop's, if need be; nothing if it was stopped before.
    pub(crate) fn batches(
        self: &Arc<Self>,
        py: Python<'_>,
    ) -> PyResult<Option<Arc<tokio::sync::Mutex<Batches>>>> {
        self.own()?;
        let mut begun = self.begun();
        if begun.is_none() {
            if self.is_stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let _within = runtime::current().handle()?.enter();
            let (consumer, ended) = self.consumer(ErrorPolicy::retry());
            let batches = consumer.batches(CheckpointMode::Manual).map_err(|error| error::run(&error))?;
            let (watch, stopper) = (batches.watch(), batches.stopper());
            let batches = Some(Arc::new(tokio::sync::Mutex::new(batches)));
            *begun = Some(Begun { watch, stopper, ended, batches });
            runtime::current().begun(py, self)?;
        }
        match begun.as_ref().and_then(|begun| begun.batches.as_ref()) {
            Some(batches) => Ok(Some(Arc::clone(batches))),
            None => Err(error::consumer("this consumer runs handlers: it has no batches for a loop")),
        }
    }

    /// Starts it with handlers, which a factory makes for each shard.
    pub(crate) fn run(
        self: &Arc<Self>,
        py: Python<'_>,
        factory: Py<PyAny>,
        policy: ErrorPolicy,
        place: Place,
    ) -> PyResult<()> {
        self.own()?;
        let mut begun = self.begun();
        if begun.is_some() || self.is_stopped.load(Ordering::Relaxed) {
            return Err(error::consumer("a consumer runs once: make a new one"));
        }
        let handle = runtime::current().handle()?;
        let _within = handle.enter();
        let factory = Arc::new(factory);
        let processor = move |shard: &ShardInfo| Processor::new(shard, &place, &factory);
        let (consumer, ended) = self.consumer(policy);
        let worker = consumer.run(processor).map_err(|error| error::run(&error))?;
        let (watch, stopper) = (worker.watch(), worker.stopper());
        // A worker runs for as long as it is held; how it ends is told by its state.
        drop(handle.spawn(async move { worker.await.is_ok() }));
        *begun = Some(Begun { watch, stopper, ended, batches: None });
        runtime::current().begun(py, self)
    }

    /// A consumer, and what tells when its worker has ended, and how.
    fn consumer(&self, policy: ErrorPolicy) -> (Consumer, watch::Receiver<Option<Result<(), RunError>>>) {
        let Settings { kinesis, leases, source, config, .. } = &self.settings;
        let (tell, ended) = watch::channel(None);
        let config = config.clone().on_error(policy).on_state(move |_worker, state| {
            if let WorkerState::Stopped { error } = state {
                tell.send_replace(Some(error.clone().map_or(Ok(()), Err)));
            }
        });
        let (kinesis, leases) = (kinesis.clone(), leases.clone());
        let consumer = match source {
            Source::One(stream) => Consumer::new(kinesis, leases, stream.clone(), config),
            Source::Several(streams) => Consumer::streams(kinesis, leases, streams.clone(), config),
        };
        (consumer, ended)
    }

    /// The next batch for a loop; nothing behind the end.
    pub(crate) async fn next(
        &self,
        batches: Arc<tokio::sync::Mutex<Batches>>,
    ) -> Option<Result<(shardflow_consumer::Batch, ShardInfo, Arc<InHand>), RunError>> {
        let mut batches = batches.lock().await;
        let next = loop {
            match timeout(FORGOTTEN, batches.next()).await {
                Ok(next) => break next?,
                Err(_elapsed) => self.remind(),
            }
        };
        Some(next.map(|delivery| {
            let (batch, shard) = ((*delivery).clone(), delivery.shard().clone());
            let in_hand = InHand::new(delivery);
            let mut all = self.in_hand();
            all.retain(|one| one.upgrade().is_some_and(|one| one.is_open()));
            all.push(Arc::downgrade(&in_hand));
            (batch, shard, in_hand)
        }))
    }

    /// A loop that forgets to acknowledge would wait without a word.
    fn remind(&self) {
        let open = self.in_hand().iter().filter(|one| one.upgrade().is_some_and(|one| one.is_open())).count();
        if open > 0 {
            tracing::warn!(
                target: "shardflow",
                batches = open,
                "batches are neither checkpointed nor done: their shards wait"
            );
        }
    }

    /// How it stands; nothing before it was started.
    pub(crate) fn health(&self) -> Option<Health> {
        self.begun().as_ref().map(|begun| begun.watch.health())
    }

    /// Until it has ended; without end if it was never started.
    pub(crate) async fn ended(&self) -> Result<(), RunError> {
        let ended = self.begun().as_ref().map(|begun| begun.ended.clone());
        let Some(mut ended) = ended else { return pending().await };
        let ended = ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        ended.unwrap_or_else(|| Err(RunError::Failed { what: "the worker".to_owned() }))
    }

    /// Stops it, and waits for handlers as long as they take.
    pub(crate) fn stop(&self) {
        self.stop_within(None);
    }

    /// Stops it, and waits for handlers for so long.
    pub(crate) fn stop_within(&self, patience: Option<Duration>) {
        // A second word would mean to stop at once.
        let first = !self.is_stopped.swap(true, Ordering::Relaxed);
        if let Some(begun) = self.begun().as_ref().filter(|_| first) {
            match patience {
                Some(patience) => begun.stopper.graceful_within(patience),
                None => begun.stopper.graceful(),
            }
        }
    }

    /// Stops it; when this returns, nothing of it runs any more but a handler that does not return.
    pub(crate) async fn close(&self, patience: Duration) {
        self.stop_within(Some(patience));
        // What a loop has left is not done.
        for one in self.in_hand().drain(..).filter_map(|one| one.upgrade()) {
            one.give_back();
        }
        let Some(begun) = self.begun().clone() else { return };
        if timeout(patience.saturating_add(LAST_WRITES), self.ended()).await.is_err() {
            begun.stopper.now();
            let _ended = timeout(LAST_WRITES, self.ended()).await.is_ok();
        }
        runtime::current().ended(self);
    }

    /// Its last handle in Python is gone.
    pub(crate) fn let_go(self: &Arc<Self>) {
        if self.own().is_err() || self.begun().is_none() {
            return;
        }
        let work = Arc::clone(self);
        if let Ok(handle) = runtime::current().handle() {
            drop(handle.spawn(async move { work.close(work.exit_timeout()).await }));
        }
    }

    fn begun(&self) -> MutexGuard<'_, Option<Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_hand(&self) -> MutexGuard<'_, Vec<Weak<InHand>>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In a forked child its locks can be held by threads that are gone: it is left as it is.
impl Drop for Work {
    fn drop(&mut self) {
        if self.own().is_err() {
            std::mem::forget(self.begun.get_mut().unwrap_or_else(PoisonError::into_inner).take());
            let Settings { kinesis, leases, source, config, .. } = &self.settings;
            std::mem::forget((kinesis.clone(), leases.clone(), source.clone(), config.clone()));
        }
    }
}
