//! Creating, describing, listing and deleting streams.

use aws_sdk_kinesis::types::{StreamMode, StreamModeDetails, StreamStatus};
use shardflow_core::ShardPosition;

use super::Context;
use super::harness::{ensure, refused, same, strings, told, topic};

topic! { "streams", Kinesis;
    "a provisioned stream is CREATING, then ACTIVE with the shards that were asked for" => is_created,
    "the shards of a new stream cover every hash key once, in equal parts" => equal_shards,
    "a stream on demand has four shards" => on_demand,
    "a provisioned stream is not created without a number of shards" => no_shard_count,
    "a stream is not created under a name that is taken" => name_taken,
    "a stream is not created under a name that is none" => no_name,
    "DescribeStreamSummary tells what a new stream is like" => summary,
    "DescribeStreamSummary of a stream that does not exist is refused" => summary_of_nothing,
    "DescribeStream tells the stream and its shards" => description,
    "DescribeStream gives its shards page by page" => description_in_pages,
    "DescribeStream gives at most a hundred shards, however many are asked for" => description_of_many,
    "ListStreams names a stream and sums it up" => listed,
    "ListStreams gives streams page by page, by token or by name" => listed_in_pages,
    "DescribeLimits counts the open shards" => limits,
    "a stream that is deleted can no longer be described or listed" => is_deleted,
    "a stream with consumers is deleted only by force" => deleted_by_force,
    "a stream that is created again has nothing of the earlier one" => created_again,
    "DescribeStreamSummary and ListShards take a stream's ARN" => arn_in_descriptions,
    "PutRecord takes a stream's ARN" => arn_in_put_record,
    "PutRecords takes a stream's ARN" => arn_in_put_records,
    "GetShardIterator and GetRecords take a stream's ARN" => arn_in_reads,
    "a call that names no stream at all is refused" => unnamed,
}

async fn is_created(context: &Context) -> Result<(), String> {
    let name = context.stream_name();
    context.kinesis.create_stream().stream_name(&name).shard_count(2).send().await.map_err(told)?;
    let mut seen = Vec::new();
    let mut tries = context.tries("the stream to be ACTIVE");
    loop {
        let answer =
            context.kinesis.describe_stream_summary().stream_name(&name).send().await.map_err(told)?;
        let summary = answer.stream_description_summary.ok_or("no summary")?;
        let active = summary.stream_status == StreamStatus::Active;
        if seen.last() != Some(&summary.stream_status) {
            seen.push(summary.stream_status);
        }
        if active {
            same("open shards", summary.open_shard_count, 2)?;
            break;
        }
        tries.again().await?;
    }
    same("its status, one after the other", seen, [StreamStatus::Creating, StreamStatus::Active])
}

async fn equal_shards(context: &Context) -> Result<(), String> {
    let stream = context.stream(5).await?;
    let shards = stream.shards().await?;
    same("shards", shards.len(), 5)?;
    let ids: Vec<_> = shards.iter().map(|shard| shard.id.as_str()).collect();
    same("ids", ids, (0..5).map(|number| format!("shardId-{number:012}")).collect::<Vec<_>>())?;
    let ranges: Vec<_> = shards.iter().map(|shard| shard.hash_key_range).collect();
    same("first hash key", ranges[0].start().0, 0)?;
    same("last hash key", ranges[4].end().0, u128::MAX)?;
    for pair in ranges.windows(2) {
        same("the next shard's first key", Some(pair[1].start()), pair[0].next())?;
    }
    for range in &ranges {
        let keys = range.end().0 - range.start().0;
        ensure!(keys.abs_diff(u128::MAX / 5) < 10, "a shard of {keys} hash keys, not of a fifth of all");
    }
    for shard in &shards {
        ensure!(shard.is_open() && shard.parents().next().is_none(), "a new shard with a past: {shard:?}");
    }
    Ok(())
}

