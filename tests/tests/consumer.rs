//! Workers over the embedded service, under a paused clock.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_consumer::{
    Batch, Checkpoint, CheckpointError, Checkpointer, Config, InitialPosition, MemoryLeases, RecordProcessor,
    ShardInfo, Stop,
};
use shardflow_local::{Fault, Operation};
use shardflow_producer::{Config as ProducerConfig, Producer, Record};
use shardflow_tests::application::{Application, shard, until};
use shardflow_tests::clients::Place;
use shardflow_tests::ledger::{Line, What};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Puts records through a producer, aggregated.
async fn produce(app: &Application, numbers: std::ops::Range<usize>) {
    let kinesis = Place::inside(&app.local).kinesis();
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), ProducerConfig::default());
    for number in numbers {
        let record = Record::new(format!("key-{}", number % 100), number.to_string()).unwrap();
        drop(producer.put(record).await.unwrap());
    }
    producer.flush().await.unwrap();
}

/// Whether the first occurrences of each key's records came in the order of their numbers.
fn in_order(app: &Application) -> bool {
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    app.ledger.lines().into_iter().all(|line| {
        let What::Record { key, data } = line.what else { return true };
        let number: usize = data.parse().unwrap();
        !seen.insert(number) || newest.insert(key, number).is_none_or(|before| before < number)
    })
}

#[tokio::test(start_paused = true)]
async fn every_record_comes_once_in_order_and_out_of_its_aggregate() {
    let app = Application::new(4);
    produce(&app, 0..3_000).await;
    let worker = app.worker("a", Config::default());
    app.processed(3_000).await;
    produce(&app, 3_000..4_000).await;
    app.processed(4_000).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1) && in_order(&app));
    let stored: usize = app.local.records("orders").unwrap().iter().map(|shard| shard.records.len()).sum();
    assert!(stored <= 40, "{stored} aggregates");
    worker.stopper().graceful();
    worker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_next_worker_goes_on_where_the_last_stopped_and_at_once() {
    let app = Application::new(4);
    app.put(0..500);
    let first = app.worker("a", Config::default());
    app.processed(500).await;
    first.stopper().graceful();
    first.await.unwrap();
    assert_eq!(app.ledger.stops("a"), [Stop::Shutdown; 4]);
    assert_eq!(app.owned("a").await, 0, "leases are left behind free");
    app.put(500..1_000);
    let before = Instant::now();
    let second = app.worker("b", Config::default());
    app.processed(1_000).await;
    assert!(before.elapsed() < Duration::from_secs(2), "no failover to wait for: {:?}", before.elapsed());
    assert!(app.ledger.counts().values().all(|&count| count == 1) && in_order(&app));
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn workers_share_by_handing_over_and_nothing_is_processed_twice() {
    let app = Application::new(4);
    let writing = async {
        for round in 0..300 {
            app.put(round * 20..(round + 1) * 20);
            sleep(Duration::from_millis(200)).await;
        }
    };
    let a = app.worker("a", Config::default());
    let mut b = None;
    let sharing = async {
        app.shared(&[("a", 4)]).await;
        b = Some(app.worker("b", Config::default()));
        app.shared(&[("a", 2), ("b", 2)]).await;
    };
    tokio::join!(writing, sharing);
    assert_eq!(app.ledger.stops("a"), [Stop::Handoff; 2]);
    app.processed(6_000).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1) && in_order(&app));
    let b = b.unwrap();
    b.stopper().graceful();
    b.await.unwrap();
    app.shared(&[("a", 4)]).await;
    drop(a);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_vanishes_is_replaced_after_the_failover_time() {
    let app = Application::new(4);
    app.put(0..400);
    let a = app.worker("a", Config::default());
    app.processed(400).await;
    let b = app.worker("b", Config::default().max_leases(4));
    app.shared(&[("a", 2), ("b", 2)]).await;
    drop(a);
    let gone = Instant::now();
    app.put(400..800);
    app.processed(800).await;
    let took = gone.elapsed();
    // The failover time itself, one renewal that may have gone out just before, and a read.
    assert!(took > Duration::from_secs(6) && took < Duration::from_secs(16), "{took:?}");
    assert!(in_order(&app));
    assert_eq!(app.owned("b").await, 4);
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn children_begin_when_their_parents_have_ended() {
    let app = Application::new(2);
    let a = app.worker("a", Config::default());
    let b = app.worker("b", Config::default());
    for round in 0..100 {
        app.put(round * 20..(round + 1) * 20);
        match round {
            20 => drop(app.local.split("orders", &shard(0), None).unwrap()),
            40 => drop(app.local.merge("orders", &shard(3), &shard(1)).unwrap()),
            _ => {}
        }
        sleep(Duration::from_millis(300)).await;
    }
    app.processed(2_000).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1) && in_order(&app));
    let lines = app.ledger.lines();
    let at = |number, what: fn(&Line) -> bool| {
        lines.iter().position(|line| line.shard == shard(number) && what(line)).unwrap()
    };
    let ended = |number| at(number, |line| line.what == What::Stopped(Stop::ShardEnd));
    let began = |number| at(number, |line| line.what == What::Began);
    for (parent, child) in [(0, 2), (0, 3), (1, 4), (3, 4)] {
        assert!(ended(parent) < began(child), "shard {parent} before {child}");
    }
    until(|| app.ledger.lines().iter().filter(|line| line.what == What::Began).count() >= 5).await;
    assert!(app.rows().await.iter().filter(|row| row.checkpoint == Checkpoint::ShardEnd).count() == 3);
    drop((a, b));
}

