//! Carrying requests to Kinesis out with the AWS SDK.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{
    self, ChildShard, ShardFilter, ShardFilterType, ShardIteratorType, StartingPosition,
    SubscribeToShardEvent,
};
use bytes::Bytes;
use shardflow_core::{
    HashKeyRange, Invalid, KinesisRecord, PartitionKey, Shard, ShardId, ShardPosition, Stream, StreamArn,
    StreamIdentifier,
};
use shardflow_engine::Failure;
use shardflow_engine::consume::{Delivery, Page, ReadAnswer};
use shardflow_engine::shards;
use shardflow_sdk::{bounded, classify, kinesis, list_shards, unreadable};

use crate::Retrieval;
use crate::fan_out::{ConsumerFinder, Events};
use crate::page::Body;

/// The service, as far as a consumer needs it. Every call ends within the time-out.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    kinesis: aws_sdk_kinesis::Client,
    stream: Stream,
    timeout: Duration,
    finder: Option<Arc<ConsumerFinder>>,
}

impl Client {
    pub(crate) fn new(client: &aws_sdk_kinesis::Client, stream: Stream, timeout: Duration) -> Self {
        Self::through(kinesis(client, timeout), stream, timeout)
    }

    /// By a client of the SDK that has the time-outs already.
    pub(crate) fn through(kinesis: aws_sdk_kinesis::Client, stream: Stream, timeout: Duration) -> Self {
        Self { kinesis, stream, timeout, finder: None }
    }

    /// The stream that it asks about.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The same, able to subscribe. `application` is what a consumer without a name of its own is called.
    pub(crate) fn retrieving(mut self, retrieval: &Retrieval, application: Option<&str>) -> Self {
        let (kinesis, stream) = (self.kinesis.clone(), self.stream.clone());
        self.finder =
            ConsumerFinder::new(kinesis, stream, self.timeout, retrieval, application).map(Arc::new);
        self
    }

    /// Finds out which stream it is, and its ARN.
    pub(crate) async fn describe(&self) -> Result<(StreamIdentifier, StreamArn), Failure> {
        let call = self.kinesis.describe_stream_summary();
        let call = match &self.stream {
            Stream::Name(name) => call.stream_name(name.as_str()),
            Stream::Arn(arn) => call.stream_arn(arn.as_str()),
        };
        let sent = async { call.send().await.map_err(|error| classify(&error)) };
        let summary = bounded(self.timeout, sent).await?.stream_description_summary;
        let summary = summary.ok_or_else(|| Failure::unknown("Unreadable", "an answer without a stream"))?;
        let arn: StreamArn = summary.stream_arn.parse().map_err(|error| unreadable(&error))?;
        let created = u64::try_from(summary.stream_creation_timestamp.secs()).unwrap_or_default();
        let identifier = StreamIdentifier::new(arn.account(), arn.name(), created);
        Ok((identifier.map_err(|error| unreadable(&error))?, arn))
    }

    pub(crate) async fn list_shards(&self, filter: shards::ShardFilter) -> Result<Vec<Shard>, Failure> {
        let (kind, at) = match filter {
            shards::ShardFilter::All => {
                return list_shards(&self.kinesis, &self.stream, None, self.timeout).await;
            }
            shards::ShardFilter::AtLatest => (ShardFilterType::AtLatest, None),
            shards::ShardFilter::AtTrimHorizon => (ShardFilterType::AtTrimHorizon, None),
            shards::ShardFilter::AtTimestamp(at) => (ShardFilterType::AtTimestamp, Some(DateTime::from(at))),
        };
        let filter = ShardFilter::builder().r#type(kind).set_timestamp(at).build();
        let filter = filter.map_err(|error| Failure::refused("NotSent", error.to_string()))?;
        list_shards(&self.kinesis, &self.stream, Some(filter), self.timeout).await
    }

    pub(crate) async fn open_iterator(
        &self,
        shard: &ShardId,
        position: ShardPosition,
    ) -> Result<String, Failure> {
        let call = self.kinesis.get_shard_iterator().shard_id(shard.as_str());
        let call = match &self.stream {
            Stream::Name(name) => call.stream_name(name.as_str()),
            Stream::Arn(arn) => call.stream_arn(arn.as_str()),
        };
        let call = match position {
            ShardPosition::TrimHorizon => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
            ShardPosition::Latest => call.shard_iterator_type(ShardIteratorType::Latest),
            ShardPosition::AtTimestamp(at) => {
                call.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from(at))
            }
            ShardPosition::AtSequenceNumber(number) => call
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(number.as_str()),
            ShardPosition::AfterSequenceNumber(number) => call
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(number.as_str()),
        };
        let sent = async { call.send().await.map_err(|error| classify(&error)) };
        let iterator = bounded(self.timeout, sent).await?.shard_iterator;
        iterator.ok_or_else(|| Failure::unknown("Unreadable", "an answer without an iterator"))
    }

    pub(crate) async fn get_records(&self, iterator: String, limit: usize) -> Result<Page, Failure> {
        let call = self
            .kinesis
            .get_records()
            .shard_iterator(iterator)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        // Across accounts the iterator alone does not say whose stream it is.
        let call = call.set_stream_arn(self.stream.arn().map(ToString::to_string));
        let body = Body::default();
        let call = call.customize().interceptor(body.clone());
        let read = async {
            let answer = call.send().await.map_err(|error| classify(&error))?;
            match body.read().await {
                Some(page) => page,
                None => page(answer).map_err(|error| unreadable(&error)),
            }
        };
        bounded(self.timeout, read).await
    }
}

