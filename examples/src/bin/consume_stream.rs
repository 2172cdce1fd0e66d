//! A consumer as a loop: one stream of the batches of all shards, each acknowledged by a checkpoint.
//!
//! Puts a week of earthquakes into an embedded service, reads them, and stops.

use std::collections::BTreeMap;
use std::process::ExitCode;

use shardflow_consumer::{CheckpointMode, Config as ConsumerConfig, Consumer, DynamoDbLeases, ShardId};
use shardflow_examples::events;
use shardflow_examples::service::{Error, Service, chain};
use shardflow_producer::{Config as ProducerConfig, Producer, Record};

#[tokio::main]
#[expect(clippy::print_stderr, reason = "this is where a person looks for what went wrong")]
async fn main() -> ExitCode {
    match consume().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what it is run for")]
async fn consume() -> Result<(), Error> {
    let service = Service::start(None, None, "earthquakes", 4).await?;
    let events = events::all()?;
    let producer = Producer::new(service.kinesis.clone(), service.stream.clone(), ProducerConfig::default());
    for (number, event) in (0..).zip(&events) {
        // Failures would be told by `flush`, which waits for all of them.
        drop(producer.put(Record::new(event.cell.clone(), event.replayed("week", number)?)?).await?);
    }
    producer.flush().await?;

    let leases = DynamoDbLeases::new(service.dynamodb.clone(), "seismology".parse()?);
    let consumer =
        Consumer::new(service.kinesis.clone(), leases, service.stream.clone(), ConsumerConfig::default());
    let mut batches = consumer.batches(CheckpointMode::Manual)?;
    let stopper = batches.stopper();
    let mut read: BTreeMap<ShardId, usize> = BTreeMap::new();
    while let Some(batch) = batches.next().await.transpose()? {
        *read.entry(batch.shard().shard_id.clone()).or_default() += batch.len();
        batch.checkpoint().await?;
        if read.values().sum::<usize>() >= events.len() {
            stopper.graceful(); // The loop goes on to the end of the stream.
        }
    }
    for (shard, count) in read {
        println!("{shard}: {count} earthquakes");
    }
    Ok(())
}
