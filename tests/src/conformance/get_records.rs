//! GetRecords: what it answers, how much of it, and how far behind that is.

use std::time::Duration;

use shardflow_core::ShardPosition;

use super::harness::{arrival, ensure, entry, refused, same, strings, topic};
use super::{Context, Need};

topic! { "get records", Kinesis;
    "an empty shard gives no records, a place to go on, and is not behind" => empty,
    "records come with the key, number and data that they were put with" => as_put,
    "records come with the time at which they arrived" => arrivals,
    "a Limit is kept, and the next answer goes on behind it" => limited,
    "MillisBehindLatest is above 0 until the newest record is read, then 0" => behind,
    "MillisBehindLatest tells the time since the next record arrived" [Need::Passing(A_MINUTE)] => how_far_behind,
    "an answer is no larger than 10 MiB" => ten_mebibytes,
    "an answer has no more than 10,000 records" [Need::NoThrottles] => ten_thousand,
    "a Limit of 0 or above 10,000 is refused" => no_limit,
    "an iterator that is none is refused" => no_iterator,
    "a shard is read as often as one likes where nothing throttles" [Need::NoThrottles] => often,
    "an open shard always gives a place to go on, without ChildShards" => open_shard,
    "records that are put later are found where the last answer ended" => tail,
}

const A_MINUTE: Duration = Duration::from_secs(60);

async fn empty(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let iterator = stream.iterator(&shard, ShardPosition::TrimHorizon).await?;
    let answer = stream.get(&iterator, None).await?;
    same("records", answer.records().len(), 0)?;
    same("MillisBehindLatest", answer.millis_behind_latest, Some(0))?;
    ensure!(answer.next_shard_iterator.is_some(), "no NextShardIterator");
    Ok(())
}

async fn as_put(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let keys: Vec<_> = (0..20).map(|number| format!("key-{number}")).collect();
    let placed =
        stream.put_all(keys.iter().map(|key| entry(key, format!("data of {key}"))).collect()).await?;
    let records = stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    same("records", records.len(), 20)?;
    for ((key, placed), record) in keys.iter().zip(&placed).zip(&records) {
        same("key", record.partition_key.as_ref(), Some(key))?;
        same("number", record.sequence_number.as_str(), placed.sequence.as_str())?;
        same("data", record.data().as_ref(), format!("data of {key}").as_bytes())?;
    }
    Ok(())
}

async fn arrivals(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let created = stream.summary().await?.stream_creation_timestamp;
    stream.put("a", "first").await?;
    context.pass(Duration::from_millis(1500)).await?;
    stream.put("a", "second").await?;
    let records = stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    let [first, second] = &records[..] else { return Err(format!("{} records, not 2", records.len())) };
    let apart = arrival(second)?.duration_since(arrival(first)?).map_err(|error| error.to_string())?;
    ensure!(apart >= Duration::from_millis(1400), "they arrived {apart:?} apart, not 1.5 s");
    // Of whole seconds only, on some servers.
    let arrived = first.approximate_arrival_timestamp.ok_or("no arrival time")?.secs();
    ensure!(arrived >= created.secs(), "it arrived before its stream was created");
    Ok(())
}

async fn limited(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put_all((0..10).map(|number| entry("a", number.to_string())).collect()).await?;
    let mut iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    for expected in [&["0", "1", "2", "3"][..], &["4", "5", "6", "7"], &["8", "9"]] {
        let answer = stream.get(&iterator, Some(4)).await?;
        same("records", strings(answer.records()), expected)?;
        iterator = answer.next_shard_iterator.ok_or("no NextShardIterator")?;
    }
    Ok(())
}