async fn on_demand(context: &Context) -> Result<(), String> {
    let stream = context.stream_with(|create| create.stream_mode_details(mode(StreamMode::OnDemand))).await?;
    let summary = stream.summary().await?;
    same("mode", summary.stream_mode_details.map(|mode| mode.stream_mode), Some(StreamMode::OnDemand))?;
    same("open shards", summary.open_shard_count, 4)
}

async fn no_shard_count(context: &Context) -> Result<(), String> {
    let create = context.kinesis.create_stream().stream_name(context.stream_name());
    refused(create.send().await, &["ValidationException", "InvalidArgumentException"])?;
    let create = context.kinesis.create_stream().stream_name(context.stream_name()).shard_count(0);
    refused(create.send().await, &["ValidationException", "InvalidArgumentException"]).map(drop)
}

async fn name_taken(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let create = context.kinesis.create_stream().stream_name(&stream.name).shard_count(1);
    refused(create.send().await, &["ResourceInUseException"]).map(drop)
}

async fn no_name(context: &Context) -> Result<(), String> {
    let too_long = "n".repeat(129);
    for name in ["", "with space", "größe", "a/b", too_long.as_str()] {
        let create = context.kinesis.create_stream().stream_name(name).shard_count(1);
        refused(create.send().await, &["ValidationException", "InvalidArgumentException"])
            .map_err(|why| format!("{name:?}: {why}"))?;
    }
    Ok(())
}

async fn summary(context: &Context) -> Result<(), String> {
    let stream = context.stream(3).await?;
    let summary = stream.summary().await?;
    same("name", summary.stream_name.as_str(), stream.name.as_str())?;
    let tail = format!(":stream/{}", stream.name);
    ensure!(
        summary.stream_arn.starts_with("arn:aws:kinesis:us-east-1:") && summary.stream_arn.ends_with(&tail),
        "ARN {}",
        summary.stream_arn
    );
    same("status", summary.stream_status, StreamStatus::Active)?;
    same("mode", summary.stream_mode_details.map(|mode| mode.stream_mode), Some(StreamMode::Provisioned))?;
    same("retention in hours", summary.retention_period_hours, 24)?;
    same("open shards", summary.open_shard_count, 3)?;
    same("consumers", summary.consumer_count.unwrap_or_default(), 0)?;
    ensure!(summary.stream_creation_timestamp.secs() > 1_500_000_000, "created long ago");
    let encryption = summary.encryption_type.map_or_else(|| "NONE".to_owned(), |kind| kind.to_string());
    same("encryption", encryption.as_str(), "NONE")?;
    same("sets of metrics", summary.enhanced_monitoring.len(), 1)?;
    same("metrics", summary.enhanced_monitoring[0].shard_level_metrics().len(), 0)
}

