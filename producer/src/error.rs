//! What can go wrong, one type for each thing that an application can ask for.

use std::time::Duration;

use shardflow_core::{Attempt, Fate, Record};

use crate::{Applies, ConfigKey};

/// A record was not accepted. Nothing was sent, and the record comes back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The producer was closed.
    #[error("the producer is closed")]
    Closed(Record),
    /// [`Producer::try_put`](crate::Producer::try_put) found no room.
    #[error("no room for {size} bytes: {held} of {limit} bytes are buffered")]
    Full {
        /// The record.
        record: Record,
        /// What it counts: data, key and a fixed overhead.
        size: usize,
        /// Bytes buffered at that time.
        held: usize,
        /// The limit, [`Config::max_buffered_bytes`](crate::Config::max_buffered_bytes).
        limit: usize,
    },
    /// The stream would never take it, or the buffer never hold it.
    #[error("the record has {size} bytes with its partition key, the limit is {limit}")]
    TooLarge {
        /// The record.
        record: Record,
        /// Bytes of data and partition key.
        size: usize,
        /// The limit: [`Config::max_record_bytes`](crate::Config::max_record_bytes), or the buffer's.
        limit: usize,
    },
    /// The first put was made outside of a tokio runtime, which the producer needs to work on.
    #[error("the first put must be made within a tokio runtime")]
    NoRuntime(Record),
}

impl PutError {
    /// The record, which was not accepted.
    #[must_use]
    pub fn record(&self) -> &Record {
        match self {
            Self::Closed(record)
            | Self::NoRuntime(record)
            | Self::Full { record, .. }
            | Self::TooLarge { record, .. } => record,
        }
    }

    /// The same, by value.
    #[must_use]
    pub fn into_record(self) -> Record {
        match self {
            Self::Closed(record)
            | Self::NoRuntime(record)
            | Self::Full { record, .. }
            | Self::TooLarge { record, .. } => record,
        }
    }

    /// Whether putting the same record again can succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full { .. } | Self::NoRuntime(_) => true,
            Self::Closed(_) | Self::TooLarge { .. } => false,
        }
    }
}

/// An accepted record was not delivered, or may not have been. The record comes back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It could not be delivered within its time to live.
    #[error("not delivered within {ttl:?} and {} attempts", attempts.len())]
    Expired {
        /// The record.
        record: Record,
        /// Its time to live, [`Config::record_ttl`](crate::Config::record_ttl).
        ttl: Duration,
        /// What was tried, oldest first; the last 64 at most. Nothing where the record stood behind others of its shard for all of
        /// its time: more was put than the shard takes, or it failed for so long. It is not in the stream then.
        attempts: Vec<Attempt>,
    },
    /// Kinesis does not take it: access denied, no such stream, a record that breaks a rule of the service.
    #[error("refused with {code}: {message}")]
    Refused {
        /// The record.
        record: Record,
        /// The service's code, such as `AccessDeniedException`.
        code: String,
        /// The service's words.
        message: String,
        /// What was tried, oldest first.
        attempts: Vec<Attempt>,
    },
    /// The producer was dropped, its runtime ended, or [`Producer::close`](crate::Producer::close) ran out of time.
    #[error("given up with the producer, after {} attempts", attempts.len())]
    Abandoned {
        /// The record.
        record: Record,
        /// What was tried, oldest first.
        attempts: Vec<Attempt>,
    },
}

impl RecordError {
    /// The record, which was not delivered.
    #[must_use]
    pub fn record(&self) -> &Record {
        match self {
            Self::Expired { record, .. } | Self::Refused { record, .. } | Self::Abandoned { record, .. } => {
                record
            }
        }
    }

    /// The same, by value.
    #[must_use]
    pub fn into_record(self) -> Record {
        match self {
            Self::Expired { record, .. } | Self::Refused { record, .. } | Self::Abandoned { record, .. } => {
                record
            }
        }
    }

    /// Whether putting the same record again can succeed without somebody changing something.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Expired { .. } | Self::Abandoned { .. } => true,
            Self::Refused { .. } => false,
        }
    }

    /// What is known of the record: whether putting it again can duplicate it.
    #[must_use]
    pub fn fate(&self) -> Fate {
        self.attempts().iter().map(|attempt| attempt.fate).max().unwrap_or(Fate::Absent)
    }

    /// What was tried, oldest first.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        match self {
            Self::Expired { attempts, .. }
            | Self::Refused { attempts, .. }
            | Self::Abandoned { attempts, .. } => attempts,
        }
    }
}

/// Records that a flush, or a close, waited for were not delivered. Each has told its ticket.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// That many of those accepted since the flush before.
    #[error("{failed} records were not delivered")]
    Undelivered {
        /// How many.
        failed: u64,
    },
}

/// An option cannot be set from that text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It does not parse, or is out of bounds.
    #[error("{key} cannot be {text:?}: it takes {}", key.accepts())]
    Invalid {
        /// The option.
        key: ConfigKey,
        /// What was to be its value.
        text: String,
    },
    /// The option counts elsewhere, or nowhere.
    #[error("{key} is not the producer's, but {applies}")]
    Elsewhere {
        /// The option.
        key: ConfigKey,
        /// Where it counts.
        applies: Applies,
    },
}

impl ConfigError {
    /// The option.
    #[must_use]
    pub fn key(&self) -> ConfigKey {
        match self {
            Self::Invalid { key, .. } | Self::Elsewhere { key, .. } => *key,
        }
    }
}
