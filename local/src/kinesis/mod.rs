//! Kinesis Data Streams as a plain state machine: requests and the time go in, answers come out.
//!
//! Nothing here reads a clock, spawns a task or draws a random number, so a simulation can drive [`Kinesis`] with a
//! time of its own, thousands of worlds in a second. What takes time at AWS (a stream that is being created, a split)
//! is done when it is next looked at after its time has come. HTTP and JSON are a layer of their own around it.
//!
//! Each call has a file of its own, with its request, its answer and a method of [`Kinesis`].

mod bucket;
mod consumer;
mod error;
mod holdings;
mod limits;
pub(crate) mod request;
mod reshard;
mod sequence;
mod service;
mod shapes;
mod shard;
pub(crate) mod stamp;
mod stream;
mod token;

mod add_tags_to_stream;
mod create_stream;
mod decrease_stream_retention_period;
mod delete_resource_policy;
mod delete_stream;
mod deregister_stream_consumer;
mod describe_limits;
mod describe_stream;
mod describe_stream_consumer;
mod describe_stream_summary;
mod disable_enhanced_monitoring;
mod enable_enhanced_monitoring;
mod get_records;
mod get_resource_policy;
mod get_shard_iterator;
mod increase_stream_retention_period;
mod list_shards;
mod list_stream_consumers;
mod list_streams;
mod list_tags_for_resource;
mod list_tags_for_stream;
mod merge_shards;
mod put_record;
mod put_records;
mod put_resource_policy;
mod register_stream_consumer;
mod remove_tags_from_stream;
mod split_shard;
mod start_stream_encryption;
mod stop_stream_encryption;
mod subscribe_to_shard;
mod tag_resource;
mod untag_resource;
mod update_max_record_size;
mod update_shard_count;
mod update_stream_mode;
mod update_stream_record_distribution_strategy;

#[cfg(test)]
mod tests;

pub use create_stream::CreateStreamRequest;
pub use delete_stream::DeleteStreamRequest;
pub use describe_stream_summary::{
    DescribeStreamSummaryRequest, DescribeStreamSummaryResponse, StreamDescriptionSummary,
};
pub use error::{ErrorCode, KinesisError};
pub use get_records::{GetRecordsRequest, GetRecordsResponse, ReadRecord};
pub use get_shard_iterator::{GetShardIteratorRequest, GetShardIteratorResponse};
pub(crate) use get_shard_iterator::{PositionShape, ShardIterator};
pub use limits::Limits;
pub use list_shards::{ListShardsRequest, ListShardsResponse, ShardFilter, ShardFilterType};
pub use merge_shards::MergeShardsRequest;
pub use put_record::{PutRecordRequest, PutRecordResponse};
pub use put_records::{PutRecordsEntry, PutRecordsRequest, PutRecordsResponse, PutRecordsResult};
pub use register_stream_consumer::{RegisterStreamConsumerRequest, RegisterStreamConsumerResponse};
pub use sequence::Sequence;
pub use service::Kinesis;
pub use shapes::{
    ChildShard, Empty, EncryptionType, EnhancedMetrics, HashKeyRangeDescription, RecordDistributionStrategy,
    SequenceNumberRange, ShardDescription, StreamMode, StreamModeDetails, StreamRef, StreamStatus, Timestamp,
};
pub use split_shard::SplitShardRequest;
pub use subscribe_to_shard::{
    SubscribeToShardEvent, SubscribeToShardRequest, SubscriptionId, SubscriptionStep,
};
pub use update_shard_count::{UpdateShardCountRequest, UpdateShardCountResponse};
pub use update_stream_record_distribution_strategy::UpdateStreamRecordDistributionStrategyRequest;
