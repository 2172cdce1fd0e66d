//! What a producer can be told.

mod dimension;
mod key;
#[cfg(feature = "properties")]
mod properties;
mod values;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use shardflow_core::aggregation::AggregateSize;
use shardflow_core::{RecordDistribution, limits};
use shardflow_engine::produce::{self, Settings};

use crate::reserve::{Reserve, SharedBuffer};
use crate::{ConfigError, RecordError, UnknownKey};

pub use dimension::MetricsDimension;
pub use key::{Applies, ConfigKey};
#[cfg(feature = "properties")]
pub use properties::{NotApplied, PropertiesError};
pub use values::{
    BufferSize, ConnectTimeout, MetricsGranularity, MetricsLevel, Ordering, RateLimit, RequestBytes,
    RequestEntries, RequestsInFlight,
};

/// How a producer buffers, packs and retries.
///
/// The default suits most streams. Each setter says what more and less of it costs, and what the KPL calls it.
///
/// ```
/// use std::time::Duration;
/// use shardflow_producer::Config;
///
/// let config = Config::default().linger(Duration::from_millis(20));
/// let config = config.set("AggregationMaxSize".parse()?, "100000")?; // from a properties file, say
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) settings: Settings,
    /// What the settings say of it, or would if they were to aggregate.
    aggregate_size: AggregateSize,
    pub(crate) buffer: Buffer,
    pub(crate) request_timeout: Duration,
    pub(crate) connect_timeout: ConnectTimeout,
    pub(crate) metrics_level: MetricsLevel,
    pub(crate) metrics_granularity: MetricsGranularity,
    pub(crate) metrics_dimensions: Vec<MetricsDimension>,
    pub(crate) on_failure: Option<OnFailure>,
}

/// Where records find room.
#[derive(Clone, Debug)]
pub(crate) enum Buffer {
    Own(BufferSize),
    Shared(SharedBuffer),
}

impl Buffer {
    pub(crate) fn reserve(&self) -> Reserve {
        match self {
            Self::Own(size) => Reserve::own(*size),
            Self::Shared(buffer) => Reserve::of(buffer.clone()),
        }
    }
}

pub(crate) type OnFailure = Arc<dyn Fn(RecordError) + Send + Sync>;

impl Default for Config {
    fn default() -> Self {
        Self {
            // As the KPL.
            settings: Settings { aggregate_records: u32::MAX as usize, ..Settings::default() },
            aggregate_size: AggregateSize::default(),
            buffer: Buffer::Own(BufferSize::default()),
            request_timeout: Duration::from_secs(6),
            connect_timeout: ConnectTimeout::default(),
            metrics_level: MetricsLevel::default(),
            metrics_granularity: MetricsGranularity::default(),
            metrics_dimensions: Vec::new(),
            on_failure: None,
        }
    }
}

impl Config {
    /// Longest time that a record waits for company. Default 100 ms; zero sends at once.
    ///
    /// More of it means fuller aggregates and fewer requests, less of it less delay. The KPL's `RecordMaxBufferedTime`.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// Longest time from acceptance to the last try; then the record comes back as [`RecordError::Expired`]. Default
    /// 30 s. A try that is under way at that time is waited for, so up to [`Config::request_timeout`] comes on top. It runs while a
    /// record stands behind others of its shard too: where more is put than the shard takes, records expire without a try.
    ///
    /// More of it bears longer outages, with the buffer full meanwhile; less of it tells sooner. The KPL's `RecordTtl`.
    #[must_use]
    pub fn record_ttl(mut self, ttl: Duration) -> Self {
        self.settings.record_ttl = ttl;
        self
    }

    /// Packs the records of a shard into aggregates of up to this size. Default 51,200 bytes, as the KPL; `None` puts
    /// each record by itself.
    ///
    /// Packing saves requests and, since a shard takes 1,000 records a second of any size, capacity. Consumers must
    /// unpack: Shardflow's and the KCL do. The KPL's `AggregationMaxSize` and `AggregationEnabled`.
    #[must_use]
    pub fn aggregate(mut self, size: impl Into<Option<AggregateSize>>) -> Self {
        let size = size.into();
        self.aggregate_size = size.unwrap_or(self.aggregate_size);
        self.aggregating(size.is_some())
    }

