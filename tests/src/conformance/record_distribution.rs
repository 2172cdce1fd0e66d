//! Who decides which shard a record goes to: the producer, or a stream on demand by itself.

use std::collections::BTreeSet;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, RecordDistributionStrategy, StreamMode, StreamModeDetails,
};
use shardflow_core::{HashKey, ShardPosition};

use super::Context;
use super::harness::{Stream, ensure, entry, refused, same, told, topic};

topic! { "record distribution", Kinesis;
    "a stream distributes by partition key until it is told otherwise" => default,
    "records without a partition key are refused where keys decide" => key_needed,
    "a stream on demand can distribute records without partition keys evenly over its shards" => auto,
    "a stream that distributes by itself ignores partition keys and explicit hash keys" => keys_ignored,
    "the strategy can be changed at any time, and back" => changed,
    "a provisioned stream does not distribute by itself" => provisioned,
}

async fn default(context: &Context) -> Result<(), String> {
    let stream = on_demand(context, None).await?;
    let strategy = stream.summary().await?.record_distribution_strategy;
    same("strategy", strategy, Some(RecordDistributionStrategy::UserPartitionKey))?;
    let mut shards = BTreeSet::new();
    for _ in 0..8 {
        shards.insert(stream.put("a", "x").await?.shard);
    }
    same("shards of one key", shards.len(), 1)
}

async fn key_needed(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let codes = &["ValidationException", "InvalidArgumentException"];
    let put = context.kinesis.put_record().stream_name(&stream.name).data(Blob::new("x"));
    refused(put.send().await, codes)?;
    let put = context.kinesis.put_records().stream_name(&stream.name).records(without_key("x")?);
    refused(put.send().await, codes).map(drop)
}

async fn auto(context: &Context) -> Result<(), String> {
    let stream = on_demand(context, Some(RecordDistributionStrategy::Auto)).await?;
    let entries = (0..100).map(|_| without_key("x")).collect::<Result<Vec<_>, _>>()?;
    stream.put_all(entries).await?;
    let put = context.kinesis.put_record().stream_name(&stream.name).data(Blob::new("x"));
    put.send().await.map_err(told)?;
    let mut count = 0;
    for shard in stream.open_shards().await? {
        let records = stream.read(&shard.id, ShardPosition::TrimHorizon).await?;
        ensure!((10..=50).contains(&records.len()), "{} of 101 records in one of 4 shards", records.len());
        ensure!(records.iter().all(|record| record.partition_key.is_none()), "a key that nobody gave");
        count += records.len();
    }
    same("records", count, 101)
}

async fn keys_ignored(context: &Context) -> Result<(), String> {
    let stream = on_demand(context, Some(RecordDistributionStrategy::Auto)).await?;
    let placed = stream.put_all((0..40).map(|_| entry("a", "x")).collect()).await?;
    let shards: BTreeSet<_> = placed.into_iter().map(|placed| placed.shard).collect();
    same("shards of one key", shards.len(), 4)?;
    let mut shards = BTreeSet::new();
    for _ in 0..16 {
        shards.insert(stream.put_at("a", Some(HashKey::MIN), "x").await?.shard);
    }
    ensure!(shards.len() > 1, "one shard for one explicit hash key");
    Ok(())
}

async fn changed(context: &Context) -> Result<(), String> {
    let stream = on_demand(context, None).await?;
    for strategy in [RecordDistributionStrategy::Auto, RecordDistributionStrategy::UserPartitionKey] {
        let update = context.kinesis.update_stream_record_distribution_strategy().stream_arn(&stream.arn);
        update.record_distribution_strategy(strategy.clone()).send().await.map_err(told)?;
        let summary = stream.active().await?;
        same("strategy", summary.record_distribution_strategy, Some(strategy.clone()))?;
        let placed = stream.put_all((0..20).map(|_| entry("a", "x")).collect()).await?;
        let shards: BTreeSet<_> = placed.into_iter().map(|placed| placed.shard).collect();
        let one = strategy == RecordDistributionStrategy::UserPartitionKey;
        ensure!((shards.len() == 1) == one, "{} shards for one key under {strategy}", shards.len());
    }
    Ok(())
}

async fn provisioned(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let auto = RecordDistributionStrategy::Auto;
    let update = context.kinesis.update_stream_record_distribution_strategy().stream_arn(&stream.arn);
    let update = update.record_distribution_strategy(auto.clone());
    refused(update.send().await, &["InvalidArgumentException"])?;
    let create = context.kinesis.create_stream().stream_name(context.stream_name()).shard_count(1);
    refused(create.record_distribution_strategy(auto).send().await, &["InvalidArgumentException"]).map(drop)
}

async fn on_demand(
    context: &Context,
    strategy: Option<RecordDistributionStrategy>,
) -> Result<Stream<'_>, String> {
    let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build();
    let mode = mode.map_err(|error| error.to_string())?;
    let stream = context
        .stream_with(|create| create.stream_mode_details(mode).set_record_distribution_strategy(strategy));
    stream.await
}

fn without_key(data: &str) -> Result<PutRecordsRequestEntry, String> {
    let entry = PutRecordsRequestEntry::builder().data(Blob::new(data)).build();
    entry.map_err(|error| error.to_string())
}
