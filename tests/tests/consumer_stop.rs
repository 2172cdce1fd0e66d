//! Workers that are to stop within a time, whatever their handlers and the lease table do.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use shardflow_consumer::{
    Batch, Checkpointer, Config, Consumer, MemoryLeases, RecordProcessor, ShardInfo, Stop,
};
use shardflow_local::{Fault, Operation};
use shardflow_tests::application::{Application, until};
use shardflow_tests::clients::Place;
use tokio::time::{Instant, sleep, timeout};

/// A handler that never returns, and tells when it is dropped.
struct Endless(Arc<Mutex<usize>>);

impl RecordProcessor for Endless {
    type Error = Infallible;

    async fn process(&mut self, _: &Batch, _: &Checkpointer) -> Result<(), Infallible> {
        *self.0.lock().unwrap() += 1;
        std::future::pending().await
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        *self.0.lock().unwrap() -= 1;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_returns_is_dropped_at_the_deadline_and_its_lease_left() {
    let app = Application::new(2);
    app.put(0..100);
    let busy = Arc::new(Mutex::new(0));
    let handlers = Arc::clone(&busy);
    let config = Config::default().worker_id("a".parse().unwrap());
    let endless = move |_: &ShardInfo| Endless(Arc::clone(&handlers));
    let worker = app.consumer(config).run(endless).unwrap();
    until(|| *busy.lock().unwrap() == 2).await;
    let before = Instant::now();
    worker.stopper().graceful_within(Duration::from_secs(20));
    worker.await.unwrap();
    let took = before.elapsed();
    assert!(took >= Duration::from_secs(20) && took < Duration::from_millis(20_500), "{took:?}");
    assert_eq!(*busy.lock().unwrap(), 0, "nothing of them is left to run beside the next worker's");
    assert_eq!(app.owned("a").await, 0);
    let next = app.worker("b", Config::default());
    app.processed(100).await;
    assert!(before.elapsed() < took + Duration::from_secs(2), "no failover to wait for");
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn a_second_request_is_immediate() {
    let app = Application::new(1);
    app.put(0..10);
    let busy = Arc::new(Mutex::new(0));
    let handlers = Arc::clone(&busy);
    let endless = move |_: &ShardInfo| Endless(Arc::clone(&handlers));
    let mut worker = app.consumer(Config::default()).run(endless).unwrap();
    until(|| *busy.lock().unwrap() == 1).await;
    worker.stopper().graceful_within(Duration::from_secs(1_000));
    assert!(timeout(Duration::from_secs(900), &mut worker).await.is_err());
    worker.stopper().graceful_within(Duration::from_secs(1_000));
    assert!(timeout(Duration::from_millis(100), worker).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_half_of_the_time_to_say_good_bye_though_its_lease_is_offered_to_another() {
    let app = Application::new(4);
    app.put(0..400);
    let a = app.worker("a", Config::default());
    let b = app.worker("b", Config::default());
    app.shared(&[("a", 2), ("b", 2)]).await;
    app.processed(400).await;
    let before = Instant::now();
    a.stopper().graceful_within(Duration::from_secs(1));
    a.await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(700), "{:?}", before.elapsed());
    let stops: Vec<_> = app.ledger.stops("a").into_iter().filter(|stop| *stop == Stop::Shutdown).collect();
    assert_eq!(stops, [Stop::Shutdown; 2]);
    app.put(400..800);
    app.processed(800).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_answer_holds_no_stop_up() {
    let app = Application::new(4);
    app.put(0..400);
    let worker = app.worker("a", Config::default());
    app.processed(400).await;
    let hangs = app.local.control().on(Operation::UpdateItem).then(Fault::Hang);
    let before = Instant::now();
    worker.stopper().graceful_within(Duration::from_secs(4));
    worker.await.unwrap();
    // A quarter of the failover time more.
    assert!(before.elapsed() <= Duration::from_millis(6_510), "{:?}", before.elapsed());
    hangs.remove();
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_table_is_not_ready_stops_at_once() {
    let app = Application::new(1);
    let hangs = app.local.control().on(Operation::DescribeTable).then(Fault::Hang);
    let worker = app.worker("a", Config::default());
    sleep(Duration::from_secs(3)).await;
    let before = Instant::now();
    worker.stopper().graceful();
    worker.await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
    hangs.remove();
}

/// A handler that keeps its thread until it is let go.
struct Blocking(Arc<Mutex<mpsc::Receiver<()>>>, mpsc::SyncSender<()>);

impl RecordProcessor for Blocking {
    type Error = Infallible;

    async fn process(&mut self, _: &Batch, _: &Checkpointer) -> Result<(), Infallible> {
        self.1.send(()).unwrap();
        let _let_go = self.0.lock().unwrap().recv().is_err();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_whose_handler_keeps_its_thread_is_not_left() {
    let app = Application::new(1);
    app.put(0..10);
    let leases = MemoryLeases::default();
    let (let_go, held) = mpsc::sync_channel(1);
    let (begun, begins) = mpsc::sync_channel(1);
    let held = Arc::new(Mutex::new(held));
    let kinesis = Place::inside(&app.local).kinesis();
    let config = Config::default().failover_time(Duration::from_millis(400));
    let consumer = Consumer::new(kinesis, leases.clone(), "orders".parse().unwrap(), config);
    let worker = consumer.run(move |_: &ShardInfo| Blocking(Arc::clone(&held), begun.clone())).unwrap();
    let begins = tokio::task::spawn_blocking(move || begins.recv());
    begins.await.unwrap().unwrap();
    let id = worker.id().clone();
    worker.stopper().graceful_within(Duration::from_millis(50));
    worker.await.unwrap();
    assert_eq!(leases.rows()[0].holder(), Some(&id), "its handler may still do something");
    let_go.send(()).unwrap();
}