    /// Most records of one aggregate. Default 4,294,967,295, as the KPL: its size counts first.
    ///
    /// Less of it makes more Kinesis records, of which a shard takes 1,000 a second, but a reader gets less at a time.
    /// The KPL's `AggregationMaxCount`.
    #[must_use]
    pub fn aggregate_records(mut self, count: NonZeroUsize) -> Self {
        self.settings.aggregate_records = count.get();
        self
    }

    /// Most entries, aggregates or lone records, of one request. Default 500, the service's limit.
    ///
    /// Less of it makes more requests, each of which takes one of [`Config::requests_in_flight`]; a lost answer then
    /// repeats less. The KPL's `CollectionMaxCount`.
    #[must_use]
    pub fn request_entries(mut self, count: RequestEntries) -> Self {
        self.settings.request_entries = count.0;
        self
    }

    /// Most bytes of one request, partition keys included. Default 5 MiB, as the KPL. An entry that is larger travels
    /// alone.
    ///
    /// More of it makes fewer requests, less of it shorter ones: on a slow line a large one may not fit into
    /// [`Config::request_timeout`]. The KPL's `CollectionMaxSize`.
    #[must_use]
    pub fn request_bytes(mut self, size: RequestBytes) -> Self {
        self.settings.request_bytes = size.0;
        self
    }

