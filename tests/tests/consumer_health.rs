//! What a worker tells of how it stands: to health checks, and when its state changes.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardflow_consumer::{
    Batch, Checkpoint, Checkpointer, Config, ErrorPolicy, LeaseRow, LeaseStore, MemoryLeases,
    RecordProcessor, RunError, ShardId, ShardInfo, WaitsFor, Watch, Worker, WorkerState,
};
use shardflow_local::{Fault, Operation};
use shardflow_tests::application::{Application, shard, until};
use shardflow_tests::clients::Place;
use tokio::time::{Instant, sleep};

/// What is to go on while a handler works.
#[derive(Clone, Default)]
struct Mood(Arc<Moods>);

#[derive(Default)]
struct Moods {
    fails: AtomicBool,
    panics: AtomicBool,
    hangs: AtomicBool,
}

/// A handler of moods, which checkpoints nothing but well processed records up to the number 59.
struct Moody(Mood);

impl RecordProcessor for Moody {
    type Error = String;

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), String> {
        let Moods { fails, panics, hangs } = &*self.0.0;
        if hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if fails.load(Ordering::Relaxed) {
            return Err("no route to host".into());
        }
        assert!(
            !panics.load(Ordering::Relaxed) || batch.iter().all(|record| record.data != "66"),
            "66 is too much"
        );
        if !panics.load(Ordering::Relaxed) {
            checkpointer.batch(batch).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn run(app: &Application, mood: &Mood, config: Config) -> Worker {
    let mood = mood.clone();
    app.consumer(config).run(move |_: &ShardInfo| Moody(mood.clone())).unwrap()
}

fn problems(watch: &Watch) -> Vec<String> {
    watch.health().problems().iter().map(ToString::to_string).collect()
}

async fn until_healthy(watch: &Watch, healthy: bool) -> Duration {
    let before = Instant::now();
    until(|| watch.health().is_healthy() == healthy).await;
    before.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_reads_its_shards_tells_how_far_and_is_healthy() {
    let app = Application::new(2);
    app.put(0..100);
    let worker = run(&app, &Mood::default(), Config::default().worker_id("a".parse().unwrap()));
    let watch = worker.watch();
    assert!(matches!(watch.health().state, WorkerState::Starting) && watch.health().is_healthy());
    sleep(Duration::from_secs(100)).await;
    let health = watch.health();
    assert!(health.is_healthy(), "{health:?}");
    assert!(matches!(health.state, WorkerState::Running) && health.leads && health.leases == 2);
    assert!(health.worker_id.as_str() == "a" && health.trouble.is_none());
    assert!(health.seen.unwrap() < Duration::from_secs(4));
    let ids: Vec<_> = health.shards.iter().map(|shard| shard.shard_id.clone()).collect();
    assert_eq!(ids, [shard(0), shard(1)]);
    let second = Duration::from_millis(1_100);
    for (shard, row) in health.shards.iter().zip(app.rows().await) {
        assert_eq!(shard.checkpoint, row.checkpoint);
        assert!(matches!(shard.checkpoint, Checkpoint::At { .. }));
        assert_eq!((shard.waits_for, shard.handler_failures, shard.read_failures), (WaitsFor::Records, 0, 0));
        let behind = shard.behind.unwrap();
        assert!(behind.by.is_zero() && behind.ago < second && shard.read == Some(behind.ago));
        assert!(shard.processed.unwrap() > Duration::from_secs(90) && shard.progress < second);
    }
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_three_times_is_a_problem_until_it_succeeds() {
    let app = Application::new(1);
    let mood = Mood::default();
    mood.0.fails.store(true, Ordering::Relaxed);
    let worker = run(&app, &mood, Config::default());
    let watch = worker.watch();
    sleep(Duration::from_secs(5)).await;
    assert!(watch.health().is_healthy(), "there is nothing to fail at");
    app.put(0..10);
    assert!(until_healthy(&watch, false).await < Duration::from_secs(3));
    let health = watch.health();
    assert_eq!(health.shards[0].handler_failures, 3);
    assert_eq!(
        problems(&watch),
        ["shardId-000000000000: the handler has failed 3 times in a row: no route to host"]
    );
    sleep(Duration::from_secs(300)).await;
    assert!(matches!(watch.health().shards[0].waits_for, WaitsFor::Retry { .. }));
    mood.0.fails.store(false, Ordering::Relaxed);
    until_healthy(&watch, true).await;
    assert_eq!(watch.health().shards[0].error, None);
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_handler_that_succeeds_with_records_before_is_not_the_end_of_the_problem() {
    let app = Application::new(1);
    let mood = Mood::default();
    mood.0.panics.store(true, Ordering::Relaxed);
    app.put(0..100);
    let worker = run(&app, &mood, Config::default().max_records(10));
    let watch = worker.watch();
    until_healthy(&watch, false).await;
    for _ in 0..1_000 {
        assert!(!watch.health().is_healthy(), "it has not got past the record");
        sleep(Duration::from_millis(77)).await;
    }
    mood.0.panics.store(false, Ordering::Relaxed);
    until_healthy(&watch, true).await;
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_rests_is_a_problem() {
    let app = Application::new(1);
    let mood = Mood::default();
    mood.0.fails.store(true, Ordering::Relaxed);
    app.put(0..10);
    let policy = ErrorPolicy::stop_shard_after(2).rest(Duration::from_secs(100));
    let worker = run(&app, &mood, Config::default().on_error(policy));
    let watch = worker.watch();
    until_healthy(&watch, false).await;
    assert!(matches!(watch.health().shards[0].waits_for, WaitsFor::Rest { .. }));
    let problem = &problems(&watch)[0];
    assert!(problem.contains("left alone for 99 s more") && problem.ends_with(": no route to host"));
    mood.0.fails.store(false, Ordering::Relaxed);
    let took = until_healthy(&watch, true).await;
    assert!(took > Duration::from_secs(98) && took < Duration::from_secs(102), "{took:?}");
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_return_is_a_problem_in_time() {
    let app = Application::new(1);
    let mood = Mood::default();
    mood.0.hangs.store(true, Ordering::Relaxed);
    app.put(0..10);
    let worker = run(&app, &mood, Config::default().unhealthy_after(Duration::from_secs(20)));
    let took = until_healthy(&worker.watch(), false).await;
    // And the time between two reads.
    assert!(took > Duration::from_secs(20) && took < Duration::from_secs(23), "{took:?}");
    assert_eq!(problems(&worker.watch()), ["shardId-000000000000: the handler has not returned for 21 s"]);
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_cannot_be_read_is_a_problem_in_time_and_says_why() {
    let refused = Fault::Refuse { code: "InternalFailure".into(), status: 500, message: "no".into() };
    for (fault, waits_for, word) in [
        (Fault::Throttle, WaitsFor::Throttle, "the service to let it read"),
        (refused, WaitsFor::NextTry, "InternalFailure: no"),
        (Fault::Hang, WaitsFor::Records, "waiting for"),
    ] {
        let app = Application::new(2);
        app.put(0..10);
        let worker = run(&app, &Mood::default(), Config::default());
        let watch = worker.watch();
        sleep(Duration::from_secs(10)).await;
        let fault = app.local.control().on(Operation::GetRecords).then(fault);
        let took = until_healthy(&watch, false).await;
        assert!(took > Duration::from_secs(59) && took < Duration::from_secs(62), "{took:?}");
        until(|| watch.health().shards[0].waits_for == waits_for).await;
        until(|| problems(&watch).len() == 2).await;
        assert!(problems(&watch).iter().any(|problem| problem.contains(word)), "{:?}", problems(&watch));
        assert!(watch.health().shards[0].read_failures > 0);
        fault.remove();
        until_healthy(&watch, true).await;
        drop(worker);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_table_that_is_not_seen_is_a_problem_in_time() {
    let app = Application::new(1);
    let worker = run(&app, &Mood::default(), Config::default());
    let watch = worker.watch();
    sleep(Duration::from_secs(10)).await;
    let all = app.local.control().on(Operation::Scan).then(Fault::Throttle);
    let took = until_healthy(&watch, false).await;
    assert!(took > Duration::from_secs(59) && took < Duration::from_secs(65), "{took:?}");
    let problem = &problems(&watch)[0];
    assert!(problem.starts_with("the lease table has not been seen for 6"), "{problem}");
    assert!(problem.contains("ThrottlingException: "), "{problem}");
    assert!(watch.health().trouble.is_some());
    all.remove();
    until_healthy(&watch, true).await;
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_waits_for_its_parents_is_told_and_no_problem() {
    let app = Application::new(1);
    let leases = MemoryLeases::default();
    let mut child = LeaseRow::new(ShardId::numbered(7), Checkpoint::TrimHorizon);
    child.parents.insert(shard(0));
    child.owner = Some("a".parse().unwrap());
    leases.create(&child).await.unwrap();
    let parent = LeaseRow::new(shard(0), Checkpoint::TrimHorizon);
    leases.create(&parent).await.unwrap();
    let config = Config::default().worker_id("a".parse().unwrap());
    let worker = app.consumer_with(leases, config).run(app.ledger.writer("a")).unwrap();
    let watch = worker.watch();
    until(|| watch.health().leases == 2).await;
    for _ in 0..200 {
        let health = watch.health();
        assert!(health.is_healthy(), "{:?}", health.problems());
        let waiting: Vec<_> = health.shards.iter().filter(|s| s.waits_for == WaitsFor::Parents).collect();
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].shard_id, ShardId::numbered(7));
        sleep(Duration::from_secs(1)).await;
    }
    drop(worker);
}

/// Writes down what it is told.
fn noting(config: Config) -> (Config, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let config = config.on_state(move |_, state| {
        let word = match state {
            WorkerState::Stopped { error: Some(RunError::Refused { code, .. }) } => code.clone(),
            WorkerState::Stopped { error } => format!("stopped {}", error.is_some()),
            other => format!("{other:?}"),
        };
        telling.lock().unwrap().push(word);
    });
    (config, told)
}

#[tokio::test(start_paused = true)]
async fn a_workers_states_are_told_in_their_order_and_the_last_before_its_end() {
    let app = Application::new(1);
    let (config, told) = noting(Config::default());
    let worker = run(&app, &Mood::default(), config);
    let watch = worker.watch();
    until(|| told.lock().unwrap().len() == 2).await;
    worker.stopper().graceful();
    worker.await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["Starting", "Running", "Stopping", "stopped false"]);
    let health = watch.health();
    assert!(matches!(health.state, WorkerState::Stopped { error: None }) && !health.is_healthy());
    assert!(health.shards.is_empty() && health.leases == 0 && !health.leads);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_or_cannot_start_tells_that_too() {
    let app = Application::new(1);
    let (config, told) = noting(Config::default());
    let worker = run(&app, &Mood::default(), config.clone());
    until(|| told.lock().unwrap().len() == 2).await;
    drop(worker);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(told.lock().unwrap()[2..], ["stopped false"]);

    let consumer = shardflow_consumer::Consumer::new(
        Place::inside(&app.local).kinesis(),
        MemoryLeases::default(),
        "missing".parse().unwrap(),
        config.lease_thread(shardflow_consumer::LeaseThread::Caller),
    );
    let worker = consumer.run(app.ledger.writer("a")).unwrap();
    worker.await.unwrap_err();
    assert_eq!(told.lock().unwrap()[3..], ["Starting", "ResourceNotFoundException"]);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_ends_nothing() {
    let app = Application::new(1);
    app.put(0..10);
    let worker = app.worker("a", Config::default().on_state(|_, state| panic!("{state:?}")));
    app.processed(10).await;
    worker.stopper().graceful();
    worker.await.unwrap();
}
