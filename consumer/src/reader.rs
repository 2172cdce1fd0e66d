//! One shard without leases: what a stream engine with checkpoints of its own needs.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use shardflow_core::{Checkpoint, HashKeyRange, Shard, ShardId, ShardPosition, Stream};
use shardflow_engine::consume::{Cursor, Outcome, ReadAnswer, Settings, Start, Stuck};
use shardflow_engine::{Failure, RequestId};
use shardflow_sdk::seed;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::client::Client;
use crate::clock::Clock;
use crate::reads::{self, Reads};
use crate::{Batch, Config, ReadError};

/// Reads one shard, from a position that the caller keeps. There are no leases, no table and no other workers; what the
/// shard is split or merged into, the caller reads with other readers.
///
/// It is a [`Stream`](futures_core::Stream) of batches that ends with the shard. Throttling, expired iterators, lost
/// connections and subscriptions that end are dealt with inside, with growing waits and without losing the place.
///
/// ```no_run
/// use shardflow_consumer::{Config, FromShard, InitialPosition, ShardPosition, ShardReader, list_shards};
///
/// # async fn example(kinesis: aws_sdk_kinesis::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let stream = "orders".parse()?;
/// for shard in list_shards(&kinesis, &stream, Some(InitialPosition::TrimHorizon)).await? {
///     let mut reader =
///         ShardReader::new(&kinesis, &stream, shard.id, ShardPosition::TrimHorizon, Config::default());
///     while let Some(read) = reader.next().await {
///         match read? {
///             FromShard::Batch(batch) => println!("{} records up to {}", batch.len(), batch.checkpoint()),
///             FromShard::End { children } => println!("{} shards go on from here", children.len()),
///             _ => {}
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// **What it costs.** A task, which starts with the first call and ends when the reader is dropped. One batch is read
/// ahead, so that two are in memory at most, each of up to 10 MiB as the service counts.
///
/// **How it fails.** With a [`ReadError`] for what will not get better by itself, and then it ends.
pub struct ShardReader {
    state: State,
}

enum State {
    Ready(Box<Plan>),
    Running { read: mpsc::Receiver<Item>, _task: AbortOnDropHandle<()> },
    Over,
}

type Item = Result<FromShard, ReadError>;

/// What a reader is made of before it runs.
struct Plan {
    client: Client,
    shard: ShardId,
    range: Option<HashKeyRange>,
    start: Start,
    settings: Settings,
}

/// What comes from a shard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FromShard {
    /// Records. [`Batch::checkpoint`] is where to go on behind them.
    Batch(Batch),
    /// All records have been read, and there will be no more.
    End {
        /// The shards that go on where this one ended. To keep order per key, read them from their oldest record once all
        /// their [parents](Shard::parents) have been read to their end.
        children: Vec<Shard>,
    },
}

/// Where a reader starts: a [`ShardPosition`], or behind a [`Checkpoint`], which can lie inside an aggregate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadFrom(Start);

impl From<ShardPosition> for ReadFrom {
    fn from(position: ShardPosition) -> Self {
        Self(position.into())
    }
}

impl From<Checkpoint> for ReadFrom {
    /// `AT_TIMESTAMP`, whose time a checkpoint does not say, is the oldest record; `SHARD_END` is the newest.
    fn from(checkpoint: Checkpoint) -> Self {
        Self(Start::behind(&checkpoint, None))
    }
}

impl ShardReader {
    /// A reader of a shard. Does no I/O.
    ///
    /// Of the configuration it takes what concerns reading: retrieval, pace, time-out, strays. A consumer of enhanced
    /// fan-out must be named, since there is no application to name it after.
    #[must_use]
    pub fn new(
        kinesis: &aws_sdk_kinesis::Client,
        stream: &Stream,
        shard: ShardId,
        from: impl Into<ReadFrom>,
        config: Config,
    ) -> Self {
        let Config { shard: settings, request_timeout, retrieval, .. } = config;
        let client = Client::new(kinesis, stream.clone(), request_timeout).retrieving(&retrieval, None);
        let plan = Plan { client, shard, range: None, start: from.into().0, settings };
        Self { state: State::Ready(Box::new(plan)) }
    }

