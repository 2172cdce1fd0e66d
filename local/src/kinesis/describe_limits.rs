//! DescribeLimits.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Kinesis;
use super::error::KinesisError;
use super::limits::Limits;
use super::shapes::StreamMode;
use super::stamp::Stamp;
use super::stream::StreamState;

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct DescribeLimitsRequest {}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeLimitsResponse {
    pub(crate) shard_limit: u32,
    pub(crate) open_shard_count: usize,
    pub(crate) on_demand_stream_count: usize,
    pub(crate) on_demand_stream_count_limit: u32,
}

impl Kinesis {
    #[expect(clippy::unnecessary_wraps, reason = "every call has one shape")]
    pub(crate) fn describe_limits(
        &mut self,
        now: SystemTime,
        _describe: DescribeLimitsRequest,
    ) -> Result<DescribeLimitsResponse, KinesisError> {
        self.settle(Stamp::of(now));
        Ok(DescribeLimitsResponse {
            shard_limit: Limits::SHARDS,
            open_shard_count: self.streams.values().map(StreamState::open_shards).sum(),
            on_demand_stream_count: self.streams.values().filter(|s| s.mode == StreamMode::OnDemand).count(),
            // Not kept, so as many as there can be shards.
            on_demand_stream_count_limit: Limits::SHARDS,
        })
    }
}
