//! A worker with default settings, that tells what it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use shardflow_benches::Usage;
use shardflow_consumer::{
    Batch, CheckpointError, Checkpointer, Config, Consumer, DynamoDbLeases, RecordProcessor, ShardId,
    ShardInfo, Stop, WorkerId,
};
use tokio::sync::Notify;

use crate::{Failure, clients, end_of_input, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where Kinesis and DynamoDB are
    #[arg(long, value_name = "URL")]
    endpoint: String,
    #[arg(long)]
    stream: String,
    /// The lease table's name
    #[arg(long)]
    table: String,
    /// The worker's name
    #[arg(long)]
    name: WorkerId,
    /// The failover time, instead of the default's
    #[arg(long, value_name = "MILLISECONDS")]
    failover: Option<u64>,
    /// Stop after so many records, and print what they have cost
    #[arg(long, value_name = "RECORDS")]
    until: Option<u64>,
    /// Print the shard and the numbers of the records of each batch
    #[arg(long)]
    tell: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut config = Config::default().worker_id(arguments.name);
    if let Some(failover) = arguments.failover {
        config = config.failover_time(Duration::from_millis(failover));
    }
    let leases = DynamoDbLeases::new(clients::dynamodb(&arguments.endpoint), arguments.table.parse()?);
    let kinesis = clients::kinesis(&arguments.endpoint);
    let consumer = Consumer::new(kinesis, leases, arguments.stream.parse()?, config);
    let tally = Arc::new(Tally::default());
    let (until, tell) = (arguments.until.unwrap_or(u64::MAX), arguments.tell);
    let counted = Arc::clone(&tally);
    let worker = consumer.run(move |shard: &ShardInfo| Reader {
        shard: shard.shard_id.clone(),
        tally: Arc::clone(&counted),
        until,
        tell,
    })?;
    let stopper = worker.stopper();
    let stop = async {
        tokio::select! {
            biased;
            () = tally.enough.notified() => {
                let usage = Usage::now()?;
                let (records, bytes) = (tally.records.load(Ordering::Relaxed), tally.bytes.load(Ordering::Relaxed));
                let result =
                    json!({ "records": records, "bytes": bytes, "cpu_s": usage.cpu_seconds, "peak_mb": usage.peak_mib });
                say(&result.to_string());
            }
            _ = end_of_input() => {}
        }
        stopper.graceful();
        Ok::<_, Failure>(())
    };
    let (ended, told) = tokio::join!(worker, stop);
    ended?;
    told
}

/// What has been processed.
#[derive(Debug, Default)]
struct Tally {
    records: AtomicU64,
    bytes: AtomicU64,
    enough: Notify,
}

/// Counts records, and says what it was given if it is to.
struct Reader {
    shard: ShardId,
    tally: Arc<Tally>,
    until: u64,
    tell: bool,
}

impl RecordProcessor for Reader {
    type Error = CheckpointError;

    async fn initialize(&mut self, _shard: &ShardInfo) -> Result<(), CheckpointError> {
        say(&format!("began {}", self.shard));
        Ok(())
    }

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), CheckpointError> {
        if self.tell {
            let mut line = format!("batch {}", self.shard);
            for record in batch {
                line.push(' ');
                line.push_str(std::str::from_utf8(record.data.get(..10).unwrap_or_default()).unwrap_or("?"));
            }
            say(&line);
        }
        let bytes: usize = batch.iter().map(|record| record.data.len()).sum();
        self.tally.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        checkpointer.batch(batch).await?;
        let count = batch.len() as u64;
        if self.tally.records.fetch_add(count, Ordering::Relaxed) + count >= self.until {
            self.tally.enough.notify_one();
        }
        Ok(())
    }

    async fn stopping(&mut self, why: Stop, _checkpointer: &Checkpointer) -> Result<(), CheckpointError> {
        say(&format!("stopped {} {why:?}", self.shard));
        Ok(())
    }
}
