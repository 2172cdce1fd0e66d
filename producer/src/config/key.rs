//! The KPL's options by their names: where each counts, what it takes, and what it does.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use shardflow_core::RecordDistribution;
use shardflow_sdk::Takes;

use super::values::{ConnectTimeout, MetricsGranularity, MetricsLevel, RequestBytes};
use super::{Config, UnknownKey};

/// Where an option of the KPL counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Applies {
    /// In the producer: [`Config::set`] takes it.
    Producer,
    /// In the SDK's client that the producer is given; says how.
    Client(&'static str),
    /// In whatever publishes the producer's metrics; says how.
    Publisher(&'static str),
    /// Nowhere; says why.
    Nowhere(&'static str),
}

impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Producer => f.write_str("set on the producer"),
            Self::Client(how) => write!(f, "set on the SDK's client: {how}"),
            Self::Publisher(how) => write!(f, "set on the publisher of metrics: {how}"),
            Self::Nowhere(why) => write!(f, "of no use here: {why}"),
        }
    }
}

/// Makes the keys of a table: a name, and what is known of it.
macro_rules! keys {
    ($($(#[doc = $doc:literal])* $key:ident = $row:expr,)*) => {
        /// The KPL's options, under its names. Those that count in the producer can be set from text.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum ConfigKey {
            $($(#[doc = $doc])* $key,)*
        }

        impl ConfigKey {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$key,)*];

            /// The KPL's name for it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$key => stringify!($key),)*
                }
            }

            fn row(self) -> Row {
                match self {
                    $(Self::$key => $row,)*
                }
            }
        }
    };
}

