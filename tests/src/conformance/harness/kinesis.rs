//! Small shapes of Kinesis requests and answers.

use std::time::SystemTime;

use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Record, ShardFilter, ShardFilterType};

/// One entry of a PutRecords request.
pub(crate) fn entry(key: impl Into<String>, data: impl Into<Vec<u8>>) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .data(Blob::new(data))
        .build()
        .expect("key and data are all that it needs")
}

/// A filter of ListShards without an argument.
pub(crate) fn filter(kind: ShardFilterType) -> ShardFilter {
    ShardFilter::builder().r#type(kind).build().expect("a type is all that it needs")
}

/// A filter of ListShards that takes a time.
pub(crate) fn filter_at(kind: ShardFilterType, time: SystemTime) -> ShardFilter {
    ShardFilter::builder()
        .r#type(kind)
        .timestamp(DateTime::from(time))
        .build()
        .expect("a type is all that it needs")
}

/// The data of records, as text.
pub(crate) fn strings(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(record.data().as_ref()).into_owned()).collect()
}
