//! DecreaseStreamRetentionPeriod.

use std::time::SystemTime;

use super::Kinesis;
use super::error::KinesisError;
use super::increase_stream_retention_period::RetentionRequest;
use super::shapes::Empty;
use super::stamp::Stamp;

impl Kinesis {
    pub(crate) fn decrease_stream_retention_period(
        &mut self,
        now: SystemTime,
        decrease: RetentionRequest,
    ) -> Result<Empty, KinesisError> {
        let stream = self.stream(Stamp::of(now), &decrease.stream)?;
        stream.require_active()?;
        let retention = decrease.checked()?;
        if retention > stream.retention {
            return Err(KinesisError::invalid_argument(format!(
                "Requested retention period ({} hours) for stream {} can not be longer than existing retention period \
                 ({} hours). Use IncreaseRetentionPeriod API.",
                decrease.retention_period_hours,
                stream.name,
                stream.retention.as_secs() / 3600
            )));
        }
        stream.retention = retention;
        Ok(Empty {})
    }
}
