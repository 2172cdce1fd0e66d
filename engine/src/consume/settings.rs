//! How a shard is read and its handler treated.

use std::time::{Duration, SystemTime};

use shardflow_core::limits;

use super::GiveUp;

/// Pace and patience of one shard. The public configuration lives in `shardflow-consumer`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How records come.
    pub retrieval: Retrieval,
    /// Most records of one read. The KCL's `maxRecords`.
    pub read_records: usize,
    /// Time between two reads while there is more to read. A shard answers five reads a second, to all its readers.
    pub read_every: Duration,
    /// Time between two reads once all has been read.
    pub idle_every: Duration,
    /// Most batches that are read before the handler gets to them; at least one. The KCL's `maxPendingProcessRecordsInput`.
    pub read_ahead: usize,
    /// Whether an aggregate is left out that holds a record of another shard's hash keys, as the KCL does.
    pub drop_stray_aggregates: bool,
    /// Waits after a handler that failed: from the first up to the second.
    pub handler_backoff: (Duration, Duration),
    /// What becomes of records whose handler keeps failing; none: they are given to it again without end.
    pub give_up: Option<GiveUp>,
    /// How long a shard rests whose handler has failed too often, where that is the policy.
    pub rest: Duration,
    /// How long a call of the handler may take before that is told. The KCL's `logWarningForTaskAfterMillis`.
    pub warn_after: Option<Duration>,
    /// The time that a checkpoint of `AT_TIMESTAMP` stands for. Rows do not store it.
    pub timestamp: Option<SystemTime>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retrieval: Retrieval::Polling,
            read_records: limits::GET_RECORDS_RECORDS,
            read_every: Duration::from_secs(1) / limits::SHARD_READS_PER_SECOND,
            idle_every: Duration::from_secs(1),
            read_ahead: 4,
            drop_stray_aggregates: false,
            handler_backoff: (Duration::from_millis(100), Duration::from_secs(30)),
            give_up: None,
            rest: Duration::from_secs(300),
            warn_after: None,
            timestamp: None,
        }
    }
}

/// How records come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Retrieval {
    /// They are asked for.
    #[default]
    Polling,
    /// They are sent, if there is a consumer to subscribe with, and else they are asked for.
    FanOut,
}
