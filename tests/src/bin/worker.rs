//! One worker in a process of its own, for tests that kill it. Says on standard output what it is given.
#![expect(clippy::print_stdout, reason = "this is what the command is for")]

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use clap::Parser;
use shardflow_consumer::{
    Batch, Checkpointer, Config, Consumer, DynamoDbLeases, RecordProcessor, ShardId, ShardInfo, Stop, Stream,
    TableName, WorkerId,
};
use shardflow_tests::clients::Place;

/// Runs one worker until it is killed
#[derive(Debug, Parser)]
struct Arguments {
    /// Where Kinesis and DynamoDB are
    #[arg(long)]
    endpoint: String,
    /// The stream's name
    #[arg(long)]
    stream: Stream,
    /// The lease table's name
    #[arg(long)]
    table: TableName,
    /// The worker's name
    #[arg(long)]
    name: WorkerId,
    /// The failover time in milliseconds
    #[arg(long, default_value_t = 1_000)]
    failover_millis: u64,
}

/// Prints `began`, `record` and `stopped` lines.
struct Printer(ShardId);

impl RecordProcessor for Printer {
    type Error = Infallible;

    async fn initialize(&mut self, _shard: &ShardInfo) -> Result<(), Infallible> {
        println!("began {}", self.0);
        Ok(())
    }

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), Infallible> {
        for record in batch {
            let key = record.partition_key.as_ref().map(ToString::to_string).unwrap_or_default();
            println!("record {} {key} {}", self.0, String::from_utf8_lossy(&record.data));
        }
        // What is not checkpointed comes again.
        drop(checkpointer.batch(batch).await);
        Ok(())
    }

    async fn stopping(&mut self, why: Stop, _checkpointer: &Checkpointer) -> Result<(), Infallible> {
        println!("stopped {} {why:?}", self.0);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { endpoint, stream, table, name, failover_millis } = Arguments::parse();
    // Small batches, so that there are many moments to be killed at.
    let config = Config::default()
        .worker_id(name)
        .max_records(50)
        .failover_time(Duration::from_millis(failover_millis))
        .lease_scan_interval(Duration::from_millis(failover_millis / 4));
    let leases = DynamoDbLeases::new(Place::at(&endpoint).dynamodb(), table);
    let consumer = Consumer::new(Place::at(&endpoint).kinesis(), leases, stream, config);
    Ok(consumer.run(|shard: &ShardInfo| Printer(shard.shard_id.clone()))?.await?)
}
