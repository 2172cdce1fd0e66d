//! PutRecord.

use std::time::SystemTime;

use serde::Serialize;

use super::Kinesis;
use super::error::{ErrorCode, KinesisError};
use super::put_records::{PutRecordsEntry, PutRecordsResult, check_entry, store};
use super::sequence::Sequence;
use super::shapes::{EncryptionType, StreamRef};
use super::stamp::Stamp;

/// What PutRecord takes.
#[derive(Clone, Debug)]
pub struct PutRecordRequest {
    /// The stream.
    pub stream: StreamRef,
    /// The record.
    pub record: PutRecordsEntry,
    /// The number of a record that this one has to come after. It always does.
    pub sequence_number_for_ordering: Option<String>,
}

/// What PutRecord answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordResponse {
    /// Where the record is.
    pub shard_id: String,
    /// Its number there.
    pub sequence_number: String,
    /// Present where the stream says that it encrypts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_type: Option<EncryptionType>,
}

impl Kinesis {
    /// Writes one record.
    ///
    /// # Errors
    ///
    /// As [`put_records`](Self::put_records), and `ProvisionedThroughputExceeded` when the shard has taken enough for
    /// now.
    pub fn put_record(
        &mut self,
        now: SystemTime,
        put: PutRecordRequest,
    ) -> Result<PutRecordResponse, KinesisError> {
        let (now, limits) = (Stamp::of(now), self.limits);
        let stream = self.stream(now, &put.stream)?;
        stream.require_usable()?;
        check_entry(stream, limits, &put.record)?;
        if let Some(text) = &put.sequence_number_for_ordering {
            let known = Sequence::parse(text).is_some_and(|sequence| sequence.second() <= now.seconds() + 1);
            if !known {
                return Err(KinesisError::invalid_argument(format!(
                    "ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream {} under account {} is invalid.",
                    stream.name, stream.account
                )));
            }
        }
        match store(stream, now, limits, put.record) {
            PutRecordsResult::Stored { shard, sequence } => Ok(PutRecordResponse {
                shard_id: shard.to_string(),
                sequence_number: sequence.to_string(),
                encryption_type: stream.encryption.shown(),
            }),
            PutRecordsResult::Failed { message, .. } => {
                Err(KinesisError::new(ErrorCode::ProvisionedThroughputExceeded, message))
            }
        }
    }
}