impl Client {
    /// Opens a subscription.
    pub(crate) async fn subscribe(
        &self,
        consumer_arn: &str,
        shard: &ShardId,
        position: ShardPosition,
    ) -> Result<Events, Failure> {
        let at = StartingPosition::builder();
        let at = match position {
            ShardPosition::TrimHorizon => at.r#type(ShardIteratorType::TrimHorizon),
            ShardPosition::Latest => at.r#type(ShardIteratorType::Latest),
            ShardPosition::AtTimestamp(time) => {
                at.r#type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from(time))
            }
            ShardPosition::AtSequenceNumber(number) => {
                at.r#type(ShardIteratorType::AtSequenceNumber).sequence_number(number.as_str())
            }
            ShardPosition::AfterSequenceNumber(number) => {
                at.r#type(ShardIteratorType::AfterSequenceNumber).sequence_number(number.as_str())
            }
        };
        let at = at.build().map_err(|error| Failure::refused("NotSent", error.to_string()))?;
        let call = self.kinesis.subscribe_to_shard().consumer_arn(consumer_arn).shard_id(shard.as_str());
        let sent = async { call.starting_position(at).send().await.map_err(|error| classify(&error)) };
        Ok(bounded(self.timeout, sent).await?.event_stream)
    }

    /// Finds the consumer that subscribes.
    pub(crate) async fn find_consumer(&self, gone: Option<Arc<str>>) -> Result<ReadAnswer, Failure> {
        match &self.finder {
            Some(finder) => finder.find(gone).await,
            None => Ok(ReadAnswer::NoConsumer { reason: "it was not asked for".to_owned() }),
        }
    }
}

pub(crate) fn delivery(event: SubscribeToShardEvent) -> Result<Delivery, Invalid> {
    // What is absent at the end of the shard is an empty text to the SDK.
    let continuation = Some(event.continuation_sequence_number).filter(|number| !number.is_empty());
    Ok(Delivery {
        records: event.records.into_iter().map(record).collect::<Result<_, _>>()?,
        continuation: continuation.map(|number| number.parse()).transpose()?,
        behind: Duration::from_millis(u64::try_from(event.millis_behind_latest).unwrap_or_default()),
        children: event.child_shards.unwrap_or_default().into_iter().map(child).collect::<Result<_, _>>()?,
    })
}

fn page(answer: GetRecordsOutput) -> Result<Page, Invalid> {
    let behind =
        answer.millis_behind_latest.and_then(|millis| u64::try_from(millis).ok()).unwrap_or_default();
    Ok(Page {
        records: answer.records.into_iter().map(record).collect::<Result<_, _>>()?,
        next: answer.next_shard_iterator.filter(|next| !next.is_empty()),
        behind: Duration::from_millis(behind),
        children: answer.child_shards.unwrap_or_default().into_iter().map(child).collect::<Result<_, _>>()?,
    })
}

fn record(record: types::Record) -> Result<KinesisRecord, Invalid> {
    // Where the service distributes records by itself there need be no key.
    let key = record.partition_key.filter(|key| !key.is_empty());
    Ok(KinesisRecord {
        sequence_number: record.sequence_number.parse()?,
        partition_key: key.map(|key| PartitionKey::as_written(Bytes::from(key))),
        data: record.data.into_inner().into(),
        approximate_arrival: record
            .approximate_arrival_timestamp
            .and_then(|at| SystemTime::try_from(at).ok()),
    })
}

fn child(child: ChildShard) -> Result<Shard, Invalid> {
    let range = child.hash_key_range.map(|range| (range.starting_hash_key, range.ending_hash_key));
    let (start, end) = range.unwrap_or_default();
    let mut shard = Shard::new(child.shard_id.parse()?, HashKeyRange::new(start.parse()?, end.parse()?)?);
    let mut parents = child.parent_shards.into_iter();
    shard.parent = parents.next().map(|id| id.parse()).transpose()?;
    shard.adjacent_parent = parents.next().map(|id| id.parse()).transpose()?;
    Ok(shard)
}
