//! PutRecord and PutRecords: where records go, and what numbers they get.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use shardflow_core::{HashKey, SequenceNumber, Shard, ShardId, ShardPosition};

use super::Context;
use super::harness::{Placed, Stream, ensure, entry, refused, same, strings, told, topic};

topic! { "put", Kinesis;
    "a record goes to the shard that owns its key's MD5 hash" => one_record,
    "each record of PutRecords goes to the shard that owns its key's MD5 hash" => many_records,
    "an explicit hash key decides instead of the partition key" => explicit,
    "an explicit hash key at every border of twelve shards goes to the shard that owns it" => borders,
    "an explicit hash key beyond 2^128 - 1, or that is no number, is refused" => no_hash_key,
    "sequence numbers of a shard increase within PutRecords" => increase_at_once,
    "sequence numbers of a shard increase from one PutRecord to the next" => increase_over_time,
    "sequence numbers of a shard lie above its StartingSequenceNumber" => above_the_start,
    "PutRecord takes a SequenceNumberForOrdering and gives a greater one" => for_ordering,
    "a partition key has 1 to 256 characters" => key_length,
    "a partition key is counted in characters, not in bytes" => key_characters,
    "PutRecord to a stream that does not exist is refused" => no_stream,
    "PutRecords to a stream that does not exist is refused as a whole" => no_stream_for_many,
    "PutRecords without records is refused" => no_records,
    "a record may be empty" => empty,
    "data comes back byte by byte" => bytes,
    "a record that was put twice is there twice" => twice,
}

async fn one_record(context: &Context) -> Result<(), String> {
    let stream = context.stream(4).await?;
    let shards = stream.shards().await?;
    for key in ["a", "b", "user-1", "größe-日本", "🦀"] {
        let placed = stream.put(key, "x").await?;
        same(key, &placed.shard, owner(&shards, HashKey::of(key))?)?;
        let records = stream.read(&placed.shard, ShardPosition::AtSequenceNumber(placed.sequence)).await?;
        same("its key", records.first().and_then(|record| record.partition_key.as_deref()), Some(key))?;
    }
    Ok(())
}

async fn many_records(context: &Context) -> Result<(), String> {
    let stream = context.stream(12).await?;
    let shards = stream.shards().await?;
    for batch in 0..4 {
        let keys: Vec<_> = (0..250).map(|number| format!("k{batch}-{number}-é")).collect();
        let placed = stream.put_all(keys.iter().map(|key| entry(key, "x")).collect()).await?;
        for (key, placed) in keys.iter().zip(&placed) {
            same(key, &placed.shard, owner(&shards, HashKey::of(key))?)?;
        }
    }
    Ok(())
}

async fn explicit(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let shards = stream.shards().await?;
    for hash in [HashKey::MIN, HashKey(1 << 127), HashKey::MAX] {
        let placed = stream.put_at("a", Some(hash), "x").await?;
        same(&hash.to_string(), &placed.shard, owner(&shards, hash)?)?;
    }
    let entries = [HashKey::MAX, HashKey::MIN].map(|hash| {
        let entry = aws_sdk_kinesis::types::PutRecordsRequestEntry::builder().partition_key("a");
        entry.explicit_hash_key(hash.to_string()).data(Blob::new("x")).build()
    });
    let entries: Result<Vec<_>, _> = entries.into_iter().collect();
    let placed = stream.put_all(entries.map_err(|error| error.to_string())?).await?;
    let placed: Vec<_> = placed.iter().map(|placed| &placed.shard).collect();
    same("the last key's shard and the first one's", placed, [&shards[1].id, &shards[0].id])
}

async fn borders(context: &Context) -> Result<(), String> {
    let stream = context.stream(12).await?;
    for shard in stream.shards().await? {
        for hash in [shard.hash_key_range.start(), shard.hash_key_range.end()] {
            same(&hash.to_string(), &stream.put_at("a", Some(hash), "x").await?.shard, &shard.id)?;
        }
    }
    Ok(())
}

async fn no_hash_key(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let beyond = "340282366920938463463374607431768211456";
    for hash in [beyond, "-1", "01", "0x10", "many", ""] {
        let put = context.kinesis.put_record().stream_name(&stream.name).partition_key("a");
        let put = put.explicit_hash_key(hash).data(Blob::new("x"));
        refused(put.send().await, &["InvalidArgumentException", "ValidationException"])
            .map_err(|why| format!("{hash:?}: {why}"))?;
    }
    Ok(())
}

