//! DescribeStream.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shardflow_core::limits::DESCRIBE_STREAM_SHARDS_DEFAULT;

use super::error::KinesisError;
use super::shapes::{
    EncryptionType, EnhancedMetrics, ShardDescription, StreamModeDetails, StreamRef, StreamStatus, Timestamp,
};
use super::stamp::Stamp;
use super::{Kinesis, request};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DescribeStreamRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) limit: Option<u32>,
    pub(crate) exclusive_start_shard_id: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeStreamResponse {
    pub(crate) stream_description: StreamDescription,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamDescription {
    pub(crate) stream_name: String,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: String,
    pub(crate) stream_status: StreamStatus,
    pub(crate) stream_mode_details: StreamModeDetails,
    pub(crate) shards: Vec<ShardDescription>,
    pub(crate) has_more_shards: bool,
    pub(crate) retention_period_hours: u64,
    pub(crate) stream_creation_timestamp: Timestamp,
    pub(crate) enhanced_monitoring: [EnhancedMetrics; 1],
    pub(crate) encryption_type: EncryptionType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
}

impl Kinesis {
    pub(crate) fn describe_stream(
        &mut self,
        now: SystemTime,
        describe: DescribeStreamRequest,
    ) -> Result<DescribeStreamResponse, KinesisError> {
        let now = Stamp::of(now);
        let size = request::page_size(describe.limit, DESCRIBE_STREAM_SHARDS_DEFAULT, "limit")?;
        let stream = self.stream(now, &describe.stream)?;
        let after = describe.exclusive_start_shard_id.unwrap_or_default();
        let created = stream.status != StreamStatus::Creating;
        let mut shown = stream.shards(now).filter(|shard| created && shard.id.as_str() > after.as_str());
        let shards = shown.by_ref().take(size).map(ShardDescription::of).collect();
        let has_more_shards = shown.next().is_some();
        Ok(DescribeStreamResponse {
            stream_description: StreamDescription {
                stream_name: stream.name.clone(),
                stream_arn: stream.arn.clone(),
                stream_status: stream.status,
                stream_mode_details: StreamModeDetails { stream_mode: stream.mode },
                shards,
                has_more_shards,
                retention_period_hours: stream.retention.as_secs() / 3600,
                stream_creation_timestamp: Timestamp(stream.created.time()),
                enhanced_monitoring: [stream.enhanced_metrics()],
                encryption_type: stream.encryption,
                key_id: stream.key_id.clone(),
            },
        })
    }
}
