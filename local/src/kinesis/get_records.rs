//! GetRecords: the hot path of reading.

use std::time::SystemTime;

use bytes::Bytes;
use serde::Deserialize;
use shardflow_core::limits::{GET_RECORDS_BYTES, GET_RECORDS_RECORDS};
use shardflow_core::{KinesisRecord, PartitionKey};

use super::error::{ErrorCode, KinesisError};
use super::get_shard_iterator::ShardIterator;
use super::put_records::rate_exceeded;
use super::sequence::Sequence;
use super::shapes::{ChildShard, EncryptionType};
use super::shard::{ShardState, StoredRecord};
use super::stamp::Stamp;
use super::{Kinesis, request};

/// What GetRecords takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetRecordsRequest {
    /// Where to read, from GetShardIterator or the answer before.
    pub shard_iterator: String,
    /// Most records of the answer: 10,000 when absent.
    pub limit: Option<u32>,
}

/// What GetRecords answers.
#[derive(Clone, Debug)]
pub struct GetRecordsResponse {
    /// Records in order: at most `limit`, and at most 10 MiB of them unless the first alone is larger.
    pub records: Vec<ReadRecord>,
    /// Where to go on; absent once a closed shard is read to its end.
    pub next_shard_iterator: Option<String>,
    /// How far this answer ends behind the newest record; 0 only if there is nothing more to read.
    pub millis_behind_latest: u64,
    /// The shards that go on where this one ended. Present with the last answer of a closed shard only.
    pub child_shards: Option<Vec<ChildShard>>,
    /// Whether the stream says that it encrypts.
    pub encryption: EncryptionType,
}

/// One record as it is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadRecord {
    /// Its number.
    pub sequence: Sequence,
    /// When it arrived.
    pub arrival: SystemTime,
    /// Its partition key, if it was written with one.
    pub partition_key: Option<PartitionKey>,
    /// Its data.
    pub data: Bytes,
}

impl ReadRecord {
    pub(super) fn of((sequence, record): (Sequence, &StoredRecord)) -> Self {
        Self {
            sequence,
            arrival: record.arrival.time(),
            partition_key: record.partition_key.clone(),
            data: record.data.clone(),
        }
    }
}

impl From<ReadRecord> for KinesisRecord {
    fn from(record: ReadRecord) -> Self {
        Self {
            sequence_number: record.sequence.into(),
            partition_key: record.partition_key,
            data: record.data,
            approximate_arrival: Some(record.arrival),
        }
    }
}

impl Kinesis {
    /// Reads records from where an iterator stands.
    ///
    /// # Errors
    ///
    /// When the iterator is garbage (`InvalidArgument`) or too old (`ExpiredIterator`), the stream or shard is gone
    /// (`ResourceNotFound`), or the shard has given enough for now (`ProvisionedThroughputExceeded`).
    #[expect(clippy::missing_panics_doc, reason = "it cannot: what was just found is there")]
    pub fn get_records(
        &mut self,
        now: SystemTime,
        get: GetRecordsRequest,
    ) -> Result<GetRecordsResponse, KinesisError> {
        let (now, limits, generation) = (Stamp::of(now), self.limits, self.iterator_generation);
        let most = request::page_size(get.limit, GET_RECORDS_RECORDS, "limit")?;
        let iterator = ShardIterator::open(&get.shard_iterator)?;
        let stream = self.stream_named(now, &iterator.stream)?;
        stream.require_usable()?;
        let missing = KinesisError::not_found(format!(
            "Shard {} in stream {} under account {} does not exist",
            shardflow_core::ShardId::numbered(iterator.shard.into()),
            stream.name,
            stream.account
        ));
        if iterator.incarnation != stream.incarnation {
            return Err(missing);
        }
        iterator.require_fresh(now, generation, limits.expiry)?;
        let Some(shard) = stream.shard_mut(now, iterator.shard) else { return Err(missing) };
        if limits.reads {
            if !shard.reads.admits(now, 1) || !shard.read_bytes.has_any(now) {
                let id = shard.id.clone();
                let message = rate_exceeded(stream, &id);
                return Err(KinesisError::new(ErrorCode::ProvisionedThroughputExceeded, message));
            }
            shard.reads.take(1);
        }

        let batch = Batch::read(shard, now, iterator.position, most, GET_RECORDS_BYTES);
        shard.read_bytes.take(batch.bytes);
        let shard = stream.shard(now, iterator.shard).expect("it was just read");
        let ended = !shard.is_open() && batch.next == shard.end();
        Ok(GetRecordsResponse {
            records: batch.records,
            next_shard_iterator: (!ended).then(|| iterator.advanced(batch.next, now).seal()),
            millis_behind_latest: batch.millis_behind,
            child_shards: ended.then(|| ChildShard::all_of(shard, stream)),
            encryption: stream.encryption,
        })
    }
}

/// Records read at one go.
pub(super) struct Batch {
    pub(super) records: Vec<ReadRecord>,
    pub(super) bytes: usize,
    /// The position behind them.
    pub(super) next: u64,
    pub(super) millis_behind: u64,
}

impl Batch {
    /// Reads at most so many records and bytes, but the first record whatever its size.
    pub(super) fn read(shard: &ShardState, now: Stamp, position: u64, records: usize, bytes: usize) -> Self {
        let start = position.max(shard.start());
        let mut batch = Self { records: Vec::new(), bytes: 0, next: start, millis_behind: 0 };
        for found in shard.read(start) {
            let size = found.1.size();
            if batch.records.len() == records || (batch.bytes + size > bytes && !batch.records.is_empty()) {
                // At least one: 0 means that there is nothing more.
                let behind = now.since(found.1.arrival).as_millis();
                batch.millis_behind = u64::try_from(behind).unwrap_or(u64::MAX).max(1);
                break;
            }
            batch.bytes += size;
            batch.records.push(ReadRecord::of(found));
        }
        batch.next += batch.records.len() as u64;
        batch
    }
}
