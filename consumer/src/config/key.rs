//! The table of the KCL's options: where each counts, what it takes, and what it does.

use std::time::Duration;

use shardflow_sdk::Takes::{self, Flag, OneOf, Text};

use super::row::{Applies, Row, duration};
use super::{Config, RetrievalMode};
use crate::dynamodb::options as tables;
use crate::{Balance, DynamoDbLeases, FanOutConsumer, InitialPosition, WorkerMetrics};

/// Makes the keys of a table: a name, and what is known of it.
macro_rules! keys {
    ($($(#[doc = $doc:literal])* $key:ident: $name:literal = $row:expr,)*) => {
        /// The KCL's options, under its names. Those that count in the consumer or its lease table can be set from text.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum ConfigKey {
            $($(#[doc = $doc])* $key,)*
        }

        impl ConfigKey {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$key,)*];

            /// The KCL's name for it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$key => $name,)*
                }
            }

            pub(super) fn row(self) -> Row {
                match self {
                    $(Self::$key => $row,)*
                }
            }
        }
    };
}

keys! {
    /// The worker's name.
    WorkerIdentifier: "workerIdentifier" = own("", "", Text(
        "1 to 255 bytes, and none of Leader, Migration3.0, TableMigration3.5",
        |config, text| Some(config.worker_id(text.parse().ok()?)),
    )),
    /// Where the application starts in a stream that it has never read.
    InitialPositionInStream: "initialPositionInStream" = own("TRIM_HORIZON", "LATEST", OneOf(&[
        ("TRIM_HORIZON", |config| config.initial_position(InitialPosition::TrimHorizon)),
        ("LATEST", |config| config.initial_position(InitialPosition::Latest)),
    ])),
    /// The same as a time. In a file it counts more than the other.
    InitialPositionInStreamExtended: "initialPositionInStreamExtended" = own("", "", Takes::number(
        0, LAST_SECOND, "seconds since 1970", |config, seconds| {
            let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
            Some(config.initial_position(InitialPosition::AtTimestamp(at)))
        },
    )),
    /// How records come.
    RetrievalMode: "retrievalMode" = own("POLLING", "DEFAULT", OneOf(&[
        ("POLLING", |config| config.retrieving(RetrievalMode::Polling)),
        ("FANOUT", |config| config.retrieving(RetrievalMode::FanOut)),
        ("DEFAULT", |config| config.retrieving(RetrievalMode::Default)),
    ])),
    /// Name of the consumer of enhanced fan-out.
    ConsumerName: "consumerName" = own("", "", Text("a consumer's name", |config, text| {
        Some(config.subscribing_as(FanOutConsumer::Named(text.parse().ok()?)))
    })),
    /// ARN of the consumer of enhanced fan-out.
    ConsumerArn: "consumerArn" = own("", "", Text("a consumer's ARN", |config, text| {
        Some(config.subscribing_as(FanOutConsumer::Arn(text.parse().ok()?)))
    })),
    /// Most records of one read.
    MaxRecords: "maxRecords" = own("10000", "10000", Takes::number(1, 10_000, "records", |config, count| {
        Some(config.max_records(count.try_into().ok()?).polling_told())
    })),
    /// Time between two reads of a shard whose records are all read.
    IdleTimeBetweenReadsInMillis: "idleTimeBetweenReadsInMillis" = own("1000", "1500", millis(0, |config, time| {
        config.idle_time_between_reads(time).polling_told()
    })),
    /// Most batches that are read before the handler gets to them.
    MaxPendingProcessRecordsInput: "maxPendingProcessRecordsInput" =
        own("4", "4", Takes::number(0, MAX, "batches", |config, count| {
            Some(config.read_ahead(usize::try_from(count).unwrap_or(usize::MAX)))
        })),
    /// Longest time of a call to Kinesis.
    KinesisRequestTimeout: "kinesisRequestTimeout" = own("PT30S", "PT30S", Text(
        "a duration such as PT30S or PT1M30S, above zero",
        |config, text| Some(config.request_timeout(duration(text)?)),
    )),
    /// How long a shard is left alone that is not far behind.
    MillisBehindLatestThresholdForReducedTps: "millisBehindLatestThresholdForReducedTps" =
        elsewhere("0", Applies::Nowhere("`idleTimeBetweenReadsInMillis` is the pace of a shard whose records are all read")),
    /// How long a read is waited for by two threads.
    RetryGetRecordsInSeconds: "retryGetRecordsInSeconds" = elsewhere("", Applies::Nowhere(NO_EFFECT)),
    /// How many threads read.
    MaxGetRecordsThreadPool: "maxGetRecordsThreadPool" = elsewhere("", Applies::Nowhere(NO_EFFECT)),
    /// How often a stream is described.
    MaxDescribeStreamSummaryRetries: "maxDescribeStreamSummaryRetries" = elsewhere("10", Applies::Nowhere(NO_COUNT)),
    /// How often a consumer is described.
    MaxDescribeStreamConsumerRetries: "maxDescribeStreamConsumerRetries" = elsewhere("10", Applies::Nowhere(NO_COUNT)),
    /// How often a consumer is registered.
    RegisterStreamConsumerRetries: "registerStreamConsumerRetries" = elsewhere("10", Applies::Nowhere(NO_COUNT)),
    /// The wait between these.
    RetryBackoffMillis: "retryBackoffMillis" = elsewhere("1000", Applies::Nowhere(NO_COUNT)),
    /// How long a lease lasts that is not renewed.
    FailoverTimeMillis: "failoverTimeMillis" = own("10000", "10000", millis(100, Config::failover_time)),
    /// Time between two looks at the lease table; twice the failover time with the KCL.
    LeaseAssignmentIntervalMillis: "leaseAssignmentIntervalMillis" =
        own("3000", "20000", millis(10, Config::lease_scan_interval)),
    /// How long the leader's lock lasts that is not renewed.
    DynamoDbLockBasedLeaderLeaseDurationInMillis: "dynamoDbLockBasedLeaderLeaseDurationInMillis" =
        own("30000", "120000", millis(100, Config::leader_lease)),
    /// How often it is renewed.
    DynamoDbLockBasedLeaderHeartbeatPeriodInMillis: "dynamoDbLockBasedLeaderHeartbeatPeriodInMillis" =
        elsewhere("30000", Applies::Nowhere("it is a third of `dynamoDbLockBasedLeaderLeaseDurationInMillis`")),
    /// Most leases of one worker; from the KCL's default on there is no limit.
    MaxLeasesForWorker: "maxLeasesForWorker" = own("2147483647", "2147483647",
        Takes::number(1, MAX, "leases", |config, count| {
            let unlimited = count >= i32::MAX.unsigned_abs().into();
            Some(config.max_leases(if unlimited { usize::MAX } else { count.try_into().ok()? }))
        })),
    /// By what leases are parted.
    LeaseAssignmentStrategy: "leaseAssignmentStrategy" =
        own("LEASE_COUNT_BASED", "WORKER_UTILIZATION_AWARE", OneOf(&[
            ("LEASE_COUNT_BASED", |config| config.balance(Balance::Count)),
            ("WORKER_UTILIZATION_AWARE", |config| {
                let weighing = config.told.weighing;
                config.balance(Balance::weighed(weighing))
            }),
        ])),
    /// How much busier than the average a worker is that gives leases away.
    ReBalanceThresholdPercentage: "reBalanceThresholdPercentage" =
        own("10", "10", Takes::number(0, 1_000, "per cent", |config, percent| {
            let percent = u16::try_from(percent).ok()?;
            Some(config.weighed(|weighing| weighing.threshold = percent.into()))
        })),
    /// How much of what is too much it gives away at once.
    DampeningPercentage: "dampeningPercentage" = own("60", "60", Takes::number(1, 100, "per cent", |config, percent| {
            let percent = u8::try_from(percent).ok()?;
            Some(config.weighed(|weighing| weighing.dampening = percent.into()))
        })),
    /// Whether workers tell nothing of their hosts.
    DisableWorkerMetrics: "disableWorkerMetrics" = own("true", "false", Flag(|config, disabled| {
        config.worker_metrics(if disabled { WorkerMetrics::None } else { WorkerMetrics::Cpu })
    })),
    /// Longest time that a handler may take to let go of a shard.
    GracefulLeaseHandoffTimeoutMillis: "gracefulLeaseHandoffTimeoutMillis" =
        own("30000", "30000", millis(0, Config::handoff_timeout)),
    /// Whether it is asked to.
    IsGracefulLeaseHandoffEnabled: "isGracefulLeaseHandoffEnabled" =
        elsewhere("true", Applies::Nowhere("it always is; `gracefulLeaseHandoffTimeoutMillis` bounds the wait")),
    /// Whether leases of shards that have ended are deleted.
    CleanupLeasesUponShardCompletion: "cleanupLeasesUponShardCompletion" =
        own("true", "true", Flag(Config::clean_up_leases)),
    /// How long a call of the handler may take before a warning.
    LogWarningForTaskAfterMillis: "logWarningForTaskAfterMillis" = own("", "", millis(1, Config::warn_after)),
    /// Which versions of the KCL the fleet has.
    ClientVersionConfig: "clientVersionConfig" = own(
        "CLIENT_VERSION_CONFIG_3X",
        "CLIENT_VERSION_CONFIG_3X",
        OneOf(&[("CLIENT_VERSION_CONFIG_3X", |config| config)]),
    ),
    /// Whether the lease table is paid by use or by units.
    BillingMode: "billingMode" = table("PAY_PER_REQUEST", "PAY_PER_REQUEST", OneOf(tables::BILLING)),
    /// Units of reading, if it is by units.
    InitialLeaseTableReadCapacity: "initialLeaseTableReadCapacity" =
        table("10", "10", Takes::number(1, UNITS, "units", DynamoDbLeases::read_units)),
    /// Units of writing, if it is by units.
    InitialLeaseTableWriteCapacity: "initialLeaseTableWriteCapacity" =
        table("10", "10", Takes::number(1, UNITS, "units", DynamoDbLeases::write_units)),
    /// Tags of the lease table.
    Tags: "tags" = table("", "", Text("key=value,key=value", DynamoDbLeases::tags)),
    /// Whether the lease table is kept from being deleted.
    LeaseTableDeletionProtectionEnabled: "leaseTableDeletionProtectionEnabled" =
        table("false", "false", Flag(DynamoDbLeases::deletion_protection)),
    /// Whether the lease table can be had back as it was.
    LeaseTablePitrEnabled: "leaseTablePitrEnabled" =
        table("false", "false", Flag(DynamoDbLeases::point_in_time_recovery)),
    /// In how many parts the lease table is read at once; 0 is by its size.
    LeaseTableScanTotalSegments: "leaseTableScanTotalSegments" =
        table("0", "0", Takes::number(0, 1_000_000, "parts", DynamoDbLeases::scan_parts)),
    /// The table in which an older fleet keeps its members.
    WorkerMetricsTableName: "workerMetricsTableName" = table("", "", Text("a table's name", |leases, name| {
        Some(leases.worker_metrics_table(name.parse().ok()?))
    })),
    /// The table in which an older fleet keeps its leader's lock.
    CoordinatorStateTableName: "coordinatorStateTableName" = table("", "", Text("a table's name", |leases, name| {
        Some(leases.coordinator_state_table(name.parse().ok()?))
    })),
    /// Billing of a table of the older layout.
    WorkerMetricsTableBillingMode: "workerMetricsTableBillingMode" = elsewhere("PAY_PER_REQUEST", NOT_CREATED),
    /// Its units of reading.
    WorkerMetricsTableReadCapacity: "workerMetricsTableReadCapacity" = elsewhere("", NOT_CREATED),
    /// Its units of writing.
    WorkerMetricsTableWriteCapacity: "workerMetricsTableWriteCapacity" = elsewhere("", NOT_CREATED),
    /// Whether it can be had back as it was.
    WorkerMetricsTablePointInTimeRecoveryEnabled: "workerMetricsTablePointInTimeRecoveryEnabled" =
        elsewhere("false", NOT_CREATED),
    /// Whether it is kept from being deleted.
    WorkerMetricsTableDeletionProtectionEnabled: "workerMetricsTableDeletionProtectionEnabled" =
        elsewhere("false", NOT_CREATED),
    /// Its tags.
    WorkerMetricsTableTags: "workerMetricsTableTags" = elsewhere("", NOT_CREATED),
    /// Billing of the other table of the older layout.
    CoordinatorStateTableBillingMode: "coordinatorStateTableBillingMode" = elsewhere("PAY_PER_REQUEST", NOT_CREATED),
    /// Its units of reading.
    CoordinatorStateTableReadCapacity: "coordinatorStateTableReadCapacity" = elsewhere("", NOT_CREATED),
    /// Its units of writing.
    CoordinatorStateTableWriteCapacity: "coordinatorStateTableWriteCapacity" = elsewhere("", NOT_CREATED),
    /// Whether it can be had back as it was.
    CoordinatorStateTablePointInTimeRecoveryEnabled: "coordinatorStateTablePointInTimeRecoveryEnabled" =
        elsewhere("false", NOT_CREATED),
    /// Whether it is kept from being deleted.
    CoordinatorStateTableDeletionProtectionEnabled: "coordinatorStateTableDeletionProtectionEnabled" =
        elsewhere("false", NOT_CREATED),
    /// Its tags.
    CoordinatorStateTableTags: "coordinatorStateTableTags" = elsewhere("", NOT_CREATED),
    /// The application's name.
    ApplicationName: "applicationName" = elsewhere("", Applies::Call(TABLE_NAME)),
    /// The lease table's name.
    TableName: "tableName" = elsewhere("", Applies::Call(TABLE_NAME)),
    /// The stream's name.
    StreamName: "streamName" = elsewhere("", Applies::Call(STREAM)),
    /// The stream's ARN.
    StreamArn: "streamArn" = elsewhere("", Applies::Call(STREAM)),
    /// Makes the handlers.
    ShardRecordProcessorFactory: "shardRecordProcessorFactory" = elsewhere("", Applies::Call("`Consumer::run`")),
    /// Is told what the worker does.
    WorkerStateChangeListener: "workerStateChangeListener" = elsewhere("", Applies::Call("`Config::on_state`")),
    /// Is told of each call of a handler.
    TaskExecutionListener: "taskExecutionListener" =
        elsewhere("", Applies::Nowhere("a subscriber of `tracing` sees a span of each batch")),
    /// Where checkpoints are kept.
    CheckpointFactory: "checkpointFactory" = elsewhere("", Applies::Call("a `LeaseStore` of one's own")),
    /// How often a start is tried.
    MaxInitializationAttempts: "maxInitializationAttempts" = elsewhere("20", Applies::Call(START)),
    /// The wait between two starts.
    SchedulerInitializationBackoffTimeMillis: "schedulerInitializationBackoffTimeMillis" =
        elsewhere("1000", Applies::Call(START)),
    /// The wait after a task that failed.
    TaskBackoffTimeMillis: "taskBackoffTimeMillis" = elsewhere("500", Applies::Call("`ErrorPolicy::backoff`")),
    /// How long a stop may take.
    ShutdownGraceMillis: "shutdownGraceMillis" = elsewhere("0", Applies::Call("`Stopper::graceful_within`")),
    /// Takes records of the Glue schema registry apart.
    GlueSchemaRegistryDeserializer: "glueSchemaRegistryDeserializer" = elsewhere("", Applies::Call(SCHEMAS)),
    /// Whether the handler is called without records.
    CallProcessRecordsEvenForEmptyRecordList: "callProcessRecordsEvenForEmptyRecordList" =
        elsewhere("false", Applies::Nowhere("a handler is called with records; `Worker::health` tells how far a shard is")),
    /// Whether a checkpoint is looked up in the stream.
    ValidateSequenceNumberBeforeCheckpointing: "validateSequenceNumberBeforeCheckpointing" =
        elsewhere("true", Applies::Nowhere("a checkpoint must lie among the records given; the KCL ignores it too")),
    /// Whether a shard is skipped whose lease is there.
    SkipShardSyncAtWorkerInitializationIfLeasesExist: "skipShardSyncAtWorkerInitializationIfLeasesExist" =
        elsewhere("false", Applies::Nowhere("shards are listed only where a lease is missing")),
    /// How often shards are compared with leases.
    ShardSyncIntervalMillis: "shardSyncIntervalMillis" = elsewhere("60000", AUDIT),
    /// How often leases are looked through for missing ones.
    LeasesRecoveryAuditorExecutionFrequencyMillis: "leasesRecoveryAuditorExecutionFrequencyMillis" =
        elsewhere("120000", AUDIT),
    /// How often one must be missing.
    LeasesRecoveryAuditorInconsistencyConfidenceThreshold: "leasesRecoveryAuditorInconsistencyConfidenceThreshold" =
        elsewhere("3", AUDIT),
    /// How often leases are looked through for those that nobody needs.
    LeaseCleanupIntervalMillis: "leaseCleanupIntervalMillis" = elsewhere("60000", CLEANUP),
    /// The same of shards that were read to their end.
    CompletedLeaseCleanupIntervalMillis: "completedLeaseCleanupIntervalMillis" = elsewhere("300000", CLEANUP),
    /// The same of shards that are gone.
    GarbageLeaseCleanupIntervalMillis: "garbageLeaseCleanupIntervalMillis" = elsewhere("1800000", FIXED),
    /// Whether children that were not expected are passed over.
    IgnoreUnexpectedChildShards: "ignoreUnexpectedChildShards" =
        elsewhere("false", Applies::Nowhere("it is for streams of DynamoDB, which are not read here")),
    /// Whether leases are read as they are this moment.
    ConsistentReads: "consistentReads" =
        elsewhere("false", Applies::Nowhere("single rows always are; looks are not, and each write has its condition")),
    /// Longest time of a call to DynamoDB.
    DynamoDbRequestTimeout: "dynamoDbRequestTimeout" =
        elsewhere("PT1M", Applies::Nowhere("a call is given a quarter of the failover time")),
    /// Whether rows move to the lease table.
    MigrateAllEntitiesToLeaseTable: "migrateAllEntitiesToLeaseTable" =
        table("false", "false", Flag(DynamoDbLeases::move_to_one_table)),
    /// How long the older tables stay in use after that.
    TableMigrationCompleteBakeTimeSeconds: "tableMigrationCompleteBakeTimeSeconds" = elsewhere("86400", Applies::Nowhere("a leader of the KCL moves the tables, and these workers follow")),
    /// Slack of clocks.
    EpsilonMillis: "epsilonMillis" =
        elsewhere("25", Applies::Nowhere("a lease is believed from when its renewal was sent")),
    /// How many leases are stolen at once.
    MaxLeasesToStealAtOneTime: "maxLeasesToStealAtOneTime" = elsewhere("1", NO_STEALING),
    /// Whether leases that nobody has read for long come first.
    EnablePriorityLeaseAssignment: "enablePriorityLeaseAssignment" = elsewhere("true", NO_STEALING),
    /// Threads that renew.
    MaxLeaseRenewalThreads: "maxLeaseRenewalThreads" = elsewhere("20", NO_THREADS),
    /// Threads that process.
    MaxActiveThreads: "maxActiveThreads" = elsewhere("0", NO_THREADS),
    /// How often a shard looks for its parents.
    ParentShardPollIntervalMillis: "parentShardPollIntervalMillis" =
        elsewhere("10000", Applies::Nowhere("a shard begins when its last parent has ended")),
    /// How often the KCL's loop goes round.
    ShardConsumerDispatchPollIntervalMillis: "shardConsumerDispatchPollIntervalMillis" =
        elsewhere("1000", Applies::Nowhere("nothing is polled for")),
    /// Which shards come first.
    ShardPrioritization: "shardPrioritization" =
        elsewhere("", Applies::Nowhere("all shards are processed at once, children after their parents")),
    /// How often a list of shards is tried.
    MaxListShardsRetryAttempts: "maxListShardsRetryAttempts" = elsewhere("50", NO_CACHE),
    /// The wait between two of these.
    ListShardsBackoffTimeInMillis: "listShardsBackoffTimeInMillis" = elsewhere("1500", NO_CACHE),
    /// How long it is kept.
    ListShardsCacheAllowedAgeInSeconds: "listShardsCacheAllowedAgeInSeconds" = elsewhere("30", NO_CACHE),
    /// How often a shard may be missing in it.
    MaxCacheMissesBeforeReload: "maxCacheMissesBeforeReload" = elsewhere("1000", NO_CACHE),
    /// How often that is told.
    CacheMissWarningModulus: "cacheMissWarningModulus" = elsewhere("250", NO_CACHE),
    /// How often the host is measured.
    InMemoryWorkerMetricsCaptureFrequencyMillis: "inMemoryWorkerMetricsCaptureFrequencyMillis" =
        elsewhere("1000", Applies::Nowhere("what is told is the average since the last report")),
    /// How often that is told.
    WorkerMetricsReporterFreqInMillis: "workerMetricsReporterFreqInMillis" =
        elsewhere("30000", Applies::Nowhere("every 30 s: a leader takes for dead who is silent for 60 s")),
    /// How many measurements are kept.
    NoOfPersistedMetricsPerWorkerMetrics: "noOfPersistedMetricsPerWorkerMetrics" = elsewhere("10", FIXED),
    /// What is measured.
    WorkerMetricList: "workerMetricList" = elsewhere("", Applies::Nowhere("`disableWorkerMetrics` chooses CPU or nothing")),
    /// Weight of the newest measurement.
    WorkerMetricsEmaAlpha: "workerMetricsEMAAlpha" = elsewhere("0.5", FIXED),
    /// How old a row of a worker is that is deleted.
    StaleWorkerMetricsEntryCleanupDuration: "staleWorkerMetricsEntryCleanupDuration" = elsewhere("P1D", FIXED),
    /// Bytes a second that a worker may get.
    MaxThroughputPerHostKbps: "maxThroughputPerHostKBps" =
        elsewhere("", Applies::Nowhere("`maxLeasesForWorker` bounds what a worker gets")),
    /// Whether a lease may move that brings more than is to move.
    AllowThroughputOvershoot: "allowThroughputOvershoot" =
        elsewhere("true", Applies::Nowhere("a lease moves if the workers differ less afterwards")),
    /// How often workers are compared.
    VarianceBalancingFrequency: "varianceBalancingFrequency" =
        elsewhere("3", Applies::Nowhere("they are once a minute, which it comes to there")),
    /// Not in use.
    StreamInfoMode: "streamInfoMode" = elsewhere("DISABLED", DORMANT),
    /// Not in use.
    StreamIdOnboardingState: "streamIdOnboardingState" = elsewhere("NOT_ONBOARDED", DORMANT),
    /// How many time-outs are passed over in the log.
    ReadTimeoutsToIgnoreBeforeWarning: "readTimeoutsToIgnoreBeforeWarning" = elsewhere("0", LOG),
    /// A region.
    RegionName: "regionName" = elsewhere("", Applies::Client("`region` of `aws_config`")),
    /// Address of Kinesis.
    KinesisEndpoint: "kinesisEndpoint" = elsewhere("", Applies::Client(ENDPOINT)),
    /// Address of DynamoDB.
    DynamoDbEndpoint: "dynamoDBEndpoint" = elsewhere("", Applies::Client(ENDPOINT)),
    /// Where credentials come from.
    AwsCredentialsProvider: "awsCredentialsProvider" = elsewhere("", Applies::Client(CREDENTIALS)),
    /// The same for DynamoDB.
    AwsCredentialsProviderDynamoDb: "awsCredentialsProviderDynamoDB" = elsewhere("", Applies::Client(CREDENTIALS)),
    /// The same for CloudWatch.
    AwsCredentialsProviderCloudWatch: "awsCredentialsProviderCloudWatch" =
        elsewhere("", Applies::Publisher("`credentials_provider` of its CloudWatch client")),
    /// Which metrics are published.
    MetricsLevel: "metricsLevel" = elsewhere("DETAILED", Applies::Publisher("`Config::level`")),
    /// For what they are told apart.
    MetricsEnabledDimensions: "metricsEnabledDimensions" = elsewhere("ALL", Applies::Publisher("`Config::dimensions`")),
    /// How often they are published.
    MetricsBufferTimeMillis: "metricsBufferTimeMillis" = elsewhere("10000", Applies::Publisher("`Config::interval`")),
    /// How many are kept until then.
    MetricsMaxQueueSize: "metricsMaxQueueSize" = elsewhere("10000", Applies::Publisher("`Config::max_metrics`")),
    /// How many make them be published sooner.
    PublisherFlushBuffer: "publisherFlushBuffer" = elsewhere("200", Applies::Nowhere("metrics are published by time alone")),
    /// Where to.
    MetricsBackend: "metricsBackend" = elsewhere("CLOUDWATCH", Applies::Publisher("any recorder of the `metrics` facade")),
    /// Under which name.
    Namespace: "namespace" = elsewhere("", Applies::Publisher("`Config::kcl`")),
    /// The program that handles records.
    ExecutableName: "executableName" = elsewhere("", NO_CHILD),
    /// Its language.
    ProcessingLanguage: "processingLanguage" = elsewhere("", NO_CHILD),
    /// How long it may take.
    TimeoutInSeconds: "timeoutInSeconds" = elsewhere("", NO_CHILD),
}

