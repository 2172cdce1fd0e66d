//! UpdateStreamMode.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{
    Empty, RecordDistributionStrategy, StreamMode, StreamModeDetails, StreamRef, StreamStatus,
};
use super::stamp::Stamp;
use super::stream::Change;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdateStreamModeRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) stream_mode_details: StreamModeDetails,
}

impl Kinesis {
    pub(crate) fn update_stream_mode(
        &mut self,
        now: SystemTime,
        update: UpdateStreamModeRequest,
    ) -> Result<Empty, KinesisError> {
        let (now, transition) = (Stamp::of(now), self.transition);
        let stream = self.stream(now, &update.stream)?;
        stream.require_active()?;
        let mode = update.stream_mode_details.stream_mode;
        if mode == StreamMode::Provisioned && stream.distribution == RecordDistributionStrategy::Auto {
            return Err(KinesisError::invalid_argument(
                "A stream with the AUTO record distribution strategy cannot become provisioned.",
            ));
        }
        stream.mode = mode;
        stream.begin(now, transition, StreamStatus::Updating, Change::Activate);
        Ok(Empty {})
    }
}
