//! What a pipeline can be told.

use std::time::Duration;

use shardflow_core::aggregation::AggregateSize;
use shardflow_core::{Record, RecordDistribution, limits};

/// Which order the records of one partition key keep.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ordering {
    /// None that survives a failed try: the fastest.
    #[default]
    None,
    /// The first occurrences of a key's records stand in the stream in the order of put. Costs a round trip for each
    /// entry of a shard, since Kinesis promises nothing about the order of two that travel together.
    PerKey,
}

/// How a pipeline buffers, packs and retries. The public configuration lives in `shardflow-producer`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest time that a record waits for company.
    pub linger: Duration,
    /// Longest time from acceptance to the last try.
    pub record_ttl: Duration,
    /// Packs records up to this size; `None` sends each by itself.
    pub aggregate: Option<AggregateSize>,
    /// Most records of one aggregate.
    pub aggregate_records: usize,
    /// Most entries of one request.
    pub request_entries: usize,
    /// Most bytes of one request, partition keys included.
    pub request_bytes: usize,
    /// Most requests that wait for an answer.
    pub requests_in_flight: usize,
    /// Largest record that is sent, partition key included; the stream's own limit counts too.
    pub record_bytes: usize,
    /// Share of a shard's 1 MiB and 1,000 records a second that is never exceeded.
    pub shard_share: f64,
    /// Whether a record that is refused for throughput is given back at once.
    pub fail_if_throttled: bool,
    /// Which order is kept.
    pub ordering: Ordering,
    /// Longest time that the first records wait for the first shard map; then they travel alone.
    pub first_map_wait: Duration,
    /// Age at which the shard map is fetched again without cause.
    pub map_age: Duration,
    /// Who is taken to decide a record's shard as long as the stream's description is not known.
    pub distribution: Option<RecordDistribution>,
    /// Age at which the stream's description is fetched again without cause.
    pub description_age: Duration,
    /// Whether anybody wants to hear of [`Measure`](super::Measure)s.
    pub measured: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(100),
            record_ttl: Duration::from_secs(30),
            aggregate: Some(AggregateSize::default()),
            aggregate_records: usize::MAX,
            request_entries: limits::PUT_RECORDS_ENTRIES,
            // The KPL's CollectionMaxSize. The service takes twice that, servers for tests often do not.
            request_bytes: 5 << 20,
            // The KPL's MaxConnections.
            requests_in_flight: 24,
            record_bytes: limits::RECORD_BYTES_MAX,
            // The KPL's RateLimit: one producer can make up for a second that it lost.
            shard_share: 1.5,
            fail_if_throttled: false,
            ordering: Ordering::None,
            first_map_wait: Duration::from_secs(5),
            map_age: Duration::from_secs(300),
            distribution: None,
            // The KPL's DescribeStreamSummaryIntervalMs.
            description_age: Duration::from_secs(300),
            measured: false,
        }
    }
}

impl Settings {
    /// How long an entry that is full waits for others to share its request, and how much early one goes along with
    /// others that are due. The KPL waits as long: a fifth of the linger, at most 50 ms.
    pub(super) fn company(&self) -> Duration {
        (self.linger / 5).min(Duration::from_millis(50))
    }

    /// What a record counts against the byte budget while it is held: it is there as it was put, in its aggregate and,
    /// under way, in base64.
    #[must_use]
    pub fn cost(record: &Record) -> usize {
        record.size() * 10 / 3 + RECORD_OVERHEAD
    }

    /// The largest record that counts no more than `cost`.
    #[must_use]
    pub fn largest(cost: usize) -> usize {
        cost.saturating_sub(RECORD_OVERHEAD) * 3 / 10
    }
}

/// What holding a record costs beside its data and key: its place in the pipeline and its ticket.
pub const RECORD_OVERHEAD: usize = 512;
