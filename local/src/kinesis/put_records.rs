//! PutRecords: the hot path of writing.

use std::time::SystemTime;

use bytes::Bytes;
use shardflow_core::limits::{PARTITION_KEY_CHARS, PUT_RECORDS_BYTES, PUT_RECORDS_ENTRIES, RECORD_BYTES_MAX};
use shardflow_core::{HashKey, PartitionKey, ShardId};

use super::Kinesis;
use super::error::{ErrorCode, KinesisError};
use super::limits::Limits;
use super::sequence::Sequence;
use super::shapes::{EncryptionType, RecordDistributionStrategy, StreamRef};
use super::stamp::Stamp;
use super::stream::StreamState;

/// What PutRecords takes.
#[derive(Clone, Debug, Default)]
pub struct PutRecordsRequest {
    /// The stream.
    pub stream: StreamRef,
    /// The records, at most 500.
    pub records: Vec<PutRecordsEntry>,
}

/// One record to write.
#[derive(Clone, Debug)]
pub struct PutRecordsEntry {
    /// Its data.
    pub data: Bytes,
    /// Its partition key. Only a stream that distributes records by itself takes one without.
    pub partition_key: Option<PartitionKey>,
    /// The hash key that decides its shard, instead of the partition key's.
    pub explicit_hash_key: Option<HashKey>,
}

impl PutRecordsEntry {
    /// A record under a partition key.
    pub fn new(partition_key: PartitionKey, data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), partition_key: Some(partition_key), explicit_hash_key: None }
    }

    pub(super) fn size(&self) -> usize {
        self.data.len() + self.partition_key.as_ref().map_or(0, |key| key.as_bytes().len())
    }
}

/// What PutRecords answers.
#[derive(Clone, Debug)]
pub struct PutRecordsResponse {
    /// What became of each record, in the order of the request.
    pub records: Vec<PutRecordsResult>,
    /// Whether the stream says that it encrypts.
    pub encryption: EncryptionType,
}

/// What became of one record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PutRecordsResult {
    /// It is stored.
    Stored {
        /// Where.
        shard: ShardId,
        /// Its number there.
        sequence: Sequence,
    },
    /// It is not, and may be sent again.
    Failed {
        /// The service's code for it.
        code: String,
        /// Words to go with it.
        message: String,
    },
}

impl PutRecordsResponse {
    /// Records that are not stored.
    #[must_use]
    pub fn failed_record_count(&self) -> usize {
        self.records.iter().filter(|record| matches!(record, PutRecordsResult::Failed { .. })).count()
    }
}

impl Kinesis {
    /// Writes records. Each is stored or throttled by itself.
    ///
    /// # Errors
    ///
    /// When nothing is stored: there is no such stream that takes records (`ResourceNotFound`), the request or a record
    /// is too large, or a record lacks its partition key (`Validation`, `InvalidArgument`).
    pub fn put_records(
        &mut self,
        now: SystemTime,
        put: PutRecordsRequest,
    ) -> Result<PutRecordsResponse, KinesisError> {
        let (now, limits) = (Stamp::of(now), self.limits);
        check_request(limits, &put.records)?;
        let stream = self.stream(now, &put.stream)?;
        stream.require_usable()?;
        for entry in &put.records {
            check_entry(stream, limits, entry)?;
        }
        let records = put.records.into_iter().map(|entry| store(stream, now, limits, entry)).collect();
        Ok(PutRecordsResponse { records, encryption: stream.encryption })
    }
}

fn check_request(limits: Limits, entries: &[PutRecordsEntry]) -> Result<(), KinesisError> {
    let rule = match entries.len() {
        0 => "have length greater than or equal to 1",
        count if limits.sizes && count > PUT_RECORDS_ENTRIES => "have length less than or equal to 500",
        _ => {
            let size: usize = entries.iter().map(PutRecordsEntry::size).sum();
            return if limits.sizes && size > PUT_RECORDS_BYTES {
                Err(KinesisError::invalid_argument("Records size exceeds 10 MB limit"))
            } else {
                Ok(())
            };
        }
    };
    Err(KinesisError::constraint(format_args!("[{} entries]", entries.len()), "records", rule))
}

/// Refuses a record that no stream, or not this one, would take.
pub(super) fn check_entry(
    stream: &StreamState,
    limits: Limits,
    entry: &PutRecordsEntry,
) -> Result<(), KinesisError> {
    match &entry.partition_key {
        None if stream.distribution == RecordDistributionStrategy::UserPartitionKey => {
            return Err(KinesisError::missing("partitionKey"));
        }
        None => {}
        Some(key) => check_partition_key(key)?,
    }
    // The key is not counted: AWS refuses by the size of the data alone, though its documentation adds the two.
    let (size, most) = (entry.data.len(), stream.max_record_bytes);
    if !limits.sizes || size <= most {
        Ok(())
    } else if size > RECORD_BYTES_MAX {
        Err(KinesisError::constraint(
            format_args!("[{size} bytes]"),
            "data",
            "have length less than or equal to 10485760",
        ))
    } else {
        Err(KinesisError::invalid_argument(format!(
            "A record of {size} bytes exceeds the maximum record size of {most} bytes of stream {} under account {}.",
            stream.name, stream.account
        )))
    }
}

fn check_partition_key(key: &PartitionKey) -> Result<(), KinesisError> {
    // Bytes bound characters from above: most keys are settled without counting.
    match key.as_bytes().len() {
        0 => Err(KinesisError::constraint("", "partitionKey", "have length greater than or equal to 1")),
        1..=PARTITION_KEY_CHARS => Ok(()),
        _ if key.as_str().chars().count() <= PARTITION_KEY_CHARS => Ok(()),
        _ => Err(KinesisError::constraint(key, "partitionKey", "have length less than or equal to 256")),
    }
}

/// Appends a record to the shard that owns it, unless that shard has taken enough for now.
pub(super) fn store(
    stream: &mut StreamState,
    now: Stamp,
    limits: Limits,
    entry: PutRecordsEntry,
) -> PutRecordsResult {
    let number = match (stream.distribution, entry.explicit_hash_key, &entry.partition_key) {
        (RecordDistributionStrategy::Auto, _, _) | (_, None, None) => stream.next_in_turn(),
        (RecordDistributionStrategy::UserPartitionKey, Some(key), _) => stream.route(key),
        (RecordDistributionStrategy::UserPartitionKey, None, Some(key)) => stream.route(key.hash_key()),
    };
    let shard = stream.shard_mut(now, number).expect("a record is routed to an open shard");
    if limits.writes {
        let size = entry.size();
        if !shard.write_records.admits(now, 1) || !shard.write_bytes.admits(now, size) {
            let id = shard.id.clone();
            return PutRecordsResult::Failed {
                code: ErrorCode::ProvisionedThroughputExceeded.as_str().to_owned(),
                message: rate_exceeded(stream, &id),
            };
        }
        shard.write_records.take(1);
        shard.write_bytes.take(size);
    }
    let sequence = shard.append(now, entry.partition_key, entry.data);
    PutRecordsResult::Stored { shard: shard.id.clone(), sequence }
}

pub(super) fn rate_exceeded(stream: &StreamState, shard: &ShardId) -> String {
    format!("Rate exceeded for shard {shard} in stream {} under account {}.", stream.name, stream.account)
}
