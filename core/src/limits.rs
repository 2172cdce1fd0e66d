//! The limits of the service, each with its source.
//!
//! "Quotas" is the page *Quotas and limits* of the Amazon Kinesis Data Streams developer guide, "API" the reference of
//! the named call. What a limit is called there stands in the documentation of each constant.

use std::time::Duration;

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
