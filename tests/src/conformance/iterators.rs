//! GetShardIterator: every place in a shard, and how long an iterator lives.

use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::types::ShardIteratorType;
use shardflow_core::{HashKey, SequenceNumber, ShardId, ShardPosition};

use super::harness::{Stream, arrival, ensure, refused, same, strings, topic};
use super::{Context, Need};

topic! { "iterators", Kinesis;
    "TRIM_HORIZON starts at the oldest record" => trim_horizon,
    "LATEST starts behind the newest record" => latest,
    "LATEST stays where it was taken when records follow" => latest_stays,
    "AT_SEQUENCE_NUMBER starts at the record with that number" => at_number,
    "AFTER_SEQUENCE_NUMBER starts behind the record with that number" => after_number,
    "AT_SEQUENCE_NUMBER takes the shard's StartingSequenceNumber" => at_start,
    "AT_SEQUENCE_NUMBER between two records starts at the second" => between,
    "a sequence number of another shard is refused" => number_of_another_shard,
    "a sequence number that is none is refused" => no_number,
    "AT_SEQUENCE_NUMBER without a number is refused" => number_missing,
    "AT_TIMESTAMP starts at the first record that arrived then or later" => at_time,
    "AT_TIMESTAMP before the oldest record starts at that" => at_early_time,
    "AT_TIMESTAMP in the future is refused" => at_future_time,
    "AT_TIMESTAMP without a time is refused" => time_missing,
    "an iterator to a stream or shard that does not exist is refused" => no_shard,
    "an iterator can be used again" => used_again,
    "an iterator lives for five minutes" [Need::Passing(LIFE)] => lives,
    "an iterator that is older than five minutes has expired" [Need::Passing(LIFE)] => expires,
    "each iterator of a chain has five minutes of its own" [Need::Passing(LIFE)] => chain,
}

/// Somewhat longer than an iterator lives.
const LIFE: Duration = Duration::from_secs(306);

/// A stream of one shard with ten records, `0` to `9`, of which the last five arrived seconds after the first.
struct Ten<'a> {
    stream: Stream<'a>,
    shard: ShardId,
    numbers: Vec<SequenceNumber>,
}

impl Ten<'_> {
    async fn put(context: &Context) -> Result<Ten<'_>, String> {
        let stream = context.stream(1).await?;
        let shard = stream.only_shard().await?;
        let mut ten = Ten { stream, shard, numbers: Vec::new() };
        for record in 0..10 {
            if record == 5 {
                context.pass(Duration::from_millis(2200)).await?;
            }
            ten.numbers.push(ten.stream.put(&record.to_string(), record.to_string()).await?.sequence);
        }
        Ok(ten)
    }

    /// What is read from there to the newest record is `from` and all that follow.
    async fn starts(&self, at: ShardPosition, from: usize) -> Result<(), String> {
        let read = strings(&self.stream.read(&self.shard, at).await?);
        same("records", read, (from..10).map(|record| record.to_string()).collect::<Vec<_>>())
    }

    /// When a record arrived.
    async fn arrived(&self, record: usize) -> Result<SystemTime, String> {
        let records = self.stream.read(&self.shard, ShardPosition::TrimHorizon).await?;
        arrival(records.get(record).ok_or("it is not there")?)
    }
}

async fn trim_horizon(context: &Context) -> Result<(), String> {
    Ten::put(context).await?.starts(ShardPosition::TrimHorizon, 0).await
}

async fn latest(context: &Context) -> Result<(), String> {
    Ten::put(context).await?.starts(ShardPosition::Latest, 10).await
}

async fn latest_stays(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    stream.put("a", "before").await?;
    let iterator = stream.iterator(&stream.only_shard().await?, ShardPosition::Latest).await?;
    stream.put("a", "behind").await?;
    stream.put("a", "further behind").await?;
    same("records", strings(&stream.drain(iterator).await?.records), ["behind", "further behind"])
}

async fn at_number(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    for from in [0, 3, 9] {
        ten.starts(ShardPosition::AtSequenceNumber(ten.numbers[from].clone()), from).await?;
    }
    Ok(())
}

async fn after_number(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    for after in [0, 3, 9] {
        ten.starts(ShardPosition::AfterSequenceNumber(ten.numbers[after].clone()), after + 1).await?;
    }
    Ok(())
}

async fn at_start(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    let shards = ten.stream.shards().await?;
    let start =
        shards[0].starting_sequence_number.clone().ok_or("a shard without a StartingSequenceNumber")?;
    ten.starts(ShardPosition::AtSequenceNumber(start), 0).await
}

async fn between(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    // One more than a record's number is at most the next one's.
    let next = successor(&ten.numbers[3])?;
    ten.starts(ShardPosition::AtSequenceNumber(next.clone()), 4).await?;
    ten.starts(ShardPosition::AfterSequenceNumber(next), 4).await
}

