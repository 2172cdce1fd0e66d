//! The limits of the service, each with its source.
//!
//! "Quotas" is the page *Quotas and limits* of the Amazon Kinesis Data Streams developer guide, "API" the reference of
//! the named call, of Kinesis where no other service is named. What a limit is called there stands in the documentation of each constant.

use std::time::Duration;

/// Longest name of a stream, a shard or a consumer, in characters. API CreateStream, `StreamName`: 1 to 128.
pub const NAME_CHARS: usize = 128;

/// Largest partition key, in Unicode characters. API PutRecord, `PartitionKey`: 1 to 256.
pub const PARTITION_KEY_CHARS: usize = 256;

/// Largest record of a stream that was not told otherwise, data and partition key together. Quotas: 1 MiB.
pub const RECORD_BYTES_DEFAULT: usize = 1 << 20;

/// Largest record that a stream can be told to take. API UpdateMaxRecordSize: 10,240 KiB.
pub const RECORD_BYTES_MAX: usize = 10 << 20;

/// Most entries of one PutRecords request. API PutRecords, `Records`: 1 to 500.
pub const PUT_RECORDS_ENTRIES: usize = 500;

/// Most bytes of one PutRecords request, partition keys included. API PutRecords: 10 MiB.
pub const PUT_RECORDS_BYTES: usize = 10 << 20;

/// Records that a shard takes in a second. Quotas: 1,000.
pub const SHARD_WRITE_RECORDS_PER_SECOND: u32 = 1_000;

/// Bytes that a shard takes in a second, partition keys included. Quotas: 1 MiB.
pub const SHARD_WRITE_BYTES_PER_SECOND: u32 = 1 << 20;

/// GetRecords calls that a shard answers in a second, over all its readers. Quotas: 5.
pub const SHARD_READS_PER_SECOND: u32 = 5;

/// Bytes that a shard gives in a second to all GetRecords readers, and to each fan-out consumer. Quotas: 2 MB.
pub const SHARD_READ_BYTES_PER_SECOND: u32 = 2 << 20;

/// Most records of one GetRecords answer. API GetRecords, `Limit`: 10,000.
pub const GET_RECORDS_RECORDS: usize = 10_000;

/// Most bytes of one GetRecords answer. API GetRecords: 10 MiB.
pub const GET_RECORDS_BYTES: usize = 10 << 20;

/// Life of a shard iterator. API GetShardIterator: 5 minutes after it was given out.
pub const ITERATOR_LIFE: Duration = Duration::from_secs(300);

/// Life of a `NextToken`. API ListShards: 300 seconds.
pub const NEXT_TOKEN_LIFE: Duration = Duration::from_secs(300);

/// Life of a subscription. API SubscribeToShard: 5 minutes.
pub const SUBSCRIPTION_LIFE: Duration = Duration::from_secs(300);

/// Least time between two subscriptions of one consumer to one shard. API SubscribeToShard: 5 seconds.
pub const SUBSCRIPTION_PAUSE: Duration = Duration::from_secs(5);

/// Most shards of one ListShards answer. API ListShards, `MaxResults`: 10,000; 1,000 when it is absent.
pub const LIST_SHARDS_RESULTS: usize = 10_000;

/// Shards of a ListShards answer when `MaxResults` is absent. API ListShards: 1,000.
pub const LIST_SHARDS_RESULTS_DEFAULT: usize = 1_000;

/// Consumers that can be registered with one stream. Quotas: 20.
pub const CONSUMERS_PER_STREAM: usize = 20;

/// Retention of a new stream. API IncreaseStreamRetentionPeriod: 24 hours.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(24 * 3600);

/// Longest retention. API IncreaseStreamRetentionPeriod: 8,760 hours.
pub const RETENTION_MAX: Duration = Duration::from_secs(8_760 * 3600);

/// Most open shards that a stream can be scaled to. API UpdateShardCount: 10,000.
pub const SHARDS_PER_STREAM: u32 = 10_000;

/// How many times as many open shards as before, or as few, a stream can be told to have at once. API UpdateShardCount:
/// not more than double, not less than half.
pub const SHARD_COUNT_FACTOR: usize = 2;

/// Shards of a new on-demand stream. Developer guide, *Choose the right mode*: 4.
pub const ON_DEMAND_SHARDS: u32 = 4;

/// Shards of a DescribeStream answer when `Limit` is absent. API DescribeStream: 100.
pub const DESCRIBE_STREAM_SHARDS_DEFAULT: usize = 100;

/// Streams of a ListStreams answer when `Limit` is absent. API ListStreams: 100.
pub const LIST_STREAMS_RESULTS_DEFAULT: usize = 100;

/// Consumers of a ListStreamConsumers answer when `MaxResults` is absent. API ListStreamConsumers: 100.
pub const LIST_STREAM_CONSUMERS_RESULTS_DEFAULT: usize = 100;

/// Most results of a page that can be asked for. API DescribeStream, ListShards, ListStreams and ListStreamConsumers:
/// 1 to 10,000.
pub const PAGE_RESULTS: u32 = 10_000;

/// Most tags of a stream or a consumer. API AddTagsToStream: 50.
pub const TAGS: usize = 50;

/// Longest key of a tag, in characters. API Tag, `Key`: 1 to 128.
pub const TAG_KEY_CHARS: usize = 128;

/// Longest value of a tag, in characters. API Tag, `Value`: 0 to 256.
pub const TAG_VALUE_CHARS: usize = 256;

/// Most data of one PutMetricData call. CloudWatch API PutMetricData: 1,000.
pub const PUT_METRIC_DATA_DATA: usize = 1_000;

/// Most bytes of one PutMetricData call. CloudWatch API PutMetricData: 1 MB.
pub const PUT_METRIC_DATA_BYTES: usize = 1 << 20;

/// Most dimensions of a metric. CloudWatch API MetricDatum, `Dimensions`: 30.
pub const METRIC_DIMENSIONS: usize = 30;

/// Longest name of a metric, of a dimension and of a namespace, in characters. CloudWatch API MetricDatum, `MetricName`,
/// API Dimension, `Name`, and API PutMetricData, `Namespace`: 1 to 255.
pub const METRIC_NAME_CHARS: usize = 255;

/// Longest value of a dimension, in characters. CloudWatch API Dimension, `Value`: 1 to 1,024.
pub const METRIC_DIMENSION_VALUE_CHARS: usize = 1_024;

/// Whether CloudWatch takes a text of up to `most` characters as the name of a metric or of a dimension, or as a dimension's value.
/// API Dimension: ASCII without control characters, and not blank.
#[must_use]
pub fn is_metric_text(text: &str, most: usize) -> bool {
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    printable && text.len() <= most && !text.trim().is_empty()
}
