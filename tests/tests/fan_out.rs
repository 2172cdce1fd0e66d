//! Enhanced fan-out over the embedded service, under a paused clock.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_consumer::{Config, FanOutConsumer, MemoryLeases, Retrieval, Stop};
use shardflow_local::{Fault, Operation};
use shardflow_tests::application::{Application, shard, until};
use shardflow_tests::clients::Place;
use shardflow_tests::ledger::What;
use tokio::time::{Instant, sleep};

fn fan_out() -> Config {
    Config::default().retrieval(Retrieval::FanOut { consumer: FanOutConsumer::default() })
}

fn auto() -> Config {
    Config::default().retrieval(Retrieval::Auto { consumer: FanOutConsumer::default() })
}

fn calls(app: &Application, operation: Operation) -> u64 {
    app.local.control().totals().get(&operation).copied().unwrap_or_default()
}

/// Writes until so many seconds are over, a record every tenth of one; tells how many there are then.
async fn write(app: &Application, from: usize, seconds: usize) -> usize {
    for number in from..from + seconds * 10 {
        app.put(number..number + 1);
        sleep(Duration::from_millis(100)).await;
    }
    from + seconds * 10
}

fn once_and_in_order(app: &Application) {
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    for line in app.ledger.lines() {
        let What::Record { key, data } = line.what else { continue };
        let number: usize = data.parse().unwrap();
        let before = newest.insert(key, number);
        assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn subscriptions_go_on_beyond_their_five_minutes_without_a_gap_or_a_repetition() {
    let app = Application::new(2);
    let worker = app.worker("a", fan_out());
    app.put(0..1);
    app.processed(1).await;
    // The next subscriptions take their time, and nobody is to notice.
    let slow = Fault::Delay(Duration::from_millis(700));
    app.local.control().on(Operation::SubscribeToShard).then(slow);
    let mut slowest = Duration::ZERO;
    // Eleven minutes: each record is there before the next one is written.
    for number in 1..800 {
        sleep(Duration::from_millis(825)).await;
        app.put(number..number + 1);
        let before = Instant::now();
        while app.ledger.records().len() <= number {
            sleep(Duration::from_millis(1)).await;
        }
        slowest = slowest.max(before.elapsed());
    }
    assert!(slowest <= Duration::from_millis(5), "{slowest:?}");
    once_and_in_order(&app);
    assert_eq!(calls(&app, Operation::GetRecords), 0);
    let subscribed = calls(&app, Operation::SubscribeToShard);
    assert_eq!(subscribed, 6, "three for each shard");
    assert_eq!(calls(&app, Operation::RegisterStreamConsumer), 1);
    worker.stopper().graceful();
    worker.await.unwrap();
    until(|| app.local.control().open_subscriptions() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn idle_subscriptions_are_left_alone() {
    let app = Application::new(1);
    let worker = app.worker("a", fan_out());
    until(|| calls(&app, Operation::SubscribeToShard) == 1).await;
    sleep(Duration::from_secs(240)).await;
    assert_eq!(calls(&app, Operation::SubscribeToShard), 1, "nothing has cut it");
    app.put(0..1);
    app.processed(1).await;
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_that_are_cut_or_ended_go_on_where_they_were() {
    let app = Application::new(2);
    let worker = app.worker("a", fan_out());
    let mut count = write(&app, 0, 10).await;
    for round in 0..6 {
        match round % 3 {
            0 => app.local.control().cut_subscriptions(),
            1 => app.local.control().end_subscriptions(),
            _ => {
                let refuse = [Fault::Throttle, Fault::DropRequest, Fault::DropResponse, Fault::Hang];
                for fault in refuse {
                    app.local.control().on(Operation::SubscribeToShard).times(2).then(fault);
                }
                app.local.control().cut_subscriptions();
            }
        }
        count = write(&app, count, 7).await;
        let before = Instant::now();
        app.processed(count).await;
        assert!(before.elapsed() < Duration::from_secs(240), "{round}: {:?}", before.elapsed());
        sleep(Duration::from_secs(10)).await;
    }
    once_and_in_order(&app);
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn shards_end_and_their_children_are_subscribed_to() {
    let app = Application::new(2);
    let (a, b) = (app.worker("a", fan_out()), app.worker("b", fan_out()));
    let mut count = write(&app, 0, 10).await;
    app.local.split("orders", &shard(0), None).unwrap();
    count = write(&app, count, 20).await;
    app.local.merge("orders", &shard(3), &shard(1)).unwrap();
    count = write(&app, count, 30).await;
    app.processed(count).await;
    once_and_in_order(&app);
    let lines = app.ledger.lines();
    let at = |number, what: What| lines.iter().position(|l| l.shard == shard(number) && l.what == what);
    for (parent, child) in [(0, 2), (0, 3), (1, 4), (3, 4)] {
        let ended = at(parent, What::Stopped(Stop::ShardEnd)).unwrap();
        assert!(ended < at(child, What::Began).unwrap(), "shard {parent} before {child}");
    }
    let before = calls(&app, Operation::SubscribeToShard);
    sleep(Duration::from_secs(200)).await;
    assert!(calls(&app, Operation::SubscribeToShard) <= before + 2, "shards that have ended stay so");
    drop((a, b));
}

#[tokio::test(start_paused = true)]
async fn another_worker_takes_a_shard_and_its_subscription_over() {
    let app = Application::new(2);
    let a = app.worker("a", fan_out());
    app.shared(&[("a", 2)]).await;
    let mut count = write(&app, 0, 10).await;
    app.processed(count).await;
    let b = app.worker("b", fan_out());
    app.shared(&[("a", 1), ("b", 1)]).await;
    count = write(&app, count, 20).await;
    app.processed(count).await;
    once_and_in_order(&app);
    // And without a word: its subscription is still there when the other one comes.
    app.local.control().on(Operation::SubscribeToShard).times(1).then(Fault::Refuse {
        code: "ResourceInUseException".into(),
        status: 400,
        message: "Another active subscription exists".into(),
    });
    drop(b);
    let gone = Instant::now();
    count = write(&app, count, 1).await;
    app.processed(count).await;
    assert!(gone.elapsed() < Duration::from_secs(30), "{:?}", gone.elapsed());
    drop(a);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_not_sent_more_than_it_bears_and_misses_nothing() {
    let app = Application::new(1);
    app.put(0..1);
    let plan = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (slow, writer) = (std::sync::Arc::clone(&plan), app.ledger.writer("a"));
    let factory =
        move |info: &shardflow_consumer::ShardInfo| Slow(writer(info), std::sync::Arc::clone(&slow));
    let worker = app.consumer(fan_out()).run(factory).unwrap();
    // The first batch takes seven minutes, in which the service ends the subscription.
    let count = write(&app, 1, 300).await;
    app.processed(count).await;
    once_and_in_order(&app);
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    drop(worker);
}

/// Takes seven minutes for its first batch.
struct Slow(shardflow_tests::ledger::Writer, std::sync::Arc<std::sync::atomic::AtomicBool>);

impl shardflow_consumer::RecordProcessor for Slow {
    type Error = shardflow_consumer::CheckpointError;

    async fn process(
        &mut self,
        batch: &shardflow_consumer::Batch,
        checkpointer: &shardflow_consumer::Checkpointer,
    ) -> Result<(), Self::Error> {
        if self.1.swap(false, std::sync::atomic::Ordering::Relaxed) {
            sleep(Duration::from_secs(420)).await;
        }
        self.0.note(batch);
        checkpointer.batch(batch).await
    }
}

#[tokio::test(start_paused = true)]
async fn shards_are_polled_where_there_is_no_consumer_and_none_is_wanted() {
    let app = Application::new(2);
    app.put(0..100);
    let worker = app.worker("a", auto());
    app.processed(100).await;
    assert_eq!(calls(&app, Operation::SubscribeToShard), 0);
    assert_eq!(calls(&app, Operation::RegisterStreamConsumer), 0, "it costs money");
    drop(worker);
    // Once somebody has registered it, it is used.
    let arn = app.local.create_stream("other", 1).unwrap();
    let arn = arn.as_str().replace("other", "orders");
    let kinesis = Place::inside(&app.local).kinesis();
    let registered = kinesis.register_stream_consumer().stream_arn(arn).consumer_name("billing");
    let consumer = registered.send().await.unwrap().consumer.unwrap();
    let worker = app.worker("b", auto());
    app.put(100..200);
    app.processed(200).await;
    assert!(calls(&app, Operation::SubscribeToShard) >= 2);
    drop(worker);
    // So it is by its ARN, and by name; a store without a name has none to go by.
    let by_arn = FanOutConsumer::Arn(consumer.consumer_arn.parse().unwrap());
    let named = "billing".parse::<FanOutConsumer>().unwrap();
    for (consumer, subscribes) in [(by_arn, true), (named, true), (FanOutConsumer::default(), false)] {
        let before = calls(&app, Operation::SubscribeToShard);
        let config = Config::default().retrieval(Retrieval::FanOut { consumer });
        let worker = app.consumer_with(MemoryLeases::default(), config).run(app.ledger.writer("c")).unwrap();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(calls(&app, Operation::SubscribeToShard) > before, subscribes);
        drop(worker);
    }
    assert_eq!(calls(&app, Operation::RegisterStreamConsumer), 1);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_cannot_be_registered_is_done_without() {
    let app = Application::new(1);
    let refused = Fault::Refuse { code: "AccessDeniedException".into(), status: 400, message: "no".into() };
    app.local.control().on(Operation::RegisterStreamConsumer).then(refused);
    app.put(0..100);
    let worker = app.worker("a", fan_out());
    app.processed(100).await;
    assert!(calls(&app, Operation::GetRecords) > 0);
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_somebody_deregisters_is_registered_again() {
    let app = Application::new(2);
    let worker = app.worker("a", fan_out());
    let mut count = write(&app, 0, 10).await;
    app.processed(count).await;
    let kinesis = Place::inside(&app.local).kinesis();
    let stream = kinesis.describe_stream_summary().stream_name("orders").send().await.unwrap();
    let arn = stream.stream_description_summary.unwrap().stream_arn;
    kinesis.deregister_stream_consumer().stream_arn(arn).consumer_name("billing").send().await.unwrap();
    count = write(&app, count, 30).await;
    app.processed(count).await;
    once_and_in_order(&app);
    assert!(calls(&app, Operation::RegisterStreamConsumer) >= 2);
    assert_eq!(calls(&app, Operation::GetRecords), 0);
    drop(worker);
}
