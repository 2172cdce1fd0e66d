//! Puts records through two splits, and writes down what the stream then holds: for the decoders of others.
//!
//! A line is a `put` with a record's data, partition key and explicit hash key, a `shard` with its id and range, a `record`
//! with its shard, sequence number, partition key and data in base64, or the number of records that were sent `again`;
//! with tabs in between, and `-` for what is not there.
#![expect(clippy::print_stdout, reason = "this is what the command is for")]

use std::error::Error;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use shardflow_local::{Config as LocalConfig, Local, kinesis::Limits};
use shardflow_producer::{Config, HashKey, Producer, Record};
use shardflow_tests::clients::Place;

const RECORDS: usize = 8_000;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let local = Local::new(LocalConfig::default().limits(Limits::unthrottled()))?;
    local.create_stream("orders", 3)?;
    let producer = Producer::new(Place::inside(&local).kinesis(), "orders".parse()?, Config::default());
    let mut tickets = Vec::new();
    for number in 0..RECORDS {
        if number == RECORDS / 4 || number == RECORDS / 2 {
            let open = local.shards("orders")?.into_iter().rfind(|shard| shard.is_open());
            local.split("orders", &open.ok_or("a stream has open shards")?.id, None)?;
        }
        let record = record(number)?;
        println!("put\t{}", line(&record));
        tickets.push(producer.put(record).await?);
        if number % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(37)).await;
        }
    }
    let mut again = 0;
    for ticket in tickets {
        again += usize::from(ticket.await?.attempts > 1);
    }
    println!("again\t{again}");
    for held in local.records("orders")? {
        let (id, range) = (held.shard.id, held.shard.hash_key_range);
        println!("shard\t{id}\t{}\t{}", range.start(), range.end());
        for record in held.records {
            let key = record.partition_key.map_or_else(|| "-".to_owned(), |key| key.to_string());
            let data = BASE64_STANDARD.encode(&record.data);
            println!("record\t{id}\t{}\t{key}\t{data}", record.sequence_number);
        }
    }
    Ok(())
}

/// Some of every kind.
fn record(number: usize) -> Result<Record, Box<dyn Error>> {
    let data = format!("{number} is its number");
    let record = Record::new(format!("key-{}", number % 1_009), data.clone())?;
    Ok(match number % 10 {
        3 => record.explicit_hash_key(HashKey(u128::MAX / RECORDS as u128 * number as u128)),
        7 => Record::keyless(data),
        _ => record,
    })
}

fn line(record: &Record) -> String {
    let explicit = record.explicit().map_or_else(|| "-".to_owned(), |key| key.to_string());
    format!("{}\t{}\t{explicit}", String::from_utf8_lossy(record.data()), record.partition_key())
}
