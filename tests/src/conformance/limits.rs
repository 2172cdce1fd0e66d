//! How large requests and records may be.

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use shardflow_core::ShardPosition;

use super::harness::{Stream, entry, refused, same, told, topic};
use super::{Context, Need};

topic! { "limits", Kinesis;
    "PutRecords takes 500 records" => five_hundred,
    "PutRecords of 501 records is refused" => five_hundred_and_one,
    "PutRecords takes between 5 and 10 MiB" [Need::NoThrottles] => seven_megabytes,
    "PutRecords of more than 10 MiB is refused" => eleven_megabytes,
    "PutRecord takes a record of 1 MiB" => one_mebibyte,
    "PutRecord of a record of 1 MiB and a byte is refused" => one_byte_more,
    "PutRecords with a record of 1 MiB and a byte is refused as a whole" => one_byte_more_of_many,
    "a stream whose largest record was raised takes records up to that" [Need::NoThrottles] => raised,
    "a stream whose largest record was raised and lowered again refuses what is larger" => lowered,
}

const MIB: usize = 1 << 20;

/// What a request that is too large is refused with.
const TOO_LARGE: &[&str] = &["ValidationException", "InvalidArgumentException"];

async fn five_hundred(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put_all(entries(500, 1)).await.map(drop)
}

async fn five_hundred_and_one(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    refused(put(context, &stream, entries(501, 1)).await, TOO_LARGE)?;
    nothing_in(&stream).await
}

async fn seven_megabytes(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    stream.put_all(entries(7, 1_000_000)).await.map(drop)
}

async fn eleven_megabytes(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    refused(put(context, &stream, entries(11, 1_000_000)).await, TOO_LARGE)?;
    nothing_in(&stream).await
}

async fn one_mebibyte(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    // With its key of one byte, so that it fits whether the key counts or not.
    stream.put("a", vec![b'x'; MIB - 1]).await?;
    let records = stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    same("bytes", records.first().map(|record| record.data().as_ref().len()), Some(MIB - 1))
}

async fn one_byte_more(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let put = context.kinesis.put_record().stream_name(&stream.name).partition_key("a");
    refused(put.data(Blob::new(vec![b'x'; MIB + 1])).send().await, TOO_LARGE)?;
    nothing_in(&stream).await
}

async fn one_byte_more_of_many(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let entries = vec![entry("a", "x"), entry("a", vec![b'x'; MIB + 1])];
    refused(put(context, &stream, entries).await, TOO_LARGE)?;
    nothing_in(&stream).await
}

async fn raised(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    set_largest(context, &stream, 2048).await?;
    stream.put("a", vec![b'x'; 3 * MIB / 2]).await?;
    let put = context.kinesis.put_record().stream_name(&stream.name).partition_key("a");
    refused(put.data(Blob::new(vec![b'x'; 2 * MIB + 1])).send().await, TOO_LARGE)?;
    let records = stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    same("bytes", records.first().map(|record| record.data().as_ref().len()), Some(3 * MIB / 2))
}

async fn lowered(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    set_largest(context, &stream, 2048).await?;
    set_largest(context, &stream, 1024).await?;
    let put = context.kinesis.put_record().stream_name(&stream.name).partition_key("a");
    refused(put.data(Blob::new(vec![b'x'; MIB + 1])).send().await, TOO_LARGE).map(drop)
}

async fn set_largest(context: &Context, stream: &Stream<'_>, kib: i32) -> Result<(), String> {
    let update = context.kinesis.update_max_record_size().stream_arn(&stream.arn).max_record_size_in_kib(kib);
    update.send().await.map_err(told)?;
    stream.active().await.map(drop)
}

async fn put(
    context: &Context,
    stream: &Stream<'_>,
    entries: Vec<PutRecordsRequestEntry>,
) -> Result<
    aws_sdk_kinesis::operation::put_records::PutRecordsOutput,
    aws_sdk_kinesis::error::SdkError<aws_sdk_kinesis::operation::put_records::PutRecordsError>,
> {
    context.kinesis.put_records().stream_name(&stream.name).set_records(Some(entries)).send().await
}

async fn nothing_in(stream: &Stream<'_>) -> Result<(), String> {
    let records = stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    same("records that are stored all the same", records.len(), 0)
}

fn entries(count: usize, size: usize) -> Vec<PutRecordsRequestEntry> {
    (0..count).map(|number| entry(number.to_string(), vec![b'x'; size])).collect()
}
