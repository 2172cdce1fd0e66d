//! SubscribeToShard, and what a subscription has to say next.

use std::time::{Duration, SystemTime};

use shardflow_core::ShardPosition;
use shardflow_core::limits::{SHARD_READ_BYTES_PER_SECOND, SUBSCRIPTION_LIFE, SUBSCRIPTION_PAUSE};

use super::Kinesis;
use super::bucket::Bucket;
use super::consumer::ConsumerStatus;
use super::error::KinesisError;
use super::get_records::{Batch, ReadRecord};
use super::get_shard_iterator::position_in;
use super::limits::Limits;
use super::sequence::Sequence;
use super::shapes::{ChildShard, EncryptionType};
use super::stamp::Stamp;
use super::stream::StreamState;

/// What SubscribeToShard takes.
#[derive(Clone, Debug)]
pub struct SubscribeToShardRequest {
    /// The consumer.
    pub consumer_arn: String,
    /// The shard.
    pub shard_id: String,
    /// Where reading starts.
    pub starting_position: ShardPosition,
}

/// Names an open subscription.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SubscriptionId(u64);

/// What a subscription does next.
#[derive(Clone, Debug)]
pub enum SubscriptionStep {
    /// It sends this.
    Event(SubscribeToShardEvent),
    /// It has nothing to say until then, or until something happens to its stream.
    Wait {
        /// The moment at which to ask again.
        until: SystemTime,
    },
    /// It is over, and all is well.
    End,
    /// It is over, and says why.
    Failed(KinesisError),
}

/// One event of a subscription.
#[derive(Clone, Debug)]
pub struct SubscribeToShardEvent {
    /// Records in order; none every five seconds while there are none.
    pub records: Vec<ReadRecord>,
    /// Behind which a later subscription goes on. Absent at the shard's end.
    pub continuation: Option<Sequence>,
    /// How far this event is behind the newest record; 0 only if there is nothing more to read.
    pub millis_behind_latest: u64,
    /// The shards that go on where this one ended. Present with the last event of a closed shard only.
    pub child_shards: Option<Vec<ChildShard>>,
    /// Whether the stream says that it encrypts.
    pub encryption: EncryptionType,
}

#[derive(Debug)]
pub(super) struct Subscription {
    consumer_arn: String,
    stream: String,
    incarnation: u64,
    shard: u32,
    position: u64,
    opened: Stamp,
    last_event: Stamp,
    pace: Bucket,
    fate: Fate,
}

/// What becomes of a subscription when it is next asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Open,
    /// Over without an error: the shard's end was sent, or somebody asked for it.
    Ending,
    /// The same consumer subscribed to the shard again.
    Superseded,
}

/// How often a subscription without records says so.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Most bytes of records in one event, unless the first alone is larger. Small enough for the pace to be even.
const EVENT_BYTES: usize = 1 << 20;

/// Most records in one event.
const EVENT_RECORDS: usize = 10_000;

impl Kinesis {
    /// Opens a subscription of a consumer to a shard. Ask [`next_event`](Self::next_event) what it sends.
    ///
    /// # Errors
    ///
    /// When there is no such consumer or shard (`ResourceNotFound`), the consumer is not ACTIVE or subscribed to the
    /// shard less than five seconds ago (`ResourceInUse`), or the position is not of this shard (`InvalidArgument`).
    pub fn subscribe_to_shard(
        &mut self,
        now: SystemTime,
        subscribe: SubscribeToShardRequest,
    ) -> Result<SubscriptionId, KinesisError> {
        let (now, limits) = (Stamp::of(now), self.limits);
        let (stream, name) = self.consumer(now, &subscribe.consumer_arn)?;
        stream.require_listable()?;
        let shard = stream.find_shard(now, &subscribe.shard_id)?;
        let position = position_in(stream, shard, now, &subscribe.starting_position, "SubscribeToShard")?;
        let subscription = Subscription {
            consumer_arn: subscribe.consumer_arn,
            stream: stream.name.clone(),
            incarnation: stream.incarnation,
            shard,
            position,
            opened: now,
            last_event: now,
            pace: Bucket::per_second(SHARD_READ_BYTES_PER_SECOND),
            fate: Fate::Open,
        };
        admit(stream, &name, shard, now, limits)?;
        for other in self.subscriptions.values_mut() {
            if other.shard == shard && other.consumer_arn == subscription.consumer_arn {
                other.fate = Fate::Superseded;
            }
        }
        self.subscriptions_ever += 1;
        let id = SubscriptionId(self.subscriptions_ever);
        self.subscriptions.insert(id, subscription);
        Ok(id)
    }

