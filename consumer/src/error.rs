//! What can go wrong, one type for each thing that an application can ask for.

use std::time::Duration;

use shardflow_core::{Checkpoint, SequenceNumber, Shard};

use crate::{Applies, ConfigKey};

/// A checkpoint was not stored.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The lease is no longer this worker's. Another worker goes on from the last checkpoint: stop.
    #[error("the lease is no longer held")]
    LeaseLost,
    /// It lies before the last checkpoint, or ahead of the records that the handler was given.
    #[error("{asked} is not within the last checkpoint, {stored}, and the last record given, {given}")]
    OutOfRange {
        /// What was asked for.
        asked: Checkpoint,
        /// The last one stored.
        stored: Checkpoint,
        /// The last record that the handler was given.
        given: Checkpoint,
    },
    /// The lease store does not allow it.
    #[error("the lease store refused it with {code}: {message}")]
    Store {
        /// The store's code, such as `AccessDeniedException`.
        code: String,
        /// The store's words.
        message: String,
    },
}

/// A worker could not start, or not go on.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// [`Consumer::run`](crate::Consumer::run) was called outside of a tokio runtime, or its thread could not be made.
    #[error("a worker needs a tokio runtime: {reason}")]
    NoRuntime {
        /// What is missing.
        reason: String,
    },
    /// The stream or the lease store is not there, or does not let us: unknown stream, access denied, no credentials.
    #[error("refused with {code}: {message}")]
    Refused {
        /// The service's code, such as `ResourceNotFoundException`.
        code: String,
        /// The service's words.
        message: String,
    },
    /// The stream or the lease store did not answer in time.
    #[error("not started within {within:?}; the last trouble was {last}")]
    NotStarted {
        /// The time that was given, [`Config::start_within`](crate::Config::start_within).
        within: Duration,
        /// What went wrong last.
        last: String,
    },
    /// A part of the worker has ended that must not. This is a defect of the library, or of a lease store.
    #[error("{what} has ended unexpectedly")]
    Failed {
        /// Which part.
        what: String,
    },
}

/// A shard cannot be read any further, or the shards of a stream cannot be listed.
///
/// What passes by itself (throttling, lost connections, expired iterators) is no error but a wait.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The service does not let us, and will not until somebody changes something: access denied, no credentials, a
    /// disabled key. A new reader goes on from the last position.
    #[error("refused with {code}: {message}")]
    Refused {
        /// The service's code.
        code: String,
        /// The service's words.
        message: String,
    },
    /// There is no such stream.
    #[error("there is no such stream")]
    StreamMissing,
    /// The position is not one of this stream: it was deleted and created again under the same name, most likely. What it
    /// holds now begins at [`ShardPosition::TrimHorizon`](crate::ShardPosition::TrimHorizon).
    #[error("sequence number {sequence_number} is not one of this stream")]
    ForeignPosition {
        /// The position.
        sequence_number: SequenceNumber,
    },
    /// The shard is not there any more: its records were kept for no longer than the stream's retention. Those that were
    /// not read are lost. Go on with its children.
    #[error("the shard has left retention")]
    LeftRetention {
        /// The shards that came from it, as far as they are still there.
        children: Vec<Shard>,
    },
    /// A reader was polled outside of a tokio runtime.
    #[error("a reader needs a tokio runtime: {reason}")]
    NoRuntime {
        /// What is missing.
        reason: String,
    },
    /// The reader's task has ended unexpectedly. This is a defect of the library.
    #[error("the reader has ended unexpectedly")]
    Failed,
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
    #[error("{key} is not set here, but {applies}")]
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
