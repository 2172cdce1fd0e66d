//! What the consumer records, over the embedded service and under a paused clock.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Level, Metadata, Recorder, SharedString, Unit};
use metrics_util::debugging::DebuggingRecorder;
use shardflow_consumer::{
    Batch, Checkpointer, Config, DeadLetter, ErrorPolicy, RecordProcessor, ShardInfo, Streams, Worker,
};
use shardflow_core::aggregation::{AggregateSize, Aggregator};
use shardflow_core::{HashKey, Record};
use shardflow_local::{Fault, Operation};
use shardflow_tests::application::{Application, shard};
use shardflow_tests::clients::Place;
use shardflow_tests::readings::Readings;
use tokio::time::sleep;

/// Keeps the levels too, by operation and name.
#[derive(Default)]
struct Listening {
    recorder: DebuggingRecorder,
    levels: Mutex<BTreeMap<(String, String), Level>>,
}

impl Listening {
    fn note(&self, key: &Key, metadata: &Metadata<'_>) {
        assert!(metadata.target().starts_with("shardflow_consumer"), "{key:?}");
        let operation = key.labels().find(|label| label.key() == "Operation").unwrap();
        let key = (operation.value().to_owned(), key.name().to_owned());
        self.levels.lock().unwrap().insert(key, *metadata.level());
    }
}

impl Recorder for Listening {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, what: SharedString) {
        self.recorder.describe_counter(key, unit, what);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, what: SharedString) {
        self.recorder.describe_gauge(key, unit, what);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, what: SharedString) {
        self.recorder.describe_histogram(key, unit, what);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.note(key, metadata);
        self.recorder.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.note(key, metadata);
        self.recorder.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.note(key, metadata);
        self.recorder.register_histogram(key, metadata)
    }
}

/// Runs on this thread, whose recorder tells what was recorded.
fn recorded(run: impl AsyncFnOnce(&Listening)) -> Listening {
    let listening = Listening::default();
    metrics::with_local_recorder(&listening, || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(&listening));
        drop(runtime);
    });
    listening
}

/// A handler that fails at `poison`, checkpoints and counts.
struct Counting(Arc<Mutex<usize>>);

impl RecordProcessor for Counting {
    type Error = String;

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), String> {
        sleep(Duration::from_millis(50)).await;
        if batch.iter().any(|record| record.data == "poison") {
            return Err("poison".into());
        }
        *self.0.lock().unwrap() += batch.len();
        checkpointer.batch(batch).await.map_err(|error| error.to_string())
    }
}

fn run(app: &Application, name: &str, policy: ErrorPolicy, counter: &Arc<Mutex<usize>>) -> Worker {
    let counter = Arc::clone(counter);
    let config = Config::default().worker_id(name.parse().unwrap()).on_error(policy);
    app.consumer(config).run(move |_: &ShardInfo| Counting(Arc::clone(&counter))).unwrap()
}

/// Records of ten bytes in the first shard.
fn put(app: &Application, count: usize) {
    for _ in 0..count {
        let record = Record::new("k", "ten bytes.").unwrap().explicit_hash_key(HashKey::MIN);
        app.local.put("orders", &record).unwrap();
    }
}

const A: (&str, &str) = ("WorkerIdentifier", "a");
const B: (&str, &str) = ("WorkerIdentifier", "b");

fn op(name: &'static str) -> (&'static str, &'static str) {
    ("Operation", name)
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}

