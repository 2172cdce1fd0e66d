//! How a worker stands, and whether that is well.

use std::fmt;
use std::time::Duration;

use shardflow_core::{Checkpoint, LeaseKey, ShardId, Stream, StreamIdentifier, WorkerId};

use crate::{RunError, StreamError, StreamHealth, WorkerState};

/// How a worker stood at one moment: from [`Watch::health`](crate::Watch::health).
///
/// ```
/// # fn example(watch: &shardflow_consumer::Watch) -> Result<(), String> {
/// let health = watch.health();
/// for problem in health.problems() {
///     eprintln!("{problem}"); // shardId-000000000003: the handler has failed 4 times in a row: no route to host
/// }
/// if health.is_healthy() { Ok(()) } else { Err("see the log".into()) }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// The worker.
    pub worker_id: WorkerId,
    /// What it reads: one stream, or several.
    pub streams: Vec<StreamHealth>,
    /// What it is doing as a whole.
    pub state: WorkerState,
    /// Whether it leads the application's workers.
    pub leads: bool,
    /// How many leases it has, those of shards that wait for their parents among them.
    pub leases: usize,
    /// How long ago it last saw what the lease table says; nothing before the first time.
    pub seen: Option<Duration>,
    /// The last request to the lease table that failed, if one has since then.
    pub trouble: Option<LeaseTrouble>,
    /// Its shards, by lease.
    pub shards: Vec<ShardHealth>,
    pub(crate) patience: Patience,
}

/// A request to the lease table that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LeaseTrouble {
    /// How long ago.
    pub ago: Duration,
    /// How.
    pub error: String,
}

/// How one shard stood.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShardHealth {
    /// The stream, where there are several.
    pub stream: Option<StreamIdentifier>,
    /// Which.
    pub shard_id: ShardId,
    /// The last checkpoint that is stored.
    pub checkpoint: Checkpoint,
    /// How far behind its newest record it has been read, and how long ago that was so; nothing before the first read.
    pub behind: Option<Behind>,
    /// How long ago a read came back, with records or without.
    pub read: Option<Duration>,
    /// How long ago a batch was done with.
    pub processed: Option<Duration>,
    /// How long ago anything of these happened, or else the lease came. Zero while the shard waits for its parents.
    pub progress: Duration,
    /// What has to happen next for it to go on.
    pub waits_for: WaitsFor,
    /// How often its handler, or the sink of dead letters, has failed at the same records.
    pub handler_failures: u32,
    /// How often reading it has failed in a row.
    pub read_failures: u32,
    /// How either failed last, while one of them does.
    pub error: Option<String>,
}

/// A distance from the newest record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Behind {
    /// The distance: the service's `MillisBehindLatest`.
    pub by: Duration,
    /// How long ago it was that.
    pub ago: Duration,
}

/// What has to happen next for a shard to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// The shards that it came from have to be done, by any worker. That may take as long as it takes.
    Parents,
    /// Its task has to begin: the lease has come just now, or the shard's former run has not ended.
    Start,
    /// An iterator has to be opened.
    Iterator,
    /// A subscription of enhanced fan-out has to be opened.
    Subscription,
    /// Other records have to be processed first: those that are held take all the room that there is, which is
    /// [`Config::max_buffered_bytes`](crate::Config::max_buffered_bytes).
    Room,
    /// The next read has to come back, or is not due yet.
    Records,
    /// The service has to let it read: it, or others, have read too much.
    Throttle,
    /// Reading has failed, and is tried again in a while.
    NextTry,
    /// A call of the handler, or of the sink of dead letters, has to return.
    Handler {
        /// How long it has been running.
        running: Duration,
    },
    /// The handler has failed, and is called again.
    Retry {
        /// When.
        after: Duration,
    },
    /// The handler has failed too often, and the policy is to leave the shard alone.
    Rest {
        /// For how much longer.
        left: Duration,
    },
    /// The lease has to be renewed: it may be another worker's by now.
    Renewal,
    /// Its end or a record's has to be checkpointed.
    Checkpoint,
    /// It has been read to its end, and the shards that came from it have to get leases.
    Children,
}

/// How long what is not well is borne.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// A shard without progress, or a handler that does not return.
    pub(crate) shard: Duration,
    /// A lease table that is not seen.
    pub(crate) leases: Duration,
}