async fn increase_at_once(context: &Context) -> Result<(), String> {
    let stream = context.stream(3).await?;
    let mut all: BTreeMap<ShardId, Vec<SequenceNumber>> = BTreeMap::new();
    for batch in 0..3 {
        let entries = (0..200).map(|number| entry(format!("k{batch}-{number}"), "x")).collect();
        for Placed { shard, sequence } in stream.put_all(entries).await? {
            all.entry(shard).or_default().push(sequence);
        }
    }
    for (shard, numbers) in all {
        ensure!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "those of {shard} do not increase in the order of the requests"
        );
    }
    Ok(())
}

async fn increase_over_time(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let mut last = stream.put("a", "x").await?.sequence;
    for pause in [0, 0, 300, 0, 1100, 300] {
        context.pass(Duration::from_millis(pause)).await?;
        let next = stream.put("a", "x").await?.sequence;
        ensure!(last < next, "{next} came after {last}");
        last = next;
    }
    Ok(())
}

async fn above_the_start(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    for shard in stream.shards().await? {
        let start = shard.starting_sequence_number.ok_or("a shard without a StartingSequenceNumber")?;
        let placed = stream.put_at("a", Some(shard.hash_key_range.start()), "x").await?;
        ensure!(start < placed.sequence, "{} is not above {start}", placed.sequence);
    }
    Ok(())
}

async fn for_ordering(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let first = stream.put("a", "x").await?.sequence;
    let put = context.kinesis.put_record().stream_name(&stream.name).partition_key("a").data(Blob::new("y"));
    let answer = put.sequence_number_for_ordering(first.as_str()).send().await.map_err(told)?;
    let next: SequenceNumber = answer.sequence_number.parse().map_err(|error| format!("{error}"))?;
    ensure!(first < next, "{next} came after {first}");
    Ok(())
}

async fn key_length(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put(&"k".repeat(256), "x").await?;
    for length in [0, 257] {
        let put = context.kinesis.put_record().stream_name(&stream.name).partition_key("k".repeat(length));
        refused(put.data(Blob::new("x")).send().await, &["ValidationException", "InvalidArgumentException"])
            .map_err(|why| format!("{length} characters: {why}"))?;
    }
    let put = context.kinesis.put_records().stream_name(&stream.name).records(entry("k".repeat(257), "x"));
    refused(put.send().await, &["ValidationException", "InvalidArgumentException"]).map(drop)
}

async fn key_characters(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let key = "日".repeat(256);
    stream.put(&key, "x").await?;
    let shard = stream.only_shard().await?;
    let records = stream.read(&shard, ShardPosition::TrimHorizon).await?;
    same("the key", records.first().and_then(|record| record.partition_key.clone()), Some(key))
}

async fn no_stream(context: &Context) -> Result<(), String> {
    let put = context.kinesis.put_record().stream_name(context.name()).partition_key("a");
    refused(put.data(Blob::new("x")).send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn no_stream_for_many(context: &Context) -> Result<(), String> {
    let put = context.kinesis.put_records().stream_name(context.name()).records(entry("a", "x"));
    refused(put.send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn no_records(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let put = context.kinesis.put_records().stream_name(&stream.name).set_records(Some(Vec::new()));
    refused(put.send().await, &["ValidationException", "InvalidArgumentException"]).map(drop)
}

async fn empty(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "").await?;
    stream.put_all(vec![entry("a", "")]).await?;
    same("records", all_of(&stream).await?, ["", ""])
}

async fn bytes(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let data: Vec<u8> = (0..=255).chain([0, 0, 255]).collect();
    stream.put("a", data.clone()).await?;
    stream.put_all(vec![entry("a", data.clone())]).await?;
    let records = stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    same("records", records.len(), 2)?;
    for record in records {
        same("data", record.data().as_ref(), &data[..])?;
    }
    Ok(())
}

async fn twice(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "same").await?;
    stream.put_all(vec![entry("a", "same"), entry("a", "same")]).await?;
    same("records", all_of(&stream).await?, ["same", "same", "same"])
}

async fn all_of(stream: &Stream<'_>) -> Result<Vec<String>, String> {
    let shard = stream.only_shard().await?;
    Ok(strings(&stream.read(&shard, ShardPosition::TrimHorizon).await?))
}

/// The open shard that owns a hash key.
fn owner(shards: &[Shard], key: HashKey) -> Result<&ShardId, String> {
    let mut owners = shards.iter().filter(|shard| shard.is_open() && shard.hash_key_range.contains(key));
    match (owners.next(), owners.next()) {
        (Some(owner), None) => Ok(&owner.id),
        _ => Err(format!("not exactly one open shard owns {key}")),
    }
}
