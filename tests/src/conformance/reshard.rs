//! SplitShard and MergeShards: lineage, how a closed shard is read to its end, and what is refused.

use aws_sdk_kinesis::types::{ChildShard, StreamStatus};
use shardflow_core::{HashKey, SequenceNumber, Shard, ShardId, ShardPosition};

use super::Context;
use super::harness::{Drained, Stream, ensure, refused, same, strings, told, topic};

topic! { "reshard", Kinesis;
    "a split leaves the parent closed and two children of its halves" => split,
    "a shard is split where it is asked for" => split_elsewhere,
    "children start above the number at which their parent ended" => numbers_go_on,
    "records of a closed shard lie between its first and last number" => numbers_within,
    "a stream is UPDATING while it is changed, and refuses further changes until then" => updating,
    "a closed shard is read to its end, which names its children" => end_of_split,
    "the end of a merged shard names the child and both its parents" => end_of_merge,
    "an iterator that was taken before a split comes to the end" => early_iterator,
    "LATEST on a closed shard comes to the end" => latest_on_closed,
    "AT_SEQUENCE_NUMBER of a closed shard's EndingSequenceNumber comes to the end" => ending_number,
    "the end of a shard can be found again and again" => end_again,
    "records that are put after a split go to the children" => puts_after_split,
    "records that are put after a merge go to the child" => puts_after_merge,
    "a merge leaves both parents closed and one child over their range" => merge,
    "a shard is not split at its borders or outside" => split_at_border,
    "a closed shard is neither split nor merged" => closed,
    "shards that do not touch are not merged" => apart,
    "a shard that does not exist is neither split nor merged" => missing,
}

async fn split(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let (parent, [lower, upper]) = stream.split_in_two().await?;
    let shards = stream.shards().await?;
    let [first, second, third] = &shards[..] else { return Err(format!("{} shards, not 3", shards.len())) };
    same("ids", [&first.id, &second.id, &third.id], [&parent, &lower, &upper])?;
    ensure!(!first.is_open() && second.is_open() && third.is_open(), "open and closed: {shards:?}");
    for child in [second, third] {
        same("parent", child.parent.as_ref(), Some(&parent))?;
        same("adjacent parent", child.adjacent_parent.as_ref(), None)?;
    }
    same("upper half's first key", third.hash_key_range.start(), HashKey(1 << 127))?;
    same("lower half's first key", second.hash_key_range.start(), HashKey::MIN)?;
    same("lower half's last key", second.hash_key_range.next(), Some(HashKey(1 << 127)))?;
    same("upper half's last key", third.hash_key_range.end(), HashKey::MAX)
}

async fn split_elsewhere(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let shards = stream.open_shards().await?;
    let at = HashKey(shards[1].hash_key_range.start().0 + 1000);
    stream.split(&shards[1].id, at).await?;
    let starts: Vec<_> =
        stream.open_shards().await?.iter().map(|shard| shard.hash_key_range.start()).collect();
    same("first keys", starts, [HashKey::MIN, shards[1].hash_key_range.start(), at])
}

async fn numbers_go_on(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "x").await?;
    let (parent, [lower, upper]) = stream.split_in_two().await?;
    let child = stream.merge(&lower, &upper).await?;
    let shards = stream.shards().await?;
    for (before, after) in [(&parent, &lower), (&parent, &upper), (&lower, &child), (&upper, &child)] {
        let end =
            shard(&shards, before)?.ending_sequence_number.clone().ok_or("a closed shard without an end")?;
        let start =
            shard(&shards, after)?.starting_sequence_number.clone().ok_or("a shard without a start")?;
        ensure!(end < start, "{before} ends at {end}, its child {after} starts at {start}");
    }
    Ok(())
}

async fn numbers_within(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let mut numbers: Vec<SequenceNumber> = Vec::new();
    for _ in 0..3 {
        numbers.push(stream.put("a", "x").await?.sequence);
    }
    let (parent, _) = stream.split_in_two().await?;
    let shards = stream.shards().await?;
    let parent = shard(&shards, &parent)?;
    let start = parent.starting_sequence_number.clone().ok_or("a shard without a start")?;
    let end = parent.ending_sequence_number.clone().ok_or("a closed shard without an end")?;
    for number in numbers {
        ensure!(start <= number && number <= end, "{number} is not within {start} and {end}");
    }
    Ok(())
}

