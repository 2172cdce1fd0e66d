//! One worker in a process of its own, for tests that kill, freeze and stop it. Says on standard output what it is given.
#![expect(clippy::print_stdout, reason = "this is what the command is for")]

use std::fmt::{Debug, Display};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use shardflow_consumer::{
    Batch, Checkpointer, Config, Consumer, DynamoDbLeases, ErrorPolicy, RecordProcessor, RunError, ShardId,
    ShardInfo, Stop, Stopper, Stream, TableName, UserRecord, WorkerId,
};
use shardflow_tests::clients::Place;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Runs one worker until it is killed, or asked to end by SIGTERM
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
    /// The worker's name in the lease table
    #[arg(long)]
    name: WorkerId,
    /// The word with which its lines begin
    #[arg(long)]
    label: String,
    /// The failover time in milliseconds
    #[arg(long, default_value_t = 1_000)]
    failover_millis: u64,
    /// The data of a record that cannot be processed
    #[arg(long)]
    poison: Option<String>,
    /// After so many failures a record is skipped; without it the handler is called for ever
    #[arg(long)]
    skip_after: Option<u32>,
    /// The data of a record at which the handler takes its time
    #[arg(long)]
    hold_at: Option<String>,
    /// How much
    #[arg(long, default_value_t = 0)]
    hold_millis: u64,
    /// Prints a line for each warning of the consumer
    #[arg(long)]
    warnings: bool,
}

/// Prints a line for everything that it is told: the label, a word, the shard, and more.
///
/// A line is one write of less than 4 KB, which a pipe takes whole: where several workers write to one pipe, the order of
/// lines is the order in which things happened.
struct Printer {
    shard: ShardId,
    arguments: Arc<Arguments>,
}

impl Printer {
    fn say(&self, word: &str, more: impl Display) {
        println!("{} {word} {} {more}", self.arguments.label, self.shard);
    }
}

impl RecordProcessor for Printer {
    type Error = String;

    async fn initialize(&mut self, _shard: &ShardInfo) -> Result<(), String> {
        self.say("began", "");
        Ok(())
    }

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), String> {
        self.say("batch", data(&batch[0]));
        for record in batch {
            let number = data(record);
            if self.arguments.poison.as_ref() == Some(&number) {
                self.say("poisoned", &number);
                return Err(format!("{number} cannot be processed"));
            }
            let key = record.partition_key.as_ref().map(ToString::to_string).unwrap_or_default();
            self.say("record", format_args!("{number} {key}"));
            if self.arguments.hold_at.as_ref() == Some(&number) {
                self.say("holding", &number);
                sleep(Duration::from_millis(self.arguments.hold_millis)).await;
            }
        }
        // What is not checkpointed comes again.
        match checkpointer.batch(batch).await {
            Ok(()) => self.say("stored", data(&batch[batch.len() - 1])),
            Err(error) => self.say("unstored", error),
        }
        Ok(())
    }

    async fn stopping(&mut self, why: Stop, _checkpointer: &Checkpointer) -> Result<(), String> {
        self.say("stopped", format_args!("{why:?}"));
        Ok(())
    }
}

/// Prints the consumer's warnings: their fields, and the message among them.
struct Warnings {
    label: String,
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::WARN
            && metadata.target().starts_with("shardflow_consumer")
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        println!("{} warned - {}", self.label, fields.0);
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

fn data(record: &UserRecord) -> String {
    String::from_utf8_lossy(&record.data).into_owned()
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arc::new(Arguments::parse());
    if arguments.warnings {
        let warnings = Warnings { label: arguments.label.clone() };
        tracing::subscriber::set_global_default(warnings).expect("it is the first");
    }
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{} failed - {error}", arguments.label);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arc<Arguments>) -> Result<(), RunError> {
    let failover = Duration::from_millis(arguments.failover_millis);
    // Small batches, so that there are many moments to be killed at.
    let mut config = Config::default()
        .worker_id(arguments.name.clone())
        .max_records(50)
        .failover_time(failover)
        .lease_scan_interval(failover / 4);
    if let Some(failures) = arguments.skip_after {
        config = config.on_error(ErrorPolicy::skip_after(failures));
    }
    let place = || Place::at(&arguments.endpoint);
    let leases = DynamoDbLeases::new(place().dynamodb(), arguments.table.clone());
    let consumer = Consumer::new(place().kinesis(), leases, arguments.stream.clone(), config);
    let of_printers = Arc::clone(arguments);
    let worker = consumer.run(move |shard: &ShardInfo| Printer {
        shard: shard.shard_id.clone(),
        arguments: Arc::clone(&of_printers),
    })?;
    let stopper = worker.stopper();
    tokio::pin!(worker);
    // The worker's end first: whoever has ended need not be asked.
    tokio::select! {
        biased;
        ended = &mut worker => return ended,
        () = asked_to_end(&stopper) => {}
    }
    worker.await
}

/// Asks for the worker's end once this process is asked for its own.
#[cfg(unix)]
async fn asked_to_end(stopper: &Stopper) {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminated = signal(SignalKind::terminate()).expect("a handler of signals can be set up");
    terminated.recv().await;
    stopper.graceful();
}

#[cfg(not(unix))]
async fn asked_to_end(_stopper: &Stopper) {
    std::future::pending().await
}