async fn summary_of_nothing(context: &Context) -> Result<(), String> {
    let describe = context.kinesis.describe_stream_summary().stream_name(context.name());
    refused(describe.send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn description(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let answer = context.kinesis.describe_stream().stream_name(&stream.name).send().await.map_err(told)?;
    let description = answer.stream_description.ok_or("no description")?;
    same("name", description.stream_name.as_str(), stream.name.as_str())?;
    same("ARN", description.stream_arn.as_str(), stream.arn.as_str())?;
    same("more shards", description.has_more_shards, false)?;
    same("retention in hours", description.retention_period_hours, 24)?;
    let listed = stream.shards().await?;
    let described = description.shards.into_iter().map(shardflow_sdk::shard).collect::<Result<Vec<_>, _>>();
    same("shards", described.map_err(|error| error.to_string())?, listed)
}

async fn description_in_pages(context: &Context) -> Result<(), String> {
    let stream = context.stream(5).await?;
    let (mut pages, mut ids, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let describe = context.kinesis.describe_stream().stream_name(&stream.name).limit(2);
        let answer = describe.set_exclusive_start_shard_id(after).send().await.map_err(told)?;
        let page = answer.stream_description.ok_or("no description")?;
        pages.push(page.shards.len());
        ids.extend(page.shards.iter().map(|shard| shard.shard_id.clone()));
        ensure!(pages.len() <= 3, "more than three pages of two shards of five");
        if !page.has_more_shards {
            break;
        }
        after = ids.last().cloned();
    }
    same("shards of each page", pages, [2, 2, 1])?;
    let all: Vec<_> = stream.shards().await?.iter().map(|shard| shard.id.to_string()).collect();
    same("shards", ids, all)
}

async fn description_of_many(context: &Context) -> Result<(), String> {
    let stream = context.stream(101).await?;
    for limit in [None, Some(1000)] {
        let describe = context.kinesis.describe_stream().stream_name(&stream.name).set_limit(limit);
        let page = describe.send().await.map_err(told)?.stream_description.ok_or("no description")?;
        same("shards", page.shards.len(), 100)?;
        same("more shards", page.has_more_shards, true)?;
    }
    Ok(())
}

async fn listed(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    // Exactly before it, so that a server full of streams does not matter.
    let before = stream.name.get(..stream.name.len() - 1).unwrap_or_default();
    let list = context.kinesis.list_streams().exclusive_start_stream_name(before);
    let answer = list.send().await.map_err(told)?;
    ensure!(answer.stream_names.contains(&stream.name), "it is not among {:?}", answer.stream_names);
    let mut summaries = answer.stream_summaries.unwrap_or_default();
    summaries.retain(|summary| summary.stream_name == stream.name);
    let [summary] = &summaries[..] else { return Err(format!("{} summaries of it", summaries.len())) };
    same("ARN", summary.stream_arn.as_str(), stream.arn.as_str())?;
    same("status", &summary.stream_status, &StreamStatus::Active)?;
    let mode = summary.stream_mode_details.as_ref().map(|mode| &mode.stream_mode);
    same("mode", mode, Some(&StreamMode::Provisioned))?;
    ensure!(summary.stream_creation_timestamp.is_some(), "no time of creation");
    Ok(())
}

async fn listed_in_pages(context: &Context) -> Result<(), String> {
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(context.stream(1).await?.name);
    }
    names.sort_unstable();
    for by_token in [true, false] {
        let mut seen = Vec::new();
        let mut call = context.kinesis.list_streams().limit(1);
        loop {
            let page = call.send().await.map_err(told)?;
            ensure!(page.stream_names.len() <= 1, "{} streams in a page of one", page.stream_names.len());
            seen.extend(page.stream_names);
            if !page.has_more_streams {
                break;
            }
            ensure!(seen.len() < 1000, "no end of streams");
            call = match page.next_token {
                Some(token) if by_token => context.kinesis.list_streams().limit(1).next_token(token),
                None if by_token => return Err("HasMoreStreams, and no NextToken".to_owned()),
                Some(_) | None => {
                    let last = seen.last().cloned();
                    context.kinesis.list_streams().limit(1).set_exclusive_start_stream_name(last)
                }
            };
        }
        seen.retain(|name| names.contains(name));
        same("the three streams in the order of their names", seen, names.clone())?;
    }
    Ok(())
}

async fn limits(context: &Context) -> Result<(), String> {
    let before = context.kinesis.describe_limits().send().await.map_err(told)?;
    context.stream(3).await?;
    let after = context.kinesis.describe_limits().send().await.map_err(told)?;
    // Streams of other checks may be on their way out.
    ensure!(
        after.open_shard_count >= 3 && after.open_shard_count <= before.open_shard_count + 3,
        "{} open shards, then three more, then {}",
        before.open_shard_count,
        after.open_shard_count
    );
    ensure!(after.shard_limit >= after.open_shard_count, "{} shards allowed", after.shard_limit);
    ensure!(after.on_demand_stream_count >= 0, "{} streams on demand", after.on_demand_stream_count);
    ensure!(after.on_demand_stream_count_limit > 0, "no stream on demand is allowed");
    Ok(())
}

async fn is_deleted(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    context.kinesis.delete_stream().stream_name(&stream.name).send().await.map_err(told)?;
    let mut tries = context.tries("the stream to be gone");
    loop {
        let describe = context.kinesis.describe_stream_summary().stream_name(&stream.name).send().await;
        let status = match describe {
            Ok(answer) => answer.stream_description_summary.map(|summary| summary.stream_status),
            refusal => {
                refused(refusal, &["ResourceNotFoundException"])?;
                break;
            }
        };
        same("status", status, Some(StreamStatus::Deleting))?;
        tries.again().await?;
    }
    let listed = context.kinesis.list_streams().limit(1000).send().await.map_err(told)?;
    ensure!(!listed.stream_names.contains(&stream.name), "it is still listed");
    let put = stream.put("a", "x").await;
    ensure!(put.is_err(), "it still takes records");
    Ok(())
}

async fn deleted_by_force(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.consumer().await?;
    let delete = || context.kinesis.delete_stream().stream_name(&stream.name);
    refused(delete().send().await, &["ResourceInUseException"])?;
    delete().enforce_consumer_deletion(true).send().await.map(drop).map_err(told)
}

async fn created_again(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "x").await?;
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    context.kinesis.delete_stream().stream_name(&stream.name).send().await.map_err(told)?;
    let mut tries = context.tries("the name to be free");
    loop {
        match context.kinesis.create_stream().stream_name(&stream.name).shard_count(1).send().await {
            Ok(_) => break,
            refusal => refused(refusal, &["ResourceInUseException", "LimitExceededException"])?,
        };
        tries.again().await?;
    }
    stream.active().await?;
    let shard = stream.only_shard().await?;
    same("records", strings(&stream.read(&shard, ShardPosition::TrimHorizon).await?), Vec::<String>::new())?;
    let old = stream.get(&iterator, None).await;
    ensure!(
        old.as_ref().map_or(true, |answer| answer.records.is_empty()),
        "an iterator of the earlier stream finds its record"
    );
    Ok(())
}

