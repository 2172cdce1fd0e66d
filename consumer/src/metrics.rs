//! The KCL's metrics, by its names, through the `metrics` facade.
//!
//! The table is in `docs/metrics.md`, and a test compares it with what is recorded.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit, with_recorder};
use shardflow_core::{ShardId, StreamIdentifier, WorkerId};
use shardflow_engine::lease::Census;

/// Whether a recorder is installed, for the process or this thread.
///
/// The facade does not tell; but what it has when there is none is a value without size.
pub(crate) fn somebody_listens() -> bool {
    with_recorder(|recorder| size_of_val(recorder) > 0)
}

/// Whether something was done, and how long it took.
#[derive(Debug)]
pub(crate) struct Timed {
    success: Histogram,
    time: Histogram,
}

impl Timed {
    fn new(success: &Metric, time: &Metric, labels: &[Label]) -> Self {
        Self { success: success.histogram(labels), time: time.histogram(labels) }
    }

    pub(crate) fn record(&self, success: bool, took: Duration) {
        self.success.record(if success { 1.0 } else { 0.0 });
        self.time.record(millis(took));
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The metrics of one shard that is read.
///
/// A recorder is asked for handles when the shard's task begins, and they go with it.
#[derive(Debug)]
pub(crate) struct ShardMetrics {
    records: Counter,
    bytes: Counter,
    behind: Histogram,
    behind_of_all: Histogram,
    task: Timed,
    process: Histogram,
    initialize: Histogram,
    shutdown: Histogram,
    pub(crate) get_records: Timed,
    pub(crate) get_iterator: Timed,
    pub(crate) update_lease: Timed,
    expired_iterators: Counter,
    skipped: Counter,
    dead_lettered: Counter,
    out_of_range: Counter,
    corrupt_aggregates: Counter,
}

impl ShardMetrics {
    /// The metrics of a shard, if somebody listens.
    pub(crate) fn start(stream: Option<&StreamIdentifier>, shard: &ShardId) -> Option<Self> {
        somebody_listens().then(|| {
            let mut of_shard = vec![Label::new("ShardId", shard.as_str().to_owned())];
            of_shard.extend(stream.map(|stream| Label::new("StreamId", stream.as_str().to_owned())));
            let of = |metric: &Metric| metric.counter(&of_shard);
            Self {
                records: of(&RECORDS_PROCESSED),
                bytes: of(&DATA_BYTES_PROCESSED),
                behind: MILLIS_BEHIND_LATEST.histogram(&of_shard),
                behind_of_all: APPLICATION_MILLIS_BEHIND_LATEST.histogram(&[]),
                task: Timed::new(&PROCESS_SUCCESS, &PROCESS_TIME, &of_shard),
                process: PROCESS_RECORDS_TIME.histogram(&of_shard),
                initialize: INITIALIZE_TIME.histogram(&[]),
                shutdown: SHUTDOWN_TIME.histogram(&[]),
                get_records: Timed::new(&GET_RECORDS_SUCCESS, &GET_RECORDS_TIME, &of_shard),
                get_iterator: Timed::new(&GET_ITERATOR_SUCCESS, &GET_ITERATOR_TIME, &of_shard),
                update_lease: Timed::new(&UPDATE_LEASE_SUCCESS, &UPDATE_LEASE_TIME, &of_shard),
                expired_iterators: of(&EXPIRED_ITERATOR),
                skipped: of(&RECORDS_SKIPPED),
                dead_lettered: of(&RECORDS_DEAD_LETTERED),
                out_of_range: of(&RECORDS_OUT_OF_RANGE),
                corrupt_aggregates: of(&CORRUPT_AGGREGATES),
            }
        })
    }

    /// A read came back, that far behind.
    pub(crate) fn read(&self, behind: Duration) {
        self.behind.record(millis(behind));
        self.behind_of_all.record(millis(behind));
    }

    pub(crate) fn iterator_expired(&self) {
        self.expired_iterators.increment(1);
    }

    /// The handler has returned from a batch.
    pub(crate) fn processed(&self, success: bool, took: Duration) {
        self.task.record(success, took);
        self.process.record(millis(took));
    }

    /// A batch is done with: so many records and bytes, and so many records whose keys the shard does not own.
    pub(crate) fn done(&self, records: usize, bytes: usize, out_of_range: usize) {
        self.records.increment(records as u64);
        self.bytes.increment(bytes as u64);
        self.out_of_range.increment(out_of_range as u64);
    }

    pub(crate) fn initialized(&self, took: Duration) {
        self.initialize.record(millis(took));
    }

    pub(crate) fn stopped(&self, took: Duration) {
        self.shutdown.record(millis(took));
    }

    pub(crate) fn skipped(&self) {
        self.skipped.increment(1);
    }

    pub(crate) fn dead_lettered(&self) {
        self.dead_lettered.increment(1);
    }

    pub(crate) fn corrupt_aggregate(&self) {
        self.corrupt_aggregates.increment(1);
    }
}

/// The metrics of what a worker does about leases.
#[derive(Debug)]
pub(crate) struct LeaseMetrics {
    held: Gauge,
    lost: Counter,
    taken: Counter,
    discovered: Counter,
    pub(crate) renewals: [Timed; 2],
    pub(crate) discovery: Timed,
    pub(crate) report: Timed,
    pub(crate) list_shards: Timed,
    pub(crate) create_lease: Timed,
    is_leader: Histogram,
    assignment: Assignment,
    /// Where there are several.
    streams: Option<StreamMetrics>,
}

/// What is told of several streams.
#[derive(Debug)]
struct StreamMetrics {
    active: Histogram,
    pending: Histogram,
    deleted: Counter,
    failing: Gauge,
}

impl StreamMetrics {
    fn start(of_worker: &[Label]) -> Self {
        Self {
            active: ACTIVE_STREAMS.histogram(&[]),
            pending: STREAMS_PENDING_DELETION.histogram(&[]),
            deleted: DELETED_STREAMS.counter(&[]),
            failing: FAILING_STREAMS.gauge(of_worker),
        }
    }
}

/// What a leader tells.
#[derive(Debug)]
struct Assignment {
    leases: Histogram,
    workers: Histogram,
    expired: Histogram,
    reassigned: Counter,
    round: Timed,
    load: Histogram,
    assign: Timed,
}

impl LeaseMetrics {
    /// The metrics of a worker's leases, if somebody listens.
    pub(crate) fn start(worker: &WorkerId, several: bool) -> Option<Self> {
        somebody_listens().then(|| {
            let of_worker = [Label::new("WorkerIdentifier", worker.as_str().to_owned())];
            let of = |metric: &Metric| metric.counter(&of_worker);
            Self {
                held: CURRENT_LEASES.gauge(&of_worker),
                lost: of(&LOST_LEASES),
                taken: of(&TAKEN_LEASES),
                discovered: of(&NEW_LEASES_DISCOVERED),
                renewals: [
                    Timed::new(&RENEW_ALL_SUCCESS, &RENEW_ALL_TIME, &of_worker),
                    Timed::new(&RENEW_LEASE_SUCCESS, &RENEW_LEASE_TIME, &of_worker),
                ],
                discovery: Timed::new(&DISCOVERY_SUCCESS, &DISCOVERY_TIME, &of_worker),
                report: Timed::new(&REPORT_SUCCESS, &REPORT_TIME, &of_worker),
                list_shards: Timed::new(&SHARD_SYNC_SUCCESS, &SHARD_SYNC_TIME, &[]),
                create_lease: Timed::new(&CREATE_LEASE_SUCCESS, &CREATE_LEASE_TIME, &[]),
                is_leader: IS_LEADER.histogram(&[]),
                streams: several.then(|| StreamMetrics::start(&of_worker)),
                assignment: Assignment {
                    leases: TOTAL_LEASES.histogram(&[]),
                    workers: NUM_WORKERS.histogram(&[]),
                    expired: EXPIRED_LEASES.histogram(&[]),
                    reassigned: REASSIGNMENTS.counter(&[]),
                    round: Timed::new(&ASSIGNMENT_SUCCESS, &ASSIGNMENT_TIME, &[]),
                    load: LOAD_TIME.histogram(&[]),
                    assign: Timed::new(&ASSIGN_SUCCESS, &ASSIGN_TIME, &[]),
                },
            }
        })
    }

    /// So many leases are held.
    pub(crate) fn held(&self, leases: usize) {
        self.held.set(leases as f64);
    }

    pub(crate) fn lost(&self) {
        self.lost.increment(1);
    }

    pub(crate) fn taken(&self) {
        self.taken.increment(1);
    }

    pub(crate) fn discovered(&self) {
        self.discovered.increment(1);
    }

    /// So many streams are read, and the leases of so many are to be deleted.
    pub(crate) fn streams(&self, active: usize, pending: usize) {
        if let Some(streams) = &self.streams {
            streams.active.record(active as f64);
            streams.pending.record(pending as f64);
        }
    }

    /// So many cannot be had.
    pub(crate) fn streams_fail(&self, failing: usize) {
        if let Some(streams) = &self.streams {
            streams.failing.set(failing as f64);
        }
    }

    pub(crate) fn stream_deleted(&self) {
        if let Some(streams) = &self.streams {
            streams.deleted.increment(1);
        }
    }

    /// A look at the table was answered.
    pub(crate) fn looked(&self, leads: bool, success: bool, took: Duration) {
        self.discovery.record(success, took);
        self.is_leader.record(if leads { 1.0 } else { 0.0 });
        if leads {
            self.assignment.round.record(success, took);
            self.assignment.load.record(millis(took));
        }
    }

    /// What a leader has seen.
    pub(crate) fn counted(&self, Census { leases, unkept, workers }: Census) {
        self.assignment.leases.record(leases as f64);
        self.assignment.expired.record(unkept as f64);
        self.assignment.workers.record(workers as f64);
    }

    /// A lease was given to another worker, or was to be.
    pub(crate) fn assigned(&self, success: bool, took: Duration) {
        self.assignment.reassigned.increment(u64::from(success));
        self.assignment.assign.record(success, took);
    }
}

/// A metric as the KCL has it.
struct Metric {
    operation: &'static str,
    name: &'static str,
    level: Level,
    unit: Unit,
    what: &'static str,
}

impl Metric {
    fn counter(&self, labels: &[Label]) -> Counter {
        with_recorder(|recorder| {
            recorder.describe_counter(self.name.into(), Some(self.unit), self.what.into());
            recorder.register_counter(&self.key(labels), &self.metadata())
        })
    }

    fn gauge(&self, labels: &[Label]) -> Gauge {
        with_recorder(|recorder| {
            recorder.describe_gauge(self.name.into(), Some(self.unit), self.what.into());
            recorder.register_gauge(&self.key(labels), &self.metadata())
        })
    }

    fn histogram(&self, labels: &[Label]) -> Histogram {
        with_recorder(|recorder| {
            recorder.describe_histogram(self.name.into(), Some(self.unit), self.what.into());
            recorder.register_histogram(&self.key(labels), &self.metadata())
        })
    }

    fn key(&self, labels: &[Label]) -> Key {
        let operation = Label::from_static_parts("Operation", self.operation);
        Key::from_parts(self.name, labels.iter().cloned().chain([operation]).collect::<Vec<_>>())
    }

    fn metadata(&self) -> Metadata<'static> {
        Metadata::new("shardflow_consumer", self.level, Some("shardflow_consumer"))
    }
}

/// The metrics of one of the KCL's operations.
struct Operation(&'static str);

impl Operation {
    const fn count(&self, name: &'static str, what: &'static str) -> Metric {
        self.metric(name, Level::INFO, Unit::Count, what)
    }

    const fn time(&self, name: &'static str, what: &'static str) -> Metric {
        self.metric(name, Level::INFO, Unit::Milliseconds, what)
    }

    const fn detailed_count(&self, name: &'static str, what: &'static str) -> Metric {
        self.metric(name, Level::DEBUG, Unit::Count, what)
    }

    const fn detailed_time(&self, name: &'static str, what: &'static str) -> Metric {
        self.metric(name, Level::DEBUG, Unit::Milliseconds, what)
    }

    const fn metric(&self, name: &'static str, level: Level, unit: Unit, what: &'static str) -> Metric {
        Metric { operation: self.0, name, level, unit, what }
    }
}

const PROCESS: Operation = Operation("ProcessTask");
const RECORDS_PROCESSED: Metric = PROCESS.count("RecordsProcessed", "Records that the handler has processed");
const DATA_BYTES_PROCESSED: Metric =
    PROCESS.metric("DataBytesProcessed", Level::INFO, Unit::Bytes, "Data of records that were processed");
const MILLIS_BEHIND_LATEST: Metric =
    PROCESS.time("MillisBehindLatest", "How far behind the newest record a read ended");
const PROCESS_SUCCESS: Metric = PROCESS.count("Success", "1 for what was done, 0 for what failed");
const PROCESS_TIME: Metric = PROCESS.time("Time", "How long it took");
const PROCESS_RECORDS_TIME: Metric =
    PROCESS.time("RecordProcessor.processRecords.Time", "How long a call of the handler took");
const EXPIRED_ITERATOR: Metric = PROCESS.count("ExpiredIterator", "Iterators that had expired");
const GET_RECORDS_SUCCESS: Metric = PROCESS.detailed_count(
    "KinesisDataFetcher.getRecords.Success",
    "1 for a read that was answered, 0 for one that was not",
);
const GET_RECORDS_TIME: Metric =
    PROCESS.detailed_time("KinesisDataFetcher.getRecords.Time", "How long a read took");
const GET_ITERATOR_SUCCESS: Metric = PROCESS.detailed_count(
    "KinesisDataFetcher.getShardIterator.Success",
    "1 for an iterator that was opened, 0 for one that was not",
);
const GET_ITERATOR_TIME: Metric =
    PROCESS.detailed_time("KinesisDataFetcher.getShardIterator.Time", "How long opening an iterator took");
const UPDATE_LEASE_SUCCESS: Metric = PROCESS
    .detailed_count("UpdateLease.Success", "1 for a checkpoint that was stored, 0 for one that was not");
const UPDATE_LEASE_TIME: Metric =
    PROCESS.detailed_time("UpdateLease.Time", "How long storing a checkpoint took");
const RECORDS_SKIPPED: Metric = PROCESS.count("RecordsSkipped", "Records that were skipped by policy");
const RECORDS_DEAD_LETTERED: Metric =
    PROCESS.count("RecordsDeadLettered", "Records that went to the sink of dead letters");
const RECORDS_OUT_OF_RANGE: Metric =
    PROCESS.count("RecordsOutOfRange", "Records in aggregates whose keys the shard does not own");
const CORRUPT_AGGREGATES: Metric =
    PROCESS.count("CorruptAggregates", "Records that look like aggregates and are none");

const APPLICATION_MILLIS_BEHIND_LATEST: Metric = Operation("ApplicationTracker")
    .time("MillisBehindLatest", "How far behind the newest record a read ended");
const INITIALIZE_TIME: Metric = Operation("InitializeTask")
    .time("RecordProcessor.initialize.Time", "How long a call of the handler's initialize took");
const SHUTDOWN_TIME: Metric = Operation("ShutdownTask")
    .time("RecordProcessor.shutdown.Time", "How long a call of the handler's stopping took");

const RENEW: Operation = Operation("RenewAllLeases");
const CURRENT_LEASES: Metric = RENEW.count("CurrentLeases", "Leases that the worker has");
const LOST_LEASES: Metric = RENEW.count("LostLeases", "Leases that the worker has lost");
const RENEW_ALL_SUCCESS: Metric = RENEW.count("Success", "1 for what was done, 0 for what failed");
const RENEW_ALL_TIME: Metric = RENEW.time("Time", "How long it took");
const RENEW_LEASE_SUCCESS: Metric =
    RENEW.detailed_count("RenewLease.Success", "1 for a lease that was renewed, 0 for one that was not");
const RENEW_LEASE_TIME: Metric = RENEW.detailed_time("RenewLease.Time", "How long a renewal took");

const DISCOVERY: Operation = Operation("LeaseDiscovery");
const DISCOVERY_SUCCESS: Metric = DISCOVERY.count("Success", "1 for what was done, 0 for what failed");
const DISCOVERY_TIME: Metric = DISCOVERY.time("Time", "How long it took");
const NEW_LEASES_DISCOVERED: Metric =
    DISCOVERY.detailed_count("NewLeasesDiscovered", "Leases that came to the worker");

const TAKEN_LEASES: Metric = Operation("TakeLeases").count("TakenLeases", "Leases that the worker has taken");

const ASSIGNMENT: Operation = Operation("LeaseAssignmentManager");
const TOTAL_LEASES: Metric = ASSIGNMENT.count("TotalLeases", "Leases of shards that are to be read");
const NUM_WORKERS: Metric = ASSIGNMENT.count("NumWorkers", "Workers that live");
const EXPIRED_LEASES: Metric = ASSIGNMENT.count("ExpiredLeases", "Leases that nobody has or keeps");
const REASSIGNMENTS: Metric =
    ASSIGNMENT.count("NumOfLeasesReassignment", "Leases that the leader has given to other workers");
const ASSIGNMENT_SUCCESS: Metric = ASSIGNMENT.count("Success", "1 for what was done, 0 for what failed");
const ASSIGNMENT_TIME: Metric = ASSIGNMENT.time("Time", "How long it took");
const LOAD_TIME: Metric =
    ASSIGNMENT.detailed_time("LeaseAndWorkerMetricsLoad.Time", "How long reading the lease table took");
const ASSIGN_SUCCESS: Metric = ASSIGNMENT
    .detailed_count("ParallelyAssignLeases.Success", "1 for a lease that was given, 0 for one that was not");
const ASSIGN_TIME: Metric =
    ASSIGNMENT.detailed_time("ParallelyAssignLeases.Time", "How long giving a lease took");

const REPORT: Operation = Operation("WorkerMetricStatsReporter");
const REPORT_SUCCESS: Metric = REPORT.count("Success", "1 for what was done, 0 for what failed");
const REPORT_TIME: Metric = REPORT.time("Time", "How long it took");

const IS_LEADER: Metric = Operation("LeaderDecider")
    .detailed_count("LeaderDecider:IsLeader", "1 at a look of a worker that leads, 0 of one that does not");

const STREAMS: Operation = Operation("MultiStreamTracker");
const ACTIVE_STREAMS: Metric = STREAMS.count("ActiveStreams.Count", "Streams that are read");
const STREAMS_PENDING_DELETION: Metric =
    STREAMS.count("StreamsPendingDeletion.Count", "Streams whose leases are to be deleted");
const DELETED_STREAMS: Metric =
    STREAMS.count("DeletedStreams.Count", "Streams whose leases have been deleted");
const FAILING_STREAMS: Metric =
    STREAMS.count("FailingStreams.Count", "Streams that are wanted and cannot be had");

const SHARD_SYNC: Operation = Operation("ShardSyncTask");
const SHARD_SYNC_SUCCESS: Metric = SHARD_SYNC.count("Success", "1 for what was done, 0 for what failed");
const SHARD_SYNC_TIME: Metric = SHARD_SYNC.time("Time", "How long it took");
const CREATE_LEASE_SUCCESS: Metric = SHARD_SYNC
    .detailed_count("CreateLease.Success", "1 for a lease that was entered, 0 for one that was not");
const CREATE_LEASE_TIME: Metric =
    SHARD_SYNC.detailed_time("CreateLease.Time", "How long entering a lease took");
