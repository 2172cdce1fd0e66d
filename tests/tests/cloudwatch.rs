//! What arrives at CloudWatch: a publisher over the embedded service, under a paused clock.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, gauge, histogram};
use shardflow_cloudwatch::{Config, Health, MetricsLevel, PublishError, Publisher};
use shardflow_local::{Config as LocalConfig, Entries, Fault, Local, MetricDatum, MetricValue, Operation};
use shardflow_producer::{Config as ProducerConfig, HashKey, Producer, Record};
use shardflow_tests::clients::Place;
use tokio::time::Instant;

/// Runs with a publisher whose recorder hears what this thread records.
fn publishing(config: Config, run: impl AsyncFnOnce(&Local, Publisher)) -> Vec<MetricDatum> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let local = Local::new(LocalConfig::default()).unwrap();
        let publisher = Publisher::start(Place::inside(&local).cloudwatch(), config).unwrap();
        let recorder = publisher.recorder();
        let listening = metrics::set_default_local_recorder(&recorder);
        run(&local, publisher).await;
        drop(listening);
        local.metrics()
    })
}

fn config() -> Config {
    Config::new("test".parse().unwrap())
}

fn producer(local: &Local) -> Producer {
    local.create_stream("orders", 2).unwrap();
    let config = ProducerConfig::default().record_ttl(Duration::from_secs(5));
    Producer::new(Place::inside(local).kinesis(), "orders".parse().unwrap(), config)
}

/// Puts that many records of 10 bytes into the first shard, and waits for their end.
async fn put(producer: &Producer, count: usize) {
    let record = || Record::new("k", "ten bytes.").unwrap().explicit_hash_key(HashKey::MIN);
    let mut tickets = Vec::new();
    for _ in 0..count {
        tickets.push(producer.put(record()).await.unwrap());
    }
    for ticket in tickets {
        drop(ticket.await);
    }
}

/// Ten records that are delivered, ten after a throttle, ten after an answer that was lost, and ten that expire.
async fn all_that_happens(local: &Local) {
    let producer = producer(local);
    let puts = || local.control().on(Operation::PutRecords);
    put(&producer, 10).await;
    drop(puts().times(1).then(Fault::throttle_entries(Entries::All)));
    put(&producer, 10).await;
    drop(puts().times(1).then(Fault::DropResponse));
    put(&producer, 10).await;
    drop(puts().then(Fault::throttle_entries(Entries::All)));
    put(&producer, 10).await;
}

/// All that came in for one metric, added up.
#[derive(Debug, PartialEq)]
struct Total {
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
}

/// The total of the metric with these dimensions and no others.
fn total(data: &[MetricDatum], name: &str, dimensions: &[(&str, &str)]) -> Total {
    let wanted: BTreeMap<_, _> = dimensions.iter().copied().collect();
    let mut total = Total { count: 0.0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };
    for datum in data.iter().filter(|datum| datum.name == name && dimensions_of(datum) == wanted) {
        let MetricValue::Statistics { count, sum, min, max } = datum.value else { panic!("{datum:?}") };
        assert!(min <= sum / count && sum / count <= max, "no values have these statistics: {datum:?}");
        total.count += count;
        total.sum += sum;
        total.min = total.min.min(min);
        total.max = total.max.max(max);
    }
    total
}