async fn updating(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let shards = stream.shards().await?;
    let split = |shard: &Shard| {
        let middle = shard.hash_key_range.start().0 + (1 << 126);
        let split = context.kinesis.split_shard().stream_name(&stream.name).shard_to_split(shard.id.as_str());
        split.new_starting_hash_key(middle.to_string()).send()
    };
    split(&shards[0]).await.map_err(told)?;
    same("status", stream.summary().await?.stream_status, StreamStatus::Updating)?;
    refused(split(&shards[1]).await, &["ResourceInUseException"])?;
    stream.put_at("a", Some(HashKey::MIN), "taken while it is UPDATING").await?;
    stream.active().await?;
    split(&shards[1]).await.map(drop).map_err(told)
}

async fn end_of_split(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    put_ten(&stream).await?;
    let (parent, [lower, upper]) = stream.split_in_two().await?;
    let drained = from(&stream, &parent, ShardPosition::TrimHorizon).await?;
    same("records", strings(&drained.records), ten())?;
    let shards = stream.shards().await?;
    let mut expected = Vec::new();
    for child in [&lower, &upper] {
        let range = shard(&shards, child)?.hash_key_range;
        expected.push((child.to_string(), vec![parent.to_string()], range.start(), range.end()));
    }
    same("ChildShards", children(drained.ended()?)?, expected)
}

async fn end_of_merge(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let shards = stream.open_shards().await?;
    let (lower, upper) = (&shards[0].id, &shards[1].id);
    let child = stream.merge(lower, upper).await?;
    let parents = vec![lower.to_string(), upper.to_string()];
    for parent in [lower, upper] {
        let drained = from(&stream, parent, ShardPosition::TrimHorizon).await?;
        let mut seen = children(drained.ended()?)?;
        // In which order the parents are named is not documented.
        seen.iter_mut().for_each(|child| child.1.sort_unstable());
        same("ChildShards", seen, [(child.to_string(), parents.clone(), HashKey::MIN, HashKey::MAX)])?;
    }
    Ok(())
}

async fn early_iterator(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    put_ten(&stream).await?;
    let parent = stream.only_shard().await?;
    let iterator = stream.iterator(&parent, ShardPosition::Latest).await?;
    stream.put("a", "one more").await?;
    stream.split_in_two().await?;
    let drained = stream.drain(iterator).await?;
    same("records", strings(&drained.records), ["one more"])?;
    same("children", drained.ended()?.len(), 2)
}

async fn latest_on_closed(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    put_ten(&stream).await?;
    let (parent, _) = stream.split_in_two().await?;
    let drained = from(&stream, &parent, ShardPosition::Latest).await?;
    same("records", drained.records.len(), 0)?;
    same("children", drained.ended()?.len(), 2)
}

async fn ending_number(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    put_ten(&stream).await?;
    let (parent, _) = stream.split_in_two().await?;
    let shards = stream.shards().await?;
    let end =
        shard(&shards, &parent)?.ending_sequence_number.clone().ok_or("a closed shard without an end")?;
    let drained = from(&stream, &parent, ShardPosition::AtSequenceNumber(end)).await?;
    // The number may be the last record's own or a later one.
    ensure!(drained.records.len() <= 1, "{} records", drained.records.len());
    same("children", drained.ended()?.len(), 2)
}

async fn end_again(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    put_ten(&stream).await?;
    let (parent, _) = stream.split_in_two().await?;
    for _ in 0..3 {
        let drained = from(&stream, &parent, ShardPosition::TrimHorizon).await?;
        same("records", drained.records.len(), 10)?;
        same("children", drained.ended()?.len(), 2)?;
    }
    Ok(())
}

async fn puts_after_split(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.split_in_two().await?;
    let open = stream.open_shards().await?;
    for number in 0..20 {
        let key = format!("key-{number}");
        let placed = stream.put(&key, "x").await?;
        let half = usize::from(HashKey::of(&key) >= HashKey(1 << 127));
        same(&key, &placed.shard, &open[half].id)?;
    }
    Ok(())
}

async fn puts_after_merge(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let shards = stream.open_shards().await?;
    let child = stream.merge(&shards[0].id, &shards[1].id).await?;
    for hash in [HashKey::MIN, HashKey(1 << 127), HashKey::MAX] {
        same("shard", &stream.put_at("a", Some(hash), "x").await?.shard, &child)?;
    }
    Ok(())
}