    /// How fast one shard is written, in per cent of the 1 MiB and 1,000 records that it takes in a second. Default 150,
    /// as the KPL: one producer can make up for a second that it lost.
    ///
    /// More of it means more refusals, which cost requests; less of it leaves room for others that write to the same
    /// shard. A producer knows nothing of those, but goes slower for a while where a shard refuses. The KPL's
    /// `RateLimit`.
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.settings.shard_share = limit.share();
        self
    }

    /// Whether a record that a shard refuses for throughput comes back at once, as [`RecordError::Refused`]. Default
    /// `false`: it is tried again until [`Config::record_ttl`].
    ///
    /// For an application that has somewhere else to put it, such as another shard. The KPL's `FailIfThrottled`.
    #[must_use]
    pub fn fail_if_throttled(mut self, fail: bool) -> Self {
        self.settings.fail_if_throttled = fail;
        self
    }

    /// Who decides a record's shard as long as DescribeStreamSummary has not told it. Default `None`: the first records
    /// wait for the answer, up to 5 s, and without one they travel without aggregation, which is right on every stream.
    ///
    /// To be set where an application may not call DescribeStreamSummary. `UserPartitionKey` on a stream that the service
    /// distributes loses records: readers drop the aggregates. The KPL's `RecordDistributionStrategyDefault`.
    #[must_use]
    pub fn record_distribution_default(mut self, who: impl Into<Option<RecordDistribution>>) -> Self {
        self.settings.distribution = who.into();
        self
    }

    /// Age at which the stream's description is fetched again. Default 5 min; at least 1 ms.
    ///
    /// Less of it sees sooner that the service has begun to distribute records; an account can call
    /// DescribeStreamSummary 20 times a second. The KPL's `DescribeStreamSummaryIntervalMs`.
    #[must_use]
    pub fn description_age(mut self, age: Duration) -> Self {
        self.settings.description_age = age.max(Duration::from_millis(1));
        self
    }

    /// Which order the records of one partition key keep. Default [`Ordering::None`]. The KPL keeps none.
    #[must_use]
    pub fn ordering(mut self, ordering: Ordering) -> Self {
        self.settings.ordering = match ordering {
            Ordering::None => produce::Ordering::None,
            Ordering::PerKey => produce::Ordering::PerKey,
        };
        self
    }

    /// Most bytes of memory for all records that are not settled. Default 64 MiB.
    ///
    /// A record counts ten thirds of its data and key, since it is held as it was put, in its aggregate and, while it is
    /// under way, in the text of a request; and 512 bytes. Beside that a producer takes what its connections and threads
    /// do.
    ///
    /// Once they are used up [`Producer::put`](crate::Producer::put) waits. The KPL has no such bound.
    #[must_use]
    pub fn max_buffered_bytes(mut self, size: BufferSize) -> Self {
        self.buffer = Buffer::Own(size);
        self
    }

    /// Takes that memory from what several producers share, instead of having its own.
    #[must_use]
    pub fn shared_buffer(mut self, buffer: SharedBuffer) -> Self {
        self.buffer = Buffer::Shared(buffer);
        self
    }

    /// Largest record that is accepted, data and partition key together. Default, and most, 10 MiB: what a stream can be
    /// told to take.
    ///
    /// What this stream takes, 1 MiB unless UpdateMaxRecordSize told it otherwise, counts by itself as soon as its
    /// description is known. [`Producer::put`](crate::Producer::put) refuses what is larger from then on; what it had
    /// accepted before comes back as [`RecordError::Refused`], unsent. The KPL's `MaxUserRecordSize`, which does not
    /// count the key and is 1 MiB by default.
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.settings.record_bytes = bytes.min(limits::RECORD_BYTES_MAX);
        self
    }

    /// Most PutRecords requests under way at a time. Default 24. The KPL's `MaxConnections`.
    #[must_use]
    pub fn requests_in_flight(mut self, count: RequestsInFlight) -> Self {
        self.settings.requests_in_flight = count.0;
        self
    }

    /// Longest time that one request may take; then it counts as of unknown fate and is repeated. Default 6 s. The KPL's
    /// `RequestTimeout`.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Longest time to make a connection, TLS included. Default 6 s.
    ///
    /// More of it bears a slow network, less of it tries another host sooner. Only as much of it counts as
    /// [`Config::request_timeout`] leaves. Kept by the HTTP client that the SDK's client was given. The KPL's
    /// `ConnectTimeout`.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: ConnectTimeout) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Which metrics are recorded, through the `metrics` facade. Default [`MetricsLevel::Detailed`]. The KPL's
    /// `MetricsLevel`.
    ///
    /// More of it costs some time for each entry, and whatever their publisher takes. It costs nothing as long as no
    /// recorder is installed; the producer looks for one with its first put, and takes one without any fields for none.
    #[must_use]
    pub fn metrics_level(mut self, level: MetricsLevel) -> Self {
        self.metrics_level = level;
        self
    }

    /// For what metrics are told apart, by labels. Default [`MetricsGranularity::Shard`]. The KPL's `MetricsGranularity`.
    ///
    /// More of it costs a set of metrics for each stream or shard, and money for each at CloudWatch.
    #[must_use]
    pub fn metrics_granularity(mut self, granularity: MetricsGranularity) -> Self {
        self.metrics_granularity = granularity;
        self
    }

    /// Adds a label to metrics: to all, or to those of a stream or of a shard. None by default. One of the same name is replaced.
    /// The KPL's `addAdditionalMetricsDimension`, which has no name in its files.
    ///
    /// Each costs what one more dimension of each metric costs where they are kept; CloudWatch takes 30 dimensions.
    #[must_use]
    pub fn metrics_dimension(mut self, dimension: MetricsDimension) -> Self {
        self.metrics_dimensions.retain(|other| other.name != dimension.name);
        self.metrics_dimensions.push(dimension);
        self
    }

    /// Is called with each failure that no ticket takes, because it was dropped. Without it those are logged.
    ///
    /// It runs on the producer's own task, or where a ticket is dropped: hand the error over and return.
    #[must_use]
    pub fn on_failure(mut self, call: impl Fn(RecordError) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(call));
        self
    }

    /// Sets one value from text, under its KPL name: a properties file, an environment variable, a keyword argument.
    ///
    /// # Errors
    ///
    /// When the text does not parse or is out of bounds, and when the option is not the producer's.
    pub fn set(self, key: ConfigKey, text: &str) -> Result<Self, ConfigError> {
        match key.applies() {
            Applies::Producer => key
                .apply(self, text.trim())
                .ok_or_else(|| ConfigError::Invalid { key, text: text.to_owned() }),
            applies => Err(ConfigError::Elsewhere { key, applies }),
        }
    }

    /// Whether records are packed, into aggregates of the size that was set last.
    fn aggregating(mut self, on: bool) -> Self {
        self.settings.aggregate = on.then_some(self.aggregate_size);
        self
    }

    /// How large aggregates are, if records are packed: the KPL's options may be set in any order.
    fn aggregating_to(mut self, size: AggregateSize) -> Self {
        self.aggregate_size = size;
        let on = self.settings.aggregate.is_some();
        self.aggregating(on)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("settings", &self.settings)
            .field("buffer", &self.buffer)
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("metrics_level", &self.metrics_level)
            .field("metrics_granularity", &self.metrics_granularity)
            .field("metrics_dimensions", &self.metrics_dimensions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
