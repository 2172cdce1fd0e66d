//! The life of a subscription: how it is taken over, how it ends, and what it is sent meanwhile.

use std::time::Duration;

use shardflow_core::{HashKey, ShardPosition};

use super::harness::{ensure, refused, same, strings, topic};
use super::{Context, Need};

topic! { "subscriptions", Kinesis;
    "a second subscription within five seconds is refused" [Need::FanOut] => too_soon,
    "a subscription that was refused leaves the first as it is" [Need::FanOut] => refusal_harmless,
    "a second subscription after five seconds takes over from the first, which fails" [Need::FanOut, Need::Passing(PAUSE)]
        => taken_over,
    "a subscription comes to a clean end when its shard is split, and names the children" [Need::FanOut] => split,
    "a subscription comes to a clean end when its shard is merged, and names the child" [Need::FanOut] => merged,
    "a subscription to a shard that is closed already is sent its records and comes to the end" [Need::FanOut]
        => closed_already,
    "a subscription behind the last record of a closed shard comes to the end at once" [Need::FanOut] => behind_the_end,
    "a subscription without records is sent an event every few seconds" [Need::FanOut, Need::Passing(PAUSE)]
        => kept_alive,
    "a subscription comes to a clean end after five minutes, and can be renewed" [Need::FanOut, Need::Passing(LIFE)]
        => renewed,
}

/// Somewhat longer than a consumer must wait.
const PAUSE: Duration = Duration::from_secs(6);

/// Somewhat longer than a subscription lives.
const LIFE: Duration = Duration::from_secs(306);

async fn too_soon(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let _first = consumer.subscribe(&shard, ShardPosition::Latest).await?;
    refused(consumer.ask(&shard, ShardPosition::Latest).await, &["ResourceInUseException"]).map(drop)
}

async fn refusal_harmless(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let mut first = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    let second = consumer.ask(&shard, ShardPosition::TrimHorizon).await;
    ensure!(second.is_err(), "the second subscription was accepted");
    stream.put("a", "x").await?;
    same("records", strings(&first.records(1).await?.records), ["x"])
}

async fn taken_over(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let mut first = consumer.subscribe(&shard, ShardPosition::Latest).await?;
    context.pass(PAUSE).await?;
    let mut second = consumer.subscribe(&shard, ShardPosition::Latest).await?;
    same("the first subscription's failure", first.failure().await?.as_str(), "ResourceInUseException")?;
    stream.put("a", "x").await?;
    same("records", strings(&second.records(1).await?.records), ["x"])
}

async fn split(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let mut subscription = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    stream.put("a", "last words").await?;
    let (parent, [lower, upper]) = stream.split_in_two().await?;
    let rest = subscription.rest().await?;
    same("records", strings(&rest.records), ["last words"])?;
    let mut children = rest.children;
    children.sort_by_key(|child| child.shard_id.clone());
    let ids: Vec<_> = children.iter().map(|child| child.shard_id.as_str()).collect();
    same("ChildShards", ids, [lower.as_str(), upper.as_str()])?;
    for child in &children {
        same("ParentShards", child.parent_shards(), &[parent.to_string()][..])?;
    }
    let start = children[1].hash_key_range().map(|range| range.starting_hash_key().to_owned());
    same("the upper child's first key", start, Some(HashKey(1 << 127).to_string()))
}

async fn merged(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let shards = stream.open_shards().await?;
    let consumer = stream.consumer().await?;
    let mut subscription = consumer.subscribe(&shards[1].id, ShardPosition::TrimHorizon).await?;
    let child = stream.merge(&shards[0].id, &shards[1].id).await?;
    let rest = subscription.rest().await?;
    let ids: Vec<_> = rest.children.iter().map(|child| child.shard_id.as_str()).collect();
    same("ChildShards", ids, [child.as_str()])?;
    same("parents", rest.children[0].parent_shards().len(), 2)
}

async fn closed_already(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    for record in ["0", "1"] {
        stream.put("a", record).await?;
    }
    let (parent, _) = stream.split_in_two().await?;
    let rest = consumer.subscribe(&parent, ShardPosition::TrimHorizon).await?.rest().await?;
    same("records", strings(&rest.records), ["0", "1"])?;
    same("children", rest.children.len(), 2)
}

async fn behind_the_end(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    let last = stream.put("a", "x").await?.sequence;
    let (parent, _) = stream.split_in_two().await?;
    let rest = consumer.subscribe(&parent, ShardPosition::AfterSequenceNumber(last)).await?.rest().await?;
    same("records", rest.records.len(), 0)?;
    same("children", rest.children.len(), 2)
}

async fn kept_alive(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let mut subscription = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    for _ in 0..3 {
        context.pass(PAUSE).await?;
        let event = subscription.next().await?.ok_or("it ended")?;
        same("records", event.records.len(), 0)?;
        same("MillisBehindLatest", event.millis_behind_latest, 0)?;
        ensure!(!event.continuation_sequence_number.is_empty(), "no ContinuationSequenceNumber");
    }
    stream.put("a", "x").await?;
    let mut read = Vec::new();
    while read.is_empty() {
        read = strings(&subscription.next().await?.ok_or("it ended")?.records);
    }
    same("records", read, ["x"])
}

async fn renewed(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    stream.put("a", "before").await?;
    let mut subscription = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    let received = subscription.records(1).await?;
    context.pass(LIFE).await?;
    // Events that are still under way come first.
    let rest = subscription.rest().await?;
    same("records", rest.records.len(), 0)?;
    same("children", rest.children.len(), 0)?;
    stream.put("a", "later").await?;
    let last = if rest.continuation.is_empty() { received.continuation } else { rest.continuation };
    let number = last.parse().map_err(|error| format!("ContinuationSequenceNumber: {error}"))?;
    let mut renewed = consumer.subscribe(&shard, ShardPosition::AfterSequenceNumber(number)).await?;
    same("records", strings(&renewed.records(1).await?.records), ["later"])
}
