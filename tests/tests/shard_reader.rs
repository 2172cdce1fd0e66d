//! Readers of one shard, without leases, under a paused clock.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not as expected fails the test")]

use std::time::Duration;

use shardflow_consumer::{
    Batch, Checkpoint, Config, FanOutConsumer, FromShard, InitialPosition, ReadError, ReadFrom, Retrieval,
    ShardPosition, ShardReader, list_shards,
};
use shardflow_core::{Record, Shard};
use shardflow_local::{Fault, Operation};
use shardflow_producer::{Config as ProducerConfig, Producer};
use shardflow_tests::application::{Application, shard};
use shardflow_tests::clients::Place;
use tokio::time::{Instant, sleep, timeout};

fn fan_out() -> Config {
    let consumer = "engine".parse::<FanOutConsumer>().unwrap();
    Config::default().retrieval(Retrieval::FanOut { consumer })
}

fn reader(app: &Application, number: u32, from: impl Into<ReadFrom>, config: Config) -> ShardReader {
    let kinesis = Place::inside(&app.local).kinesis();
    ShardReader::new(&kinesis, &"orders".parse().unwrap(), shard(number), from, config)
}

async fn batch(reader: &mut ShardReader) -> Batch {
    match reader.next().await {
        Some(Ok(FromShard::Batch(batch))) => batch,
        other => panic!("{other:?}"),
    }
}