#[test]
fn each_metric_of_a_shard_has_what_happened() {
    let listening = recorded(async |_| {
        let app = Application::new(1);
        let counter = Arc::default();
        let worker = run(&app, "a", ErrorPolicy::skip_after(2), &counter);
        put(&app, 20);
        sleep(Duration::from_secs(10)).await;
        let throttle = app.local.control().on(Operation::GetRecords).times(2).then(Fault::Throttle);
        sleep(Duration::from_secs(10)).await;
        drop(throttle);
        app.local.control().expire_iterators();
        sleep(Duration::from_secs(10)).await;
        let poison = Record::new("k", "poison").unwrap();
        app.local.put("orders", &poison).unwrap();
        let corrupt = [b"\xF3\x89\x9A\xC2".as_slice(), &[7; 40]].concat();
        app.local.put("orders", &Record::new("k", corrupt).unwrap()).unwrap();
        sleep(Duration::from_secs(10)).await;
        worker.stopper().graceful();
        worker.await.unwrap();
        assert_eq!(*counter.lock().unwrap(), 21);
    });
    let readings = Readings::of(&listening.recorder);
    let shard_id = shard(0).to_string();
    let of_shard = |name| readings.values(name, &[op("ProcessTask"), ("ShardId", &shard_id)]);
    assert_eq!(of_shard("RecordsProcessed"), [21.0]);
    assert_eq!(of_shard("DataBytesProcessed"), [20.0 * 10.0 + 44.0]);
    assert_eq!(of_shard("RecordsSkipped"), [1.0]);
    assert_eq!(of_shard("CorruptAggregates"), [1.0]);
    assert_eq!(of_shard("RecordsOutOfRange"), [0.0]);
    assert_eq!(of_shard("ExpiredIterator"), [1.0]);
    let (success, times) = (of_shard("Success"), of_shard("RecordProcessor.processRecords.Time"));
    assert!(success.contains(&0.0) && sum(&success) >= 2.0, "{success:?}");
    assert_eq!((success.len(), of_shard("Time").len()), (times.len(), times.len()));
    assert!(times.iter().all(|&millis| (50.0..60.0).contains(&millis)), "{times:?}");
    let reads = of_shard("KinesisDataFetcher.getRecords.Success");
    assert_eq!(reads.len(), of_shard("KinesisDataFetcher.getRecords.Time").len());
    assert_eq!(reads.len() as f64 - sum(&reads), 3.0, "two were throttled, and one had an old iterator");
    let behind = of_shard("MillisBehindLatest");
    assert_eq!(behind.len() as f64, sum(&reads));
    assert_eq!(readings.values("MillisBehindLatest", &[op("ApplicationTracker")]), behind);
    assert_eq!(of_shard("KinesisDataFetcher.getShardIterator.Success"), [1.0, 1.0]);
    let stored = of_shard("UpdateLease.Success");
    assert!(stored.len() >= 2 && stored.len() == of_shard("UpdateLease.Time").len());
    assert_eq!(readings.values("RecordProcessor.initialize.Time", &[op("InitializeTask")]).len(), 1);
    assert_eq!(readings.values("RecordProcessor.shutdown.Time", &[op("ShutdownTask")]).len(), 1);
}

#[test]
fn dead_letters_and_records_of_other_shards_are_counted() {
    let listening = recorded(async |_| {
        let app = Application::new(2);
        let counter = Arc::default();
        let sink = |_: DeadLetter| async { Ok::<(), String>(()) };
        let worker = run(&app, "a", ErrorPolicy::dead_letter_after(1, sink), &counter);
        let mut aggregate = Aggregator::new(AggregateSize::default());
        for key in [HashKey::MIN, HashKey::MAX] {
            let record = Record::new("k", "data").unwrap().explicit_hash_key(key);
            aggregate.try_push(record).unwrap();
        }
        let packed = aggregate.finish().unwrap();
        let packed = Record::new("a", packed.data).unwrap().explicit_hash_key(HashKey::MIN);
        app.local.put("orders", &packed).unwrap();
        let poison = Record::new("k", "poison").unwrap().explicit_hash_key(HashKey::MIN);
        app.local.put("orders", &poison).unwrap();
        sleep(Duration::from_secs(10)).await;
        drop(worker);
    });
    let readings = Readings::of(&listening.recorder);
    let shard_id = shard(0).to_string();
    let of_shard = |name| readings.values(name, &[op("ProcessTask"), ("ShardId", &shard_id)]);
    assert_eq!(of_shard("RecordsOutOfRange"), [1.0]);
    assert_eq!(of_shard("RecordsDeadLettered"), [1.0]);
}

#[test]
fn each_metric_of_leases_has_what_happened() {
    let listening = recorded(async |listening| {
        let app = Application::new(4);
        let counter = Arc::default();
        let a = run(&app, "a", ErrorPolicy::retry(), &counter);
        app.shared(&[("a", 4)]).await;
        sleep(Duration::from_secs(10)).await;
        let readings = Readings::of(&listening.recorder);
        let of_a = |operation, name| readings.values(name, &[op(operation), A]);
        assert_eq!(of_a("RenewAllLeases", "CurrentLeases"), [4.0]);
        assert_eq!(of_a("LeaseDiscovery", "NewLeasesDiscovered"), [4.0]);
        let renewals = of_a("RenewAllLeases", "RenewLease.Success");
        assert!(renewals.len() >= 4 && renewals.iter().all(|&success| success == 1.0), "{renewals:?}");
        assert_eq!(of_a("RenewAllLeases", "Success"), renewals);
        assert!(of_a("LeaseDiscovery", "Success").len() >= 3);
        assert_eq!(of_a("WorkerMetricStatsReporter", "Success"), [1.0]);
        let leader = |name| readings.values(name, &[op("LeaseAssignmentManager")]);
        assert_eq!(leader("TotalLeases").last(), Some(&4.0));
        assert_eq!(leader("NumWorkers").last(), Some(&1.0));
        assert_eq!(leader("ExpiredLeases").last(), Some(&0.0));
        assert_eq!(leader("Success").len(), leader("LeaseAndWorkerMetricsLoad.Time").len());
        assert_eq!(readings.values("LeaderDecider:IsLeader", &[op("LeaderDecider")]).last(), Some(&1.0));
        let sync = |name| readings.values(name, &[op("ShardSyncTask")]);
        assert_eq!((sync("Success")[0], sync("CreateLease.Success")), (1.0, vec![1.0; 4]));

        let b = run(&app, "b", ErrorPolicy::retry(), &counter);
        app.shared(&[("a", 2), ("b", 2)]).await;
        drop(b);
        app.shared(&[("a", 4)]).await;
        // Once: a gauge that was read begins anew.
        let readings = Readings::of(&listening.recorder);
        assert_eq!(readings.values("NumOfLeasesReassignment", &[op("LeaseAssignmentManager")]), [2.0]);
        let taken = readings.values("TakenLeases", &[op("TakeLeases"), A]);
        assert!(taken[0] >= 2.0, "{taken:?}");
        let held = readings.values("CurrentLeases", &[op("RenewAllLeases"), B]);
        assert_eq!(held, [0.0], "it has ended");

        let key = AttributeValue::S(shard(0).to_string());
        let dynamodb = Place::inside(&app.local).dynamodb();
        dynamodb.delete_item().table_name("billing").key("leaseKey", key).send().await.unwrap();
        sleep(Duration::from_secs(10)).await;
        let readings = Readings::of(&listening.recorder);
        assert_eq!(readings.values("LostLeases", &[op("RenewAllLeases"), A]), [1.0]);
        drop(a);
    });
    drop(listening);
}

