//! What a consumer can be told.

mod key;
#[cfg(feature = "properties")]
mod properties;
mod row;

use std::time::Duration;

use shardflow_core::{InitialPosition, WorkerId, limits};
use shardflow_engine::lease::Weighing;
use shardflow_engine::{consume, lease};

pub use key::ConfigKey;
#[cfg(feature = "properties")]
pub use properties::{NotApplied, Properties, PropertiesError};
pub use row::Applies;

use crate::state::Listener;
use crate::{Balance, ConfigError, ErrorPolicy, FanOutConsumer, Retrieval, WorkerMetrics, WorkerState};

/// How a consumer reads, and how it keeps its leases.
///
/// The default suits most applications. Each setter says what more and less of it costs, and what the KCL calls it.
///
/// ```
/// use std::time::Duration;
/// use shardflow_consumer::{Config, InitialPosition};
///
/// let config = Config::default().initial_position(InitialPosition::Latest);
/// let config = config.set("failoverTimeMillis".parse()?, "20000")?; // from a properties file, say
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) lease: lease::Settings,
    pub(crate) shard: consume::Settings,
    pub(crate) on_error: ErrorPolicy,
    pub(crate) max_buffered_bytes: usize,
    pub(crate) worker_id: Option<WorkerId>,
    pub(crate) worker_metrics: WorkerMetrics,
    pub(crate) lease_thread: LeaseThread,
    pub(crate) start_within: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) retrieval: Retrieval,
    pub(crate) unhealthy_after: Duration,
    pub(crate) on_state: Option<Listener>,
    pub(crate) told: Told,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: lease::Settings::default(),
            shard: consume::Settings::default(),
            on_error: ErrorPolicy::default(),
            max_buffered_bytes: 64 << 20,
            worker_id: None,
            worker_metrics: WorkerMetrics::default(),
            lease_thread: LeaseThread::default(),
            start_within: Duration::from_secs(60),
            request_timeout: Duration::from_secs(30),
            retrieval: Retrieval::default(),
            unhealthy_after: Duration::from_secs(60),
            on_state: None,
            told: Told::default(),
        }
    }
}

impl Config {
    /// Where the application starts in a stream that it has never read. Default [`InitialPosition::TrimHorizon`], the
    /// oldest record; the KCL's is `LATEST`. Shards that come from a split or merge are always read from their beginning.
    ///
    /// The KCL's `initialPositionInStream`.
    #[must_use]
    pub fn initial_position(mut self, position: InitialPosition) -> Self {
        self.lease.initial_position = position;
        self.shard.timestamp = match position {
            InitialPosition::AtTimestamp(at) => Some(at),
            InitialPosition::TrimHorizon | InitialPosition::Latest => None,
        };
        self
    }

    /// How long a lease lasts that is not renewed. Default 10 s. Must be the same for all workers of an application.
    ///
    /// More of it bears longer outages of the lease table; less of it gives a dead worker's shards to others sooner, at
    /// the price of more renewals: three in that time. The KCL's `failoverTimeMillis`.
    #[must_use]
    pub fn failover_time(mut self, time: Duration) -> Self {
        let time = time.max(Duration::from_millis(100));
        self.lease.failover = time;
        self.lease.look_every =
            self.told.lease_scan_interval.unwrap_or_else(|| time.mul_f64(self.told.looks_every));
        self.lease.lock_lasts = self.told.leader_lease.unwrap_or(time * 3);
        self
    }

    /// Time between two looks at the lease table. Default three tenths of the failover time, that is 3 s.
    ///
    /// Each look reads every lease, as long as there are no more than 1,000; of a larger table this worker's own leases
    /// are looked for by the index, and the whole of it is read less often in proportion. Less of it finds sooner what a
    /// leader has given to this worker, and what a dead worker has left: its shards are read again after the failover time
    /// and this. The KCL's leader looks every `leaseAssignmentIntervalMillis`, its followers in half of that time.
    #[must_use]
    pub fn lease_scan_interval(mut self, interval: Duration) -> Self {
        self.lease.look_every = interval.max(Duration::from_millis(10));
        self.told.lease_scan_interval = Some(self.lease.look_every);
        self
    }