fn dimensions_of(datum: &MetricDatum) -> BTreeMap<&str, &str> {
    datum.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

const STREAM: (&str, &str) = ("StreamName", "orders");
const SHARD: (&str, &str) = ("ShardId", "shardId-000000000000");
const THROTTLED: (&str, &str) = ("ErrorCode", "ProvisionedThroughputExceededException");

#[test]
fn what_a_producer_did_is_published_as_the_kpl_does() {
    let data = publishing(Config::kpl(), async |local, publisher| {
        all_that_happens(local).await;
        publisher.close(Duration::from_secs(5)).await.unwrap();
    });
    assert!(
        data.iter().all(|datum| datum.namespace == "KinesisProducerLibrary" && datum.timestamp.is_none())
    );
    for dimensions in [&[STREAM, SHARD][..], &[STREAM], &[]] {
        let total = |name| total(&data, name, dimensions);
        assert_eq!(total("UserRecordsPut"), Total { count: 40.0, sum: 30.0, min: 0.0, max: 1.0 });
        assert_eq!(total("UserRecordsDataPut").sum, 300.0);
        assert_eq!(total("UserRecordExpired").sum, 10.0);
        assert_eq!(total("KinesisRecordsPut").sum, 3.0);
        let retries = total("RetriesPerRecord");
        assert_eq!((retries.count, retries.min), (40.0, 0.0));
    }
    for dimensions in [&[STREAM][..], &[]] {
        assert_eq!(total(&data, "UserRecordsReceived", dimensions).sum, 40.0);
        let pending = total(&data, "UserRecordsPending", dimensions);
        assert_eq!((pending.min, pending.max), (0.0, 10.0));
    }
    // The answer that was lost is an error of the stream, and of no shard.
    let throttled = total(&data, "ErrorsByCode", &[STREAM, SHARD, THROTTLED]).sum;
    assert!(throttled > 2.0);
    assert_eq!(total(&data, "ErrorsByCode", &[STREAM, THROTTLED]).sum, throttled);
    assert_eq!(total(&data, "ErrorsByCode", &[THROTTLED]).sum, throttled);
    assert_eq!(total(&data, "ErrorsByCode", &[]).sum, throttled + 1.0);
    assert_eq!(total(&data, "AllErrors", &[STREAM, SHARD]).sum, throttled);
    assert_eq!(total(&data, "AllErrors", &[STREAM]).sum, throttled + 1.0);
}

#[test]
fn the_table_in_the_documentation_is_what_is_published() {
    let run = |level| {
        publishing(Config::kpl().level(level), async |local, publisher| {
            all_that_happens(local).await;
            publisher.close(Duration::from_secs(5)).await.unwrap();
        })
    };
    let (detailed, summary) = (run(MetricsLevel::Detailed), run(MetricsLevel::Summary));
    let names = |data: &[MetricDatum]| data.iter().map(|datum| datum.name.clone()).collect::<BTreeSet<_>>();
    let mut documented = [BTreeSet::new(), BTreeSet::new()];
    let lines =
        include_str!("../../docs/metrics.md").lines().skip_while(|line| !line.starts_with("| metric "));
    for line in lines.take_while(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, level, unit, labels, ..] = cells[..] else { panic!("{line}") };
        let levels = if level == "summary" { 0 } else { 1 };
        documented[levels..].iter_mut().for_each(|names| names.extend([name.to_owned()]));
        let published: Vec<_> = detailed.iter().filter(|datum| datum.name == name).collect();
        for datum in &published {
            assert_eq!(datum.unit.as_deref(), Some(unit), "{name}");
        }
        // With all its labels, and rolled up to those of the whole stream and to none.
        let labels: BTreeSet<_> = labels.split(", ").collect();
        for without in [&[][..], &["ShardId"], &["ShardId", "StreamName"]] {
            let level: BTreeSet<_> =
                labels.iter().copied().filter(|label| !without.contains(label)).collect();
            let found =
                published.iter().any(|datum| dimensions_of(datum).keys().copied().eq(level.iter().copied()));
            assert!(found, "{name} with {level:?}");
        }
    }
    assert_eq!([names(&summary), names(&detailed)], documented);
}

#[test]
fn level_none_publishes_nothing() {
    let data = publishing(Config::kpl().level(MetricsLevel::None), async |local, publisher| {
        all_that_happens(local).await;
        publisher.close(Duration::from_secs(5)).await.unwrap();
        assert!(!local.control().totals().contains_key(&Operation::PutMetricData));
    });
    assert!(data.is_empty());
}

