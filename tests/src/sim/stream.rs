//! The stream: the state machine of the embedded service, with the simulation's clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use shardflow_core::{
    HashKey, HashKeyRange, Invalid, LeaseKey, RecordDistribution, SequenceNumber, Shard, ShardId,
};
use shardflow_engine::consume::{self, Delivery, Page, ReadAnswer, ReadRequest};
use shardflow_engine::lease::Tenure;
use shardflow_engine::produce::{self, Description, Placed, PutEntry};
use shardflow_engine::{Failure, RequestId, shards};
use shardflow_local::Config;
use shardflow_local::kinesis::{
    ChildShard, CreateStreamRequest, DescribeStreamSummaryRequest, GetRecordsRequest,
    GetShardIteratorRequest, HashKeyRangeDescription, Kinesis, KinesisError, ListShardsRequest,
    MergeShardsRequest, PutRecordsEntry, PutRecordsRequest, PutRecordsResult, RecordDistributionStrategy,
    RegisterStreamConsumerRequest, ShardDescription, ShardFilter, ShardFilterType, SplitShardRequest,
    StreamMode, StreamModeDetails, SubscribeToShardEvent, SubscribeToShardRequest, SubscriptionId,
    SubscriptionStep, UpdateStreamRecordDistributionStrategyRequest,
};

const NAME: &str = "world";

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    kinesis: Kinesis,
    /// The consumer that all workers subscribe with.
    consumer: Arc<str>,
    subscriptions: BTreeMap<Line, SubscriptionId>,
    /// How long ago all of it is, beyond what has passed in the world: what is older than its retention is gone.
    aged: Duration,
}

/// A subscription as a worker knows it: which worker, in which of its lives, for which lease, and by which request.
pub(super) type Line = (usize, u64, LeaseKey, Tenure, RequestId);

/// An entry that the stream has taken.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) placed: Placed,
    pub(super) entry: PutEntry,
}

/// The time by the wall at which every world begins.
pub(super) fn wall(now: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + now
}

impl Stream {
    /// `on_demand` is what a stream must be to distribute records by itself.
    pub(super) fn new(shards: u32, on_demand: bool) -> Self {
        let stream_mode = if on_demand { StreamMode::OnDemand } else { StreamMode::Provisioned };
        let mut kinesis = Kinesis::new("eu-west-1", &Config::default());
        let create = CreateStreamRequest {
            stream_name: NAME.into(),
            shard_count: Some(shards),
            stream_mode_details: Some(StreamModeDetails { stream_mode }),
            ..CreateStreamRequest::default()
        };
        let long_ago = wall(Duration::ZERO) - Duration::from_secs(60);
        kinesis.create_stream(long_ago, create).expect("a new stream of a few shards");
        let later = long_ago + Duration::from_secs(30);
        let register = RegisterStreamConsumerRequest {
            stream: NAME.into(),
            consumer_name: "workers".into(),
            ..RegisterStreamConsumerRequest::default()
        };
        let registered = kinesis.register_stream_consumer(later, register).expect("a first consumer");
        let consumer = registered.consumer_arn().into();
        Self { kinesis, consumer, subscriptions: BTreeMap::new(), aged: Duration::ZERO }
    }

    /// A day and more passes for it in a moment: everything that it holds leaves retention.
    pub(super) fn age(&mut self) {
        self.aged += Duration::from_secs(25 * 60 * 60);
    }

    fn wall(&self, now: Duration) -> SystemTime {
        wall(now + self.aged)
    }

    /// What a producer must know of it.
    pub(super) fn describe(&mut self, now: Duration) -> produce::Answer {
        let at = self.wall(now);
        let describe = DescribeStreamSummaryRequest { stream: NAME.into() };
        match self.kinesis.describe_stream_summary(at, describe) {
            Ok(answer) => {
                let summary = answer.stream_description_summary;
                let distribution = match summary.record_distribution_strategy {
                    RecordDistributionStrategy::Auto => RecordDistribution::Auto,
                    RecordDistributionStrategy::UserPartitionKey => RecordDistribution::UserPartitionKey,
                };
                let record_bytes = summary.max_record_size_in_kib << 10;
                produce::Answer::Described(Description { distribution, record_bytes })
            }
            Err(error) => produce::Answer::Failed(failure(error)),
        }
    }

    /// Changes who distributes its records, if it can be changed.
    pub(super) fn distribute(&mut self, now: Duration, strategy: RecordDistributionStrategy) {
        let at = self.wall(now);
        let update = UpdateStreamRecordDistributionStrategyRequest {
            stream: NAME.into(),
            record_distribution_strategy: strategy,
        };
        drop(self.kinesis.update_stream_record_distribution_strategy(at, update));
    }

    /// All shards, open and closed.
    pub(super) fn shards(&mut self, now: Duration) -> Vec<Shard> {
        self.list(now, shards::ShardFilter::All).expect("the stream is there and its shards are in order")
    }