    /// Says which hash keys the shard owns, so that records of aggregates can tell whether they are
    /// [`out_of_range`](shardflow_core::UserRecord::out_of_range). Has no effect once it reads.
    #[must_use]
    pub fn owning(mut self, range: HashKeyRange) -> Self {
        if let State::Ready(plan) = &mut self.state {
            plan.range = Some(range);
        }
        self
    }

    /// The next batch, or the end; `None` behind the end or an error.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// When the shard cannot be read any further.
    pub async fn next(&mut self) -> Option<Result<FromShard, ReadError>> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Ready(plan) => match Handle::try_current() {
                    Ok(runtime) => {
                        let (tell, read) = mpsc::channel(1);
                        let _task = AbortOnDropHandle::new(runtime.spawn(plan.run(tell)));
                        self.state = State::Running { read, _task };
                    }
                    Err(error) => {
                        let reason = error.to_string();
                        return Poll::Ready(Some(Err(ReadError::NoRuntime { reason })));
                    }
                },
                State::Running { mut read, _task } => {
                    let item = read.poll_recv(context);
                    if matches!(item, Poll::Pending | Poll::Ready(Some(Ok(FromShard::Batch(_))))) {
                        self.state = State::Running { read, _task };
                    }
                    let item = ready!(item);
                    return Poll::Ready(Some(item.unwrap_or(Err(ReadError::Failed))));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

impl futures_core::Stream for ShardReader {
    type Item = Result<FromShard, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl fmt::Debug for ShardReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Ready(_) => "not begun",
            State::Running { .. } => "reading",
            State::Over => "over",
        };
        f.debug_struct("ShardReader").field("state", &state).finish_non_exhaustive()
    }
}

impl Plan {
    /// Reads whenever there is room for what is read, until nobody takes it any more.
    async fn run(self, tell: mpsc::Sender<Item>) {
        let clock = Clock::start();
        let Self { client, shard, range, start, settings } = self;
        let mut cursor = Cursor::new(shard.clone(), range, start, settings, seed(), clock.now());
        let reads = Reads::new(client, shard.clone(), clock);
        let mut requests: JoinSet<(RequestId, Result<ReadAnswer, Failure>)> = JoinSet::new();
        let mut room = None;
        loop {
            while let Some((id, request)) = cursor.poll_request() {
                let read = reads.clone().carry_out(id, request);
                requests.spawn(async move { (id, read.await) });
            }
            while let Some(event) = cursor.poll_event() {
                reads::tell(shard.as_str(), event);
            }
            if let Some(outcome) = cursor.poll_outcome() {
                let permit: mpsc::Permit<'_, Item> = room.take().expect("it is asked for when there is room");
                let item = item(outcome);
                let last = !matches!(item, Ok(FromShard::Batch(_)));
                permit.send(item);
                if last {
                    return;
                }
                continue;
            }
            let deadline = cursor.poll_timeout().map(|at| clock.instant(at));
            // Answers first, so that what is there is handed on; all arms are cancel safe.
            tokio::select! {
                biased;
                Some(answered) = requests.join_next() => match answered {
                    Ok((id, answer)) => cursor.handle_answer(clock.now(), id, answer),
                    // A request that panics is a defect, and the reader is told of it by the channel's end.
                    Err(_) => return,
                },
                permit = tell.reserve(), if room.is_none() => match permit {
                    Ok(permit) => {
                        room = Some(permit);
                        cursor.want(clock.now());
                    }
                    Err(_) => return,
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    cursor.handle_timeout(clock.now());
                }
            }
        }
    }
}

fn item(outcome: Outcome) -> Item {
    match outcome {
        Outcome::Batch(batch) => Ok(FromShard::Batch(Batch(batch))),
        Outcome::Ended { children } => Ok(FromShard::End { children }),
        Outcome::Stuck(stuck) => Err(match stuck {
            Stuck::Refused(Failure { code, message, .. }) => ReadError::Refused { code, message },
            Stuck::StreamMissing => ReadError::StreamMissing,
            Stuck::ForeignPosition(sequence_number) => ReadError::ForeignPosition { sequence_number },
            Stuck::LeftRetention { children } => ReadError::LeftRetention { children },
        }),
    }
}
