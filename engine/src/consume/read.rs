//! What reading a shard asks for, and what it is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use shardflow_core::{Checkpoint, KinesisRecord, SequenceNumber, Shard, ShardPosition};

use crate::{Failure, RequestId};

/// What reading a shard asks for. One at a time, but for a subscription that is renewed while it is read.
#[derive(Clone, Debug)]
pub enum ReadRequest {
    /// Get an iterator.
    OpenIterator(ShardPosition),
    /// Read.
    GetRecords {
        /// From where.
        iterator: String,
        /// Most records.
        limit: usize,
    },
    /// List all shards of the stream: the end of the shard did not tell its children, or the service does not know it.
    ListShards,
    /// Find the consumer that subscribes, registering it if that is wanted.
    FindConsumer {
        /// The ARN of one that was found before and is not there any more.
        gone: Option<Arc<str>>,
    },
    /// Subscribe. The subscription goes by the id of this request; once it is open, those before it are not read any more.
    Subscribe {
        /// The consumer's ARN.
        consumer: Arc<str>,
        /// From where.
        position: ShardPosition,
    },
    /// Wait for the next event of a subscription.
    Receive {
        /// The subscription.
        subscription: RequestId,
        /// Longest wait: the service speaks every few seconds even when there are no records.
        within: Duration,
    },
}

/// What became of it, unless it failed.
#[derive(Clone, Debug)]
pub enum ReadAnswer {
    /// An iterator, and when it was asked for.
    Iterator {
        /// The iterator.
        iterator: String,
        /// The time by the wall, for a shard that starts at its newest record.
        asked: SystemTime,
    },
    /// Records.
    Page(Page),
    /// The shards of the stream.
    Shards(Vec<Shard>),
    /// A consumer's ARN. It is ACTIVE.
    Consumer(Arc<str>),
    /// There is no consumer to subscribe with, and there will be none.
    NoConsumer {
        /// Why.
        reason: String,
    },
    /// The subscription is open, and when it was asked for.
    Subscribed {
        /// The time by the wall, for a shard that starts at its newest record.
        asked: SystemTime,
    },
    /// An event of a subscription.
    Delivered(Delivery),
    /// The service has ended the subscription, as it does after five minutes.
    SubscriptionEnded,
}

/// What one read gave.
#[derive(Clone, Debug)]
pub struct Page {
    /// Records.
    pub records: Vec<KinesisRecord>,
    /// From where to read on; none at the end of the shard.
    pub next: Option<String>,
    /// How far behind the newest record of the shard it ends.
    pub behind: Duration,
    /// The shards that came from this one, at its end.
    pub children: Vec<Shard>,
}

/// One event of a subscription.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Records; none now and then, as a sign of life.
    pub records: Vec<KinesisRecord>,
    /// Behind which a later subscription goes on; none at the end of the shard.
    pub continuation: Option<SequenceNumber>,
    /// How far behind the newest record of the shard it ends.
    pub behind: Duration,
    /// The shards that came from this one, at its end.
    pub children: Vec<Shard>,
}

/// What reading a shard tells.
#[derive(Clone, Debug)]
pub enum ReadEvent {
    /// A request failed; it is tried again.
    Failed {
        /// How.
        failure: Failure,
        /// How many times in a row.
        times: u32,
    },
    /// The stream is not there. It is looked for again and again.
    StreamMissing,
    /// The service does not know the shard any more, so that all its records have left retention. Those that were not read
    /// are lost, and the shard counts as read to its end.
    LeftRetention,
    /// The place where reading was to go on is not of this stream, which was deleted and created again under the same name.
    /// The shard is read from its oldest record.
    ForeignPosition {
        /// The number that the service does not take.
        number: SequenceNumber,
    },
    /// Data that looked like an aggregate was none, and was delivered as it is.
    CorruptAggregate {
        /// Where it lies.
        at: Checkpoint,
    },
    /// An aggregate held a record of another shard's hash keys, and was left out as was asked for.
    AggregateDropped {
        /// Where it lies.
        at: Checkpoint,
        /// How many records it held.
        records: usize,
    },
    /// There is no consumer to subscribe with: the shard is polled.
    FellBack {
        /// Why.
        reason: String,
    },
}
