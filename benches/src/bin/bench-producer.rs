//! Drives `shardflow-producer` as hard as a number of outstanding records allows, and prints what that took.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use serde_json::json;
use shardflow_benches::{Keys, Latencies, Sums, Usage};
use shardflow_producer::{
    CaBundle, Config, ConfigKey, HttpsClient, Producer, RateLimit, Receipt, Record, RecordError, Ticket,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Puts records for a while and prints, as JSON, what they cost between the end of the warm-up and the end.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// Where the service is
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// A certificate to be trusted, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[arg(long)]
    stream: String,
    /// Bytes of a record's data
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Most records that are not settled
    #[arg(long, default_value_t = 50_000)]
    outstanding: usize,
    /// Seconds before the measured ones
    #[arg(long, default_value_t = 2.0)]
    warm: f64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Records that are measured, instead of seconds
    #[arg(long, default_value_t = 0)]
    records: u64,
    /// Records a second; 0 is as many as go
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// Tasks that put, each on a thread of its own
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, value_enum, default_value_t = KeyKind::Random)]
    keys: KeyKind,
    /// Milliseconds that a record waits for company
    #[arg(long, default_value_t = 100)]
    linger: u64,
    /// Most bytes of an aggregate
    #[arg(long, default_value = "51200")]
    aggregate: String,
    /// Have a recorder of metrics listen, to all of them
    #[arg(long)]
    recorder: bool,
}

/// How partition keys are made.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeyKind {
    /// Another one for every record
    Random,
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism()?.get();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Tokio's own number, unless that many producing threads would not fit.
        .worker_threads(if arguments.threads > 1 { cores.max(arguments.threads) } else { cores })
        .enable_all()
        .build()?;
    runtime.block_on(run(arguments))
}

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
async fn run(arguments: Arguments) -> Result<(), Failure> {
    let driver = driver_seconds_per_million(&arguments);
    let sums = Sums::default();
    if arguments.recorder {
        metrics::set_global_recorder(sums.clone())?;
    }
    let producer = Producer::new(client(&arguments)?, arguments.stream.parse()?, config(&arguments)?);
    let over = Arc::new(AtomicBool::new(false));
    let mut counts = Vec::new();
    let mut senders = JoinSet::new();
    for seed in 0..arguments.threads {
        let count = Arc::new(Count::default());
        counts.push(Arc::clone(&count));
        let sender = Sender {
            producer: producer.clone(),
            keys: Keys::new(seed as u64),
            payload: vec![7; arguments.size].into(),
            outstanding: (arguments.outstanding / arguments.threads).max(1),
            rate: arguments.rate / arguments.threads as f64,
            over: Arc::clone(&over),
            count,
            samples: JoinSet::new(),
        };
        senders.spawn(sender.run());
    }

    sleep(Duration::from_secs_f64(arguments.warm)).await;
    let (from, before, first) = (Instant::now(), Usage::now()?, Sum::of(&counts));
    if arguments.records == 0 {
        sleep(Duration::from_secs_f64(arguments.seconds)).await;
    }
    while Sum::of(&counts).records - first.records < arguments.records {
        sleep(Duration::from_millis(5)).await;
    }
    let (after, last) = (Usage::now()?, Sum::of(&counts));
    let seconds = from.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    let mut latencies = Latencies::default();
    for samples in senders.join_all().await {
        // Those of the warm-up are not told.
        latencies.extend(samples?.into_iter().filter(|(put, _)| *put >= from).map(|(_, took)| took));
    }
    producer.close(Duration::from_secs(10)).await?;

    let whole = Sum::of(&counts);
    let records = last.records - first.records;
    let cpu = after.cpu_seconds - before.cpu_seconds;
    let result = json!({
        "records": records,
        "seconds": seconds,
        "cpu_s": cpu,
        "cpu_s_per_M": cpu / records as f64 * 1e6,
        "driver_cpu_s_per_M": driver,
        "records_per_s": records as f64 / seconds,
        "rss_mb": after.peak_mib,
        "kinesis_records": last.kinesis_records - first.kinesis_records,
        "latency_ms_p50": latencies.quantile(0.5),
        "latency_ms_p99": latencies.quantile(0.99),
        "records_in_all": whole.records,
        "key_sum": whole.key_sum,
        "failed": whole.failed,
        "metric_values": sums.values(),
    });
    println!("{result}");
    Ok(())
}

/// What of the measured time goes into making records, which is this program's and not the producer's.
fn driver_seconds_per_million(arguments: &Arguments) -> f64 {
    let payload = Bytes::from(vec![7; arguments.size]);
    let start = Instant::now();
    for key in Keys::new(0).take(1_000_000) {
        std::hint::black_box(Record::new(key.to_string(), payload.clone()))
            .unwrap_or_else(|_| unreachable!("20 digits"));
    }
    start.elapsed().as_secs_f64()
}

/// A client as an application's.
fn client(arguments: &Arguments) -> Result<aws_sdk_kinesis::Client, Failure> {
    let https = HttpsClient::ring();
    let https = match &arguments.ca {
        Some(ca) => https.trust_only(CaBundle::from_file(ca)?),
        None => https,
    };
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&arguments.endpoint)
        .http_client(https.build()?)
        .credentials_provider(Credentials::new("any", "any", None, None, "bench"));
    Ok(aws_sdk_kinesis::Client::from_conf(config.build()))
}

