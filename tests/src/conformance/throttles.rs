//! What a shard takes and gives in a second, and how the rest is refused.

use std::time::Duration;

use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use shardflow_core::{HashKey, ShardPosition};

use super::harness::{Stream, ensure, entry, refused, same, strings, told, topic};
use super::{Context, Need};

topic! { "throttles", Kinesis;
    "a shard takes 1,000 records in a second, and refuses the others entry by entry" [Need::Throttles] => records,
    "a shard takes 1 MiB in a second, and refuses the others entry by entry" [Need::Throttles] => bytes,
    "an entry that is refused says why, and one that is taken where it is" [Need::Throttles] => entries,
    "entries that are refused are not stored" [Need::Throttles] => not_stored,
    "one shard that has taken enough does not keep others from taking more" [Need::Throttles] => other_shard,
    "PutRecord to a shard that has taken enough is refused" [Need::Throttles] => one_record,
    "a shard that has taken enough takes more a second later" [Need::Throttles] => recovers,
    "a shard answers five GetRecords calls in a second" [Need::Throttles] => reads,
    "a shard that has given 10 MiB gives no more for five seconds" [Need::Throttles, Need::Passing(READ)] => read_bytes,
    "calls on one shard do not keep others from being read" [Need::Throttles] => reads_of_other_shard,
    "a subscription is sent records while GetRecords is throttled" [Need::Throttles, Need::FanOut] => fan_out,
}

/// What a shard refuses with.
const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// Somewhat longer than 10 MiB take at 1 MiB a second.
const READ: Duration = Duration::from_secs(15);

async fn records(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..5 {
        let answer = put(context, &stream, (0..500).map(|_| entry("a", "x")).collect()).await?;
        refused += failed(&answer)?;
        taken += 500 - failed(&answer)?;
    }
    // On a clock that runs it takes some more meanwhile.
    ensure!((1000..2000).contains(&taken), "{taken} taken and {refused} refused of 2,500 at once");
    Ok(())
}

async fn bytes(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let entries = (0..8).map(|_| entry("a", vec![b'x'; 500_000])).collect();
    let answer = put(context, &stream, entries).await?;
    let taken = 8 - failed(&answer)?;
    ensure!((2..8).contains(&taken), "{taken} taken of eight half megabytes at once");
    Ok(())
}

async fn entries(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let answer = over(context, &stream).await?;
    same("results", answer.records.len(), 8)?;
    for result in &answer.records {
        match result.error_code() {
            None => {
                ensure!(result.shard_id.is_some() && result.sequence_number.is_some(), "taken, and no place");
            }
            Some(code) => {
                same("ErrorCode", code, THROTTLED)?;
                ensure!(
                    result.shard_id.is_none() && result.sequence_number.is_none(),
                    "refused, and a place"
                );
                let message = result.error_message().unwrap_or_default();
                let shard = stream.only_shard().await?;
                ensure!(
                    message.contains(&stream.name) && message.contains(shard.as_str()),
                    "ErrorMessage names stream and shard, not {message:?}"
                );
            }
        }
    }
    Ok(())
}

async fn not_stored(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let answer = over(context, &stream).await?;
    let taken = 8 - failed(&answer)?;
    let records = stream.read(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    same("records", records.len(), taken)
}

async fn other_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let at = |hash: HashKey, data: Vec<u8>| {
        let entry = PutRecordsRequestEntry::builder().partition_key("a").explicit_hash_key(hash.to_string());
        entry.data(Blob::new(data)).build().map_err(|error| error.to_string())
    };
    let mut entries = (0..8).map(|_| at(HashKey::MIN, vec![b'x'; 500_000])).collect::<Result<Vec<_>, _>>()?;
    entries.push(at(HashKey::MAX, vec![b'x'])?);
    let answer = put(context, &stream, entries).await?;
    ensure!(failed(&answer)? > 0, "nothing was refused");
    let last = answer.records.last().and_then(|result| result.error_code());
    same("the other shard's refusal", last, None)
}