#[test]
fn what_a_consumer_records_is_published_under_the_kcls_names_every_ten_seconds() {
    let data = publishing(Config::kcl("billing".parse().unwrap()), async |local, publisher| {
        const FROM: &str = "shardflow_consumer";
        let process = [("Operation", "ProcessTask"), SHARD];
        describe_histogram!("MillisBehindLatest", Unit::Milliseconds, "how far behind");
        describe_counter!("RecordsProcessed", Unit::Count, "how many");
        let behind = histogram!(target: FROM, "MillisBehindLatest", &process);
        let processed = counter!(target: FROM, "RecordsProcessed", &process);
        let renewed = histogram!(target: FROM, "RenewLease.Success", "Operation" => "RenewAllLeases", "WorkerIdentifier" => "w");
        counter!("of something else").increment(1);
        for second in 0..25 {
            behind.record(f64::from(second) * 100.0);
            processed.increment(2);
            renewed.record(1.0);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(local.control().totals()[&Operation::PutMetricData], 2);
        publisher.close(Duration::from_secs(5)).await.unwrap();
    });
    assert!(data.iter().all(|datum| datum.namespace == "billing"), "{data:?}");
    let process = [("Operation", "ProcessTask"), SHARD];
    assert_eq!(
        total(&data, "MillisBehindLatest", &process),
        Total { count: 25.0, sum: 30_000.0, min: 0.0, max: 2_400.0 }
    );
    let units: BTreeSet<_> = data.iter().map(|datum| (datum.name.as_str(), datum.unit.as_deref())).collect();
    let expected = [
        ("MillisBehindLatest", Some("Milliseconds")),
        ("RecordsProcessed", Some("Count")),
        ("RenewLease.Success", None),
    ];
    assert_eq!(units, expected.into());
    assert_eq!(total(&data, "RecordsProcessed", &process).sum, 50.0);
    let renewed =
        total(&data, "RenewLease.Success", &[("Operation", "RenewAllLeases"), ("WorkerIdentifier", "w")]);
    assert_eq!((renewed.count, renewed.sum), (25.0, 25.0));
    assert_eq!(data.len(), 9, "three metrics, three times");
}

#[test]
fn a_sink_that_throttles_gets_everything_in_the_end() {
    let data = publishing(Config::kpl().interval(Duration::from_secs(10)), async |local, publisher| {
        let throttling = local.control().on(Operation::PutMetricData).times(10).then(Fault::Throttle);
        let producer = producer(local);
        for _ in 0..60 {
            put(&producer, 5).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(throttling.hits(), 10);
        assert_eq!(publisher.health(), Health::default());
        publisher.close(Duration::from_secs(5)).await.unwrap();
    });
    let put = total(&data, "UserRecordsPut", &[STREAM, SHARD]);
    assert_eq!(put, Total { count: 300.0, sum: 300.0, min: 1.0, max: 1.0 });
    assert_eq!(total(&data, "UserRecordsReceived", &[STREAM]).sum, 300.0);
}

#[test]
fn a_publication_that_fails_is_told_and_goes_with_the_next() {
    let data = publishing(config(), async |local, publisher| {
        let hanging = local.control().on(Operation::PutMetricData).then(Fault::Hang);
        let size = histogram!("size");
        size.record(1.0);
        let before = Instant::now();
        let error = publisher.flush().await.unwrap_err();
        let PublishError::Failed { metrics: 1, code, .. } = error else { panic!("{error:?}") };
        assert_eq!(code, "Timeout");
        // Three calls of five seconds, and two pauses of three together at most.
        assert!((15..=18).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
        let health = publisher.health();
        assert_eq!((health.failures, health.waiting, health.lost), (1, 1, 0));
        hanging.remove();
        size.record(2.0);
        publisher.flush().await.unwrap();
        assert_eq!(publisher.health(), Health::default());
    });
    assert_eq!(total(&data, "size", &[]), Total { count: 2.0, sum: 3.0, min: 1.0, max: 2.0 });
    assert_eq!(data.len(), 1);
}

#[test]
fn what_an_answer_that_was_lost_had_counts_twice() {
    let data = publishing(config(), async |local, publisher| {
        drop(local.control().on(Operation::PutMetricData).times(1).then(Fault::DropResponse));
        counter!("c").increment(5);
        publisher.flush().await.unwrap();
    });
    assert_eq!(total(&data, "c", &[]).sum, 10.0);
}

#[test]
fn a_recorder_and_a_producer_do_not_notice_a_sink_that_hangs() {
    publishing(Config::kpl().interval(Duration::from_secs(1)), async |local, publisher| {
        drop(local.control().on(Operation::PutMetricData).then(Fault::Hang));
        let producer = producer(local);
        put(&producer, 1).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(publisher.health().failures, 1);
        let before = Instant::now();
        put(&producer, 100).await;
        assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    });
}

#[test]
fn closing_goes_on_until_the_sink_has_recovered() {
    let data = publishing(config(), async |local, publisher| {
        let throttling = local.control().on(Operation::PutMetricData).times(8).then(Fault::Throttle);
        counter!("c").increment(1);
        publisher.close(Duration::from_secs(60)).await.unwrap();
        assert_eq!(throttling.hits(), 8);
    });
    assert_eq!(total(&data, "c", &[]).sum, 1.0);
}

#[test]
fn closing_ends_in_time() {
    publishing(config(), async |local, publisher| {
        drop(local.control().on(Operation::PutMetricData).then(Fault::Hang));
        counter!("c").increment(1);
        let before = Instant::now();
        let error = publisher.close(Duration::from_secs(7)).await.unwrap_err();
        assert!(matches!(error, PublishError::Late { metrics: 1, .. }), "{error:?}");
        assert_eq!(before.elapsed().as_secs(), 7);
    });
}

#[test]
fn closing_does_not_wait_for_a_permission_that_will_not_come() {
    publishing(config(), async |local, publisher| {
        let denied = Fault::Refuse { code: "AccessDenied".into(), status: 403, message: "no".into() };
        let denied = local.control().on(Operation::PutMetricData).then(denied);
        counter!("c").increment(1);
        let before = Instant::now();
        let error = publisher.close(Duration::from_secs(60)).await.unwrap_err();
        let PublishError::Failed { code, .. } = error else { panic!("{error:?}") };
        assert_eq!((code.as_str(), before.elapsed().as_secs(), denied.hits()), ("AccessDenied", 0, 1));
    });
}

#[test]
fn a_datum_that_is_refused_does_not_take_the_others_with_it() {
    let data = publishing(config(), async |local, publisher| {
        drop(local.control().intercept(|call| {
            let poisoned = call.body.windows(6).any(|text| text == b"poison");
            poisoned.then(|| Fault::Refuse {
                code: "InvalidParameterValue".into(),
                status: 400,
                message: "not this one".into(),
            })
        }));
        for number in 0..9 {
            counter!(format!("c{number}")).increment(1);
        }
        histogram!("poison").record_many(1.0, 7);
        let error = publisher.flush().await.unwrap_err();
        assert!(matches!(error, PublishError::Failed { metrics: 0, .. }), "{error:?}");
        assert_eq!(publisher.health().lost, 7);
        publisher.flush().await.unwrap();
    });
    let sums: Vec<_> = (0..9).map(|number| total(&data, &format!("c{number}"), &[]).sum).collect();
    assert_eq!(sums, [1.0; 9]);
}

#[test]
fn many_metrics_take_few_calls_and_too_many_are_counted() {
    let data = publishing(config().max_metrics(2_500), async |local, publisher| {
        let handles: Vec<_> = (0..2_600).map(|shard| counter!("c", "ShardId" => shard.to_string())).collect();
        handles.iter().for_each(|handle| handle.increment(3));
        publisher.flush().await.unwrap();
        assert_eq!(local.control().totals()[&Operation::PutMetricData], 3);
        assert_eq!(publisher.health().lost, 100);
    });
    assert_eq!(data.len(), 2_500);
    assert!(data.iter().all(|datum| datum.sum() == 3.0));
}

#[test]
fn a_gauge_is_published_as_it_was_at_each_second() {
    let data = publishing(config(), async |_, publisher| {
        let pending = gauge!("pending");
        publisher.flush().await.unwrap();
        pending.set(10.0);
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        pending.set(90.0);
        pending.set(0.0);
        tokio::time::sleep(Duration::from_millis(4_000)).await;
        publisher.close(Duration::from_secs(5)).await.unwrap();
    });
    // Zero at first. Then five times 10 and four times 0, the peak, and 0 at the end.
    let MetricValue::Statistics { count, sum, min, max } = data[1].value else { panic!("{data:?}") };
    assert_eq!((count, sum, min, max), (11.0, 140.0, 0.0, 90.0));
}

#[test]
fn without_a_runtime_there_is_no_publisher() {
    let local = Local::new(LocalConfig::default()).unwrap();
    assert!(Publisher::start(Place::inside(&local).cloudwatch(), config()).is_err());
}
