//! A record's whole way, with an account at the end: producer, stream, two workers that share the shards.
//!
//! Replays a week of earthquakes, keyed by the square degree they were in. Meanwhile a shard is split and a worker leaves.
//! Then every event must have been processed, those of each key in the order in which they were put.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use shardflow_consumer::{
    Batch, CheckpointError, Checkpointer, Config as ConsumerConfig, Consumer, DynamoDbLeases,
    InitialPosition, RecordProcessor, ShardId, ShardInfo, Stream, Worker,
};
use shardflow_examples::account::Account;
use shardflow_examples::events;
use shardflow_examples::screen::Screen;
use shardflow_examples::service::{Error, Service, chain};
use shardflow_producer::{Config as ProducerConfig, Ordering, Producer, Record, Ticket};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

/// Replays earthquakes through a producer, a stream and two workers, and checks that all arrive
#[derive(Debug, Parser)]
struct Arguments {
    /// Where Kinesis and DynamoDB are, LocalStack for example; without it and --stream, a service in this process
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// A stream to use; created and deleted again if there is none of that name
    #[arg(long, value_name = "NAME")]
    stream: Option<Stream>,
    /// How often the catalogue of 1,707 earthquakes is replayed
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rounds: u64,
}

/// Of a stream that the quick start creates.
const SHARDS: u32 = 4;
/// Tickets that await their outcome.
const TICKETS: usize = 100_000;
/// Longest that the writer waits for both workers to have a shard.
const SHARED_WITHIN: Duration = Duration::from_secs(30);
/// Longest that a run may take, for each round of the catalogue. A shard takes a round within a second.
const ROUND_WITHIN: Duration = Duration::from_secs(30);

