//! What goes wrong around a worker: handlers that fail, and services that are not there or say no.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not as expected fails the test")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use shardflow_consumer::{
    Batch, Checkpointer, Config, Consumer, DynamoDbLeases, LeaseThread, MemoryLeases, RecordProcessor,
    RunError, ShardInfo, Stop,
};
use shardflow_local::{Fault, Operation, Service};
use shardflow_tests::application::Application;
use shardflow_tests::clients::{NoCredentials, Place};
use shardflow_tests::ledger::Writer;
use tokio::time::{Instant, timeout};

/// What the next calls of a handler come to.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Fail,
    Panic,
}

/// A handler that fails as planned, and works once nothing is planned any more.
struct Troubled {
    writer: Writer,
    plan: Arc<Mutex<VecDeque<Trouble>>>,
}

impl Troubled {
    fn meet(&self) -> Result<(), String> {
        let trouble = self.plan.lock().unwrap().pop_front();
        match trouble {
            Some(Trouble::Fail) => Err("the database is away".into()),
            Some(Trouble::Panic) => panic!("as planned"),
            None => Ok(()),
        }
    }
}

impl RecordProcessor for Troubled {
    type Error = String;

    async fn initialize(&mut self, _shard: &ShardInfo) -> Result<(), String> {
        self.meet()
    }

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), String> {
        self.meet()?;
        self.writer.note(batch);
        checkpointer.batch(batch).await.map_err(|error| error.to_string())
    }

    async fn stopping(&mut self, why: Stop, _checkpointer: &Checkpointer) -> Result<(), String> {
        if why == Stop::ShardEnd { self.meet() } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_or_panics_gets_everything_again_and_nothing_is_skipped() {
    let app = Application::new(1);
    app.put(0..100);
    let plan = Arc::new(Mutex::new(VecDeque::from([Trouble::Fail, Trouble::Panic, Trouble::Fail])));
    let made = Arc::new(AtomicUsize::new(0));
    let (planned, making, writer) = (Arc::clone(&plan), Arc::clone(&made), app.ledger.writer("a"));
    let factory = move |shard: &ShardInfo| {
        making.fetch_add(1, Ordering::Relaxed);
        Troubled { writer: writer(shard), plan: Arc::clone(&planned) }
    };
    let worker = app.consumer(Config::default()).run(factory).unwrap();
    app.processed(100).await;
    assert_eq!(made.load(Ordering::Relaxed), 2, "a panic leaves a processor behind that cannot be trusted");

    plan.lock().unwrap().extend([Trouble::Fail; 12]);
    app.put(100..200);
    let before = Instant::now();
    app.processed(200).await;
    // Twelve waits of up to 100 ms, doubling up to 30 s: 70 s more or less, and less than three once in a million.
    assert!(before.elapsed() > Duration::from_secs(3), "{:?}", before.elapsed());

    plan.lock().unwrap().extend([Trouble::Panic, Trouble::Fail]);
    app.local.split("orders", &shardflow_tests::application::shard(0), None).unwrap();
    app.put(200..300);
    app.processed(300).await;
    assert!(plan.lock().unwrap().is_empty(), "the end was told until it was heard");
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    worker.stopper().graceful();
    worker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_always_fails_does_not_keep_a_worker_from_stopping() {
    let app = Application::new(1);
    app.put(0..1);
    let (plan, writer) =
        (Arc::new(Mutex::new(VecDeque::from([Trouble::Fail; 1_000]))), app.ledger.writer("a"));
    let factory = move |shard: &ShardInfo| Troubled { writer: writer(shard), plan: Arc::clone(&plan) };
    let worker = app.consumer(Config::default()).run(factory).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    worker.stopper().graceful();
    let before = Instant::now();
    worker.await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(31), "{:?}", before.elapsed());
    let next = app.worker("b", Config::default());
    app.processed(1).await;
    drop(next);
}

async fn ended(consumer: &Consumer) -> RunError {
    let app = shardflow_tests::ledger::Ledger::default();
    consumer.run(app.writer("a")).unwrap().await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn an_unknown_stream_ends_the_worker_with_the_services_words() {
    let app = Application::new(1);
    let config = Config::default().lease_thread(LeaseThread::Caller);
    let kinesis = Place::inside(&app.local).kinesis();
    let consumer = Consumer::new(kinesis, app.leases(), "nowhere".parse().unwrap(), config);
    let before = Instant::now();
    let error = ended(&consumer).await;
    let RunError::Refused { code, message } = &error else { panic!("{error}") };
    assert_eq!(code, "ResourceNotFoundException");
    assert!(message.contains("nowhere"), "{message}");
    assert!(before.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_not_allowed_ends_the_worker() {
    let app = Application::new(1);
    let refused =
        Fault::Refuse { code: "AccessDeniedException".into(), status: 400, message: "not you".into() };
    app.local.control().on(Service::DynamoDb).then(refused);
    let error = ended(&app.consumer(Config::default())).await;
    assert_eq!(error.to_string(), "refused with AccessDeniedException: not you");
}

#[tokio::test(start_paused = true)]
async fn a_table_of_something_else_is_left_alone() {
    let app = Application::new(1);
    let attribute = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap()
    };
    let key =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let dynamodb = Place::inside(&app.local).dynamodb();
    let create = dynamodb
        .create_table()
        .table_name("billing")
        .attribute_definitions(attribute("customer"))
        .attribute_definitions(attribute("month"))
        .key_schema(key("customer", KeyType::Hash))
        .key_schema(key("month", KeyType::Range))
        .billing_mode(BillingMode::PayPerRequest);
    create.send().await.unwrap();
    let error = ended(&app.consumer(Config::default())).await;
    assert_eq!(
        error.to_string(),
        "refused with NotALeaseTable: the key of the table billing is customer and month, that of a lease table is leaseKey alone, a text"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_answers_ends_the_worker_in_the_time_to_start() {
    for silent in [Operation::DescribeTable, Operation::Scan, Operation::ListShards] {
        let app = Application::new(1);
        app.local.control().on(silent).then(Fault::Hang);
        let config = Config::default().start_within(Duration::from_secs(20));
        let before = Instant::now();
        let error = ended(&app.consumer(config)).await;
        assert!(matches!(error, RunError::NotStarted { .. }), "{silent:?}: {error}");
        let took = before.elapsed();
        assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(21), "{silent:?}: {took:?}");
    }
}

/// How a worker ends, on a clock that is not paused, within a minute.
async fn ended_within_a_minute(consumer: &Consumer) -> RunError {
    timeout(Duration::from_secs(60), ended(consumer)).await.expect("it does not take a minute")
}

#[tokio::test]
async fn a_wrong_endpoint_ends_the_worker_in_the_time_to_start() {
    let app = Application::new(1);
    // A port that was free a moment ago, and on which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = Place::at(&format!("http://127.0.0.1:{port}"));
    let config = Config::default().start_within(Duration::from_millis(600));
    let leases = DynamoDbLeases::new(place.dynamodb(), "billing".parse().unwrap());
    for consumer in [
        Consumer::new(Place::inside(&app.local).kinesis(), leases, "orders".parse().unwrap(), config.clone()),
        Consumer::new(place.kinesis(), MemoryLeases::default(), "orders".parse().unwrap(), config),
    ] {
        let error = ended_within_a_minute(&consumer).await;
        let RunError::NotStarted { within, last } = &error else { panic!("{error}") };
        assert_eq!(*within, Duration::from_millis(600));
        assert!(last.contains("ConnectionFailed"), "{last}");
    }
}

#[tokio::test]
async fn without_credentials_a_worker_ends_at_once() {
    let app = Application::new(1);
    let place = Place::inside(&app.local);
    let (config, stream) = (Config::default(), || "orders".parse().unwrap());
    let leases = DynamoDbLeases::new(place.dynamodb_with(NoCredentials), "billing".parse().unwrap());
    for consumer in [
        Consumer::new(place.kinesis_with(NoCredentials), MemoryLeases::default(), stream(), config.clone()),
        Consumer::new(place.kinesis_without_provider(), MemoryLeases::default(), stream(), config.clone()),
        Consumer::new(place.kinesis(), leases, stream(), config),
    ] {
        let error = ended_within_a_minute(&consumer).await;
        assert!(matches!(&error, RunError::Refused { code, .. } if code == "NoCredentials"), "{error}");
    }
}

#[test]
fn a_worker_needs_a_runtime() {
    let app = Application::new(1);
    let error = app.consumer(Config::default()).run(app.ledger.writer("a")).unwrap_err();
    assert!(matches!(error, RunError::NoRuntime { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_lease_keeping_is_refused_later_goes_on_reading_until_its_leases_run_out() {
    let app = Application::new(2);
    let worker = app.worker("a", Config::default());
    app.put(0..100);
    app.processed(100).await;
    let refused =
        Fault::Refuse { code: "AccessDeniedException".into(), status: 400, message: "not you".into() };
    let rule = app.local.control().on(Operation::UpdateItem).then(refused);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(app.ledger.stops("a"), [Stop::LeaseLost; 2]);
    rule.remove();
    app.put(100..200);
    app.processed(200).await;
    drop(worker);
}
