//! What the producer records, over the embedded service and under a paused clock.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::BTreeSet;
use std::time::Duration;

use metrics_util::debugging::DebuggingRecorder;
use shardflow_local::{Config as LocalConfig, Entries, Fault, Local, Operation};
use shardflow_producer::{
    Config, HashKey, MetricsDimension, MetricsGranularity, MetricsLevel, Producer, Record,
};
use shardflow_tests::clients::Place;
use shardflow_tests::readings::Readings;

/// Runs on this thread, whose recorder tells what was recorded.
fn recorded(config: Config, run: impl AsyncFnOnce(&Local, &Producer)) -> Readings {
    let recorder = DebuggingRecorder::new();
    let listening = metrics::set_default_local_recorder(&recorder);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let local = Local::new(LocalConfig::default()).unwrap();
        local.create_stream("orders", 2).unwrap();
        let producer = Producer::new(Place::inside(&local).kinesis(), "orders".parse().unwrap(), config);
        run(&local, &producer).await;
    });
    drop(runtime);
    drop(listening);
    Readings::of(&recorder)
}

/// Puts that many records of 10 bytes into the first shard.
async fn put(producer: &Producer, count: usize) -> bool {
    let record = || Record::new("k", "ten bytes.").unwrap().explicit_hash_key(HashKey::MIN);
    let mut delivered = true;
    let mut tickets = Vec::new();
    for _ in 0..count {
        tickets.push(producer.put(record()).await.unwrap());
    }
    for ticket in tickets {
        delivered &= ticket.await.is_ok();
    }
    delivered
}

/// Ten records that are delivered, ten after a throttle, ten after an answer that was lost, and ten that expire.
async fn all_that_happens(local: &Local, producer: &Producer) {
    let puts = || local.control().on(Operation::PutRecords);
    assert!(put(producer, 10).await);
    drop(puts().times(1).then(Fault::throttle_entries(Entries::All)));
    assert!(put(producer, 10).await);
    drop(puts().times(1).then(Fault::DropResponse));
    assert!(put(producer, 10).await);
    drop(puts().then(Fault::throttle_entries(Entries::All)));
    assert!(!put(producer, 10).await);
}

fn config() -> Config {
    Config::default().record_ttl(Duration::from_secs(5))
}

const STREAM: (&str, &str) = ("StreamName", "orders");
const SHARD: (&str, &str) = ("ShardId", "shardId-000000000000");
const THROTTLED: (&str, &str) = ("ErrorCode", "ProvisionedThroughputExceededException");

#[test]
fn each_metric_has_what_happened() {
    let readings = recorded(config(), all_that_happens);
    let shard = |name| readings.values(name, &[STREAM, SHARD]);
    let stream = |name| readings.values(name, &[STREAM]);
    let sum = |values: Vec<f64>| values.iter().sum::<f64>();

    assert_eq!(stream("UserRecordsReceived"), [40.0]);
    assert_eq!(stream("UserRecordsPending"), [0.0], "all are settled");
    let put = shard("UserRecordsPut");
    assert_eq!((put.len(), sum(put)), (40, 30.0));
    assert_eq!(shard("UserRecordsDataPut"), [300.0]);
    assert_eq!(shard("UserRecordExpired"), [10.0]);

    let (put, bytes) = (shard("KinesisRecordsPut"), shard("KinesisRecordsDataPut"));
    let throttled = readings.values("ErrorsByCode", &[STREAM, SHARD, THROTTLED])[0];
    assert!(throttled > 2.0 && bytes[0] > 300.0, "{throttled} {bytes:?}");
    assert_eq!((put.len() as f64, sum(put)), (3.0 + throttled, 3.0));
    let errors = shard("AllErrors");
    assert_eq!((errors.len() as f64, sum(errors)), (3.0 + throttled, throttled));
    assert_eq!(stream("AllErrors"), [1.0], "a request that failed is of no shard");
    let lost: Vec<_> = readings.0.iter().filter(|reading| reading.name == "ErrorsByCode").collect();
    assert_eq!(lost.len(), 2, "{lost:?}");
    let lost = lost.iter().find(|reading| !reading.labels.contains_key(SHARD.0)).unwrap();
    assert_eq!(lost.values, [1.0]);

    let requests = 3.0 + 1.0 + throttled;
    for (name, each) in [
        ("KinesisRecordsPerPutRecordsRequest", Some(1.0)),
        ("UserRecordsPerPutRecordsRequest", Some(10.0)),
        ("RequestTime", None),
    ] {
        let values = stream(name);
        assert_eq!(values.len() as f64, requests, "{name}");
        assert!(each.is_none_or(|each| values.iter().all(|&value| value == each)), "{name} {values:?}");
    }
    let records = shard("UserRecordsPerKinesisRecord");
    assert_eq!((records.len() as f64, sum(records)), (requests, 10.0 * requests));

    let mut retries = shard("RetriesPerRecord");
    retries.sort_by(f64::total_cmp);
    // Each try of those that expired failed, and one failed of those before.
    let expected = [0.0, 1.0, 1.0, throttled - 1.0];
    assert_eq!(retries, expected.map(|times| [times; 10]).concat());
    let waited = shard("BufferingTime");
    assert_eq!(waited.len() as f64, 10.0 * requests);
    let at_once = waited.iter().filter(|&millis| (100.0..110.0).contains(millis)).count();
    assert!(at_once >= 20, "the linger, where nothing held them up: {waited:?}");
}

