//! UpdateShardCount: equal shards with a true past.

use aws_sdk_kinesis::types::{ScalingType, StreamMode, StreamModeDetails, StreamStatus};
use shardflow_core::{HashKey, Shard, ShardPosition};

use super::Context;
use super::harness::{Stream, ensure, entry, refused, same, told, topic};

topic! { "update shard count", Kinesis;
    "UpdateShardCount tells the current and the target count, and the stream is UPDATING" => answer,
    "doubling splits each shard in two equal halves" => doubled,
    "halving merges each pair of neighbours" => halved,
    "any walk of counts leaves equal shards that cover every hash key once" => walk,
    "every shard of a walk of counts comes from closed shards of its own range" => lineage,
    "records stay readable through a walk of counts" => records_stay,
    "more than double or less than half of the shards is refused" => too_far,
    "a count of 0 is refused" => none,
    "a stream on demand does not take a shard count" => on_demand,
    "the shards of a stream that does not exist are not counted" => no_stream,
}

/// Counts in which splits, merges and both at once occur.
const WALK: [i32; 4] = [4, 2, 3, 5];

async fn answer(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let answer = update(context, &stream.name, 4).send().await.map_err(told)?;
    same("StreamName", answer.stream_name.as_deref(), Some(stream.name.as_str()))?;
    same("CurrentShardCount", answer.current_shard_count, Some(2))?;
    same("TargetShardCount", answer.target_shard_count, Some(4))?;
    same("status", stream.summary().await?.stream_status, StreamStatus::Updating)?;
    same("open shards", stream.active().await?.open_shard_count, 4)
}

async fn doubled(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    stream.resize(4).await?;
    let shards = stream.shards().await?;
    same("shards", shards.len(), 6)?;
    covers_equally(&stream.open_shards().await?, 4)?;
    for parent in shards.iter().filter(|shard| !shard.is_open()) {
        let children = shards.iter().filter(|shard| shard.parent.as_ref() == Some(&parent.id));
        same("children", children.count(), 2)?;
    }
    Ok(())
}

async fn halved(context: &Context) -> Result<(), String> {
    let stream = context.stream(4).await?;
    stream.resize(2).await?;
    let shards = stream.shards().await?;
    same("shards", shards.len(), 6)?;
    let open = stream.open_shards().await?;
    covers_equally(&open, 2)?;
    for child in open {
        same("parents", child.parents().count(), 2)?;
    }
    Ok(())
}

async fn walk(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    for count in WALK {
        stream.resize(count).await?;
        covers_equally(&stream.open_shards().await?, count)?;
    }
    Ok(())
}

async fn lineage(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    for count in WALK {
        stream.resize(count).await?;
    }
    let shards = stream.shards().await?;
    for shard in &shards {
        let named: Vec<_> = shard.parents().collect();
        let parents: Vec<_> = shards.iter().filter(|parent| named.contains(&&parent.id)).collect();
        same("parents that are listed", parents.len(), named.len())?;
        let first = shard.id.as_str() <= "shardId-000000000001";
        ensure!(named.is_empty() == first, "{} has {} parents", shard.id, named.len());
        for parent in &parents {
            ensure!(!parent.is_open(), "{} is open and has a child {}", parent.id, shard.id);
            ensure!(parent.id < shard.id, "{} comes from {}", shard.id, parent.id);
            let (own, theirs) = (shard.hash_key_range, parent.hash_key_range);
            let within = |inner: HashKey, range: shardflow_core::HashKeyRange| range.contains(inner);
            let whole = if parents.len() == 2 {
                within(theirs.start(), own) && within(theirs.end(), own)
            } else {
                within(own.start(), theirs) && within(own.end(), theirs)
            };
            ensure!(whole, "{} has the range {own}, its parent {} the range {theirs}", shard.id, parent.id);
        }
    }
    Ok(())
}

async fn records_stay(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let mut put = 0;
    for count in WALK {
        stream.put_all((0..20).map(|number| entry(format!("key-{number}"), "x")).collect()).await?;
        put += 20;
        stream.resize(count).await?;
        same("records", count_records(&stream).await?, put)?;
    }
    Ok(())
}

async fn too_far(context: &Context) -> Result<(), String> {
    let stream = context.stream(4).await?;
    for count in [9, 1] {
        let codes = &["InvalidArgumentException", "LimitExceededException", "ValidationException"];
        refused(update(context, &stream.name, count).send().await, codes)
            .map_err(|why| format!("4 to {count}: {why}"))?;
    }
    same("open shards", stream.active().await?.open_shard_count, 4)
}

async fn none(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let codes = &["ValidationException", "InvalidArgumentException"];
    refused(update(context, &stream.name, 0).send().await, codes).map(drop)
}

async fn on_demand(context: &Context) -> Result<(), String> {
    let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build();
    let mode = mode.map_err(|error| error.to_string())?;
    let stream = context.stream_with(|create| create.stream_mode_details(mode)).await?;
    let codes = &["InvalidArgumentException", "ValidationException"];
    refused(update(context, &stream.name, 8).send().await, codes).map(drop)
}

async fn no_stream(context: &Context) -> Result<(), String> {
    let answer = update(context, &context.name(), 2).send().await;
    refused(answer, &["ResourceNotFoundException"]).map(drop)
}

fn update(
    context: &Context,
    stream: &str,
    count: i32,
) -> aws_sdk_kinesis::operation::update_shard_count::builders::UpdateShardCountFluentBuilder {
    let update = context.kinesis.update_shard_count().stream_name(stream);
    update.target_shard_count(count).scaling_type(ScalingType::UniformScaling)
}

/// Open shards cover every hash key once, in parts that differ by rounding only.
fn covers_equally(open: &[Shard], count: i32) -> Result<(), String> {
    same("open shards", i32::try_from(open.len()), Ok(count))?;
    same("first key", open.first().map(|shard| shard.hash_key_range.start()), Some(HashKey::MIN))?;
    same("last key", open.last().map(|shard| shard.hash_key_range.end()), Some(HashKey::MAX))?;
    for pair in open.windows(2) {
        let next = pair[0].hash_key_range.next();
        same("the next shard's first key", Some(pair[1].hash_key_range.start()), next)?;
    }
    let share = u128::MAX / u128::from(count.unsigned_abs());
    for shard in open {
        let keys = shard.hash_key_range.end().0 - shard.hash_key_range.start().0;
        // What servers round differs; a millionth is far above it and far below a wrong cut.
        ensure!(keys.abs_diff(share) < share / 1_000_000, "{} has not its share of the keys", shard.id);
    }
    Ok(())
}

async fn count_records(stream: &Stream<'_>) -> Result<usize, String> {
    let mut count = 0;
    for shard in stream.shards().await? {
        count += stream.read(&shard.id, ShardPosition::TrimHorizon).await?.len();
    }
    Ok(count)
}