async fn number_of_another_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    let placed = stream.put_at("a", Some(HashKey::MAX), "x").await?;
    let shards = stream.shards().await?;
    let call = context.kinesis.get_shard_iterator().stream_name(&stream.name);
    let call = call.shard_id(shards[0].id.as_str()).shard_iterator_type(ShardIteratorType::AtSequenceNumber);
    let call = call.starting_sequence_number(placed.sequence.as_str());
    refused(call.send().await, &["InvalidArgumentException"]).map(drop)
}

async fn no_number(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    for number in ["-1", "nine", "1.5", "007"] {
        let call = context.kinesis.get_shard_iterator().stream_name(&stream.name).shard_id(shard.as_str());
        let call =
            call.shard_iterator_type(ShardIteratorType::AtSequenceNumber).starting_sequence_number(number);
        refused(call.send().await, &["ValidationException", "InvalidArgumentException"])
            .map_err(|why| format!("{number}: {why}"))?;
    }
    Ok(())
}

async fn number_missing(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    for kind in [ShardIteratorType::AtSequenceNumber, ShardIteratorType::AfterSequenceNumber] {
        let call = context.kinesis.get_shard_iterator().stream_name(&stream.name).shard_id(shard.as_str());
        let call = call.shard_iterator_type(kind);
        refused(call.send().await, &["InvalidArgumentException", "ValidationException"])?;
    }
    Ok(())
}

async fn at_time(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    let arrived = ten.arrived(5).await?;
    // Records may have arrived within one millisecond, those before the pause not.
    ten.starts(ShardPosition::AtTimestamp(arrived), 5).await?;
    ten.starts(ShardPosition::AtTimestamp(arrived - Duration::from_secs(1)), 5).await
}

async fn at_early_time(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    let arrived = ten.arrived(0).await?;
    ten.starts(ShardPosition::AtTimestamp(arrived - Duration::from_secs(3600)), 0).await
}

async fn at_future_time(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    let future = ten.arrived(9).await? + Duration::from_secs(3600);
    let call =
        context.kinesis.get_shard_iterator().stream_name(&ten.stream.name).shard_id(ten.shard.as_str());
    let call = call.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(future.into());
    refused(call.send().await, &["InvalidArgumentException"]).map(drop)
}

async fn time_missing(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let call = context.kinesis.get_shard_iterator().stream_name(&stream.name).shard_id(shard.as_str());
    let call = call.shard_iterator_type(ShardIteratorType::AtTimestamp);
    refused(call.send().await, &["InvalidArgumentException", "ValidationException"]).map(drop)
}

async fn no_shard(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for (stream, shard) in [(stream.name.clone(), 7), (context.name(), 0)] {
        let call = context.kinesis.get_shard_iterator().stream_name(stream);
        let call = call.shard_id(ShardId::numbered(shard).as_str());
        let call = call.shard_iterator_type(ShardIteratorType::TrimHorizon);
        refused(call.send().await, &["ResourceNotFoundException"])?;
    }
    Ok(())
}

async fn used_again(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    let iterator = ten.stream.iterator(&ten.shard, ShardPosition::TrimHorizon).await?;
    let first = strings(ten.stream.get(&iterator, None).await?.records());
    let second = strings(ten.stream.get(&iterator, None).await?.records());
    ensure!(!first.is_empty(), "no records");
    same("records", second, first)
}

async fn lives(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    let iterator = ten.stream.iterator(&ten.shard, ShardPosition::TrimHorizon).await?;
    context.pass(Duration::from_secs(295)).await?;
    same("records", ten.stream.get(&iterator, None).await?.records().len(), 10)
}

async fn expires(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    let iterator = ten.stream.iterator(&ten.shard, ShardPosition::TrimHorizon).await?;
    context.pass(LIFE).await?;
    let get = context.kinesis.get_records().shard_iterator(iterator);
    refused(get.send().await, &["ExpiredIteratorException"]).map(drop)
}

async fn chain(context: &Context) -> Result<(), String> {
    let ten = Ten::put(context).await?;
    let mut iterator = ten.stream.iterator(&ten.shard, ShardPosition::TrimHorizon).await?;
    for read in 0..3 {
        context.pass(Duration::from_secs(200)).await?;
        let answer = ten.stream.get(&iterator, Some(2)).await?;
        same("records", strings(answer.records()), [(2 * read).to_string(), (2 * read + 1).to_string()])?;
        iterator = answer.next_shard_iterator.ok_or("no next iterator")?;
    }
    Ok(())
}

/// The number plus one.
fn successor(number: &SequenceNumber) -> Result<SequenceNumber, String> {
    let mut digits: Vec<u8> = number.as_str().bytes().collect();
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            break;
        }
        *digit = b'0';
    }
    String::from_utf8_lossy(&digits).parse().map_err(|error| format!("{error}"))
}
