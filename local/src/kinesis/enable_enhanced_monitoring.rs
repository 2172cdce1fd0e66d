//! EnableEnhancedMonitoring. A list of names: no such metrics are made.

use std::collections::BTreeSet;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{EnhancedMetrics, StreamRef};
use super::stamp::Stamp;
use super::stream::StreamState;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct MonitoringRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) shard_level_metrics: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MonitoringResponse {
    pub(crate) stream_name: String,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: String,
    pub(crate) current_shard_level_metrics: Vec<String>,
    pub(crate) desired_shard_level_metrics: Vec<String>,
}

/// API EnableEnhancedMonitoring, `ShardLevelMetrics`.
const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "IteratorAgeMilliseconds",
    "OutgoingBytes",
    "OutgoingRecords",
    "ReadProvisionedThroughputExceeded",
    "WriteProvisionedThroughputExceeded",
];

impl Kinesis {
    pub(crate) fn enable_enhanced_monitoring(
        &mut self,
        now: SystemTime,
        enable: MonitoringRequest,
    ) -> Result<MonitoringResponse, KinesisError> {
        let named = enable.names()?;
        let stream = self.stream(Stamp::of(now), &enable.stream)?;
        stream.require_listable()?;
        let current = stream.monitoring.clone();
        stream.monitoring.extend(named);
        Ok(MonitoringResponse::of(stream, current))
    }
}

impl MonitoringRequest {
    /// The metrics it names; `ALL` stands for each.
    pub(super) fn names(&self) -> Result<BTreeSet<String>, KinesisError> {
        let mut names = BTreeSet::new();
        for name in &self.shard_level_metrics {
            if name == "ALL" {
                names.extend(METRICS.map(str::to_owned));
            } else if METRICS.contains(&name.as_str()) {
                names.insert(name.clone());
            } else {
                return Err(KinesisError::constraint(name, "shardLevelMetrics", "be the name of a metric"));
            }
        }
        Ok(names)
    }
}

impl MonitoringResponse {
    pub(super) fn of(stream: &StreamState, current: BTreeSet<String>) -> Self {
        Self {
            stream_name: stream.name.clone(),
            stream_arn: stream.arn.clone(),
            current_shard_level_metrics: current.into_iter().collect(),
            desired_shard_level_metrics: stream.monitoring.iter().cloned().collect(),
        }
    }
}

impl StreamState {
    pub(super) fn enhanced_metrics(&self) -> EnhancedMetrics {
        EnhancedMetrics { shard_level_metrics: self.monitoring.iter().cloned().collect() }
    }
}
