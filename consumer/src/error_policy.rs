//! What becomes of records that a handler fails at.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use shardflow_core::{ShardId, Stream, UserRecord};
use shardflow_engine::consume::{GiveUp, Settings, Then};

/// What a worker does when [`RecordProcessor::process`](crate::RecordProcessor::process) fails or panics. The default is
/// [`ErrorPolicy::retry`].
///
/// Whatever it says, nothing behind a record is processed before it is decided, and no checkpoint passes one that is not:
/// it has been processed, skipped, or taken by the sink of dead letters. Records that were processed and not checkpointed
/// come again after a panic and after a rest, since their handler is replaced by a fresh one.
///
/// ```
/// use std::time::Duration;
/// use shardflow_consumer::{Config, DeadLetter, ErrorPolicy};
///
/// let policy = ErrorPolicy::dead_letter_after(5, |letter: DeadLetter| async move {
///     eprintln!("{:?}: {}", letter.record.data, letter.error); // to a queue, a table, another stream
///     Ok::<(), std::io::Error>(())
/// });
/// let config = Config::default().on_error(policy.backoff(Duration::from_millis(50), Duration::from_secs(5)));
/// ```
#[derive(Clone)]
pub struct ErrorPolicy {
    backoff: (Duration, Duration),
    rest: Duration,
    give_up: Option<GiveUp>,
    pub(crate) sink: Option<Sink>,
}

/// An application's function as it is kept.
pub(crate) type Sink = Arc<dyn Fn(DeadLetter) -> Pin<Box<dyn Future<Output = Sunk> + Send>> + Send + Sync>;

/// What became of a dead letter, with the sink's words if it failed.
pub(crate) type Sunk = Result<(), String>;

impl ErrorPolicy {
    /// The handler gets the same batch again, without end. Nothing is lost, and a record that can never be processed holds
    /// its shard up, though no other.
    #[must_use]
    pub fn retry() -> Self {
        let Settings { handler_backoff, rest, .. } = Settings::default();
        Self { backoff: handler_backoff, rest, give_up: None, sink: None }
    }

    /// After so many failures the shard rests for [`ErrorPolicy::rest`], and begins again at its last checkpoint with a
    /// fresh handler.
    ///
    /// The worker keeps the lease meanwhile, so that a record that kills its handler does not go from worker to worker. It
    /// hands the lease over when it is asked to, and gives it up when it stops.
    #[must_use]
    pub fn stop_shard_after(failures: u32) -> Self {
        Self::giving_up(failures, Then::Rest)
    }

    /// After so many failures a record is passed over. **It is lost** to the application, but for a line in the log.
    ///
    /// A batch that fails that often is given to the handler by halves, and halves of them, until it fails at a record by
    /// itself; that one has as many tries again. So only records are skipped that fail alone, at a price of some twenty
    /// calls.
    #[must_use]
    pub fn skip_after(failures: u32) -> Self {
        Self::giving_up(failures, Then::Skip)
    }

    /// After so many failures a record goes to a sink, and is passed over once that has succeeded. The record is found as
    /// with [`ErrorPolicy::skip_after`].
    ///
    /// A sink that fails or panics gets the letter again, with the same waits as the handler. It may get one twice: when the
    /// worker dies before the next checkpoint.
    #[must_use]
    pub fn dead_letter_after<F, T, E>(failures: u32, sink: F) -> Self
    where
        F: Fn(DeadLetter) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let sink: Sink = Arc::new(move |letter| {
            let sent = sink(letter);
            Box::pin(async move { sent.await.map_err(|error| error.into().to_string()) })
        });
        Self { sink: Some(sink), ..Self::giving_up(failures, Then::DeadLetter) }
    }

    /// The waits between two tries: up to `least` after the first failure, twice as much with each further one, and never
    /// more than `most`. Default 100 ms and 30 s.
    ///
    /// Less of it finds out sooner that the trouble is over, and burdens what may be in trouble.
    #[must_use]
    pub fn backoff(mut self, least: Duration, most: Duration) -> Self {
        self.backoff = (least, most.max(least));
        self
    }

    /// How long a shard rests with [`ErrorPolicy::stop_shard_after`]. Default 5 min.
    #[must_use]
    pub fn rest(mut self, time: Duration) -> Self {
        self.rest = time;
        self
    }

    fn giving_up(after: u32, then: Then) -> Self {
        Self { give_up: Some(GiveUp { after: after.max(1), then }), ..Self::retry() }
    }

    pub(crate) fn apply_to(&self, settings: &mut Settings) {
        settings.handler_backoff = self.backoff;
        settings.rest = self.rest;
        settings.give_up = self.give_up;
    }
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self::retry()
    }
}

impl fmt::Debug for ErrorPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorPolicy")
            .field("backoff", &self.backoff)
            .field("rest", &self.rest)
            .field("give_up", &self.give_up)
            .finish_non_exhaustive()
    }
}

/// A record that could not be processed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its stream, as it was given.
    pub stream: Stream,
    /// Its shard.
    pub shard_id: ShardId,
    /// The record.
    pub record: UserRecord,
    /// What the handler said when it failed for the last time.
    pub error: String,
}