async fn merge(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let parents = stream.open_shards().await?;
    let child = stream.merge(&parents[0].id, &parents[1].id).await?;
    let shards = stream.shards().await?;
    same("shards", shards.len(), 3)?;
    for parent in &parents {
        ensure!(!shard(&shards, &parent.id)?.is_open(), "{} is still open", parent.id);
    }
    let child = shard(&shards, &child)?;
    ensure!(child.is_open(), "the child is closed");
    same("parent", child.parent.as_ref(), Some(&parents[0].id))?;
    same("adjacent parent", child.adjacent_parent.as_ref(), Some(&parents[1].id))?;
    same("first key", child.hash_key_range.start(), HashKey::MIN)?;
    same("last key", child.hash_key_range.end(), HashKey::MAX)
}

async fn split_at_border(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let lower = &stream.open_shards().await?[0];
    let range = lower.hash_key_range;
    let outside = range.next().ok_or("no second shard")?.0 + 10;
    for at in [range.start().0, outside] {
        let split = context.kinesis.split_shard().stream_name(&stream.name).shard_to_split(lower.id.as_str());
        refused(split.new_starting_hash_key(at.to_string()).send().await, &["InvalidArgumentException"])?;
    }
    let split = context.kinesis.split_shard().stream_name(&stream.name).shard_to_split(lower.id.as_str());
    let split = split.new_starting_hash_key("half");
    refused(split.send().await, &["ValidationException", "InvalidArgumentException"]).map(drop)
}

async fn closed(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let (parent, [lower, _]) = stream.split_in_two().await?;
    let codes = &["InvalidArgumentException", "ResourceInUseException"];
    let split = context.kinesis.split_shard().stream_name(&stream.name).shard_to_split(parent.as_str());
    refused(split.new_starting_hash_key((1_u128 << 126).to_string()).send().await, codes)?;
    let merge = context.kinesis.merge_shards().stream_name(&stream.name).shard_to_merge(parent.as_str());
    refused(merge.adjacent_shard_to_merge(lower.as_str()).send().await, codes).map(drop)
}

async fn apart(context: &Context) -> Result<(), String> {
    let stream = context.stream(3).await?;
    let merge = context.kinesis.merge_shards().stream_name(&stream.name);
    let merge = merge.shard_to_merge(ShardId::numbered(0).as_str());
    let merge = merge.adjacent_shard_to_merge(ShardId::numbered(2).as_str());
    refused(merge.send().await, &["InvalidArgumentException"]).map(drop)
}

async fn missing(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let split = context.kinesis.split_shard().stream_name(&stream.name);
    let split = split.shard_to_split(ShardId::numbered(9).as_str()).new_starting_hash_key("1000");
    refused(split.send().await, &["ResourceNotFoundException"])?;
    let merge = context.kinesis.merge_shards().stream_name(&stream.name);
    let merge = merge.shard_to_merge(ShardId::numbered(0).as_str());
    let merge = merge.adjacent_shard_to_merge(ShardId::numbered(9).as_str());
    refused(merge.send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn from(stream: &Stream<'_>, shard: &ShardId, at: ShardPosition) -> Result<Drained, String> {
    stream.drain(stream.iterator(shard, at).await?).await
}

async fn put_ten(stream: &Stream<'_>) -> Result<(), String> {
    for record in ten() {
        stream.put(&record, record.as_str()).await?;
    }
    Ok(())
}

fn ten() -> Vec<String> {
    (0..10).map(|number| number.to_string()).collect()
}

/// A child's name, its parents, and the first and last key of its range.
type Child = (String, Vec<String>, HashKey, HashKey);

/// The children, by range.
fn children(children: &[ChildShard]) -> Result<Vec<Child>, String> {
    let parse = |key: &str| key.parse::<HashKey>().map_err(|error| error.to_string());
    let mut seen = Vec::new();
    for child in children {
        let range = child.hash_key_range().ok_or("a child without a range")?;
        let (start, end) = (parse(range.starting_hash_key())?, parse(range.ending_hash_key())?);
        seen.push((child.shard_id.clone(), child.parent_shards().to_vec(), start, end));
    }
    seen.sort_by_key(|child| child.2);
    Ok(seen)
}

fn shard<'a>(shards: &'a [Shard], id: &ShardId) -> Result<&'a Shard, String> {
    shards.iter().find(|shard| shard.id == *id).ok_or_else(|| format!("{id} is not listed"))
}
