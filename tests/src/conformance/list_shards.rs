//! ListShards: every filter, and pages.

use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::types::{ShardFilter, ShardFilterType};
use shardflow_core::{HashKey, Shard, ShardId, ShardPosition};

use super::harness::{Stream, arrival, ensure, filter, filter_at, refused, same, told, topic};
use super::{Context, Need};

topic! { "list shards", Kinesis;
    "shards come page by page, each once, by id" => pages,
    "a page holds at most 1000 shards, however many are asked for" => full_page,
    "MaxResults of 0 or above 10,000 is refused" => no_page,
    "ExclusiveStartShardId leaves out the shards up to it" => exclusive_start,
    "a NextToken comes without a stream" => token_and_stream,
    "a NextToken that is none is refused" => no_token,
    "a NextToken keeps the filter of the first page" => filter_in_pages,
    "a NextToken lives for five minutes" [Need::Passing(TOKEN_LIFE)] => old_token,
    "shards of a stream that does not exist are not listed" => no_stream,
    "AT_LATEST gives the open shards" => at_latest,
    "AT_TRIM_HORIZON gives the shards that were open at the oldest record" => at_trim_horizon,
    "AT_TRIM_HORIZON moves on with retention" [Need::Passing(A_DAY)] => at_later_trim_horizon,
    "FROM_TRIM_HORIZON gives all shards" => from_trim_horizon,
    "AT_TIMESTAMP gives the shards that were open then" => at_timestamp,
    "AT_TIMESTAMP before the stream's time gives its first shards" => at_early_timestamp,
    "FROM_TIMESTAMP gives the shards that were open then or later" => from_timestamp,
    "AFTER_SHARD_ID gives the shards behind that one" => after_shard_id,
    "a filter without its argument is refused" => argument_missing,
}

/// Somewhat longer than a token lives.
const TOKEN_LIFE: Duration = Duration::from_secs(306);

/// Somewhat longer than a stream keeps records by default.
const A_DAY: Duration = Duration::from_secs(25 * 3600);

/// A stream whose one shard was split and whose lower child was split again, with seconds between; the ids are those of
/// the shards in the order of their numbers. The moments are the server's: when a record arrived in the first shard, in
/// the upper child, and in the lowest one.
struct Family<'a> {
    stream: Stream<'a>,
    moments: [SystemTime; 3],
}

impl Family<'_> {
    async fn raise(context: &Context) -> Result<Family<'_>, String> {
        let stream = context.stream(1).await?;
        let mut moments = [SystemTime::UNIX_EPOCH; 3];
        for (generation, moment) in moments.iter_mut().enumerate() {
            if generation > 0 {
                let lowest = ShardId::clone(&stream.open_shards().await?[0].id);
                stream.split(&lowest, HashKey(1 << (128 - generation))).await?;
                context.pass(Duration::from_millis(1100)).await?;
            }
            let placed = stream.put_at("a", Some(HashKey::MIN), "x").await?;
            let records =
                stream.read(&placed.shard, ShardPosition::AtSequenceNumber(placed.sequence)).await?;
            *moment = arrival(records.first().ok_or("a record that is not there")?)?;
            context.pass(Duration::from_millis(1100)).await?;
        }
        Ok(Family { stream, moments })
    }

    /// The filter lets through the shards with these numbers, in this order.
    async fn gives(&self, filter: ShardFilter, numbers: &[u64]) -> Result<(), String> {
        let what = format!("shards of {:?}", filter.r#type());
        let shards = self.stream.shards_with(Some(filter)).await?;
        let expected: Vec<_> = numbers.iter().map(|number| ShardId::numbered(*number)).collect();
        same(&what, ids(shards), expected)
    }
}

async fn pages(context: &Context) -> Result<(), String> {
    let stream = context.stream(12).await?;
    let (mut pages, mut seen) = (Vec::new(), Vec::new());
    let mut call = context.kinesis.list_shards().stream_name(&stream.name).max_results(5);
    loop {
        let page = call.send().await.map_err(told)?;
        pages.push(page.shards().len());
        seen.extend(page.shards().iter().map(|shard| shard.shard_id.clone()));
        ensure!(pages.len() <= 3, "more than three pages of five shards of twelve");
        match page.next_token {
            Some(token) => call = context.kinesis.list_shards().next_token(token).max_results(5),
            None => break,
        }
    }
    same("shards of each page", pages, [5, 5, 2])?;
    same("shards", seen, (0..12).map(|number| ShardId::numbered(number).to_string()).collect::<Vec<_>>())
}

async fn full_page(context: &Context) -> Result<(), String> {
    let stream = context.stream(1001).await?;
    for most in [None, Some(5000)] {
        let list = context.kinesis.list_shards().stream_name(&stream.name).set_max_results(most);
        let page = list.send().await.map_err(told)?;
        same("shards", page.shards().len(), 1000)?;
        ensure!(page.next_token.is_some(), "no NextToken");
    }
    Ok(())
}

async fn no_page(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for most in [0, 10_001] {
        let list = context.kinesis.list_shards().stream_name(&stream.name).max_results(most);
        refused(list.send().await, &["ValidationException", "InvalidArgumentException"])
            .map_err(|why| format!("{most}: {why}"))?;
    }
    Ok(())
}

async fn exclusive_start(context: &Context) -> Result<(), String> {
    let stream = context.stream(6).await?;
    let list = context.kinesis.list_shards().stream_name(&stream.name);
    let list = list.exclusive_start_shard_id(ShardId::numbered(3).as_str());
    let listed = list.send().await.map_err(told)?;
    let ids: Vec<_> = listed.shards().iter().map(|shard| shard.shard_id.clone()).collect();
    same("shards", ids, [ShardId::numbered(4).to_string(), ShardId::numbered(5).to_string()])
}

