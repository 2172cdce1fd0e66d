//! UpdateStreamRecordDistributionStrategy.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, RecordDistributionStrategy, StreamMode, StreamRef, StreamStatus};
use super::stamp::Stamp;
use super::stream::{Change, StreamState};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdateStreamRecordDistributionStrategyRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) record_distribution_strategy: RecordDistributionStrategy,
}

impl Kinesis {
    pub(crate) fn update_stream_record_distribution_strategy(
        &mut self,
        now: SystemTime,
        update: UpdateStreamRecordDistributionStrategyRequest,
    ) -> Result<Empty, KinesisError> {
        let (now, transition) = (Stamp::of(now), self.transition);
        let stream = self.stream(now, &update.stream)?;
        stream.require_active()?;
        set(stream, update.record_distribution_strategy)?;
        stream.begin(now, transition, StreamStatus::Updating, Change::Activate);
        Ok(Empty {})
    }
}

pub(super) fn set(
    stream: &mut StreamState,
    strategy: RecordDistributionStrategy,
) -> Result<(), KinesisError> {
    if strategy == RecordDistributionStrategy::Auto && stream.mode == StreamMode::Provisioned {
        return Err(KinesisError::invalid_argument(
            "The AUTO record distribution strategy is only supported for on-demand streams.",
        ));
    }
    stream.distribution = strategy;
    Ok(())
}