impl Health {
    /// Whether there are no [`Health::problems`].
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.problems().is_empty()
    }

    /// What is not well, in words by [`Display`](fmt::Display).
    ///
    /// While a shard whose lease this worker has is not read or its records are not processed, there is one, with the
    /// patience of [`Config::unhealthy_after`](crate::Config::unhealthy_after). Shards that wait for their parents are no
    /// problem, and neither is a worker that starts, has no lease, or stops when it is asked to. One of several streams that
    /// cannot be had is one at once; if it may be over by itself, with the same patience.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let stopping = match &self.state {
            WorkerState::Stopped { error } => return vec![Problem::Stopped { error: error.clone() }],
            WorkerState::Stopping => true,
            WorkerState::Starting | WorkerState::Running => false,
        };
        let unseen = self.seen.filter(|ago| *ago >= self.patience.leases && !stopping);
        let trouble = || self.trouble.as_ref().map(|trouble| trouble.error.clone());
        let unseen = unseen.map(|ago| Problem::LeasesUnseen { ago, error: trouble() });
        let shards = self.shards.iter().filter_map(|shard| shard.problem(stopping, self.patience.shard));
        let streams = self.streams.iter().filter(|_| !stopping);
        let streams = streams.filter_map(|stream| stream.problem(self.patience.leases));
        unseen.into_iter().chain(streams).chain(shards).collect()
    }
}

impl StreamHealth {
    fn problem(&self, patience: Duration) -> Option<Problem> {
        let trouble = self.trouble.as_ref();
        let trouble = trouble.filter(|trouble| !trouble.error.is_passing() || trouble.since >= patience)?;
        let (stream, error) = (self.stream.clone(), trouble.error.clone());
        Some(Problem::StreamFails { stream, since: trouble.since, error })
    }
}

impl ShardHealth {
    /// The worst that is not well.
    fn problem(&self, stopping: bool, patience: Duration) -> Option<Problem> {
        let (shard_id, error) = (self.shard_id.clone(), self.error.clone());
        let stream = self.stream.clone();
        let late = |time: Duration| time >= patience;
        match self.waits_for {
            WaitsFor::Parents => None,
            WaitsFor::Rest { left } => Some(Problem::Resting { stream, shard_id, left, error }),
            WaitsFor::Renewal => Some(Problem::NotRenewed { stream, shard_id }),
            _ if self.handler_failures >= FAILURES => {
                Some(Problem::HandlerFails { stream, shard_id, times: self.handler_failures, error })
            }
            WaitsFor::Handler { running } => {
                late(running).then_some(Problem::HandlerDoesNotReturn { stream, shard_id, running })
            }
            // Nothing is read of a shard that is given up.
            _ if stopping => None,
            waits_for @ (WaitsFor::Start
            | WaitsFor::Iterator
            | WaitsFor::Subscription
            | WaitsFor::Room
            | WaitsFor::Records
            | WaitsFor::Throttle
            | WaitsFor::NextTry
            | WaitsFor::Retry { .. }
            | WaitsFor::Checkpoint
            | WaitsFor::Children) => late(self.progress).then_some(Problem::NoProgress {
                stream,
                shard_id,
                since: self.progress,
                waits_for,
                error,
            }),
        }
    }
}

/// How often a handler may fail at the same records before that is a problem.
const FAILURES: u32 = 3;

/// Something that is not well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The worker does nothing any more.
    Stopped {
        /// Why, unless it was asked to, or dropped.
        error: Option<RunError>,
    },
    /// The lease table has not been seen for long: leases that are renewed stay, and none come.
    LeasesUnseen {
        /// For how long.
        ago: Duration,
        /// How a request failed last.
        error: Option<String>,
    },
    /// One of several streams is not there, or not to be had: it is not read, or its new shards are not found.
    StreamFails {
        /// Which, as it was given.
        stream: Stream,
        /// For how long.
        since: Duration,
        /// Why.
        error: StreamError,
    },
    /// A handler keeps failing at the same records.
    HandlerFails {
        /// Its stream, where there are several.
        stream: Option<StreamIdentifier>,
        /// The shard.
        shard_id: ShardId,
        /// How often it has.
        times: u32,
        /// How it failed last.
        error: Option<String>,
    },
    /// A handler is called and does not return.
    HandlerDoesNotReturn {
        /// Its stream, where there are several.
        stream: Option<StreamIdentifier>,
        /// The shard.
        shard_id: ShardId,
        /// How long it has been running.
        running: Duration,
    },
    /// A shard is left alone by policy, since its handler has failed too often.
    Resting {
        /// Its stream, where there are several.
        stream: Option<StreamIdentifier>,
        /// The shard.
        shard_id: ShardId,
        /// For how much longer.
        left: Duration,
        /// How the handler failed last.
        error: Option<String>,
    },
    /// A lease could not be renewed in time, so that nothing more is processed.
    NotRenewed {
        /// Its stream, where there are several.
        stream: Option<StreamIdentifier>,
        /// The shard.
        shard_id: ShardId,
    },
    /// A shard is not read.
    NoProgress {
        /// Its stream, where there are several.
        stream: Option<StreamIdentifier>,
        /// The shard.
        shard_id: ShardId,
        /// For how long.
        since: Duration,
        /// What it waits for.
        waits_for: WaitsFor,
        /// How reading it failed last, if it fails.
        error: Option<String>,
    },
}