/// Reads that many records, as their data.
async fn read(reader: &mut ShardReader, count: usize) -> Vec<String> {
    let mut data = Vec::new();
    while data.len() < count {
        let batch = batch(reader).await;
        data.extend(batch.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()));
    }
    data
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn error(reader: &mut ShardReader) -> ReadError {
    let Some(Err(error)) = reader.next().await else { panic!("it fails") };
    assert!(reader.next().await.is_none(), "and then it is over");
    error
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_read_to_its_end_and_its_children_are_told() {
    for config in [Config::default(), fan_out()] {
        let app = Application::new(1);
        app.put(0..100);
        let mut reader = reader(&app, 0, ShardPosition::TrimHorizon, config);
        assert_eq!(read(&mut reader, 100).await, numbers(0..100));
        app.put(100..200);
        app.local.split("orders", &shard(0), None).unwrap();
        assert_eq!(read(&mut reader, 100).await, numbers(100..200));
        let Some(Ok(FromShard::End { children })) = reader.next().await else { panic!("it ends") };
        assert_eq!(children.iter().map(|child| child.id.clone()).collect::<Vec<_>>(), [shard(1), shard(2)]);
        assert!(children.iter().all(|child| child.parents().eq([&shard(0)])));
        assert!(reader.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_behind_a_batch_or_inside_an_aggregate_is_gone_on_from() {
    for config in [Config::default(), fan_out()] {
        let app = Application::new(1);
        let kinesis = Place::inside(&app.local).kinesis();
        let producer = Producer::new(kinesis, "orders".parse().unwrap(), ProducerConfig::default());
        for number in 0..10 {
            drop(producer.put(Record::new("k", number.to_string()).unwrap()).await.unwrap());
        }
        producer.flush().await.unwrap();
        app.put(10..20);
        let mut first = reader(&app, 0, ShardPosition::TrimHorizon, config.clone());
        let batch = batch(&mut first).await;
        assert_eq!(batch.len(), 20);
        let inside = batch[3].checkpoint();
        let mut next = reader(&app, 0, inside, config.clone());
        assert_eq!(read(&mut next, 16).await, numbers(4..20));
        app.put(20..30);
        drop(next);
        let mut next = reader(&app, 0, batch.checkpoint(), config.clone());
        assert_eq!(read(&mut next, 10).await, numbers(20..30));
        // They would take each other's subscriptions.
        drop((first, next));
        let mut newest = reader(&app, 0, Checkpoint::Latest, config);
        assert!(timeout(Duration::from_secs(10), newest.next()).await.is_err());
        // Nothing is there yet; waiting for it is begun again and again, and nothing is lost by that.
        for _ in 0..10 {
            assert!(timeout(Duration::from_millis(700), newest.next()).await.is_err());
        }
        app.put(30..40);
        assert_eq!(read(&mut newest, 10).await, numbers(30..40));
    }
}

#[tokio::test(start_paused = true)]
async fn one_batch_is_read_ahead_and_no_more() {
    let app = Application::new(1);
    app.put(0..100);
    let mut reader = reader(&app, 0, ShardPosition::TrimHorizon, Config::default().max_records(10));
    let reads = || app.local.control().totals().get(&Operation::GetRecords).copied().unwrap_or_default();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(reads(), 0, "nobody has asked for anything");
    assert_eq!(batch(&mut reader).await.len(), 10);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(reads(), 2);
    assert_eq!(read(&mut reader, 90).await, numbers(10..100));
}

#[tokio::test(start_paused = true)]
async fn trouble_is_dealt_with_inside() {
    for config in [Config::default(), fan_out()] {
        let app = Application::new(1);
        app.put(0..100);
        let mut reader = reader(&app, 0, ShardPosition::TrimHorizon, config);
        assert_eq!(read(&mut reader, 100).await, numbers(0..100));
        let control = app.local.control();
        let calls = [
            Operation::GetRecords,
            Operation::GetShardIterator,
            Operation::SubscribeToShard,
            Operation::ListShards,
        ];
        let internal = Fault::internal_failure();
        for (round, fault) in
            [Fault::Throttle, Fault::DropResponse, Fault::Hang, internal].into_iter().enumerate()
        {
            for call in calls {
                control.on(call).times(3).then(fault.clone());
            }
            control.expire_iterators();
            control.cut_subscriptions();
            let first = 100 * (round + 1);
            app.put(first..first + 100);
            let before = Instant::now();
            assert_eq!(read(&mut reader, 100).await, numbers(first..first + 100));
            assert!(before.elapsed() < Duration::from_secs(240), "{fault:?}: {:?}", before.elapsed());
            control.clear();
            sleep(Duration::from_secs(6)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_not_get_better_is_an_error() {
    let app = Application::new(2);
    let mut nowhere = ShardReader::new(
        &Place::inside(&app.local).kinesis(),
        &"nowhere".parse().unwrap(),
        shard(0),
        ShardPosition::TrimHorizon,
        Config::default(),
    );
    assert!(matches!(error(&mut nowhere).await, ReadError::StreamMissing));

    app.put(0..100);
    let mut foreign = reader(&app, 0, Checkpoint::at("12345".parse().unwrap(), 0), Config::default());
    let told = error(&mut foreign).await;
    assert!(
        matches!(&told, ReadError::ForeignPosition { sequence_number } if sequence_number.as_str() == "12345")
    );

    let refused =
        Fault::Refuse { code: "AccessDeniedException".into(), status: 400, message: "not you".into() };
    app.local.control().on(Operation::GetRecords).then(refused);
    let told = error(&mut reader(&app, 0, ShardPosition::TrimHorizon, Config::default())).await;
    assert_eq!(told.to_string(), "refused with AccessDeniedException: not you");
    app.local.control().clear();

    app.local.split("orders", &shard(0), None).unwrap();
    app.local.control().advance(Duration::from_secs(25 * 3600));
    let told = error(&mut reader(&app, 0, ShardPosition::TrimHorizon, Config::default())).await;
    let ReadError::LeftRetention { children } = &told else { panic!("{told}") };
    assert_eq!(children.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_shards_to_begin_with_are_listed() {
    let app = Application::new(2);
    app.local.split("orders", &shard(0), None).unwrap();
    let kinesis = Place::inside(&app.local).kinesis();
    let (orders, nowhere) = ("orders".parse().unwrap(), "nowhere".parse().unwrap());
    app.local.control().on(Operation::ListShards).times(3).then(Fault::Throttle);
    let ids = |shards: Vec<Shard>| shards.into_iter().map(|shard| shard.id).collect::<Vec<_>>();
    for (at, expected) in [
        (None, vec![0, 1, 2, 3]),
        (Some(InitialPosition::TrimHorizon), vec![0, 1]),
        (Some(InitialPosition::Latest), vec![1, 2, 3]),
    ] {
        let listed = list_shards(&kinesis, &orders, at).await.unwrap();
        assert_eq!(ids(listed), expected.into_iter().map(shard).collect::<Vec<_>>());
    }
    let error = list_shards(&kinesis, &nowhere, None).await.unwrap_err();
    assert!(matches!(error, ReadError::StreamMissing), "{error}");
}

#[test]
fn outside_of_a_runtime_it_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut reader = runtime.block_on(async {
        let app = Application::new(1);
        reader(&app, 0, ShardPosition::TrimHorizon, Config::default())
    });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut next = std::pin::pin!(reader.next());
    let polled = next.as_mut().poll(&mut context);
    assert!(matches!(polled, std::task::Poll::Ready(Some(Err(ReadError::NoRuntime { .. })))));
}