async fn arn_in_descriptions(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let listed = context.kinesis.list_shards().stream_arn(&stream.arn).send().await.map_err(told)?;
    same("shards", listed.shards().len(), 2)?;
    let describe = context.kinesis.describe_stream_summary().stream_arn(&stream.arn);
    let summary = describe.send().await.map_err(told)?.stream_description_summary.ok_or("no summary")?;
    same("name", summary.stream_name, stream.name.clone())
}

async fn arn_in_put_record(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let put = context.kinesis.put_record().stream_arn(&stream.arn).partition_key("a").data(blob("x"));
    put.send().await.map_err(told)?;
    let shard = stream.only_shard().await?;
    same("records", strings(&stream.read(&shard, ShardPosition::TrimHorizon).await?), ["x"])
}

async fn arn_in_put_records(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let put = context.kinesis.put_records().stream_arn(&stream.arn).records(super::harness::entry("a", "x"));
    let answer = put.send().await.map_err(told)?;
    same("FailedRecordCount", answer.failed_record_count, Some(0))?;
    let shard = stream.only_shard().await?;
    same("records", strings(&stream.read(&shard, ShardPosition::TrimHorizon).await?), ["x"])
}

async fn arn_in_reads(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "x").await?;
    let shard = stream.only_shard().await?;
    let iterator = context.kinesis.get_shard_iterator().stream_arn(&stream.arn).shard_id(shard.as_str());
    let iterator = iterator.shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.map_err(told)?.shard_iterator;
    let get = context.kinesis.get_records().stream_arn(&stream.arn).set_shard_iterator(iterator);
    same("records", strings(get.send().await.map_err(told)?.records()), ["x"])
}

async fn unnamed(context: &Context) -> Result<(), String> {
    let codes = &["InvalidArgumentException", "ValidationException"];
    refused(context.kinesis.describe_stream_summary().send().await, codes)?;
    refused(context.kinesis.list_shards().send().await, codes)?;
    let put = context.kinesis.put_record().partition_key("a").data(blob("x"));
    refused(put.send().await, codes).map(drop)
}

fn blob(text: &str) -> aws_sdk_kinesis::primitives::Blob {
    aws_sdk_kinesis::primitives::Blob::new(text)
}

fn mode(mode: StreamMode) -> StreamModeDetails {
    StreamModeDetails::builder().stream_mode(mode).build().expect("a mode is all that it needs")
}
