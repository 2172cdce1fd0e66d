//! DescribeStreamSummary.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{
    EncryptionType, EnhancedMetrics, RecordDistributionStrategy, StreamModeDetails, StreamRef, StreamStatus,
    Timestamp,
};
use super::stamp::Stamp;
use super::stream::StreamState;

/// What DescribeStreamSummary takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DescribeStreamSummaryRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
}

/// What DescribeStreamSummary answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStreamSummaryResponse {
    /// The stream without its shards.
    pub stream_description_summary: StreamDescriptionSummary,
}

/// A stream without its shards.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamDescriptionSummary {
    /// Its name.
    pub stream_name: String,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
    /// Where it stands.
    pub stream_status: StreamStatus,
    /// Its mode.
    pub stream_mode_details: StreamModeDetails,
    /// How long it keeps records.
    pub retention_period_hours: u64,
    /// When it was created.
    pub stream_creation_timestamp: Timestamp,
    /// The metrics that are switched on, in one list.
    pub enhanced_monitoring: [EnhancedMetrics; 1],
    /// Whether it says that it encrypts.
    pub encryption_type: EncryptionType,
    /// With which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Shards that take records.
    pub open_shard_count: usize,
    /// Registered consumers.
    pub consumer_count: usize,
    /// Its largest record.
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub max_record_size_in_kib: usize,
    /// Who distributes its records.
    pub record_distribution_strategy: RecordDistributionStrategy,
}

impl Kinesis {
    /// Tells a stream's status and settings.
    ///
    /// # Errors
    ///
    /// When there is no such stream (`ResourceNotFound`).
    pub fn describe_stream_summary(
        &mut self,
        now: SystemTime,
        describe: DescribeStreamSummaryRequest,
    ) -> Result<DescribeStreamSummaryResponse, KinesisError> {
        let stream = self.stream(Stamp::of(now), &describe.stream)?;
        Ok(DescribeStreamSummaryResponse { stream_description_summary: StreamDescriptionSummary::of(stream) })
    }
}

impl StreamDescriptionSummary {
    fn of(stream: &StreamState) -> Self {
        Self {
            stream_name: stream.name.clone(),
            stream_arn: stream.arn.clone(),
            stream_status: stream.status,
            stream_mode_details: StreamModeDetails { stream_mode: stream.mode },
            retention_period_hours: stream.retention.as_secs() / 3600,
            stream_creation_timestamp: Timestamp(stream.created.time()),
            enhanced_monitoring: [stream.enhanced_metrics()],
            encryption_type: stream.encryption,
            key_id: stream.key_id.clone(),
            // A stream that is being created has none yet.
            open_shard_count: if stream.status == StreamStatus::Creating { 0 } else { stream.open_shards() },
            consumer_count: stream.consumers.len(),
            max_record_size_in_kib: stream.max_record_bytes / 1024,
            record_distribution_strategy: stream.distribution,
        }
    }
}
