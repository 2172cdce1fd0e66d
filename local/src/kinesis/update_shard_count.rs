//! UpdateShardCount.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shardflow_core::limits::{SHARD_COUNT_FACTOR, SHARDS_PER_STREAM};

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{StreamMode, StreamRef, StreamStatus};
use super::stamp::Stamp;
use super::stream::Change;

/// What UpdateShardCount takes. Of scaling types there is one, uniform.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateShardCountRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// How many open shards it is to have: half to double of what it has.
    pub target_shard_count: u32,
}

/// What UpdateShardCount answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateShardCountResponse {
    /// The stream.
    pub stream_name: String,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
    /// Open shards before.
    pub current_shard_count: usize,
    /// Open shards when it is done.
    pub target_shard_count: u32,
}

impl Kinesis {
    /// Makes a stream's shards equal in size and as many as asked, by splits and merges. The stream is UPDATING until
    /// its transition time is over; then all of it happens at once.
    ///
    /// # Errors
    ///
    /// When there is no such stream (`ResourceNotFound`), it is not ACTIVE (`ResourceInUse`), it is on-demand or the
    /// count is less than half or more than double (`InvalidArgument`), or there would be too many shards
    /// (`LimitExceeded`).
    pub fn update_shard_count(
        &mut self,
        now: SystemTime,
        update: UpdateShardCountRequest,
    ) -> Result<UpdateShardCountResponse, KinesisError> {
        let (now, transition) = (Stamp::of(now), self.transition);
        let target = update.target_shard_count;
        if target == 0 {
            return Err(KinesisError::constraint(
                0,
                "targetShardCount",
                "have value greater than or equal to 1",
            ));
        }
        let stream = self.stream(now, &update.stream)?;
        stream.require_active()?;
        if stream.mode == StreamMode::OnDemand {
            return Err(KinesisError::invalid_argument(
                "UpdateShardCount is only supported for streams with the provisioned capacity mode.",
            ));
        }
        let current = stream.open_shards();
        let wanted = target as usize;
        let broken = if target > SHARDS_PER_STREAM {
            Some("cannot scale up beyond 10000 shards")
        } else if wanted > current * SHARD_COUNT_FACTOR {
            Some("cannot scale up over double your current open shard count")
        } else if wanted * SHARD_COUNT_FACTOR < current {
            Some("cannot scale down below half your current open shard count")
        } else {
            None
        };
        if let Some(rule) = broken {
            return Err(KinesisError::invalid_argument(format!(
                "UpdateShardCount {rule}. Current open shard count: {current} Target shard count: {target}"
            )));
        }
        self.require_room(now, u32::try_from(wanted.saturating_sub(current)).unwrap_or(u32::MAX))?;
        let stream = self.stream(now, &update.stream)?;
        stream.begin(now, transition, StreamStatus::Updating, Change::Resize { target });
        Ok(UpdateShardCountResponse {
            stream_name: stream.name.clone(),
            stream_arn: stream.arn.clone(),
            current_shard_count: current,
            target_shard_count: target,
        })
    }
}