    /// How long the lock of the leader lasts that is not renewed. Default three failover times, that is 30 s. It
    /// is renewed three times in it, and others take it no sooner than they have seen it unchanged for so long.
    ///
    /// Without a leader, leases are kept and shards are read; dead workers' leases are taken by the others. What waits is
    /// balance. The KCL's `dynamoDbLockBasedLeaderLeaseDurationInMillis`, 120 s there.
    #[must_use]
    pub fn leader_lease(mut self, time: Duration) -> Self {
        self.lease.lock_lasts = time.max(Duration::from_millis(100));
        self.told.leader_lease = Some(self.lease.lock_lasts);
        self
    }

    /// Whether this worker competes for the lock of the leader. Default true. Without it, it takes the leases that
    /// another worker gives to it, of this library or the KCL for Java, and what nobody keeps.
    #[must_use]
    pub fn may_lead(mut self, leads: bool) -> Self {
        self.lease.may_lead = leads;
        self
    }

    /// Most leases of one worker. Default: no limit. Zero takes none. The KCL's `maxLeasesForWorker`.
    #[must_use]
    pub fn max_leases(mut self, count: usize) -> Self {
        self.lease.max_leases = count;
        self
    }

    /// This worker's name, unlike every other running worker's. Default: host, process and a random number.
    ///
    /// A worker that comes back under its old name goes on at once with the leases it had. The KCL's `workerIdentifier`.
    #[must_use]
    pub fn worker_id(mut self, id: WorkerId) -> Self {
        self.worker_id = Some(id);
        self
    }

    /// Most records of one read: 1 to 10,000. Default 10,000. The KCL's `maxRecords`.
    #[must_use]
    pub fn max_records(mut self, count: usize) -> Self {
        self.shard.read_records = count.clamp(1, limits::GET_RECORDS_RECORDS);
        self
    }