    pub(super) fn list(&mut self, now: Duration, filter: shards::ShardFilter) -> Result<Vec<Shard>, Failure> {
        let at = self.wall(now);
        let (kind, timestamp) = match filter {
            shards::ShardFilter::All => (ShardFilterType::FromTrimHorizon, None),
            shards::ShardFilter::AtLatest => (ShardFilterType::AtLatest, None),
            shards::ShardFilter::AtTrimHorizon => (ShardFilterType::AtTrimHorizon, None),
            shards::ShardFilter::AtTimestamp(at) => (ShardFilterType::AtTimestamp, Some(at)),
        };
        let list = ListShardsRequest {
            stream: NAME.into(),
            max_results: Some(10_000),
            shard_filter: Some(ShardFilter { r#type: kind, shard_id: None, timestamp }),
            ..ListShardsRequest::default()
        };
        let listed = self.kinesis.list_shards(at, list).map_err(failure)?;
        listed.shards.into_iter().map(|listed| shard(listed).map_err(unreadable)).collect()
    }

    /// Puts what is not refused. `refuse` is asked for each entry.
    pub(super) fn put(
        &mut self,
        now: Duration,
        entries: Vec<PutEntry>,
        mut refuse: impl FnMut() -> bool,
    ) -> (produce::Answer, Vec<Stored>) {
        let at = self.wall(now);
        let refused: Vec<_> = entries.iter().map(|_| refuse()).collect();
        let taken = entries.iter().zip(&refused).filter(|(_, refused)| !**refused).map(|(entry, _)| {
            PutRecordsEntry {
                data: entry.data.clone(),
                partition_key: entry.partition_key.clone(),
                explicit_hash_key: entry.explicit_hash_key,
            }
        });
        let records: Vec<_> = taken.collect();
        let results = if records.is_empty() {
            Vec::new()
        } else {
            match self.kinesis.put_records(at, PutRecordsRequest { stream: NAME.into(), records }) {
                Ok(answer) => answer.records,
                Err(error) => return (produce::Answer::Failed(failure(error)), Vec::new()),
            }
        };
        let mut results = results.into_iter();
        let mut stored = Vec::new();
        let answers = entries.into_iter().zip(refused).map(|(entry, refused)| {
            if refused {
                return Err(Failure::refused(
                    "ProvisionedThroughputExceededException",
                    "refused by the script",
                ));
            }
            match results.next() {
                Some(PutRecordsResult::Stored { shard, sequence }) => {
                    let sequence_number = sequence.to_string().parse().map_err(unreadable)?;
                    let placed = Placed { shard_id: shard, sequence_number };
                    stored.push(Stored { placed: placed.clone(), entry });
                    Ok(placed)
                }
                Some(PutRecordsResult::Failed { code, message }) => Err(Failure::refused(code, message)),
                None => Err(Failure::unknown("Unreadable", "a result is missing")),
            }
        });
        let answers = answers.collect();
        (produce::Answer::Put(answers), stored)
    }

    pub(super) fn read(
        &mut self,
        now: Duration,
        line: Line,
        me: &ShardId,
        request: ReadRequest,
    ) -> consume::Answer {
        let at = self.wall(now);
        let answer = match request {
            ReadRequest::OpenIterator(position) => {
                let open =
                    GetShardIteratorRequest { stream: NAME.into(), shard_id: me.to_string(), position };
                let opened = self.kinesis.get_shard_iterator(at, open).map_err(failure);
                opened.map(|answer| ReadAnswer::Iterator { iterator: answer.shard_iterator, asked: at })
            }
            ReadRequest::GetRecords { iterator, limit } => {
                let limit = u32::try_from(limit).ok();
                let read = GetRecordsRequest { shard_iterator: iterator, limit };
                self.kinesis.get_records(at, read).map_err(failure).and_then(|answer| {
                    let children = answer.child_shards.unwrap_or_default().into_iter().map(child);
                    Ok(ReadAnswer::Page(Page {
                        records: answer.records.into_iter().map(Into::into).collect(),
                        next: answer.next_shard_iterator,
                        behind: Duration::from_millis(answer.millis_behind_latest),
                        children: children.collect::<Result<_, _>>().map_err(unreadable)?,
                    }))
                })
            }
            ReadRequest::FindConsumer { .. } => Ok(ReadAnswer::Consumer(Arc::clone(&self.consumer))),
            ReadRequest::Subscribe { consumer, position } => {
                let subscribe = SubscribeToShardRequest {
                    consumer_arn: consumer.to_string(),
                    shard_id: me.to_string(),
                    starting_position: position,
                };
                let opened = self.kinesis.subscribe_to_shard(at, subscribe).map_err(failure);
                opened.map(|id| {
                    self.subscriptions.insert(line, id);
                    ReadAnswer::Subscribed { asked: at }
                })
            }
            ReadRequest::Receive { .. } => Err(Failure::unknown("Unreadable", "see `receive`")),
            ReadRequest::ListShards => self.list(now, shards::ShardFilter::All).map(ReadAnswer::Shards),
        };
        answer.map_or_else(consume::Answer::Failed, consume::Answer::Read)
    }

    /// The next event of a subscription, or how long there is none.
    pub(super) fn receive(&mut self, now: Duration, line: &Line) -> Result<consume::Answer, Duration> {
        let at = self.wall(now);
        let step = match self.subscriptions.get(line) {
            Some(id) => self.kinesis.next_event(at, *id),
            None => SubscriptionStep::End,
        };
        let answer = match step {
            SubscriptionStep::Wait { until } => {
                let wait = until.duration_since(at).unwrap_or_default();
                return Err(wait.clamp(Duration::from_millis(10), Duration::from_millis(500)));
            }
            SubscriptionStep::End => Ok(ReadAnswer::SubscriptionEnded),
            SubscriptionStep::Failed(error) => Err(failure(error)),
            SubscriptionStep::Event(event) => delivery(event).map_err(unreadable),
        };
        Ok(answer.map_or_else(consume::Answer::Failed, consume::Answer::Read))
    }

    /// Splits or merges at random. An attempt that the service refuses is none.
    pub(super) fn reshard(&mut self, now: Duration, rng: &mut Rng, most: usize) {
        let at = self.wall(now);
        let mut open: Vec<_> = self.shards(now).into_iter().filter(Shard::is_open).collect();
        open.sort_by_key(|shard| shard.hash_key_range);
        let chosen = rng.usize(..open.len());
        if open.len() < most && (open.len() == 1 || rng.bool()) {
            let range = open[chosen].hash_key_range;
            let middle = range.start().0 + (range.end().0 - range.start().0) / 2;
            let split = SplitShardRequest {
                stream: NAME.into(),
                shard_to_split: open[chosen].id.to_string(),
                new_starting_hash_key: middle.to_string(),
            };
            drop(self.kinesis.split_shard(at, split));
        } else if open.len() > 1 {
            let chosen = chosen.min(open.len() - 2);
            let merge = MergeShardsRequest {
                stream: NAME.into(),
                shard_to_merge: open[chosen].id.to_string(),
                adjacent_shard_to_merge: open[chosen + 1].id.to_string(),
            };
            drop(self.kinesis.merge_shards(at, merge));
        }
    }

    /// Ends all subscriptions as the service does after five minutes.
    pub(super) fn end_subscriptions(&mut self) {
        self.kinesis.end_subscriptions();
    }

    pub(super) fn expire_iterators(&mut self) {
        self.kinesis.expire_iterators();
    }
}

fn failure(error: KinesisError) -> Failure {
    Failure::refused(error.code().as_str(), error.message())
}

fn unreadable(error: Invalid) -> Failure {
    Failure::unknown("Unreadable", error.to_string())
}

fn range(text: &HashKeyRangeDescription) -> Result<HashKeyRange, Invalid> {
    let key = |text: &str| text.parse::<HashKey>();
    HashKeyRange::new(key(&text.starting_hash_key)?, key(&text.ending_hash_key)?)
}

fn shard(listed: ShardDescription) -> Result<Shard, Invalid> {
    let mut shard = Shard::new(listed.shard_id.parse()?, range(&listed.hash_key_range)?);
    shard.parent = listed.parent_shard_id.map(|id| id.parse()).transpose()?;
    shard.adjacent_parent = listed.adjacent_parent_shard_id.map(|id| id.parse()).transpose()?;
    let numbers = listed.sequence_number_range;
    let number = |text: String| text.parse::<SequenceNumber>();
    shard.starting_sequence_number = Some(number(numbers.starting_sequence_number)?);
    shard.ending_sequence_number = numbers.ending_sequence_number.map(number).transpose()?;
    Ok(shard)
}

fn delivery(event: SubscribeToShardEvent) -> Result<ReadAnswer, Invalid> {
    let continuation = event.continuation.map(|number| number.to_string().parse()).transpose()?;
    let children = event.child_shards.unwrap_or_default().into_iter().map(child);
    Ok(ReadAnswer::Delivered(Delivery {
        records: event.records.into_iter().map(Into::into).collect(),
        continuation,
        behind: Duration::from_millis(event.millis_behind_latest),
        children: children.collect::<Result<_, _>>()?,
    }))
}

fn child(child: ChildShard) -> Result<Shard, Invalid> {
    let mut shard = Shard::new(child.shard_id.parse()?, range(&child.hash_key_range)?);
    let mut parents = child.parent_shards.into_iter();
    shard.parent = parents.next().map(|id| id.parse()).transpose()?;
    shard.adjacent_parent = parents.next().map(|id| id.parse()).transpose()?;
    Ok(shard)
}
