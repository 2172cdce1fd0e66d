//! Shards that other applications read too.

use std::sync::Mutex;
use std::time::Duration;

use shardflow_consumer::{Config, Consumer, LeaseThread, MemoryLeases};
use shardflow_local::{Fault, Operation};
use shardflow_tests::application::Application;
use shardflow_tests::clients::Place;
use shardflow_tests::ledger::Ledger;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn four_applications_that_read_one_shard_all_keep_up() {
    let app = Application::new(1);
    // Reads take their time to get there, as they do. Without that, whoever reads on the beat takes every turn.
    let rng = Mutex::new(fastrand::Rng::with_seed(1));
    let way = move || Fault::Delay(Duration::from_millis(rng.lock().unwrap().u64(5..50)));
    drop(app.local.control().intercept(move |call| (call.operation == Operation::GetRecords).then(&way)));
    let ledgers = [(); 4].map(|()| Ledger::default());
    let workers = ledgers.each_ref().map(|ledger| {
        // Each as fast as a shard allows one alone.
        let config = Config::default()
            .idle_time_between_reads(Duration::from_millis(200))
            .lease_thread(LeaseThread::Caller);
        let kinesis = Place::inside(&app.local).kinesis();
        let consumer = Consumer::new(kinesis, MemoryLeases::default(), "orders".parse().unwrap(), config);
        consumer.run(ledger.writer("a")).unwrap()
    });
    for round in 0..300 {
        app.put(round * 10..(round + 1) * 10);
        sleep(Duration::from_millis(200)).await;
    }
    let before = Instant::now();
    while ledgers.iter().any(|ledger| ledger.counts().len() < 3_000) {
        sleep(Duration::from_millis(50)).await;
        assert!(before.elapsed() < Duration::from_secs(15), "one of them is left behind");
    }
    drop(workers);
}