keys! {
    /// Whether records of a shard are packed together.
    AggregationEnabled = own("true", Flag(|config, on| config.aggregating(on))),
    /// Most records of an aggregate.
    AggregationMaxCount = own("4294967295", number(1, MAX, "records", |config, count| {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Some(config.aggregate_records(NonZeroUsize::new(count)?))
    })),
    /// Most bytes of an aggregate.
    AggregationMaxSize = own("51200", number(64, 10_485_760, "bytes", |config, bytes| {
        Some(config.aggregating_to(bytes.try_into().ok()?))
    })),
    /// Most entries of a request.
    CollectionMaxCount = own("500", number(1, 500, "entries", |config, count| {
        Some(config.request_entries(count.try_into().ok()?))
    })),
    /// Most bytes of a request; above 10 MiB the service's limit counts.
    CollectionMaxSize = own("5242880", number(RequestBytes::LEAST, MAX, "bytes", |config, bytes| {
        Some(config.request_bytes(bytes.try_into().ok()?))
    })),
    /// Largest record that is accepted.
    MaxUserRecordSize = own("10485760", number(64, 10_485_760, "bytes", |config, bytes| {
        Some(config.max_record_bytes(bytes.try_into().ok()?))
    })),
    /// Longest time that a record waits for company.
    RecordMaxBufferedTime = own("100", number(0, MAX, "ms", |config, ms| {
        Some(config.linger(Duration::from_millis(ms)))
    })),
    /// Longest time from acceptance to the last try.
    RecordTtl = own("30000", number(100, MAX, "ms", |config, ms| {
        Some(config.record_ttl(Duration::from_millis(ms)))
    })),
    /// Share of what a shard takes; from 1,000,000 on without limit.
    RateLimit = own("150", number(1, MAX, "per cent", |config, percent| {
        Some(config.rate_limit(percent.try_into().ok()?))
    })),
    /// Whether a record that is refused for throughput comes back at once.
    FailIfThrottled = own("false", Flag(Config::fail_if_throttled)),
    /// Most requests under way.
    MaxConnections = own("24", number(1, 256, "requests", |config, count| {
        Some(config.requests_in_flight(count.try_into().ok()?))
    })),
    /// Least connections that are kept.
    MinConnections = nowhere("the KPL accepts it and does nothing with it either"),
    /// Longest time to make a connection.
    ConnectTimeout = own("6000", number(100, 300_000, "ms", |config, ms| {
        Some(config.connect_timeout(ConnectTimeout::try_from(Duration::from_millis(ms)).ok()?))
    })),
    /// Longest time of a request.
    RequestTimeout = own("6000", number(100, 600_000, "ms", |config, ms| {
        Some(config.request_timeout(Duration::from_millis(ms)))
    })),
    /// Whether each request has a thread.
    ThreadingModel = nowhere(NO_THREADS),
    /// How many threads carry requests.
    ThreadPoolSize = nowhere(NO_THREADS),
    /// The stream's region.
    Region = client("`region` of `aws_config`"),
    /// Host of the service.
    KinesisEndpoint = client(ENDPOINT),
    /// Port of the service.
    KinesisPort = client(ENDPOINT),
    /// Host of CloudWatch.
    CloudwatchEndpoint = publisher(CLOUDWATCH_ENDPOINT),
    /// Port of CloudWatch.
    CloudwatchPort = publisher(CLOUDWATCH_ENDPOINT),
    /// Host of STS.
    StsEndpoint = nowhere(NO_STS),
    /// Port of STS.
    StsPort = nowhere(NO_STS),
    /// Whether the service's certificate is verified.
    VerifyCertificate = client("it is always verified; have its HTTP client trust the certificate instead"),
    /// Folder of the certificates that are trusted.
    CaCertPath = client(CERTIFICATES),
    /// File of the certificates that are trusted.
    CaCertFile = client(CERTIFICATES),
    /// Host of a proxy.
    ProxyHost = client(PROXY),
    /// Port of the proxy.
    ProxyPort = client(PROXY),
    /// User at the proxy.
    ProxyUserName = client(PROXY),
    /// Password at the proxy.
    ProxyPassword = client(PROXY),
    /// Where credentials come from.
    CredentialsProvider = client("`credentials_provider` of `aws_config`"),
    /// Where credentials for the metrics come from.
    MetricsCredentialsProvider = publisher("`credentials_provider` of its CloudWatch client"),
    /// How often credentials are looked up.
    CredentialsRefreshDelay = client("its `identity_cache` renews credentials before they expire"),
    /// Which metrics are recorded.
    MetricsLevel = own("detailed", OneOf(&[
        ("none", |config| config.metrics_level(MetricsLevel::None)),
        ("summary", |config| config.metrics_level(MetricsLevel::Summary)),
        ("detailed", |config| config.metrics_level(MetricsLevel::Detailed)),
    ])),
    /// For what metrics are told apart.
    MetricsGranularity = own("shard", OneOf(&[
        ("global", |config| config.metrics_granularity(MetricsGranularity::Global)),
        ("stream", |config| config.metrics_granularity(MetricsGranularity::Stream)),
        ("shard", |config| config.metrics_granularity(MetricsGranularity::Shard)),
    ])),
    /// Namespace of the metrics.
    MetricsNamespace = publisher("its namespace"),
    /// How often metrics are uploaded.
    MetricsUploadDelay = publisher("its interval"),
    /// What is logged.
    LogLevel = nowhere("the subscriber of `tracing` decides what is logged"),
    /// Whether the child process may dump its memory.
    EnableCoreDumps = nowhere(NO_CHILD),
    /// The child process's binary.
    NativeExecutable = nowhere(NO_CHILD),
    /// Where that is unpacked to.
    TempDirectory = nowhere(NO_CHILD),
    /// Longest time that Java waits for a record's outcome.
    UserRecordTimeoutInMillis =
        nowhere("`RecordTtl` settles every record; bound the wait for a ticket with `tokio::time::timeout`"),
    /// Whether Java knows the age of its oldest record.
    EnableOldestFutureTracker = nowhere("`Producer::buffered_bytes` tells what is held, and costs nothing"),
    /// Whether a failure has its record.
    ReturnUserRecordOnFailure = nowhere("every error has its record"),
    /// Whether the child process is asked how it is.
    EnableDaemonHealthCheck = nowhere(NO_CHILD),
    /// How long it may take to answer that.
    DaemonHealthCheckTimeoutMs = nowhere(NO_CHILD),
    /// Settings of the Glue schema registry.
    GlueSchemaRegistryConfiguration = nowhere(NO_SCHEMAS),
    /// File with settings of the Glue schema registry.
    GlueSchemaRegistryPropertiesFilePath = nowhere(NO_SCHEMAS),
    /// Where credentials for the Glue schema registry come from.
    GlueSchemaRegistryCredentialsProvider = nowhere(NO_SCHEMAS),
    /// Age at which the stream's description is fetched again.
    DescribeStreamSummaryIntervalMs = own("300000", number(1, MAX, "ms", |config, ms| {
        Some(config.description_age(Duration::from_millis(ms)))
    })),
    /// Who is taken to decide a record's shard until that is known.
    RecordDistributionStrategyDefault = own("UNSET", OneOf(&[
        ("UNSET", |config| config.record_distribution_default(None)),
        ("AUTO", |config| config.record_distribution_default(RecordDistribution::Auto)),
        ("USER_PARTITION_KEY", |config| {
            config.record_distribution_default(RecordDistribution::UserPartitionKey)
        }),
    ])),
}