fn config(arguments: &Arguments) -> Result<Config, Failure> {
    let config = Config::default()
        .linger(Duration::from_millis(arguments.linger))
        // One process writes far more than the shards of a real stream take: neither producer shall be held to that.
        .rate_limit(RateLimit::OFF);
    Ok(config.set(ConfigKey::AggregationMaxSize, &arguments.aggregate)?)
}

/// One of the tasks that put.
struct Sender {
    producer: Producer,
    keys: Keys,
    payload: Bytes,
    outstanding: usize,
    /// Records a second; without bound if 0.
    rate: f64,
    over: Arc<AtomicBool>,
    count: Arc<Count>,
    samples: JoinSet<(Instant, Duration)>,
}

impl Sender {
    /// One record in so many is watched by a task of its own; more of them where there are fewer. The others are awaited in the order in which they were put,
    /// so a record's latency would be that of the slowest before it.
    const SAMPLED: u64 = 256;
    const SAMPLED_AT_A_RATE: u64 = 64;
    /// After so many records the oldest tickets are looked at.
    const LOOKED_BACK: u64 = 64;

    /// Puts until it is over. Gives when sampled records were put and how long they took.
    async fn run(mut self) -> Result<Vec<(Instant, Duration)>, Failure> {
        let start = Instant::now();
        let mut tickets: VecDeque<Ticket> = VecDeque::with_capacity(self.outstanding);
        let mut sampled = Vec::new();
        let sampled_in = if self.rate > 0.0 { Self::SAMPLED_AT_A_RATE } else { Self::SAMPLED };
        for n in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            // Now and then, so that what is settled is dropped while it is in the cache, at little cost for a record.
            if n % Self::LOOKED_BACK == 0 {
                self.look_back(&mut tickets).await;
            }
            if tickets.len() >= self.outstanding
                && let Some(first) = tickets.pop_front()
            {
                self.count.settled(&first.await);
            }
            if self.rate > 0.0 {
                let ahead = Duration::from_secs_f64(n as f64 / self.rate).saturating_sub(start.elapsed());
                if ahead > Duration::from_millis(1) {
                    sleep(ahead).await;
                }
            }
            let key = self.keys.next().expect("keys do not end");
            self.count.key_sum.fetch_add(key, Ordering::Relaxed);
            let record = Record::new(key.to_string(), self.payload.clone())?;
            if n % sampled_in == 0 {
                let put = Instant::now();
                let ticket = self.producer.put(record).await?;
                let count = Arc::clone(&self.count);
                self.samples.spawn(async move {
                    let settled = ticket.await;
                    let took = put.elapsed();
                    count.settled(&settled);
                    (put, took)
                });
                while let Some(sample) = self.samples.try_join_next() {
                    sampled.push(sample?);
                }
            } else {
                tickets.push_back(self.producer.put(record).await?);
            }
        }
        for ticket in tickets {
            self.count.settled(&ticket.await);
        }
        sampled.extend(self.samples.join_all().await);
        Ok(sampled)
    }

    /// Takes out the tickets that are settled, up to the first that is not.
    async fn look_back(&self, tickets: &mut VecDeque<Ticket>) {
        while let Some(settled) = settled(tickets).await {
            self.count.settled(&settled);
        }
    }
}

/// What became of the first ticket, if it is known already.
async fn settled(tickets: &mut VecDeque<Ticket>) -> Option<Result<Receipt, RecordError>> {
    let settled = poll_fn(|context| {
        let first = tickets.front_mut().map(|first| Pin::new(first).poll(context));
        Poll::Ready(match first {
            Some(Poll::Ready(settled)) => Some(settled),
            Some(Poll::Pending) | None => None,
        })
    });
    let settled = settled.await?;
    tickets.pop_front();
    Some(settled)
}

/// What one sender's records have come to. Each has a cache line of its own, so that senders do not slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count {
    records: AtomicU64,
    kinesis_records: AtomicU64,
    failed: AtomicU64,
    /// The sum of the keys of all records that were put, modulo 2^64.
    key_sum: AtomicU64,
}

impl Count {
    fn settled(&self, settled: &Result<Receipt, RecordError>) {
        match settled {
            Ok(receipt) => {
                self.records.fetch_add(1, Ordering::Relaxed);
                // The first of an aggregate stands for it.
                if receipt.sub_sequence_number.is_none_or(|place| place == 0) {
                    self.kinesis_records.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(_undelivered) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

struct Sum {
    records: u64,
    kinesis_records: u64,
    failed: u64,
    key_sum: u64,
}

impl Sum {
    fn of(counts: &[Arc<Count>]) -> Self {
        let sum =
            |of: fn(&Count) -> &AtomicU64| counts.iter().map(|count| of(count).load(Ordering::Relaxed)).sum();
        let sums = counts.iter().map(|count| count.key_sum.load(Ordering::Relaxed));
        Self {
            records: sum(|count| &count.records),
            kinesis_records: sum(|count| &count.kinesis_records),
            failed: sum(|count| &count.failed),
            key_sum: sums.fold(0, u64::wrapping_add),
        }
    }
}
