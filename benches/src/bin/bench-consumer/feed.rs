//! A steady flow of numbered records into every shard.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use clap::Args;
use shardflow_core::HashKeyRange;
use tokio::time::{MissedTickBehavior, interval};

use crate::{Failure, clients, end_of_input, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where the service is
    #[arg(long, value_name = "URL")]
    endpoint: String,
    #[arg(long)]
    stream: String,
    /// Shards that the stream was made with
    #[arg(long)]
    shards: u32,
    /// Milliseconds between two records of a shard
    #[arg(long, default_value_t = 200)]
    every: u64,
    /// Bytes of a record's data, at least 10
    #[arg(long, default_value_t = 100)]
    size: usize,
}

/// The flow comes in so many requests, each for a part of the shards: not all shards at one time.
const PARTS: usize = 4;

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let kinesis = clients::kinesis(&arguments.endpoint);
    let keys: Vec<_> =
        HashKeyRange::divide(arguments.shards).map(|range| range.start().to_string()).collect();
    let parts: Vec<_> = keys.chunks(keys.len().div_ceil(PARTS).min(500)).collect();
    let every = Duration::from_millis(arguments.every) / u32::try_from(parts.len())?;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut end = end_of_input();
    say("feeding");
    for number in 0_usize.. {
        tokio::select! {
            biased;
            _ = &mut end => break,
            _ = ticks.tick() => {}
        }
        // Ten digits and then as much as it takes.
        let data = format!("{:010}{}", number / parts.len(), "x".repeat(arguments.size.saturating_sub(10)));
        let entry = |key: &String| {
            PutRecordsRequestEntry::builder()
                .partition_key("feed")
                .explicit_hash_key(key)
                .data(Blob::new(data.as_bytes()))
                .build()
        };
        let entries = parts[number % parts.len()].iter().map(entry).collect::<Result<_, _>>()?;
        let answer = kinesis.put_records().stream_name(&arguments.stream).set_records(Some(entries)).send();
        if answer.await?.failed_record_count.unwrap_or_default() > 0 {
            return Err("records were refused".into());
        }
    }
    Ok(())
}