impl ConfigKey {
    /// Where it counts.
    #[must_use]
    pub fn applies(self) -> Applies {
        match self.row() {
            Row::Own(..) => Applies::Producer,
            Row::Other(applies) => applies,
        }
    }

    /// What it is unless it is set, as text; nothing if it does not count in the producer.
    #[must_use]
    pub fn default_text(self) -> Option<&'static str> {
        match self.row() {
            Row::Own(default, _) => Some(default),
            Row::Other(_) => None,
        }
    }

    /// What text it takes.
    pub(crate) fn accepts(self) -> String {
        match self.row() {
            Row::Own(_, takes) => takes.to_string(),
            Row::Other(_) => String::new(),
        }
    }

    /// Sets it, if it takes that text.
    pub(super) fn apply(self, config: Config, text: &str) -> Option<Config> {
        match self.row() {
            Row::Own(_, takes) => takes.apply(config, text),
            Row::Other(_) => None,
        }
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ConfigKey {
    type Err = UnknownKey;

    fn from_str(name: &str) -> Result<Self, UnknownKey> {
        let key = Self::ALL.iter().copied().find(|key| key.name() == name);
        key.ok_or_else(|| UnknownKey::new(name))
    }
}

/// What is known of a key.
enum Row {
    /// Its default, and what it takes.
    Own(&'static str, Takes<Config>),
    Other(Applies),
}

use Takes::{Flag, OneOf};

const MAX: u64 = u64::MAX;

const CERTIFICATES: &str = "`CaBundle` of its `HttpsClient`";
const CLOUDWATCH_ENDPOINT: &str = "`endpoint_url` of its CloudWatch client";
const ENDPOINT: &str = "`endpoint_url` of `aws_config`, as in https://host:port";
const NO_CHILD: &str = "there is no child process";
const NO_SCHEMAS: &str = "encode a record's data before it is put";
const NO_STS: &str = "the KPL has not asked STS since 1.0.5 either";
const NO_THREADS: &str = "one task makes all requests, none has a thread";
const PROXY: &str = "`ProxyConfig` of its HTTP client";

fn own(default: &'static str, takes: Takes<Config>) -> Row {
    Row::Own(default, takes)
}

fn client(how: &'static str) -> Row {
    Row::Other(Applies::Client(how))
}

fn publisher(how: &'static str) -> Row {
    Row::Other(Applies::Publisher(how))
}

fn nowhere(why: &'static str) -> Row {
    Row::Other(Applies::Nowhere(why))
}

fn number(
    least: u64,
    most: u64,
    unit: &'static str,
    set: fn(Config, u64) -> Option<Config>,
) -> Takes<Config> {
    Takes::number(least, most, unit, set)
}
