//! What an application reads, and how; it is run by workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use shardflow_core::{InitialPosition, Stream, WorkerId};
use shardflow_sdk::{kinesis, seed};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::client::Client;
use crate::clients::{Clients, Directory};
use crate::clock::Clock;
use crate::health::Patience;
use crate::host::Host;
use crate::lease_keeper::{LeaseKeeper, Wanted};
use crate::lease_watch::LeaseWatch;
use crate::offer::Offering;
use crate::room::Room;
use crate::stream_health::StreamNotes;
use crate::supervisor::{Shards, Stopping, Supervisor};
use crate::watch::{Board, Ending};
use crate::{
    Batches, CheckpointMode, Config, LeaseStore, LeaseThread, RecordProcessor, Retrieval, RunError,
    ShardInfo, Streams, Watch, Worker, WorkerMetrics,
};

/// Reads one stream for one application, which is known by its lease store; or several.
#[derive(Clone)]
pub struct Consumer {
    kinesis: aws_sdk_kinesis::Client,
    store: Arc<dyn LeaseStore>,
    source: Source,
    config: Config,
}

/// What is read.
#[derive(Clone, Debug)]
enum Source {
    /// Leases are called after shards alone.
    One(Stream),
    /// Leases are called after streams and shards.
    Several(Streams),
}

impl Consumer {
    /// A consumer of one stream. Does no I/O.
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
        Self { kinesis, store: Arc::new(store), source: Source::One(stream), config }
    }

    /// A consumer of several streams, which may be added and removed while its workers run; the KCL's multi-stream mode, with its
    /// lease keys `account:name:seconds:shard`. Does no I/O.
    ///
    /// Workers share out the leases of all streams together, and [`Config::max_leases`], [`Config::max_buffered_bytes`] and a stop
    /// count for all of them. [`ShardInfo`] says which stream a shard is of. All are in the client's region; those of other
    /// accounts are given by their ARNs. Needed rights beside those for one stream: `kinesis:DescribeStreamSummary`.
    ///
    /// Of clients and their settings the same is true as for [`Consumer::new`]. An application that was of one stream cannot
    /// become one of several in its old table: see [`Config::mixed_leases`].
    ///
    /// ```no_run
    /// # use shardflow_consumer::{Config, Consumer, DynamoDbLeases, Streams};
    /// # fn example(
    /// #     kinesis: aws_sdk_kinesis::Client,
    /// #     leases: DynamoDbLeases,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let streams = Streams::new(["orders".parse()?, "payments".parse()?]);
    /// let consumer = Consumer::streams(kinesis, leases, streams.clone(), Config::default());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn streams(
        kinesis: aws_sdk_kinesis::Client,
        store: impl LeaseStore,
        streams: Streams,
        config: Config,
    ) -> Self {
        Self { kinesis, store: Arc::new(store), source: Source::Several(streams), config }
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
            told: _,
        } = self.config.clone();
        let id = worker_id.unwrap_or_else(default_worker_id);
        let position = lease.initial_position;
        let clients = self.clients(request_timeout, retrieval, position);
        let (notes, wanted) = match &self.source {
            Source::One(stream) => (StreamNotes::One(stream.clone()), None),
            Source::Several(streams) => {
                (StreamNotes::Several(BTreeMap::new()), Some(Wanted { set: streams.changes(), position }))
            }
        };
        let clock = Clock::start();
        let leave_within = lease.failover / 4;
        let patience = Patience {
            shard: unhealthy_after + shard.idle_every,
            leases: unhealthy_after + lease.look_every,
        };
        let board = Arc::new(Board::new(id.clone(), notes, clock, patience, on_state));
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
            clients: clients.clone(),
            streams: wanted,
            clock,
            commands,
            told: tell,
            watch: LeaseWatch::new(Arc::clone(&board), id.clone()),
        };
        let kept = keep(lease_keeper, lease_thread, &runtime)?;
        let factory = Arc::new(factory);
        let supervisor = Supervisor {
            clients,
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

    fn clients(&self, timeout: Duration, retrieval: Retrieval, position: InitialPosition) -> Clients {
        let application = self.store.application();
        match &self.source {
            Source::One(stream) => {
                let client = Client::new(&self.kinesis, stream.clone(), timeout);
                Clients::One(client.retrieving(&retrieval, application))
            }
            Source::Several(streams) => Clients::Several(Arc::new(Directory {
                kinesis: kinesis(&self.kinesis, timeout),
                streams: streams.clone(),
                timeout,
                retrieval,
                application: application.map(str::to_owned),
                position,
                found: Mutex::default(),
            })),
        }
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
            .field("source", &self.source)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
