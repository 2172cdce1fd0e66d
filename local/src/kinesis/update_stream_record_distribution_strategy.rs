//! UpdateStreamRecordDistributionStrategy.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, RecordDistributionStrategy, StreamMode, StreamRef, StreamStatus};
use super::stamp::Stamp;
use super::stream::{Change, StreamState};

/// What UpdateStreamRecordDistributionStrategy takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateStreamRecordDistributionStrategyRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// Who is to distribute its records.
    pub record_distribution_strategy: RecordDistributionStrategy,
}

impl Kinesis {
    /// Changes who decides which shard a record goes to.
    ///
    /// # Errors
    ///
    /// When there is no such stream (`ResourceNotFound`), it is not active (`ResourceInUse`), or it is provisioned
    /// (`InvalidArgument`).
    pub fn update_stream_record_distribution_strategy(
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
