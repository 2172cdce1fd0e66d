//! UpdateMaxRecordSize.

use std::time::SystemTime;

use serde::Deserialize;
use shardflow_core::limits::{RECORD_BYTES_DEFAULT, RECORD_BYTES_MAX};

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, StreamRef, StreamStatus};
use super::stamp::Stamp;
use super::stream::Change;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct UpdateMaxRecordSizeRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub(crate) max_record_size_in_kib: u32,
}

impl Kinesis {
    pub(crate) fn update_max_record_size(
        &mut self,
        now: SystemTime,
        update: UpdateMaxRecordSizeRequest,
    ) -> Result<Empty, KinesisError> {
        let (now, transition) = (Stamp::of(now), self.transition);
        let most = bytes(update.max_record_size_in_kib)?;
        let stream = self.stream(now, &update.stream)?;
        stream.require_active()?;
        stream.max_record_bytes = most;
        stream.begin(now, transition, StreamStatus::Updating, Change::Activate);
        Ok(Empty {})
    }
}

pub(super) fn bytes(kib: u32) -> Result<usize, KinesisError> {
    let bytes = kib as usize * 1024;
    if bytes < RECORD_BYTES_DEFAULT {
        Err(KinesisError::constraint(kib, "maxRecordSizeInKiB", "have value greater than or equal to 1024"))
    } else if bytes > RECORD_BYTES_MAX {
        Err(KinesisError::constraint(kib, "maxRecordSizeInKiB", "have value less than or equal to 10240"))
    } else {
        Ok(bytes)
    }
}