#[test]
fn the_table_in_the_documentation_is_what_is_recorded() {
    let listening = recorded(async |_| {
        let app = Application::new(1);
        let worker = run(&app, "a", ErrorPolicy::retry(), &Arc::default());
        put(&app, 1);
        sleep(Duration::from_secs(10)).await;
        drop(worker);
    });
    let readings = Readings::of(&listening.recorder);
    let levels = listening.levels.lock().unwrap().clone();
    assert_eq!(documented("| operation ", &readings, &levels), levels.into_keys().collect());
}

#[test]
fn of_several_streams_it_is_told_which_and_how_many() {
    let listening = recorded(async |listening| {
        let app = Application::new(1);
        let streams = Streams::new(["orders", "later"].map(|name| name.parse().unwrap()));
        let worker = app.worker_of(&streams, "a", Config::default());
        put(&app, 1);
        sleep(Duration::from_secs(10)).await;
        let readings = Readings::of(&listening.recorder);
        let stream = worker.health().streams[1].identifier.clone().unwrap().to_string();
        let of_shard =
            [op("ProcessTask"), ("ShardId", "shardId-000000000000"), ("StreamId", stream.as_str())];
        assert_eq!(readings.values("RecordsProcessed", &of_shard), [1.0]);
        let several = |name| readings.values(name, &[op("MultiStreamTracker")]);
        assert_eq!(several("ActiveStreams.Count").last(), Some(&1.0), "one is not there");
        assert_eq!(several("StreamsPendingDeletion.Count").last(), Some(&0.0));
        assert_eq!(readings.values("FailingStreams.Count", &[op("MultiStreamTracker"), A]), [1.0]);
        drop(worker);
    });
    let readings = Readings::of(&listening.recorder);
    let levels = listening.levels.lock().unwrap().clone();
    let several = documented("| of several ", &readings, &levels);
    let told: BTreeSet<_> =
        levels.into_keys().filter(|(operation, _)| operation == "MultiStreamTracker").collect();
    assert_eq!(several, told);
}

/// The metrics of a table in the documentation, all of which were recorded as it says.
fn documented(
    header: &str,
    readings: &Readings,
    levels: &BTreeMap<(String, String), Level>,
) -> BTreeSet<(String, String)> {
    let mut rows = BTreeSet::new();
    let lines = include_str!("../../docs/metrics.md").lines().skip_while(|line| !line.starts_with(header));
    for line in lines.take_while(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, operation, name, level, unit, labels, kind, ..] = cells[..] else { panic!("{line}") };
        let same = |reading: &&shardflow_tests::readings::Reading| {
            reading.name == name && reading.labels.get("Operation").is_some_and(|of| of == operation)
        };
        let reading = readings.0.iter().find(same).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(format!("{:?}", reading.kind).to_lowercase(), kind, "{line}");
        assert_eq!(reading.unit.map(|unit| format!("{unit:?}")).as_deref(), Some(unit), "{line}");
        let has: BTreeSet<_> = reading.labels.keys().map(String::as_str).collect();
        assert_eq!(has, labels.split(", ").collect(), "{line}");
        let row = (operation.to_owned(), name.to_owned());
        let expected = match level {
            "summary" => Level::INFO,
            "detailed" => Level::DEBUG,
            _ => panic!("{line}"),
        };
        assert_eq!(levels.get(&row), Some(&expected), "{line}");
        assert!(rows.insert(row), "twice: {line}");
    }
    rows
}