impl Problem {
    /// The shard that has it, if it is one's.
    #[must_use]
    pub fn shard_id(&self) -> Option<&ShardId> {
        match self {
            Self::Stopped { .. } | Self::LeasesUnseen { .. } | Self::StreamFails { .. } => None,
            Self::HandlerFails { shard_id, .. }
            | Self::HandlerDoesNotReturn { shard_id, .. }
            | Self::Resting { shard_id, .. }
            | Self::NotRenewed { shard_id, .. }
            | Self::NoProgress { shard_id, .. } => Some(shard_id),
        }
    }

    /// The stream of that shard, where there are several.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamIdentifier> {
        match self {
            Self::Stopped { .. } | Self::LeasesUnseen { .. } | Self::StreamFails { .. } => None,
            Self::HandlerFails { stream, .. }
            | Self::HandlerDoesNotReturn { stream, .. }
            | Self::Resting { stream, .. }
            | Self::NotRenewed { stream, .. }
            | Self::NoProgress { stream, .. } => stream.as_ref(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(shard_id) = self.shard_id() {
            write!(f, "{}: ", LeaseKey::of(self.stream(), shard_id))?;
        }
        let because = |f: &mut fmt::Formatter<'_>, error: &Option<String>| match error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        };
        match self {
            Self::Stopped { error } => {
                f.write_str("the worker has stopped")?;
                because(f, &error.as_ref().map(ToString::to_string))
            }
            Self::LeasesUnseen { ago, error } => {
                write!(f, "the lease table has not been seen for {}", Whole(*ago))?;
                because(f, error)
            }
            Self::StreamFails { stream, since, error } => {
                write!(f, "{stream} cannot be had for {}: {error}", Whole(*since))
            }
            Self::HandlerFails { times, error, .. } => {
                write!(f, "the handler has failed {times} times in a row")?;
                because(f, error)
            }
            Self::HandlerDoesNotReturn { running, .. } => {
                write!(f, "the handler has not returned for {}", Whole(*running))
            }
            Self::Resting { left, error, .. } => {
                write!(f, "left alone for {} more, since the handler has failed too often", Whole(*left))?;
                because(f, error)
            }
            Self::NotRenewed { .. } => f.write_str("the lease could not be renewed in time"),
            Self::NoProgress { since, waits_for, error, .. } => {
                write!(f, "nothing has been read for {}, waiting for {waits_for}", Whole(*since))?;
                because(f, error)
            }
        }
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parents => f.write_str("its parents"),
            Self::Start => f.write_str("its task to begin"),
            Self::Iterator => f.write_str("an iterator"),
            Self::Subscription => f.write_str("a subscription"),
            Self::Room => f.write_str("room for its records"),
            Self::Records => f.write_str("records"),
            Self::Throttle => f.write_str("the service to let it read"),
            Self::NextTry => f.write_str("the next try to read"),
            Self::Handler { running } => write!(f, "the handler, for {}", Whole(*running)),
            Self::Retry { after } => write!(f, "the handler's next try in {}", Whole(*after)),
            Self::Rest { left } => write!(f, "the end of its rest in {}", Whole(*left)),
            Self::Renewal => f.write_str("its lease to be renewed"),
            Self::Checkpoint => f.write_str("a checkpoint to be stored"),
            Self::Children => f.write_str("its children to get leases"),
        }
    }
}