async fn one_record(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    over(context, &stream).await?;
    let put = context.kinesis.put_record().stream_name(&stream.name).partition_key("a");
    refused(put.data(Blob::new(vec![b'x'; 900_000])).send().await, &[THROTTLED]).map(drop)
}

async fn recovers(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    over(context, &stream).await?;
    context.pass(Duration::from_millis(1100)).await?;
    let answer = put(context, &stream, vec![entry("a", vec![b'x'; 500_000])]).await?;
    same("entries that are refused", failed(&answer)?, 0)
}

async fn reads(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    let get = || context.kinesis.get_records().shard_iterator(&iterator).send();
    for _ in 0..5 {
        get().await.map_err(told)?;
    }
    let mut answers = 5;
    // On a clock that runs a few more are answered.
    let refusal = loop {
        match get().await {
            Ok(_) => answers += 1,
            refusal => break refusal,
        }
        ensure!(answers < 20, "twenty calls at once are answered");
    };
    refused(refusal, &[THROTTLED])?;
    context.pass(Duration::from_millis(1100)).await?;
    get().await.map(drop).map_err(told)
}

async fn read_bytes(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for _ in 0..10 {
        // The helper waits while the shard has taken enough.
        stream.put("a", vec![b'x'; 1_000_000]).await?;
    }
    context.pass(Duration::from_secs(2)).await?;
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::TrimHorizon).await?;
    let get = || context.kinesis.get_records().shard_iterator(&iterator).send();
    same("records", get().await.map_err(told)?.records().len(), 10)?;
    refused(get().await, &[THROTTLED])?;
    context.pass(Duration::from_secs(2)).await?;
    refused(get().await, &[THROTTLED])?;
    context.pass(Duration::from_secs(4)).await?;
    get().await.map(drop).map_err(told)
}

async fn reads_of_other_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let shards = stream.open_shards().await?;
    let busy = stream.iterator(&shards[0].id, ShardPosition::TrimHorizon).await?;
    let idle = stream.iterator(&shards[1].id, ShardPosition::TrimHorizon).await?;
    for _ in 0..20 {
        if context.kinesis.get_records().shard_iterator(&busy).send().await.is_err() {
            break;
        }
    }
    context.kinesis.get_records().shard_iterator(&idle).send().await.map(drop).map_err(told)
}

async fn fan_out(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let consumer = stream.consumer().await?;
    let mut subscription = consumer.subscribe(&shard, ShardPosition::TrimHorizon).await?;
    let iterator = stream.iterator(&shard, ShardPosition::TrimHorizon).await?;
    for _ in 0..20 {
        if context.kinesis.get_records().shard_iterator(&iterator).send().await.is_err() {
            break;
        }
    }
    stream.put("a", "x").await?;
    same("records", strings(&subscription.records(1).await?.records), ["x"])
}

/// Puts more than a shard takes at once: eight times half a megabyte.
async fn over(context: &Context, stream: &Stream<'_>) -> Result<PutRecordsOutput, String> {
    let entries = (0..8).map(|_| entry("a", vec![b'x'; 500_000])).collect();
    let answer = put(context, stream, entries).await?;
    ensure!(failed(&answer)? > 0, "nothing was refused of 4 MB at once");
    Ok(answer)
}

async fn put(
    context: &Context,
    stream: &Stream<'_>,
    entries: Vec<PutRecordsRequestEntry>,
) -> Result<PutRecordsOutput, String> {
    let put = context.kinesis.put_records().stream_name(&stream.name).set_records(Some(entries));
    put.send().await.map_err(told)
}

/// How many entries were refused, by both ways of counting.
fn failed(answer: &PutRecordsOutput) -> Result<usize, String> {
    let counted = answer.records.iter().filter(|result| result.error_code().is_some()).count();
    same(
        "FailedRecordCount",
        answer.failed_record_count.and_then(|count| usize::try_from(count).ok()),
        Some(counted),
    )?;
    Ok(counted)
}
