//! SubscribeToShard: where a subscription starts, and what it is sent.

use std::time::Duration;

use shardflow_core::{HashKey, SequenceNumber, ShardId, ShardPosition};

use super::harness::{arrival, ensure, entry, refused, same, strings, topic};
use super::{Context, Need};

topic! { "subscribe", Kinesis;
    "a subscription is sent what is there and what comes later, in order" [Need::FanOut] => old_and_new,
    "a record that is sent carries the key, number, time and data it was put with" [Need::FanOut] => as_put,
    "a subscription from LATEST is sent only what comes later" [Need::FanOut] => latest,
    "a subscription can start at a sequence number" [Need::FanOut] => at_number,
    "a subscription can start behind a sequence number" [Need::FanOut] => after_number,
    "a subscription can start at a time" [Need::FanOut] => at_time,
    "a later subscription goes on behind ContinuationSequenceNumber" [Need::FanOut] => goes_on,
    "two consumers are each sent every record" [Need::FanOut] => two_consumers,
    "a consumer can subscribe to each shard of a stream" [Need::FanOut] => each_shard,
    "an event of a subscription that has caught up has MillisBehindLatest 0" [Need::FanOut] => caught_up,
    "records of many events are sent completely" [Need::FanOut, Need::NoThrottles] => much,
    "a consumer or shard that does not exist is not subscribed to" [Need::FanOut] => missing,
    "a consumer that is not ACTIVE does not subscribe" [Need::FanOut] => not_active,
}

async fn old_and_new(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let all: Vec<_> = (0..11).map(|number| number.to_string()).collect();
    for record in &all[..5] {
        stream.put("a", record.as_str()).await?;
    }
    let mut subscription = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    let mut read = strings(&subscription.records(5).await?.records);
    for record in &all[5..] {
        stream.put("a", record.as_str()).await?;
    }
    read.extend(strings(&subscription.records(6).await?.records));
    same("records", read, all)
}

async fn as_put(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let placed = stream.put("größe", vec![0, 255, 7]).await?;
    let read = stream.read(&shard, ShardPosition::TrimHorizon).await?;
    let received = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?.records(1).await?;
    let record = received.records.first().ok_or("no record")?;
    same("key", record.partition_key.as_deref(), Some("größe"))?;
    same("number", record.sequence_number.as_str(), placed.sequence.as_str())?;
    same("data", record.data().as_ref(), &[0, 255, 7][..])?;
    same("time", arrival(record)?, arrival(read.first().ok_or("no record to read")?)?)
}

async fn latest(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    stream.put("a", "before").await?;
    let mut subscription = consumer.subscribe(&shard, ShardPosition::Latest).await?;
    stream.put("a", "later").await?;
    same("records", strings(&subscription.records(1).await?.records), ["later"])
}

async fn at_number(context: &Context) -> Result<(), String> {
    starts_at(context, ShardPosition::AtSequenceNumber, &["1", "2"]).await
}

async fn after_number(context: &Context) -> Result<(), String> {
    starts_at(context, ShardPosition::AfterSequenceNumber, &["2"]).await
}

/// Of records `0` to `2` a subscription at the number of `1` is sent these.
async fn starts_at(
    context: &Context,
    at: fn(SequenceNumber) -> ShardPosition,
    expected: &[&str],
) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let mut numbers = Vec::new();
    for record in ["0", "1", "2"] {
        numbers.push(stream.put("a", record).await?.sequence);
    }
    let mut subscription = consumer.subscribe(&shard, at(numbers[1].clone())).await?;
    same("records", strings(&subscription.records(expected.len()).await?.records), expected)
}

async fn at_time(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    stream.put("a", "early").await?;
    context.pass(Duration::from_millis(2100)).await?;
    stream.put("a", "late").await?;
    let records = stream.read(&shard, ShardPosition::TrimHorizon).await?;
    let late = arrival(records.get(1).ok_or("no second record")?)?;
    let mut subscription = consumer.subscribe(&shard, ShardPosition::AtTimestamp(late)).await?;
    same("records", strings(&subscription.records(1).await?.records), ["late"])
}

async fn goes_on(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    for record in ["0", "1", "2"] {
        stream.put("a", record).await?;
    }
    let first = stream.consumer().await?;
    let received = first.subscribe(&shard, ShardPosition::TrimHorizon).await?.records(3).await?;
    same("records", strings(&received.records), ["0", "1", "2"])?;
    stream.put("a", "3").await?;
    let number =
        received.continuation.parse().map_err(|error| format!("ContinuationSequenceNumber: {error}"))?;
    // Another consumer's, since one must wait for five seconds.
    let second = stream.consumer().await?;
    let mut subscription = second.subscribe(&shard, ShardPosition::AfterSequenceNumber(number)).await?;
    same("records", strings(&subscription.records(1).await?.records), ["3"])
}

async fn two_consumers(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let (one, two) = (stream.consumer().await?, stream.consumer().await?);
    let mut first = one.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    let mut second = two.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    for record in ["0", "1", "2"] {
        stream.put("a", record).await?;
    }
    same("records of the first", strings(&first.records(3).await?.records), ["0", "1", "2"])?;
    same("records of the second", strings(&second.records(3).await?.records), ["0", "1", "2"])
}

async fn each_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let consumer = stream.consumer().await?;
    let mut subscriptions = Vec::new();
    for number in 0..2 {
        let shard = ShardId::numbered(number);
        subscriptions.push(consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?);
    }
    for (hash, record) in [(HashKey::MIN, "lower"), (HashKey::MAX, "upper")] {
        stream.put_at("a", Some(hash), record).await?;
    }
    for (subscription, expected) in subscriptions.iter_mut().zip(["lower", "upper"]) {
        same("records", strings(&subscription.records(1).await?.records), [expected])?;
    }
    Ok(())
}

async fn caught_up(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    stream.put("a", "x").await?;
    let mut subscription = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    let event = subscription.next().await?.ok_or("it ended")?;
    same("records", event.records.len(), 1)?;
    same("MillisBehindLatest", event.millis_behind_latest, 0)?;
    ensure!(!event.continuation_sequence_number.is_empty(), "no ContinuationSequenceNumber");
    Ok(())
}

async fn much(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    for batch in 0..4 {
        let entries = (0..20).map(|number| entry("a", format!("{batch}-{number} {}", "x".repeat(40_000))));
        stream.put_all(entries.collect()).await?;
    }
    let received = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?.records(80).await?;
    let names: Vec<_> =
        strings(&received.records).iter().map(|data| data.split(' ').next().map(str::to_owned)).collect();
    let expected: Vec<_> =
        (0..4).flat_map(|batch| (0..20).map(move |number| Some(format!("{batch}-{number}")))).collect();
    same("records", names, expected)
}

async fn missing(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    let answer = consumer.ask(&ShardId::numbered(9), ShardPosition::Latest).await;
    refused(answer, &["ResourceNotFoundException"])?;
    let shard = stream.only_shard().await?;
    let nobody = consumer.renamed("nobody");
    refused(nobody.ask(&shard, ShardPosition::Latest).await, &["ResourceNotFoundException"]).map(drop)
}

async fn not_active(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.new_consumer().await?;
    refused(consumer.ask(&shard, ShardPosition::Latest).await, &["ResourceInUseException"]).map(drop)
}