    /// Memory for records that were read and are not processed yet, of all shards of the worker together: 64 MiB by default.
    ///
    /// Records count as they lie in memory, taken out of their aggregates: data, partition key, and some 150 bytes each. A
    /// shard waits for room before it reads. What it will need is an estimate by its last reads; a page that brings more is
    /// kept, and the next read waits longer. A batch that its handler fails at keeps its room. A subscription of enhanced
    /// fan-out has room while it waits for its next event, 64 KiB at least. Less of it than 10 MiB is passed by a single
    /// read; more of it keeps handlers of many shards busy while others read.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes;
        self
    }

    /// Most batches of a shard that are read before its handler gets to them: at least 1. Default 4.
    ///
    /// More of it keeps a handler busy whose batches take unevenly long; what was read is read again when the lease moves.
    /// However many there are, a shard that has one takes no more than its share of [`Config::max_buffered_bytes`]. The
    /// KCL's `maxPendingProcessRecordsInput`; its 0 counts as 1 here.
    #[must_use]
    pub fn read_ahead(mut self, batches: usize) -> Self {
        self.shard.read_ahead = batches.max(1);
        self
    }

    /// Time between two reads of a shard whose records are all read. Default 1 s. While there is more to read it is 200
    /// ms, since a shard answers five reads a second to all its readers. When it refuses reads, since others read it too,
    /// they become rarer, down to one in ten seconds, and bit by bit as frequent as before.
    ///
    /// Less of it means less delay, more of it leaves more reads to other applications. The KCL's
    /// `idleTimeBetweenReadsInMillis`.
    #[must_use]
    pub fn idle_time_between_reads(mut self, time: Duration) -> Self {
        self.shard.idle_every = time;
        self
    }

    /// How records come. Default [`Retrieval::Polling`], which costs nothing beside the stream; the KCL's is enhanced
    /// fan-out, which does.
    ///
    /// ```
    /// # use shardflow_consumer::{Config, Retrieval};
    /// let config = Config::default().retrieval(Retrieval::Auto { consumer: "billing".parse()? });
    /// # Ok::<(), shardflow_consumer::Invalid>(())
    /// ```
    #[must_use]
    pub fn retrieval(mut self, retrieval: Retrieval) -> Self {
        self.shard.retrieval = match retrieval {
            Retrieval::Polling => consume::Retrieval::Polling,
            Retrieval::FanOut { .. } | Retrieval::Auto { .. } => consume::Retrieval::FanOut,
        };
        if let Retrieval::FanOut { consumer } | Retrieval::Auto { consumer } = &retrieval {
            self.told.fan_out = consumer.clone();
        }
        self.retrieval = retrieval;
        self
    }

    /// What becomes of records that the handler fails at. Default [`ErrorPolicy::retry`]: it gets them again, without end.
    /// The KCL skips them.
    #[must_use]
    pub fn on_error(mut self, policy: ErrorPolicy) -> Self {
        policy.apply_to(&mut self.shard);
        self.on_error = policy;
        self
    }

    /// How long a call of the handler may take before a warning says that it has not returned; another follows each time when
    /// twice as much has passed. Default: never. The call goes on, and its lease is kept, however long it takes.
    ///
    /// The KCL's `logWarningForTaskAfterMillis`.
    #[must_use]
    pub fn warn_after(mut self, time: Duration) -> Self {
        self.shard.warn_after = Some(time.max(Duration::from_millis(1)));
        self
    }

    /// What becomes of aggregates that hold a record whose hash key another shard owns. Default [`Strays::Deliver`].
    #[must_use]
    pub fn strays(mut self, strays: Strays) -> Self {
        self.shard.drop_stray_aggregates = strays == Strays::DropAggregate;
        self
    }

    /// Longest time that one call to Kinesis may take. Default 30 s. Calls to the lease store are given a quarter of the
    /// failover time.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Longest time until the lease table is ready and the stream's shards are known. Default 60 s; then the worker ends
    /// with [`RunError::NotStarted`](crate::RunError::NotStarted).
    #[must_use]
    pub fn start_within(mut self, time: Duration) -> Self {
        self.start_within = time;
        self
    }

    /// How long a shard may be without progress, and a call of the handler may take, before
    /// [`Health`](crate::Health) tells of a problem. Default 60 s, to which the time between two reads is added. A handler that
    /// keeps failing is told of after three failures, whatever this says.
    ///
    /// Less of it tells sooner of what may be over by itself; more of it is right where a batch takes longer.
    #[must_use]
    pub fn unhealthy_after(mut self, time: Duration) -> Self {
        self.unhealthy_after = time;
        self
    }

    /// A function that is told what each worker is doing as a whole, when that changes: it starts, runs, stops, has stopped.
    /// Default: none. A second one takes the place of the first.
    ///
    /// It is called on the runtime, and should return soon: leases are kept meanwhile, but none are begun or ended. The last
    /// word, [`WorkerState::Stopped`], comes before the [`Worker`](crate::Worker) is ready, and when one is dropped, too. The
    /// KCL's `workerStateChangeListener`.
    ///
    /// ```
    /// use shardflow_consumer::{Config, WorkerState};
    ///
    /// let config = Config::default().on_state(|worker, state| match state {
    ///     WorkerState::Stopped { error: Some(error) } => eprintln!("{worker} cannot go on: {error}"),
    ///     other => eprintln!("{worker}: {other:?}"),
    /// });
    /// ```
    #[must_use]
    pub fn on_state(mut self, told: impl Fn(&WorkerId, &WorkerState) + Send + Sync + 'static) -> Self {
        self.on_state = Some(Listener::new(told));
        self
    }

    /// Which thread keeps the leases. Default [`LeaseThread::Own`].
    #[must_use]
    pub fn lease_thread(mut self, thread: LeaseThread) -> Self {
        self.lease_thread = thread;
        self
    }

    /// Sets one value from text, under its KCL name: a properties file, an environment variable, a keyword argument.
    ///
    /// Options may be set in any order: one that gets its default from another keeps the value that it was given.
    ///
    /// # Errors
    ///
    /// When the text does not parse or is out of bounds, and when the option is not the consumer's.
    pub fn set(self, key: ConfigKey, text: &str) -> Result<Self, ConfigError> {
        key.apply_to_config(self, text)
    }

    /// The defaults of the KCL for Java: records are sent by enhanced fan-out, from the end of the stream on, and leases
    /// are parted by utilisation. For a configuration file of the KCL that is to mean here what it means there.
    ///
    /// What has no name there, such as [`Config::on_error`], is as in [`Config::default`].
    ///
    /// ```
    /// use shardflow_consumer::{Config, InitialPosition};
    ///
    /// let config = Config::kcl().initial_position(InitialPosition::TrimHorizon);
    /// ```
    #[must_use]
    pub fn kcl() -> Self {
        let mut config = Self::default();
        config.told.looks_every = 2.0;
        let config = config
            .failover_time(Duration::from_secs(10))
            .initial_position(InitialPosition::Latest)
            .leader_lease(Duration::from_secs(120))
            .idle_time_between_reads(Duration::from_millis(1_500))
            .worker_metrics(WorkerMetrics::Cpu)
            .retrieving(RetrievalMode::Default);
        let weighing = config.told.weighing;
        config.balance(Balance::weighed(weighing))
    }

    /// Sets by which way records come, whoever is subscribed with: the KCL's options may be set in any order.
    fn retrieving(mut self, mode: RetrievalMode) -> Self {
        self.told.retrieval_mode = mode;
        let consumer = self.told.fan_out.clone();
        match mode {
            RetrievalMode::Default if !self.told.polling_is_told => {
                self.retrieval(Retrieval::FanOut { consumer })
            }
            RetrievalMode::Default | RetrievalMode::Polling => self.retrieval(Retrieval::Polling),
            RetrievalMode::FanOut => self.retrieval(Retrieval::FanOut { consumer }),
            RetrievalMode::Typed => self,
        }
    }

    /// The same, with another consumer. An ARN counts more than a name, as with the KCL.
    fn subscribing_as(mut self, consumer: FanOutConsumer) -> Self {
        let named = matches!(consumer, FanOutConsumer::Named(_));
        if !(named && matches!(self.told.fan_out, FanOutConsumer::Arn(_))) {
            self.told.fan_out = consumer;
        }
        let mode = self.told.retrieval_mode;
        self.retrieving(mode)
    }

    /// The same, now that an option of polling was given, which makes the KCL poll unless it is told otherwise.
    fn polling_told(mut self) -> Self {
        self.told.polling_is_told = true;
        let mode = self.told.retrieval_mode;
        self.retrieving(mode)
    }

    /// How a leader weighs workers, if it weighs them.
    fn weighed(mut self, change: impl FnOnce(&mut Weighing)) -> Self {
        change(&mut self.told.weighing);
        let weighing = self.told.weighing;
        match self.lease.balance {
            lease::Balance::Count => self,
            lease::Balance::Utilisation(_) => self.balance(Balance::weighed(weighing)),
        }
    }
}

