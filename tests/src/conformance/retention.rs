//! How long records are kept, and how that is set.

use std::time::Duration;

use shardflow_core::ShardPosition;

use super::harness::{Stream, ensure, refused, same, strings, told, topic};
use super::{Context, Need};

topic! { "retention", Kinesis;
    "retention can be increased and decreased between 24 and 8760 hours" => set,
    "retention below 24 or above 8760 hours is refused" => out_of_bounds,
    "retention is not increased to less nor decreased to more" => wrong_way,
    "a record is gone when it is older than retention" [Need::Passing(A_DAY)] => trimmed,
    "a record is there as long as longer retention says" [Need::Passing(A_DAY)] => kept,
    "decreasing retention cuts off what is older" [Need::Passing(A_DAY)] => cut,
    "an iterator to records that are gone goes on at the oldest that is left" [Need::Passing(A_DAY)] => goes_on,
    "a closed shard is listed until retention is over" [Need::Passing(A_DAY)] => closed_shard,
    "a shard that left retention can no longer be read" [Need::Passing(A_DAY)] => gone_shard,
}

/// Somewhat longer than a stream keeps records by default.
const A_DAY: Duration = Duration::from_secs(25 * 3600);

async fn set(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for hours in [48, 8760] {
        increase(context, &stream, hours).await?;
        same("hours", stream.active().await?.retention_period_hours, hours)?;
    }
    for hours in [100, 24] {
        decrease(context, &stream, hours).await?;
        same("hours", stream.active().await?.retention_period_hours, hours)?;
    }
    Ok(())
}

async fn out_of_bounds(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let codes = &["InvalidArgumentException", "ValidationException"];
    let longer = context.kinesis.increase_stream_retention_period().stream_name(&stream.name);
    refused(longer.retention_period_hours(8761).send().await, codes)?;
    increase(context, &stream, 48).await?;
    stream.active().await?;
    let shorter = context.kinesis.decrease_stream_retention_period().stream_name(&stream.name);
    refused(shorter.retention_period_hours(23).send().await, codes)?;
    same("hours", stream.active().await?.retention_period_hours, 48)
}

async fn wrong_way(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    increase(context, &stream, 72).await?;
    stream.active().await?;
    let longer = context.kinesis.increase_stream_retention_period().stream_name(&stream.name);
    refused(longer.retention_period_hours(48).send().await, &["InvalidArgumentException"])?;
    let shorter = context.kinesis.decrease_stream_retention_period().stream_name(&stream.name);
    refused(shorter.retention_period_hours(96).send().await, &["InvalidArgumentException"]).map(drop)
}

async fn trimmed(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "old").await?;
    context.pass(A_DAY).await?;
    stream.put("a", "new").await?;
    same("records", all_of(&stream).await?, ["new"])
}

async fn kept(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    increase(context, &stream, 48).await?;
    stream.active().await?;
    stream.put("a", "old").await?;
    context.pass(A_DAY).await?;
    stream.put("a", "new").await?;
    same("records", all_of(&stream).await?, ["old", "new"])
}

async fn cut(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    increase(context, &stream, 48).await?;
    stream.active().await?;
    stream.put("a", "old").await?;
    context.pass(A_DAY).await?;
    stream.put("a", "new").await?;
    decrease(context, &stream, 24).await?;
    stream.active().await?;
    same("records", all_of(&stream).await?, ["new"])
}

async fn goes_on(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let number = stream.put("a", "old").await?.sequence;
    context.pass(A_DAY).await?;
    stream.put("a", "new").await?;
    let shard = stream.only_shard().await?;
    for at in [ShardPosition::AtSequenceNumber(number.clone()), ShardPosition::AfterSequenceNumber(number)] {
        same("records", strings(&stream.read(&shard, at).await?), ["new"])?;
    }
    Ok(())
}

async fn closed_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let (parent, children) = stream.split_in_two().await?;
    context.pass(Duration::from_secs(23 * 3600)).await?;
    let ids = async || {
        Ok::<_, String>(stream.shards().await?.into_iter().map(|shard| shard.id).collect::<Vec<_>>())
    };
    same("shards after 23 hours", ids().await?, [parent, children[0].clone(), children[1].clone()])?;
    context.pass(Duration::from_secs(2 * 3600)).await?;
    same("shards after 25 hours", ids().await?, children)
}

async fn gone_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let (parent, _) = stream.split_in_two().await?;
    context.pass(A_DAY).await?;
    let iterator = stream.iterator(&parent, ShardPosition::TrimHorizon).await;
    ensure!(
        iterator.as_ref().is_err_and(|why| why.starts_with("ResourceNotFoundException")),
        "an iterator to it: {iterator:?}"
    );
    Ok(())
}

async fn all_of(stream: &Stream<'_>) -> Result<Vec<String>, String> {
    Ok(strings(&stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?))
}

async fn increase(context: &Context, stream: &Stream<'_>, hours: i32) -> Result<(), String> {
    let call = context.kinesis.increase_stream_retention_period().stream_name(&stream.name);
    call.retention_period_hours(hours).send().await.map(drop).map_err(told)
}

async fn decrease(context: &Context, stream: &Stream<'_>, hours: i32) -> Result<(), String> {
    let call = context.kinesis.decrease_stream_retention_period().stream_name(&stream.name);
    call.retention_period_hours(hours).send().await.map(drop).map_err(told)
}