    /// What a subscription does next. After [`End`](SubscriptionStep::End) and [`Failed`](SubscriptionStep::Failed) it
    /// is closed.
    pub fn next_event(&mut self, now: SystemTime, id: SubscriptionId) -> SubscriptionStep {
        let (now, limits) = (Stamp::of(now), self.limits);
        // Taken out while it is looked at, and put back unless it is over.
        let Some(mut subscription) = self.subscriptions.remove(&id) else { return SubscriptionStep::End };
        let step = match subscription.fate {
            Fate::Ending => SubscriptionStep::End,
            Fate::Superseded => SubscriptionStep::Failed(another(&subscription.consumer_arn)),
            Fate::Open if limits.subscriptions && now.since(subscription.opened) >= SUBSCRIPTION_LIFE => {
                SubscriptionStep::End
            }
            Fate::Open => match self.consumer(now, &subscription.consumer_arn) {
                Ok((stream, _)) if stream.incarnation == subscription.incarnation => {
                    subscription.step(stream, now, limits)
                }
                Ok((stream, _)) => {
                    SubscriptionStep::Failed(super::stream::not_found(&stream.name, &stream.account))
                }
                Err(error) => SubscriptionStep::Failed(error),
            },
        };
        if matches!(step, SubscriptionStep::Event(_) | SubscriptionStep::Wait { .. }) {
            self.subscriptions.insert(id, subscription);
        }
        step
    }

    /// Closes a subscription whose reader went away.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        self.subscriptions.remove(&id);
    }

    /// Ends every open subscription as if its five minutes were over.
    pub fn end_subscriptions(&mut self) {
        for subscription in self.subscriptions.values_mut() {
            subscription.fate = Fate::Ending;
        }
    }

    /// The stream of an open subscription.
    #[must_use]
    pub fn subscribed_stream(&self, id: SubscriptionId) -> Option<&str> {
        self.subscriptions.get(&id).map(|subscription| subscription.stream.as_str())
    }
}

/// Refuses a subscription too soon after the one before, and remembers this one.
fn admit(
    stream: &mut StreamState,
    name: &str,
    shard: u32,
    now: Stamp,
    limits: Limits,
) -> Result<(), KinesisError> {
    let consumer = stream.consumers.get_mut(name).expect("the caller found it");
    match consumer.status {
        ConsumerStatus::Active => {}
        ConsumerStatus::Creating | ConsumerStatus::Deleting => {
            return Err(KinesisError::in_use(format!("Consumer {} is not ACTIVE.", consumer.arn)));
        }
    }
    let before = consumer.subscribed.get(&shard);
    if limits.subscriptions && before.is_some_and(|before| now.since(*before) < SUBSCRIPTION_PAUSE) {
        return Err(another(&consumer.arn));
    }
    consumer.subscribed.insert(shard, now);
    Ok(())
}

fn another(consumer_arn: &str) -> KinesisError {
    KinesisError::in_use(format!("Another active subscription exists for this consumer: {consumer_arn}"))
}

impl Subscription {
    fn step(&mut self, stream: &mut StreamState, now: Stamp, limits: Limits) -> SubscriptionStep {
        let encryption = stream.encryption;
        let next_change = stream.next_change();
        let Some(shard) = stream.shard_mut(now, self.shard) else {
            return SubscriptionStep::Failed(KinesisError::not_found(format!(
                "Shard {} in stream {} does not exist",
                shardflow_core::ShardId::numbered(self.shard.into()),
                self.stream
            )));
        };
        let unread = self.position < shard.end();
        let paced = limits.fan_out && !self.pace.has_any(now);
        if unread && !paced {
            let batch = Batch::read(shard, now, self.position, EVENT_RECORDS, EVENT_BYTES);
            self.pace.take(batch.bytes);
            self.position = batch.next;
            self.last_event = now;
            return SubscriptionStep::Event(SubscribeToShardEvent {
                continuation: batch.records.last().map(|record| record.sequence),
                records: batch.records,
                millis_behind_latest: batch.millis_behind,
                child_shards: None,
                encryption,
            });
        }
        let behind = if unread { self.unread_age(shard, now) } else { 0 };
        if !unread && !shard.is_open() {
            self.fate = Fate::Ending;
            let number = self.shard;
            let ended = stream.shard_ever(number).map(|shard| ChildShard::all_of(shard, stream));
            return SubscriptionStep::Event(SubscribeToShardEvent {
                records: Vec::new(),
                continuation: None,
                millis_behind_latest: 0,
                child_shards: ended,
                encryption,
            });
        }
        let heartbeat = self.last_event.plus(HEARTBEAT);
        if heartbeat <= now {
            self.last_event = now;
            return SubscriptionStep::Event(SubscribeToShardEvent {
                records: Vec::new(),
                continuation: Some(shard.sequence_before(self.position)),
                millis_behind_latest: behind,
                child_shards: None,
                encryption,
            });
        }
        let pace = unread.then(|| self.pace.next(now));
        let end = limits.subscriptions.then(|| self.opened.plus(SUBSCRIPTION_LIFE));
        let until = [pace, end, next_change].into_iter().flatten().fold(heartbeat, Stamp::min);
        SubscriptionStep::Wait { until: until.time() }
    }

    fn unread_age(&self, shard: &super::shard::ShardState, now: Stamp) -> u64 {
        let arrival = shard.read(self.position).next().map_or(now, |(_, record)| record.arrival);
        u64::try_from(now.since(arrival).as_millis()).unwrap_or(u64::MAX).max(1)
    }
}
