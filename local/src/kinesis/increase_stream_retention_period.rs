//! IncreaseStreamRetentionPeriod.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use shardflow_core::limits::{RETENTION_DEFAULT, RETENTION_MAX};

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, StreamRef};
use super::stamp::Stamp;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RetentionRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) retention_period_hours: u32,
}

impl Kinesis {
    pub(crate) fn increase_stream_retention_period(
        &mut self,
        now: SystemTime,
        increase: RetentionRequest,
    ) -> Result<Empty, KinesisError> {
        let stream = self.stream(Stamp::of(now), &increase.stream)?;
        stream.require_active()?;
        let retention = increase.checked()?;
        if retention < stream.retention {
            return Err(KinesisError::invalid_argument(format!(
                "Requested retention period ({} hours) for stream {} can not be shorter than existing retention \
                 period ({} hours). Use DecreaseRetentionPeriod API.",
                increase.retention_period_hours,
                stream.name,
                stream.retention.as_secs() / 3600
            )));
        }
        stream.retention = retention;
        Ok(Empty {})
    }
}

impl RetentionRequest {
    pub(super) fn checked(&self) -> Result<Duration, KinesisError> {
        let hours = self.retention_period_hours;
        let retention = Duration::from_secs(u64::from(hours) * 3600);
        if retention < RETENTION_DEFAULT {
            Err(KinesisError::invalid_argument(format!(
                "Minimum allowed retention period is 24 hours. Requested retention period ({hours} hours) is too short."
            )))
        } else if retention > RETENTION_MAX {
            Err(KinesisError::invalid_argument(format!(
                "Maximum allowed retention period is 8760 hours. Requested retention period ({hours} hours) is too long."
            )))
        } else {
            Ok(retention)
        }
    }
}