/// A duration in whole seconds.
struct Whole(Duration);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn health(state: WorkerState, shards: Vec<ShardHealth>) -> Health {
        Health {
            worker_id: "w".parse().unwrap(),
            streams: Vec::new(),
            state,
            leads: false,
            leases: shards.len(),
            seen: Some(secs(1)),
            trouble: None,
            shards,
            patience: Patience { shard: secs(60), leases: secs(63) },
        }
    }

    fn shard(waits_for: WaitsFor, progress: u64, handler_failures: u32, read_failures: u32) -> ShardHealth {
        ShardHealth {
            stream: None,
            shard_id: ShardId::numbered(3),
            checkpoint: Checkpoint::TrimHorizon,
            behind: None,
            read: None,
            processed: None,
            progress: secs(progress),
            waits_for,
            handler_failures,
            read_failures,
            error: (handler_failures + read_failures > 0).then(|| String::from("no")),
        }
    }

    #[test]
    fn a_shard_is_judged_by_what_it_waits_for_and_for_how_long() {
        use WaitsFor::*;
        const WELL: &str = "";
        let handler = |seconds| Handler { running: secs(seconds) };
        let table = [
            (shard(Parents, 9_999, 0, 0), WELL),
            (shard(Records, 59, 0, 0), WELL),
            (shard(Records, 60, 0, 0), "nothing has been read for 60 s, waiting for records"),
            (shard(Start, 60, 0, 0), "nothing has been read for 60 s, waiting for its task to begin"),
            (shard(Iterator, 59, 0, 1), WELL),
            (shard(Iterator, 61, 0, 2), "nothing has been read for 61 s, waiting for an iterator: no"),
            (shard(Throttle, 59, 0, 100), WELL),
            (
                shard(Throttle, 70, 0, 100),
                "nothing has been read for 70 s, waiting for the service to let it read: no",
            ),
            (
                shard(NextTry, 70, 0, 9),
                "nothing has been read for 70 s, waiting for the next try to read: no",
            ),
            (shard(handler(59), 9_999, 0, 0), WELL),
            (shard(handler(60), 0, 0, 0), "the handler has not returned for 60 s"),
            (shard(handler(1), 0, 2, 0), WELL),
            (shard(handler(1), 0, 3, 0), "the handler has failed 3 times in a row: no"),
            (shard(Retry { after: secs(2) }, 1, 2, 0), WELL),
            (shard(Retry { after: secs(2) }, 1, 3, 0), "the handler has failed 3 times in a row: no"),
            (
                shard(Retry { after: secs(2) }, 60, 1, 0),
                "nothing has been read for 60 s, waiting for the handler's next try in 2 s: no",
            ),
            (shard(Records, 0, 7, 0), "the handler has failed 7 times in a row: no"),
            (
                shard(Rest { left: secs(9) }, 0, 1, 0),
                "left alone for 9 s more, since the handler has failed too often: no",
            ),
            (shard(Renewal, 0, 0, 0), "the lease could not be renewed in time"),
            (shard(Checkpoint, 59, 0, 0), WELL),
            (
                shard(Checkpoint, 60, 0, 0),
                "nothing has been read for 60 s, waiting for a checkpoint to be stored",
            ),
            (
                shard(Children, 60, 0, 0),
                "nothing has been read for 60 s, waiting for its children to get leases",
            ),
        ];
        for (shard, expected) in table {
            let said = shard.clone();
            let health = health(WorkerState::Running, vec![shard]);
            let problems: Vec<_> = health.problems().iter().map(ToString::to_string).collect();
            match expected {
                WELL => assert!(problems.is_empty() && health.is_healthy(), "{said:?}: {problems:?}"),
                _ => assert_eq!(problems, [format!("shardId-000000000003: {expected}")], "{said:?}"),
            }
        }
    }

    #[test]
    fn a_worker_is_judged_by_its_state_and_by_when_it_saw_its_leases() {
        let words =
            |health: &Health| -> Vec<_> { health.problems().iter().map(ToString::to_string).collect() };
        let unread = || vec![shard(WaitsFor::Records, 70, 0, 0)];
        let fails = || vec![shard(WaitsFor::Records, 0, 3, 0)];
        assert!(health(WorkerState::Starting, vec![]).is_healthy());
        assert!(health(WorkerState::Running, vec![]).is_healthy(), "others have the leases");
        assert!(!health(WorkerState::Running, unread()).is_healthy());
        assert!(health(WorkerState::Stopping, unread()).is_healthy(), "it is not to be read");
        assert!(!health(WorkerState::Stopping, fails()).is_healthy());
        assert_eq!(
            words(&health(WorkerState::Stopped { error: None }, unread())),
            ["the worker has stopped"]
        );
        let error = Some(RunError::Failed { what: "a part".into() });
        let stopped = health(WorkerState::Stopped { error }, vec![]);
        assert_eq!(words(&stopped), ["the worker has stopped: a part has ended unexpectedly"]);

        let mut blind = health(WorkerState::Running, fails());
        blind.seen = Some(secs(62));
        blind.trouble = Some(LeaseTrouble { ago: secs(1), error: "Throttled: slow down".into() });
        assert_eq!(words(&blind).len(), 1);
        blind.seen = Some(secs(63));
        let unseen = "the lease table has not been seen for 63 s: Throttled: slow down";
        assert_eq!(words(&blind)[0], unseen);
        assert_eq!(words(&blind).len(), 2, "each by itself");
        blind.state = WorkerState::Stopping;
        assert_eq!(words(&blind).len(), 1, "it does not look any more");
    }
}