#[tokio::main]
#[expect(clippy::print_stderr, reason = "this is where a person looks for what went wrong")]
async fn main() -> ExitCode {
    match quickstart(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as it must.
async fn quickstart(arguments: &Arguments) -> Result<bool, Error> {
    let run = format!("shardflow-quickstart-{:08x}", fastrand::u32(..));
    let service =
        Service::start(arguments.endpoint.as_deref(), arguments.stream.clone(), &run, SHARDS).await?;
    let ran = tokio::select! {
        biased; // An impatient person goes first.
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        ran = replay(&service, &run, arguments.rounds) => ran,
    };
    let cleaned = service.clean_up(&run).await;
    let good = ran?;
    cleaned?;
    Ok(good)
}

/// Replays the events, and shows what came of it.
async fn replay(service: &Service, run: &str, rounds: u64) -> Result<bool, Error> {
    let events = events::all()?;
    let account = Account::new(run, rounds * events.len() as u64);
    let screen = Screen::new(account.total());
    screen.say(&format!(
        "{} earthquakes, {rounds} times over, through {} on {}",
        events.len(),
        service.stream.name(),
        service.place()
    ));

    let workers = [worker(service, &account, "worker-1")?, worker(service, &account, "worker-2")?];
    share(service, &account, &screen, workers.len()).await?;
    let began = Instant::now();
    let [mut staying, leaving] = workers;
    let (split, children) = watch::channel(None);
    let all = async {
        tokio::try_join!(
            write(service, &account, &events, rounds, children.clone()),
            disturb(service, &account, &screen, leaving, split),
        )?;
        account.reaches(1.0).await;
        // With few rounds, the last event may come before a child of the split shard is begun.
        let split = children.borrow().clone().unwrap_or_default();
        account.all_begun(&split).await;
        Ok(())
    };
    let limit = ROUND_WITHIN * u32::try_from(rounds)?;
    let ended: Result<(), Error> = tokio::select! {
        biased; // A worker that has ended explains why the rest does not.
        ended = &mut staying => Err(format!("worker-1 ended early: {ended:?}").into()),
        ended = timeout(limit, all) => ended.unwrap_or_else(|_| {
            screen.say(&format!("Not done after {limit:?}."));
            Ok(())
        }),
        never = show_progress(&account, &screen) => match never {},
    };
    ended?;
    let took = began.elapsed();
    staying.stopper().graceful();
    staying.await?;

    let books = account.books();
    let begun = |shard| books.shards.get(shard).is_some_and(|shard| !shard.workers.is_empty());
    if children.borrow().as_ref().is_none_or(|children| !children.iter().all(begun)) {
        account.wanting("No worker has come to the shards that the split has made.");
    }
    let verdict = account.verdict();
    screen.finish(&books, &verdict, took);
    Ok(verdict.is_good())
}

/// Waits until each worker has a shard, if there are enough of them.
async fn share(service: &Service, account: &Account, screen: &Screen, workers: usize) -> Result<(), Error> {
    if service.open_shards().await? < workers {
        screen.say("The stream has too few shards to be shared.");
    } else if timeout(SHARED_WITHIN, account.shared_by(workers)).await.is_ok() {
        screen.say("Both workers have shards.");
    } else {
        account.wanting("One of the workers got no shard when it began.");
        screen.say("One of two workers has no shard.");
    }
    Ok(())
}

/// Puts all events; the last third of the rounds after the split, so that its children get some.
async fn write(
    service: &Service,
    account: &Account,
    events: &[events::Event],
    rounds: u64,
    mut split: watch::Receiver<Option<BTreeSet<ShardId>>>,
) -> Result<(), Error> {
    // Within a key the events stay in order, whatever fails and is sent again.
    let config = ProducerConfig::default().ordering(Ordering::PerKey);
    let producer = Producer::new(service.kinesis.clone(), service.stream.clone(), config);
    let (tickets, outcomes) = mpsc::channel(TICKETS);
    let put = async {
        let mut number = 0;
        for round in 0..rounds {
            if round == rounds - rounds / 3 {
                drop(split.wait_for(Option::is_some).await?);
            }
            for event in events {
                let record = Record::new(event.cell.as_str(), event.replayed(account.run(), number)?)?;
                tickets.send(producer.put(record).await?).await?;
                number += 1;
            }
        }
        drop(tickets);
        Ok(())
    };
    tokio::try_join!(put, settle(account, outcomes))?;
    Ok(producer.close(Duration::from_secs(30)).await?)
}

/// Writes down what became of each event.
async fn settle(account: &Account, mut outcomes: mpsc::Receiver<Ticket>) -> Result<(), Error> {
    while let Some(ticket) = outcomes.recv().await {
        match ticket.await {
            Ok(receipt) => account.delivered(receipt),
            Err(error) => account.undelivered(&error),
        }
    }
    Ok(())
}

/// Splits a shard after a quarter of the events, tells its children, and stops a worker after half of the events.
async fn disturb(
    service: &Service,
    account: &Account,
    screen: &Screen,
    leaving: Worker,
    split: watch::Sender<Option<BTreeSet<ShardId>>>,
) -> Result<(), Error> {
    account.reaches(0.25).await;
    let children = if service.owns_stream() {
        let (shard, children) = service.split_a_shard().await?;
        screen.say(&format!("After a quarter of the events {shard} is split."));
        children
    } else {
        screen.say("The stream is not this program's own, so no shard of it is split.");
        BTreeSet::new()
    };
    split.send_replace(Some(children));

    account.reaches(0.5).await;
    leaving.stopper().graceful();
    leaving.await?;
    screen.say("After half of them worker-2 leaves; its shards go to worker-1.");
    Ok(())
}

async fn show_progress(account: &Account, screen: &Screen) -> std::convert::Infallible {
    let mut progress = account.progress();
    loop {
        screen.processed(*progress.borrow_and_update());
        if progress.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A worker that writes what it processes down in the account.
fn worker(service: &Service, account: &Account, name: &'static str) -> Result<Worker, Error> {
    #[expect(clippy::disallowed_methods, reason = "the service asks for a time of day")]
    let now = SystemTime::now();
    // A minute earlier, since the clocks of this machine and of the service differ.
    let just_before = now - Duration::from_secs(60);
    let config = ConsumerConfig::default()
        .worker_id(name.parse()?)
        .initial_position(match service.owns_stream() {
            true => InitialPosition::TrimHorizon,
            false => InitialPosition::AtTimestamp(just_before),
        })
        // Short, for a run of seconds. The defaults suit one of months.
        .failover_time(Duration::from_secs(2))
        .lease_scan_interval(Duration::from_millis(500))
        .idle_time_between_reads(Duration::from_millis(250));
    let leases = DynamoDbLeases::new(service.dynamodb.clone(), account.run().parse()?);
    let consumer = Consumer::new(service.kinesis.clone(), leases, service.stream.clone(), config);
    let account = account.clone();
    let processor = move |shard: &ShardInfo| Bookkeeper {
        account: account.clone(),
        worker: name,
        shard: shard.shard_id.clone(),
    };
    Ok(consumer.run(processor)?)
}

struct Bookkeeper {
    account: Account,
    worker: &'static str,
    shard: ShardId,
}

impl RecordProcessor for Bookkeeper {
    type Error = CheckpointError;

    async fn initialize(&mut self, _shard: &ShardInfo) -> Result<(), CheckpointError> {
        self.account.begun(self.worker, &self.shard);
        Ok(())
    }

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), CheckpointError> {
        for record in batch {
            self.account.processed(self.worker, &self.shard, record);
        }
        checkpointer.batch(batch).await
    }
}
