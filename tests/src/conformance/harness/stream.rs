//! A stream of a check's own.

use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::operation::create_stream::builders::CreateStreamFluentBuilder;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    ChildShard, PutRecordsRequestEntry, Record, ScalingType, ShardFilter, ShardIteratorType,
    StreamDescriptionSummary, StreamStatus,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shardflow_core::{HashKey, SequenceNumber, Shard, ShardId, ShardPosition};

use super::{Consumer, Context, ensure, same, told};

/// A stream of a check's own, deleted when the check is over.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    pub(super) context: &'a Context,
    /// Its name.
    pub(crate) name: String,
    /// Its ARN.
    pub(crate) arn: String,
}

/// Where a record went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Placed {
    pub(crate) shard: ShardId,
    pub(crate) sequence: SequenceNumber,
}

/// A shard that was read as far as it goes.
#[derive(Debug)]
pub(crate) struct Drained {
    pub(crate) records: Vec<Record>,
    /// What the last answer said of the shards that follow; none while the shard is open.
    pub(crate) children: Option<Vec<ChildShard>>,
}

impl Context {
    /// Creates a provisioned stream and waits until it is ACTIVE.
    pub(crate) async fn stream(&self, shards: i32) -> Result<Stream<'_>, String> {
        self.stream_with(|create| create.shard_count(shards)).await
    }

    /// Creates a stream and waits until it is ACTIVE.
    pub(crate) async fn stream_with(
        &self,
        with: impl FnOnce(CreateStreamFluentBuilder) -> CreateStreamFluentBuilder,
    ) -> Result<Stream<'_>, String> {
        let name = self.stream_name();
        with(self.kinesis.create_stream().stream_name(&name)).send().await.map_err(told)?;
        let mut stream = Stream { context: self, name, arn: String::new() };
        stream.arn = stream.active().await?.stream_arn;
        Ok(stream)
    }
}

impl<'a> Stream<'a> {
    /// What the stream says of itself.
    pub(crate) async fn summary(&self) -> Result<StreamDescriptionSummary, String> {
        let call = self.context.kinesis.describe_stream_summary().stream_name(&self.name);
        let answer = call.send().await.map_err(told)?;
        answer.stream_description_summary.ok_or_else(|| "an answer without a summary".to_owned())
    }

    /// Waits until it is ACTIVE.
    pub(crate) async fn active(&self) -> Result<StreamDescriptionSummary, String> {
        let mut tries = self.context.tries(format!("{} to be ACTIVE", self.name));
        loop {
            let summary = self.summary().await?;
            if summary.stream_status == StreamStatus::Active {
                return Ok(summary);
            }
            tries.again().await?;
        }
    }

    /// All its shards, in the order in which they are listed.
    pub(crate) async fn shards(&self) -> Result<Vec<Shard>, String> {
        self.shards_with(None).await
    }

    /// The shards that a filter lets through.
    pub(crate) async fn shards_with(&self, filter: Option<ShardFilter>) -> Result<Vec<Shard>, String> {
        let kinesis = &self.context.kinesis;
        let mut shards = Vec::new();
        let mut call = kinesis.list_shards().stream_name(&self.name).set_shard_filter(filter);
        loop {
            let page = call.send().await.map_err(told)?;
            for shard in page.shards.unwrap_or_default() {
                shards.push(shardflow_sdk::shard(shard).map_err(|error| error.to_string())?);
            }
            match page.next_token {
                Some(token) => call = kinesis.list_shards().next_token(token),
                None => return Ok(shards),
            }
        }
    }

    /// Its open shards, by hash key.
    pub(crate) async fn open_shards(&self) -> Result<Vec<Shard>, String> {
        let mut shards = self.shards().await?;
        shards.retain(Shard::is_open);
        shards.sort_by_key(|shard| shard.hash_key_range.start());
        Ok(shards)
    }

    /// The shard of a stream that has one.
    pub(crate) async fn only_shard(&self) -> Result<ShardId, String> {
        let shards = self.shards().await?;
        same("shards", shards.len(), 1)?;
        Ok(ShardId::clone(&shards[0].id))
    }