/// What was set and must be kept, since options may be set in any order.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    lease_scan_interval: Option<Duration>,
    /// What that is unless it is set, in failover times.
    looks_every: f64,
    leader_lease: Option<Duration>,
    /// How a leader weighs workers, once it weighs them.
    pub(crate) weighing: Weighing,
    /// Who subscribes, once somebody does.
    fan_out: FanOutConsumer,
    retrieval_mode: RetrievalMode,
    /// Whether an option of polling was set from text.
    polling_is_told: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            lease_scan_interval: None,
            looks_every: 0.3,
            leader_lease: None,
            weighing: Weighing::default(),
            fan_out: FanOutConsumer::default(),
            retrieval_mode: RetrievalMode::Typed,
            polling_is_told: false,
        }
    }
}

/// By which way records come, as the KCL's `retrievalMode` says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum RetrievalMode {
    /// As [`Config::retrieval`] says, or nothing.
    Typed,
    /// By fan-out, unless an option of polling is given.
    Default,
    FanOut,
    Polling,
}

/// What becomes of aggregates that hold a record whose hash key another shard owns.
///
/// The KPL and `shardflow-producer` put such an aggregate when a shard was split or merged just before, and put all of it
/// again. Other producers aggregate without regard to shards, and put it once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Strays {
    /// They are delivered, and the records say so:
    /// [`UserRecord::out_of_range`](shardflow_core::UserRecord::out_of_range). A record that was put again comes twice.
    #[default]
    Deliver,
    /// The whole aggregate is left out, which is logged. It is what the KCL does: fewer duplicates with the KPL, and
    /// records lost with producers that aggregate without regard to shards.
    DropAggregate,
}

/// Which thread keeps the leases.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LeaseThread {
    /// One of its own: a blocked runtime or a slow handler cannot cost a lease.
    #[default]
    Own,
    /// A task on the caller's runtime. For tests that pause its clock.
    Caller,
}

#[cfg(test)]
mod tests;