#[test]
fn the_table_in_the_documentation_is_what_is_recorded() {
    let readings = recorded(config(), all_that_happens);
    let mut rows = BTreeSet::new();
    let lines =
        include_str!("../../docs/metrics.md").lines().skip_while(|line| !line.starts_with("| metric "));
    for line in lines.take_while(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, level, unit, labels, kind, ..] = cells[..] else { panic!("{line}") };
        assert!(matches!(level, "summary" | "detailed"));
        let of_name: Vec<_> = readings.0.iter().filter(|reading| reading.name == name).collect();
        let labels: BTreeSet<_> = labels.split(", ").collect();
        for reading in &of_name {
            assert_eq!(format!("{:?}", reading.kind).to_lowercase(), kind, "{name}");
            assert_eq!(reading.unit.map(|unit| format!("{unit:?}")).as_deref(), Some(unit), "{name}");
            assert!(reading.labels.keys().all(|label| labels.contains(label.as_str())), "{reading:?}");
        }
        assert!(of_name.iter().any(|reading| reading.labels.len() == labels.len()), "all labels of {name}");
        rows.insert((name, level));
    }
    assert_eq!(rows.iter().map(|&(name, _)| name).collect::<BTreeSet<_>>(), readings.names());
    let summary = recorded(config().metrics_level(MetricsLevel::Summary), all_that_happens);
    let expected = rows.iter().filter(|(_, level)| *level == "summary").map(|&(name, _)| name);
    assert_eq!(summary.names(), expected.collect());
}

#[test]
fn granularity_decides_the_labels() {
    let labels = |granularity| {
        let readings = recorded(config().metrics_granularity(granularity), all_that_happens);
        let labels: Vec<_> = readings.labels().into_iter().map(str::to_owned).collect();
        (labels.join(" "), readings)
    };
    assert_eq!(labels(MetricsGranularity::Shard).0, "ErrorCode ShardId StreamName");
    let (stream, readings) = labels(MetricsGranularity::Stream);
    assert_eq!(stream, "ErrorCode StreamName");
    assert_eq!(readings.values("UserRecordsPut", &[STREAM]).len(), 40);
    let (global, readings) = labels(MetricsGranularity::Global);
    assert_eq!(global, "ErrorCode");
    assert_eq!(readings.values("UserRecordsPut", &[]).len(), 40);
    assert!(readings.values("ErrorsByCode", &[THROTTLED])[0] > 2.0);
}

#[test]
fn labels_of_the_applications_own_are_on_the_metrics_that_they_are_of() {
    use MetricsGranularity::{Global, Shard, Stream};
    let own = |granularity| {
        let dimension = |name, of| MetricsDimension::new(name, "x").unwrap().of(of);
        let config = config().metrics_granularity(granularity).metrics_dimension(dimension("OfAll", Global));
        config.metrics_dimension(dimension("OfStream", Stream)).metrics_dimension(dimension("OfShard", Shard))
    };
    let (all, stream, shard) = (("OfAll", "x"), ("OfStream", "x"), ("OfShard", "x"));
    let readings = recorded(own(Shard), all_that_happens);
    let of_shard = [STREAM, SHARD, all, stream, shard];
    assert_eq!(readings.values("UserRecordsPut", &of_shard).len(), 40);
    assert!(!readings.values("RequestTime", &[STREAM, all, stream]).is_empty());
    let readings = recorded(own(Stream), all_that_happens);
    assert_eq!(readings.values("UserRecordsPut", &[STREAM, all, stream]).len(), 40);
    let readings = recorded(own(Global), all_that_happens);
    assert_eq!(readings.values("UserRecordsPut", &[all]).len(), 40);
}

#[test]
fn level_none_records_nothing() {
    let readings = recorded(config().metrics_level(MetricsLevel::None), all_that_happens);
    assert!(readings.0.is_empty(), "{readings:?}");
}

#[test]
fn records_that_are_given_back_do_not_stay_pending() {
    let readings = recorded(config().linger(Duration::from_secs(60)), async |_, producer| {
        drop(producer.put(Record::new("k", "x").unwrap()).await.unwrap());
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(readings.values("UserRecordsPending", &[STREAM]), [0.0]);
    assert_eq!(readings.values("UserRecordsReceived", &[STREAM]), [1.0]);
}