    /// Writes a record.
    pub(crate) async fn put(&self, key: &str, data: impl Into<Vec<u8>>) -> Result<Placed, String> {
        self.put_at(key, None, data).await
    }

    /// Writes a record under an explicit hash key, if there is one.
    pub(crate) async fn put_at(
        &self,
        key: &str,
        explicit: Option<HashKey>,
        data: impl Into<Vec<u8>>,
    ) -> Result<Placed, String> {
        let data = Blob::new(data);
        let mut tries = self.context.tries("a shard to take a record");
        loop {
            let put = self.context.kinesis.put_record().stream_name(&self.name).partition_key(key);
            let put = put.set_explicit_hash_key(explicit.map(|key| key.to_string())).data(data.clone());
            match put.send().await {
                Ok(answer) => return Placed::at(&answer.shard_id, &answer.sequence_number),
                Err(error) if is_throttle(&error) => tries.after(A_SECOND).await?,
                Err(error) => return Err(told(error)),
            }
        }
    }

    /// Writes records in one request, all of which must be taken.
    pub(crate) async fn put_all(&self, entries: Vec<PutRecordsRequestEntry>) -> Result<Vec<Placed>, String> {
        let count = entries.len();
        let put = self.context.kinesis.put_records().stream_name(&self.name).set_records(Some(entries));
        let answer = put.send().await.map_err(told)?;
        same("FailedRecordCount", answer.failed_record_count, Some(0))?;
        same("results", answer.records.len(), count)?;
        answer
            .records
            .iter()
            .map(|result| {
                Placed::at(
                    result.shard_id().unwrap_or_default(),
                    result.sequence_number().unwrap_or_default(),
                )
            })
            .collect()
    }