#[tokio::test(start_paused = true)]
async fn reading_starts_where_it_is_told_to() {
    for (position, expected) in [
        (InitialPosition::TrimHorizon, 300),
        (InitialPosition::AtTimestamp(std::time::SystemTime::UNIX_EPOCH), 300),
        (InitialPosition::Latest, 100),
    ] {
        let app = Application::new(2);
        app.put(0..200);
        let worker = app.worker("a", Config::default().initial_position(position));
        until(|| app.ledger.lines().len() >= 2).await;
        sleep(Duration::from_secs(2)).await;
        app.put(200..300);
        app.processed(expected).await;
        assert_eq!(app.ledger.counts().len(), expected, "{position:?}");
        drop(worker);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_takes_no_more_leases_than_it_may() {
    let app = Application::new(4);
    let a = app.worker("a", Config::default().max_leases(3));
    app.shared(&[("a", 3)]).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(app.owned("a").await, 3);
    drop(a);
}

#[tokio::test(start_paused = true)]
async fn workers_of_one_process_can_share_leases_in_memory() {
    let app = Application::new(4);
    app.put(0..400);
    let leases = MemoryLeases::default();
    let consumer = app.consumer_with(leases.clone(), Config::default());
    let workers =
        [consumer.run(app.ledger.writer("a")).unwrap(), consumer.run(app.ledger.writer("b")).unwrap()];
    app.processed(400).await;
    until(|| {
        let has = |id| leases.rows().iter().filter(|row| row.holder() == Some(id)).count();
        workers.iter().all(|worker| has(worker.id()) == 2)
    })
    .await;
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    for worker in workers {
        worker.stopper().graceful();
        worker.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn iterators_that_expire_are_opened_anew() {
    let app = Application::new(2);
    let worker = app.worker("a", Config::default());
    app.put(0..100);
    app.processed(100).await;
    app.local.control().expire_iterators();
    app.put(100..200);
    app.processed(200).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_deletes_is_entered_again_and_its_shard_read_on() {
    for shards in [1, 2] {
        let app = Application::new(shards);
        app.put(0..100);
        let worker = app.worker("a", Config::default());
        app.processed(100).await;
        let key = AttributeValue::S(shard(0).to_string());
        let dynamodb = Place::inside(&app.local).dynamodb();
        dynamodb.delete_item().table_name("billing").key("leaseKey", key).send().await.unwrap();
        app.put(100..200);
        app.processed(200).await;
        app.shared(&[("a", shards as usize)]).await;
        drop(worker);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_aggregate_though_it_begins_like_one_comes_as_it_is() {
    let app = Application::new(1);
    let corrupt = [b"\xF3\x89\x9A\xC2".as_slice(), &[7; 40]].concat();
    app.local.put("orders", &Record::new("k", corrupt.clone()).unwrap()).unwrap();
    app.put(0..1);
    let worker = app.worker("a", Config::default());
    app.processed(2).await;
    assert_eq!(app.ledger.records(), [String::from_utf8_lossy(&corrupt).into_owned(), "0".into()]);
    drop(worker);
}

/// Gives each batch to the test, with its checkpointer, and waits there until the test lets go of them.
struct Shown(mpsc::Sender<(Batch, Checkpointer, tokio::sync::oneshot::Sender<()>)>);

impl RecordProcessor for Shown {
    type Error = std::convert::Infallible;

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), Self::Error> {
        let (done, wait) = tokio::sync::oneshot::channel();
        if self.0.send((batch.clone(), checkpointer.clone(), done)).await.is_ok() {
            let _let_go = wait.await.is_err();
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_within_an_aggregate_is_where_reading_goes_on() {
    let app = Application::new(1);
    produce(&app, 0..10).await;
    let (show, mut shown) = mpsc::channel(1);
    let worker = app.consumer(Config::default()).run(move |_: &ShardInfo| Shown(show.clone())).unwrap();
    let (batch, checkpointer, _done) = shown.recv().await.unwrap();
    assert_eq!(batch.len(), 10);
    checkpointer.record(&batch[3]).await.unwrap();
    let error = checkpointer.record(&batch[2]).await.unwrap_err();
    assert!(matches!(error, CheckpointError::OutOfRange { .. }), "backwards: {error}");
    let error = checkpointer.at(Checkpoint::ShardEnd).await.unwrap_err();
    assert!(matches!(error, CheckpointError::OutOfRange { .. }), "not given: {error}");
    drop(worker);
    let next = app.worker("b", Config::default());
    app.processed(6).await;
    assert_eq!(app.ledger.records(), ["4", "5", "6", "7", "8", "9"]);
    let error = checkpointer.batch(&batch).await.unwrap_err();
    assert!(matches!(error, CheckpointError::LeaseLost), "{error}");
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_keeps_its_lease() {
    let app = Application::new(1);
    app.put(0..10);
    let (show, mut shown) = mpsc::channel(1);
    let slow = app.consumer(Config::default()).run(move |_: &ShardInfo| Shown(show.clone())).unwrap();
    let (batch, checkpointer, done) = shown.recv().await.unwrap();
    let other = app.worker("b", Config::default());
    sleep(Duration::from_secs(300)).await;
    assert_eq!(app.ledger.lines(), [], "one shard is not worth a handover");
    checkpointer.batch(&batch).await.unwrap();
    drop(done);
    drop((slow, other));
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_handler_unless_it_is_asked_for_twice() {
    let app = Application::new(1);
    app.put(0..10);
    let (show, mut shown) = mpsc::channel(1);
    let mut worker = app.consumer(Config::default()).run(move |_: &ShardInfo| Shown(show.clone())).unwrap();
    let held = shown.recv().await.unwrap();
    let stopper = worker.stopper();
    stopper.graceful();
    assert!(timeout(Duration::from_secs(600), &mut worker).await.is_err(), "the handler is at work");
    stopper.graceful();
    assert!(timeout(Duration::from_secs(1), worker).await.unwrap().is_ok());
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_table_in_trouble_costs_no_record() {
    let app = Application::new(4);
    let a = app.worker("a", Config::default());
    let b = app.worker("b", Config::default());
    let refused = Fault::Refuse { code: "InternalServerError".into(), status: 500, message: "no".into() };
    for (round, fault) in [Fault::Throttle, Fault::DropResponse, refused, Fault::Hang].into_iter().enumerate()
    {
        let every = app.local.control().on(Operation::UpdateItem).every(2).then(fault.clone());
        app.put(round * 200..round * 200 + 100);
        app.processed(round * 200 + 100).await;
        every.remove();
        // Long enough to cost leases.
        let all = app.local.control().on(Operation::UpdateItem).then(fault);
        app.put(round * 200 + 100..(round + 1) * 200);
        sleep(Duration::from_secs(40)).await;
        all.remove();
        app.processed((round + 1) * 200).await;
    }
    assert!(in_order(&app));
    assert!(app.ledger.stops("a").contains(&Stop::LeaseLost), "the outages were long enough to matter");
    drop((a, b));
}
