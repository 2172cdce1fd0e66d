//! The machine under a time of the tests' own.

mod consumers;
mod iterators;
mod listing;
mod reading;
mod resharding;
mod settings;
mod streams;
mod subscriptions;
mod writing;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use shardflow_core::{HashKey, PartitionKey, ShardId, ShardPosition};

use super::*;
use crate::Config;

/// One region, and what time it is there.
struct World {
    kinesis: Kinesis,
    now: SystemTime,
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn unthrottled() -> Self {
        Self::with(Config::default().limits(Limits::unthrottled()))
    }

    fn with(config: Config) -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Self { kinesis: Kinesis::new("eu-west-1", &config), now }
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn pass_hours(&mut self, hours: u64) {
        self.now += Duration::from_secs(hours * 3600);
    }

    /// Creates a stream, and waits for it.
    fn create(&mut self, name: &str, shards: u32) {
        self.create_as(CreateStreamRequest {
            stream_name: name.to_owned(),
            shard_count: Some(shards),
            ..CreateStreamRequest::default()
        });
    }

    fn create_on_demand(&mut self, name: &str) {
        let details = StreamModeDetails { stream_mode: StreamMode::OnDemand };
        self.create_as(CreateStreamRequest {
            stream_name: name.to_owned(),
            stream_mode_details: Some(details),
            ..CreateStreamRequest::default()
        });
    }

    fn create_as(&mut self, create: CreateStreamRequest) {
        self.kinesis.create_stream(self.now, create).unwrap();
        self.pass(50);
    }

    /// Writes a record to the shard that owns a hash key. Gives the shard's number and the record's.
    fn put_at(&mut self, stream: &str, hash_key: HashKey, data: &str) -> (ShardId, Sequence) {
        let mut entry = entry("k", data.to_owned());
        entry.explicit_hash_key = Some(hash_key);
        self.put_entry(stream, entry)
    }

    fn put(&mut self, stream: &str, key: &str, data: &str) -> (ShardId, Sequence) {
        self.put_entry(stream, entry(key, data.to_owned()))
    }

    fn put_entry(&mut self, stream: &str, entry: PutRecordsEntry) -> (ShardId, Sequence) {
        let answer = self.put_all(stream, vec![entry]).unwrap();
        match &answer.records[..] {
            [PutRecordsResult::Stored { shard, sequence }] => (shard.clone(), *sequence),
            other => panic!("{other:?}"),
        }
    }

    fn put_all(
        &mut self,
        stream: &str,
        records: Vec<PutRecordsEntry>,
    ) -> Result<PutRecordsResponse, KinesisError> {
        self.kinesis.put_records(self.now, PutRecordsRequest { stream: stream.into(), records })
    }

    fn iterator(
        &mut self,
        stream: &str,
        shard: u64,
        position: ShardPosition,
    ) -> Result<String, KinesisError> {
        let shard_id = ShardId::numbered(shard).to_string();
        let get = GetShardIteratorRequest { stream: stream.into(), shard_id, position };
        self.kinesis.get_shard_iterator(self.now, get).map(|answer| answer.shard_iterator)
    }

    fn read(&mut self, iterator: &str, limit: Option<u32>) -> Result<GetRecordsResponse, KinesisError> {
        self.kinesis.get_records(self.now, GetRecordsRequest { shard_iterator: iterator.to_owned(), limit })
    }

    /// The data from a position on, in one answer.
    fn data_from(&mut self, stream: &str, shard: u64, position: ShardPosition) -> Vec<String> {
        let iterator = self.iterator(stream, shard, position).unwrap();
        data(&self.read(&iterator, None).unwrap())
    }

    fn split(&mut self, stream: &str, shard: u64, at: HashKey) -> Result<(), KinesisError> {
        let split = SplitShardRequest {
            stream: stream.into(),
            shard_to_split: ShardId::numbered(shard).to_string(),
            new_starting_hash_key: at.to_string(),
        };
        self.kinesis.split_shard(self.now, split).map(|_| ())
    }

    fn merge(&mut self, stream: &str, lower: u64, upper: u64) -> Result<(), KinesisError> {
        let merge = MergeShardsRequest {
            stream: stream.into(),
            shard_to_merge: ShardId::numbered(lower).to_string(),
            adjacent_shard_to_merge: ShardId::numbered(upper).to_string(),
        };
        self.kinesis.merge_shards(self.now, merge).map(|_| ())
    }

    fn resize(&mut self, stream: &str, target: u32) -> Result<UpdateShardCountResponse, KinesisError> {
        let update = UpdateShardCountRequest { stream: stream.into(), target_shard_count: target };
        self.kinesis.update_shard_count(self.now, update)
    }

    fn shards(&mut self, stream: &str) -> Vec<ShardDescription> {
        let list = ListShardsRequest { stream: stream.into(), ..ListShardsRequest::default() };
        self.kinesis.list_shards(self.now, list).unwrap().shards
    }

    fn summary(&mut self, stream: &str) -> Result<StreamDescriptionSummary, KinesisError> {
        let describe = DescribeStreamSummaryRequest { stream: stream.into() };
        let answer = self.kinesis.describe_stream_summary(self.now, describe)?;
        Ok(answer.stream_description_summary)
    }

    fn delete(&mut self, stream: &str, enforce: bool) -> Result<(), KinesisError> {
        let delete = DeleteStreamRequest { stream: stream.into(), enforce_consumer_deletion: Some(enforce) };
        self.kinesis.delete_stream(self.now, delete).map(|_| ())
    }
}

fn entry(key: &str, data: impl Into<Bytes>) -> PutRecordsEntry {
    PutRecordsEntry::new(PartitionKey::as_written(Bytes::copy_from_slice(key.as_bytes())), data)
}

fn data(answer: &GetRecordsResponse) -> Vec<String> {
    answer.records.iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect()
}

/// The numbers of shards, which say all in a test.
fn numbers(shards: &[ShardDescription]) -> Vec<u64> {
    shards.iter().map(|shard| number(&shard.shard_id)).collect()
}

fn number(id: &str) -> u64 {
    id.strip_prefix("shardId-").unwrap().parse().unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, KinesisError>) -> ErrorCode {
    result.unwrap_err().code()
}

const MIDDLE: HashKey = HashKey(1 << 127);