async fn behind(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for record in ["0", "1", "2"] {
        stream.put("a", record).await?;
        context.pass(Duration::from_millis(100)).await?;
    }
    let mut iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    for left in [true, true, false] {
        let answer = stream.get(&iterator, Some(1)).await?;
        same("records", answer.records().len(), 1)?;
        let millis = answer.millis_behind_latest.ok_or("no MillisBehindLatest")?;
        ensure!(
            (millis > 0) == left,
            "{millis} ms behind with {} left",
            if left { "records" } else { "nothing" }
        );
        iterator = answer.next_shard_iterator.ok_or("no NextShardIterator")?;
    }
    Ok(())
}

async fn how_far_behind(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "old").await?;
    stream.put("a", "next").await?;
    context.pass(A_MINUTE).await?;
    stream.put("a", "new").await?;
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    let millis = stream.get(&iterator, Some(1)).await?.millis_behind_latest.ok_or("no MillisBehindLatest")?;
    ensure!((59_000..70_000).contains(&millis), "{millis} ms, not a minute");
    Ok(())
}

async fn ten_mebibytes(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for _ in 0..12 {
        stream.put("z", vec![b'z'; 1_000_000]).await?;
    }
    let mut iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    let mut count = 0;
    while count < 12 {
        let answer = stream.get(&iterator, None).await?;
        let bytes: usize = answer.records().iter().map(|record| record.data().as_ref().len()).sum();
        ensure!(bytes <= 10 << 20, "an answer of {bytes} bytes");
        count += answer.records().len();
        ensure!(
            count == 12 || answer.millis_behind_latest > Some(0),
            "not behind after {count} of 12 records"
        );
        iterator = answer.next_shard_iterator.ok_or("no NextShardIterator")?;
    }
    Ok(())
}

async fn ten_thousand(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for _ in 0..21 {
        stream.put_all((0..500).map(|_| entry("a", "x")).collect()).await?;
    }
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    let answer = stream.get(&iterator, None).await?;
    ensure!(answer.records().len() <= 10_000, "{} records", answer.records().len());
    ensure!(answer.millis_behind_latest > Some(0), "not behind with records left");
    let next = answer.next_shard_iterator.ok_or("no NextShardIterator")?;
    let rest = stream.drain(next).await?;
    same("records of all answers", answer.records.len() + rest.records.len(), 10_500)
}

async fn no_limit(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    for limit in [0, 10_001] {
        let get = context.kinesis.get_records().shard_iterator(&iterator).limit(limit);
        refused(get.send().await, &["ValidationException", "InvalidArgumentException"])
            .map_err(|why| format!("{limit}: {why}"))?;
    }
    Ok(())
}

async fn no_iterator(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    let torn = iterator.get(..iterator.len() / 2).unwrap_or_default().to_owned();
    for garbage in ["AAAA".to_owned(), "not base64 at all!".to_owned(), torn] {
        let get = context.kinesis.get_records().shard_iterator(&garbage);
        refused(get.send().await, &["InvalidArgumentException", "ValidationException"])
            .map_err(|why| format!("{garbage:?}: {why}"))?;
    }
    Ok(())
}

async fn often(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "x").await?;
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    for _ in 0..12 {
        same("records", stream.get(&iterator, None).await?.records().len(), 1)?;
    }
    Ok(())
}

async fn open_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "x").await?;
    let mut iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    for _ in 0..3 {
        let answer = stream.get(&iterator, None).await?;
        ensure!(answer.child_shards().is_empty(), "ChildShards of an open shard");
        iterator = answer.next_shard_iterator.ok_or("no NextShardIterator")?;
    }
    Ok(())
}

async fn tail(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let mut iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::Latest).await?;
    for record in ["0", "1", "2"] {
        stream.put("a", record).await?;
        let mut tries = context.tries("the record to be found");
        loop {
            let answer = stream.get(&iterator, None).await?;
            iterator = answer.next_shard_iterator.ok_or("no NextShardIterator")?;
            if !answer.records.is_empty() {
                same("records", strings(&answer.records), [record])?;
                break;
            }
            tries.again().await?;
        }
    }
    Ok(())
}
