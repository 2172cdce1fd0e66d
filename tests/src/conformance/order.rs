//! The order of records, across splits and merges too.

use std::collections::BTreeSet;
use std::time::Duration;

use shardflow_core::{SequenceNumber, ShardId, ShardPosition};

use super::Context;
use super::harness::{Stream, ensure, entry, same, strings, topic};

topic! { "order", Kinesis;
    "records of a shard are read in the order in which they were put" => within_shard,
    "records of a shard are read in the order of their sequence numbers" => by_number,
    "sequence numbers of a key increase across a split and a merge" => numbers_across,
    "records of a key are read in order from parents to children across a split and a merge" => read_across,
    "a reader that follows ChildShards sees every record once, through 2, 4, 2 and 3 shards" => followed,
}

async fn within_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let mut put = Vec::new();
    for batch in 0..5 {
        let data: Vec<_> = (0..50).map(|number| format!("{batch}-{number}")).collect();
        stream.put_all(data.iter().map(|data| entry(data, data.as_str())).collect()).await?;
        put.extend(data);
    }
    let shard = stream.only_shard().await?;
    same("records", strings(&stream.read(&shard, ShardPosition::TrimHorizon).await?), put)
}

async fn by_number(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for number in 0..3 {
        stream.put("a", number.to_string()).await?;
        stream.put_all((0..20).map(|number| entry(format!("k{number}"), "x")).collect()).await?;
        context.pass(Duration::from_millis(300)).await?;
    }
    let records = stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    let numbers: Result<Vec<SequenceNumber>, _> =
        records.iter().map(|record| record.sequence_number.parse()).collect();
    let numbers = numbers.map_err(|error| format!("{error}"))?;
    same("records", numbers.len(), 63)?;
    ensure!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "the numbers do not increase");
    Ok(())
}

async fn numbers_across(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let mut placed = vec![stream.put("key", "0").await?];
    placed.push(stream.put("key", "1").await?);
    let (_, [lower, upper]) = stream.split_in_two().await?;
    placed.push(stream.put("key", "2").await?);
    stream.merge(&lower, &upper).await?;
    placed.push(stream.put("key", "3").await?);
    ensure!(
        placed.windows(2).all(|pair| pair[0].sequence < pair[1].sequence),
        "they are {:?}",
        placed.iter().map(|placed| placed.sequence.as_str()).collect::<Vec<_>>()
    );
    let shards: BTreeSet<_> = placed.into_iter().map(|placed| placed.shard).collect();
    same("shards that took them", shards.len(), 3)
}

async fn read_across(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("key", "0").await?;
    stream.put("key", "1").await?;
    let (root, [lower, upper]) = stream.split_in_two().await?;
    stream.put("key", "2").await?;
    stream.put("key", "3").await?;
    stream.merge(&lower, &upper).await?;
    stream.put("key", "4").await?;
    let (read, shards) = follow(&stream, vec![root]).await?;
    same("records", read, ["0", "1", "2", "3", "4"])?;
    same("shards", shards, 4)
}

async fn followed(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let roots = stream.shards().await?.into_iter().map(|shard| shard.id).collect();
    let mut put = Vec::new();
    for (generation, count) in [4, 2, 3].into_iter().enumerate() {
        let data: Vec<_> = (0..20).map(|key| format!("{key:02}-{generation}")).collect();
        // The key is what stands before the dash.
        let entries =
            data.iter().map(|data| entry(data.split('-').next().unwrap_or_default(), data.as_str()));
        stream.put_all(entries.collect()).await?;
        put.extend(data);
        stream.resize(count).await?;
    }
    let (mut read, shards) = follow(&stream, roots).await?;
    for key in 0..20 {
        let key = format!("{key:02}-");
        let generations: Vec<_> = read.iter().filter_map(|data| data.strip_prefix(&key)).collect();
        same("records of one key", generations, ["0", "1", "2"])?;
    }
    read.sort_unstable();
    put.sort_unstable();
    same("records", read, put)?;
    same("shards", shards, stream.shards().await?.len())
}

/// Reads shards to their ends and then their children, those with two parents when both are done. Gives the records in
/// that order, and how many shards there were.
async fn follow(stream: &Stream<'_>, roots: Vec<ShardId>) -> Result<(Vec<String>, usize), String> {
    let (mut records, mut done) = (Vec::new(), BTreeSet::new());
    let mut waiting: Vec<(ShardId, Vec<String>)> = roots.into_iter().map(|root| (root, Vec::new())).collect();
    while let Some(ready) = waiting.iter().position(|(_, parents)| parents.iter().all(|id| done.contains(id)))
    {
        let (shard, _) = waiting.swap_remove(ready);
        let drained = stream.drain(stream.iterator(&shard, ShardPosition::TrimHorizon).await?).await?;
        records.extend(strings(&drained.records));
        for child in drained.children.unwrap_or_default() {
            let id: ShardId = child.shard_id.parse().map_err(|error| format!("{error}"))?;
            if !waiting.iter().any(|(known, _)| *known == id) {
                waiting.push((id, child.parent_shards));
            }
        }
        ensure!(done.insert(shard.to_string()), "{shard} is a child of a shard that comes after it");
        ensure!(done.len() < 100, "no end of shards");
    }
    match waiting.first() {
        None => Ok((records, done.len())),
        Some((shard, parents)) => {
            Err(format!("{shard} waits for its parents {parents:?}, which are not found"))
        }
    }
}