    /// An iterator to a place in a shard.
    pub(crate) async fn iterator(&self, shard: &ShardId, at: ShardPosition) -> Result<String, String> {
        let call = self.context.kinesis.get_shard_iterator().stream_name(&self.name);
        let call = call.shard_id(shard.as_str());
        let call = match at {
            ShardPosition::TrimHorizon => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
            ShardPosition::Latest => call.shard_iterator_type(ShardIteratorType::Latest),
            ShardPosition::AtTimestamp(time) => {
                call.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from(time))
            }
            ShardPosition::AtSequenceNumber(number) => call
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(number.as_str()),
            ShardPosition::AfterSequenceNumber(number) => call
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(number.as_str()),
        };
        let answer = call.send().await.map_err(told)?;
        answer.shard_iterator.ok_or_else(|| "an answer without an iterator".to_owned())
    }

    /// Calls GetRecords, again while the shard has given enough for now.
    pub(crate) async fn get(&self, iterator: &str, limit: Option<i32>) -> Result<GetRecordsOutput, String> {
        let mut tries = self.context.tries("a shard to give records");
        loop {
            let call = self.context.kinesis.get_records().shard_iterator(iterator).set_limit(limit);
            match call.send().await {
                Ok(answer) => return Ok(answer),
                Err(error) if is_throttle(&error) => tries.after(A_SECOND).await?,
                Err(error) => return Err(told(error)),
            }
        }
    }

    /// Reads a shard from a place to its end, or to the newest record while it is open.
    pub(crate) async fn read(&self, shard: &ShardId, at: ShardPosition) -> Result<Vec<Record>, String> {
        let iterator = self.iterator(shard, at).await?;
        Ok(self.drain(iterator).await?.records)
    }

    /// Reads from an iterator to the end of its shard, or to the newest record while that is open.
    pub(crate) async fn drain(&self, iterator: String) -> Result<Drained, String> {
        let mut drained = Drained { records: Vec::new(), children: None };
        let mut iterator = iterator;
        // An answer may be empty before the end; not often, though, on a shard of a few records.
        for _ in 0..100 {
            let answer = self.get(&iterator, None).await?;
            let nothing = answer.records.is_empty();
            drained.records.extend(answer.records);
            match answer.next_shard_iterator {
                None => {
                    drained.children = Some(answer.child_shards.unwrap_or_default());
                    return Ok(drained);
                }
                Some(_) if nothing && answer.millis_behind_latest.unwrap_or_default() == 0 => {
                    return Ok(drained);
                }
                Some(next) => iterator = next,
            }
        }
        Err("after a hundred GetRecords calls there is still something to read".to_owned())
    }

    /// Splits a shard and waits until that is done.
    pub(crate) async fn split(&self, shard: &ShardId, at: HashKey) -> Result<(), String> {
        let split = self.context.kinesis.split_shard().stream_name(&self.name);
        let split = split.shard_to_split(shard.as_str()).new_starting_hash_key(at.to_string());
        split.send().await.map_err(told)?;
        self.active().await.map(drop)
    }

    /// Splits the shard of a stream that has one in its middle. Gives the children, the lower first.
    pub(crate) async fn split_in_two(&self) -> Result<(ShardId, [ShardId; 2]), String> {
        let parent = self.only_shard().await?;
        self.split(&parent, HashKey(1 << 127)).await?;
        let open = self.open_shards().await?;
        let [lower, upper] = &open[..] else { return Err(format!("{} open shards, not 2", open.len())) };
        Ok((parent, [ShardId::clone(&lower.id), ShardId::clone(&upper.id)]))
    }

    /// Merges two shards, the lower first, and waits until that is done. Gives the child.
    pub(crate) async fn merge(&self, lower: &ShardId, upper: &ShardId) -> Result<ShardId, String> {
        let merge = self.context.kinesis.merge_shards().stream_name(&self.name);
        let merge = merge.shard_to_merge(lower.as_str()).adjacent_shard_to_merge(upper.as_str());
        merge.send().await.map_err(told)?;
        self.active().await?;
        let shards = self.shards().await?;
        let child = shards.into_iter().find(|shard| shard.parents().any(|parent| parent == lower));
        Ok(child.ok_or("the merged shards have no child")?.id)
    }

    /// Sets the number of shards and waits until that is done.
    pub(crate) async fn resize(&self, shards: i32) -> Result<(), String> {
        let update = self.context.kinesis.update_shard_count().stream_name(&self.name);
        let update = update.target_shard_count(shards).scaling_type(ScalingType::UniformScaling);
        let answer = update.send().await.map_err(told)?;
        same("TargetShardCount", answer.target_shard_count, Some(shards))?;
        let summary = self.active().await?;
        same("open shards", summary.open_shard_count, shards)
    }

    /// Registers a consumer and waits until it is ACTIVE.
    pub(crate) async fn consumer(&self) -> Result<Consumer<'a>, String> {
        self.new_consumer().await?.active().await
    }

    /// Registers a consumer, which is not ACTIVE at first.
    pub(crate) async fn new_consumer(&self) -> Result<Consumer<'a>, String> {
        Consumer::register(self).await
    }
}

impl Placed {
    fn at(shard: &str, sequence: &str) -> Result<Self, String> {
        let shard = shard.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { shard, sequence: sequence.parse().map_err(|error| format!("{error}"))? })
    }
}

impl Drained {
    /// The shards that follow. The shard has to be at its end.
    pub(crate) fn ended(&self) -> Result<&[ChildShard], String> {
        let children = self.children.as_deref();
        ensure!(children.is_some(), "the shard does not end: there is a NextShardIterator");
        Ok(children.unwrap_or_default())
    }
}

/// What a shard that has had enough is given before the next try.
const A_SECOND: Duration = Duration::from_secs(1);

/// Whether a call was refused because the shard has had enough for now, as it may be on a server with limits.
fn is_throttle<E: ProvideErrorMetadata, R>(error: &aws_sdk_kinesis::error::SdkError<E, R>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    code == Some("ProvisionedThroughputExceededException")
}

/// When a record arrived.
pub(crate) fn arrival(record: &Record) -> Result<SystemTime, String> {
    let arrival = record.approximate_arrival_timestamp().ok_or("a record without an arrival time")?;
    SystemTime::try_from(*arrival).map_err(|error| error.to_string())
}
