//! What an application reads, and how; it is run by workers.

use std::sync::Arc;
use std::thread;

use shardflow_core::{Stream, WorkerId};
use shardflow_sdk::seed;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::client::Client;
use crate::clock::Clock;
use crate::health::Patience;
use crate::host::Host;
use crate::lease_keeper::LeaseKeeper;
use crate::lease_watch::LeaseWatch;
use crate::offer::Offering;
use crate::room::Room;
use crate::supervisor::{Shards, Stopping, Supervisor};
use crate::watch::{Board, Ending};
use crate::{
    Batches, CheckpointMode, Config, LeaseStore, LeaseThread, RecordProcessor, RunError, ShardInfo, Watch,
    Worker, WorkerMetrics,
};

/// Reads one stream for one application, which is known by its lease store.
#[derive(Clone)]
pub struct Consumer {
    kinesis: aws_sdk_kinesis::Client,
    store: Arc<dyn LeaseStore>,
    stream: Stream,
    config: Config,
}

impl Consumer {
    /// A consumer. Does no I/O.
    ///
    /// The client's credentials, region, endpoint and HTTP client are used as they are; its retries and time-outs are
    /// replaced by the consumer's.
    #[must_use]
    pub fn new(
        kinesis: aws_sdk_kinesis::Client,
        store: impl LeaseStore,
        stream: Stream,
        config: Config,
    ) -> Self {
        Self { kinesis, store: Arc::new(store), stream, config }
    }

    /// Starts a worker, which makes a processor for each shard that it gets. Trouble at the start is told by the worker.
    ///
    /// # Errors
    ///
    /// Outside of a tokio runtime, or when the thread that keeps the leases cannot be made.
    pub fn run<F, P>(&self, factory: F) -> Result<Worker, RunError>
    where
        F: Fn(&ShardInfo) -> P + Send + Sync + 'static,
        P: RecordProcessor,
    {
        let runtime =
            Handle::try_current().map_err(|error| RunError::NoRuntime { reason: error.to_string() })?;
        let Config {
            lease,
            shard,
            on_error,
            max_buffered_bytes,
            worker_id,
            worker_metrics,
            lease_thread,
            start_within,
            request_timeout,
            retrieval,
            unhealthy_after,
            on_state,
        } = self.config.clone();
        let id = worker_id.unwrap_or_else(default_worker_id);
        let client = Client::new(&self.kinesis, self.stream.clone(), request_timeout)
            .retrieving(&retrieval, self.store.application());
        let clock = Clock::start();
        let leave_within = lease.failover / 4;
        let patience = Patience {
            shard: unhealthy_after + shard.idle_every,
            leases: unhealthy_after + lease.look_every,
        };
        let board = Arc::new(Board::new(id.clone(), self.stream.clone(), clock, patience, on_state));
        // Commands are one checkpoint a shard and a little more; what the keeper has to tell waits in its own queue.
        let (keeper, commands) = mpsc::channel(256);
        let (tell, told) = mpsc::channel(256);
        let (stopping, stopped) = watch::channel(Stopping::Not);
        let lease_keeper = LeaseKeeper {
            worker: id.clone(),
            settings: lease,
            host: (worker_metrics == WorkerMetrics::Cpu).then(|| Host::new(clock)),
            start_within,
            store: Arc::clone(&self.store),
            client: client.clone(),
            clock,
            commands,
            told: tell,
            watch: LeaseWatch::new(Arc::clone(&board), id.clone()),
        };
        let kept = keep(lease_keeper, lease_thread, &runtime)?;
        let factory = Arc::new(factory);
        let supervisor = Supervisor {
            client,
            settings: shard,
            sink: on_error.sink,
            room: Room::new(max_buffered_bytes),
            clock,
            factory: move |shard: &ShardInfo| factory(shard),
            keeper,
            told,
            stopping: stopped,
            leave_within,
            board: Arc::clone(&board),
            shards: Shards::default(),
        };
        let watch = Watch(Arc::clone(&board));
        let ending = Ending::of(board);
        let task = runtime.spawn(async move {
            // Owned here, so that it ends with the supervisor.
            let _kept = kept;
            let ended = supervisor.run().await;
            ending.with(&ended);
            ended
        });
        Ok(Worker { id, task: AbortOnDropHandle::new(task), stopping, watch })
    }

    /// Starts a worker that gives the batches of all its shards as one stream, for an application that is a loop rather
    /// than a [`RecordProcessor`]. Trouble at the start is told by the stream.
    ///
    /// # Errors
    ///
    /// As [`Consumer::run`].
    pub fn batches(&self, checkpoints: CheckpointMode) -> Result<Batches, RunError> {
        // Each shard waits with one batch in any case; there is no use in holding more of them here.
        let (offers, offered) = mpsc::channel(1);
        let worker = self.run(move |shard: &ShardInfo| Offering::new(shard, offers.clone()))?;
        Ok(Batches::new(worker, offered, checkpoints))
    }
}

/// Starts the keeper where it is to run. A thread of its own ends when its commands do.
fn keep(
    keeper: LeaseKeeper,
    thread: LeaseThread,
    runtime: &Handle,
) -> Result<Option<AbortOnDropHandle<()>>, RunError> {
    let failed = |error: std::io::Error| RunError::NoRuntime { reason: error.to_string() };
    match thread {
        LeaseThread::Caller => Ok(Some(AbortOnDropHandle::new(runtime.spawn(keeper.run())))),
        LeaseThread::Own => {
            let own = Builder::new_current_thread().enable_all().build().map_err(failed)?;
            let name = String::from("shardflow-leases");
            let run = move || own.block_on(keeper.run());
            thread::Builder::new().name(name).spawn(run).map(|_detached| None).map_err(failed)
        }
    }
}

fn default_worker_id() -> WorkerId {
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    let host = if host.is_empty() { "worker" } else { &host };
    let id = format!("{host}-{}-{:016x}", std::process::id(), seed());
    id.parse().expect("it is made of characters that a worker id can have")
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("stream", &self.stream)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