const MAX: u64 = u64::MAX;
/// The service's largest number of units is far below.
const UNITS: u64 = u32::MAX as u64;
/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

const AUDIT: Applies = Applies::Nowhere("every look at the lease table finds what is missing");
const CLEANUP: Applies = Applies::Nowhere("leases that nobody needs any more are looked for once a minute");
const CREDENTIALS: &str = "`credentials_provider` of `aws_config`";
const DORMANT: Applies = Applies::Nowhere("the KCL does not use it yet");
const ENDPOINT: &str = "`endpoint_url` of `aws_config`";
const FIXED: Applies = Applies::Nowhere("it is the KCL's default");
const LOG: Applies = Applies::Nowhere("the subscriber of `tracing` decides what is logged");
const NOT_CREATED: Applies = Applies::Nowhere("tables of the older layout are used, never created");
const NO_CACHE: Applies =
    Applies::Nowhere("shards are listed when a lease is missing, and until that succeeds");
const NO_CHILD: Applies = Applies::Nowhere("handlers run in this process");
const NO_COUNT: &str = "it is tried until it succeeds, with growing waits; meanwhile records are polled";
const NO_EFFECT: &str = "it has no effect with the KCL 3 either";
const NO_STEALING: Applies = Applies::Nowhere("it is for workers of KCL 2, which steal leases");
const NO_THREADS: Applies = Applies::Nowhere("shards are tasks, none has a thread");
const SCHEMAS: &str = "the handler decodes a record's data: `GlueEncoded`";
const START: &str = "`Config::start_within`";
const STREAM: &str = "`Consumer::new`";
const TABLE_NAME: &str = "`DynamoDbLeases::new`";

fn own(default: &'static str, kcl: &'static str, takes: Takes<Config>) -> Row {
    Row::Own { default, kcl, takes }
}

fn table(default: &'static str, kcl: &'static str, takes: Takes<DynamoDbLeases>) -> Row {
    Row::Table { default, kcl, takes }
}

fn elsewhere(kcl: &'static str, applies: Applies) -> Row {
    Row::Elsewhere { kcl, applies }
}

/// A time in milliseconds.
fn millis(least: u64, set: fn(Config, Duration) -> Config) -> Takes<Config> {
    Takes::Millis { least, set }
}