async fn token_and_stream(context: &Context) -> Result<(), String> {
    let stream = context.stream(3).await?;
    let list = context.kinesis.list_shards().stream_name(&stream.name).max_results(1);
    let token = list.send().await.map_err(told)?.next_token.ok_or("no NextToken")?;
    let list = context.kinesis.list_shards().stream_name(&stream.name).next_token(token);
    refused(list.send().await, &["InvalidArgumentException"]).map(drop)
}

async fn no_token(context: &Context) -> Result<(), String> {
    let codes = &["InvalidArgumentException", "ExpiredNextTokenException", "ValidationException"];
    refused(context.kinesis.list_shards().next_token("AAAA").send().await, codes).map(drop)
}

async fn filter_in_pages(context: &Context) -> Result<(), String> {
    let family = Family::raise(context).await?;
    let mut seen = Vec::new();
    let list = context.kinesis.list_shards().stream_name(&family.stream.name);
    let mut call = list.shard_filter(filter(ShardFilterType::AtLatest)).max_results(1);
    loop {
        let page = call.send().await.map_err(told)?;
        seen.extend(page.shards().iter().map(|shard| shard.shard_id.clone()));
        ensure!(seen.len() <= 5, "no end of shards");
        match page.next_token {
            Some(token) => call = context.kinesis.list_shards().next_token(token).max_results(1),
            None => break,
        }
    }
    same("shards", seen, [2, 3, 4].map(|number| ShardId::numbered(number).to_string()))
}

async fn old_token(context: &Context) -> Result<(), String> {
    let stream = context.stream(3).await?;
    let list = context.kinesis.list_shards().stream_name(&stream.name).max_results(1);
    let token = list.send().await.map_err(told)?.next_token.ok_or("no NextToken")?;
    context.pass(Duration::from_secs(295)).await?;
    context.kinesis.list_shards().next_token(&token).send().await.map_err(told)?;
    context.pass(TOKEN_LIFE - Duration::from_secs(295)).await?;
    let list = context.kinesis.list_shards().next_token(token);
    refused(list.send().await, &["ExpiredNextTokenException"]).map(drop)
}

async fn no_stream(context: &Context) -> Result<(), String> {
    let list = context.kinesis.list_shards().stream_name(context.name());
    refused(list.send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn at_latest(context: &Context) -> Result<(), String> {
    Family::raise(context).await?.gives(filter(ShardFilterType::AtLatest), &[2, 3, 4]).await
}

async fn at_trim_horizon(context: &Context) -> Result<(), String> {
    Family::raise(context).await?.gives(filter(ShardFilterType::AtTrimHorizon), &[0]).await
}

async fn at_later_trim_horizon(context: &Context) -> Result<(), String> {
    let family = Family::raise(context).await?;
    context.pass(A_DAY).await?;
    family.gives(filter(ShardFilterType::AtTrimHorizon), &[2, 3, 4]).await
}

async fn from_trim_horizon(context: &Context) -> Result<(), String> {
    let family = Family::raise(context).await?;
    family.gives(filter(ShardFilterType::FromTrimHorizon), &[0, 1, 2, 3, 4]).await?;
    same("shards without a filter", family.stream.shards().await?.len(), 5)
}

async fn at_timestamp(context: &Context) -> Result<(), String> {
    let family = Family::raise(context).await?;
    for (moment, open) in family.moments.into_iter().zip([&[0][..], &[1, 2], &[2, 3, 4]]) {
        family.gives(filter_at(ShardFilterType::AtTimestamp, moment), open).await?;
    }
    Ok(())
}

async fn at_early_timestamp(context: &Context) -> Result<(), String> {
    let family = Family::raise(context).await?;
    let early = family.moments[0] - Duration::from_secs(3600);
    family.gives(filter_at(ShardFilterType::AtTimestamp, early), &[0]).await
}

async fn from_timestamp(context: &Context) -> Result<(), String> {
    let family = Family::raise(context).await?;
    for (moment, open) in family.moments.into_iter().zip([&[0, 1, 2, 3, 4][..], &[1, 2, 3, 4], &[2, 3, 4]]) {
        family.gives(filter_at(ShardFilterType::FromTimestamp, moment), open).await?;
    }
    let early = family.moments[0] - Duration::from_secs(3600);
    family.gives(filter_at(ShardFilterType::FromTimestamp, early), &[0, 1, 2, 3, 4]).await
}

async fn after_shard_id(context: &Context) -> Result<(), String> {
    let family = Family::raise(context).await?;
    for (id, behind) in [(0, &[1, 2, 3, 4][..]), (2, &[3, 4]), (4, &[])] {
        let after = ShardFilter::builder().r#type(ShardFilterType::AfterShardId);
        let after = after.shard_id(ShardId::numbered(id).as_str()).build();
        family.gives(after.map_err(|error| error.to_string())?, behind).await?;
    }
    Ok(())
}

async fn argument_missing(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for kind in [ShardFilterType::AfterShardId, ShardFilterType::AtTimestamp, ShardFilterType::FromTimestamp]
    {
        let list = context.kinesis.list_shards().stream_name(&stream.name).shard_filter(filter(kind.clone()));
        refused(list.send().await, &["InvalidArgumentException", "ValidationException"])
            .map_err(|why| format!("{kind}: {why}"))?;
    }
    Ok(())
}

fn ids(shards: Vec<Shard>) -> Vec<ShardId> {
    shards.into_iter().map(|shard| shard.id).collect()
}
