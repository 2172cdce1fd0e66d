//! Consumers as one stream of batches, under a paused clock.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardflow_consumer::{
    Batches, Checkpoint, CheckpointError, CheckpointMode, Config, DeadLetter, Delivery, ErrorPolicy,
    RunError, ShardId,
};
use shardflow_local::{Fault, Operation};
use shardflow_tests::application::{Application, shard, until};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

fn batches(app: &Application, name: &str, mode: CheckpointMode, config: Config) -> Batches {
    app.consumer(config.worker_id(name.parse().unwrap())).batches(mode).unwrap()
}

fn manual(app: &Application, name: &str) -> Batches {
    batches(app, name, CheckpointMode::Manual, Config::default())
}

async fn next(batches: &mut Batches) -> Delivery {
    timeout(Duration::from_secs(60), batches.next()).await.unwrap().unwrap().unwrap()
}

/// Whether nobody is given anything for a while.
async fn is_still(batches: &mut Batches) -> bool {
    timeout(Duration::from_secs(20), batches.next()).await.is_err()
}

fn numbers(delivery: &Delivery) -> Vec<usize> {
    delivery.iter().map(|record| String::from_utf8_lossy(&record.data).parse().unwrap()).collect()
}

/// Of each record: who got it, from which shard.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, ShardId, usize)>>>);

impl Seen {
    fn note(&self, who: &str, delivery: &Delivery) {
        let shard = &delivery.shard().shard_id;
        let lines = numbers(delivery).into_iter().map(|number| (who.to_owned(), shard.clone(), number));
        self.0.lock().unwrap().extend(lines);
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().iter().map(|(_, _, number)| number).collect::<BTreeSet<_>>().len()
    }

    /// That each record came once, those of a shard in order, and how many each consumer got.
    fn once_in_order(&self) -> BTreeMap<String, usize> {
        let (mut newest, mut by) = (BTreeMap::new(), BTreeMap::<_, usize>::new());
        let lines = self.0.lock().unwrap().clone();
        assert_eq!(lines.len(), self.count(), "once");
        for (who, shard, number) in lines {
            let before = newest.insert(shard, number);
            assert!(before.is_none_or(|before| before < number), "{number} behind {before:?}");
            *by.entry(who).or_default() += 1;
        }
        by
    }
}

/// A loop that takes its time for each batch, until the stream ends.
#[expect(clippy::disallowed_methods, reason = "whoever calls it waits for its end")]
fn consume(mut batches: Batches, seen: &Seen, pause: Duration) -> JoinHandle<Result<(), RunError>> {
    let (seen, who) = (seen.clone(), batches.id().to_string());
    tokio::spawn(async move {
        while let Some(batch) = batches.next().await.transpose()? {
            sleep(pause).await;
            seen.note(&who, &batch);
            batch.checkpoint().await.unwrap();
        }
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn every_record_comes_once_in_order_and_the_next_consumer_goes_on_behind() {
    for mode in [CheckpointMode::Manual, CheckpointMode::OnNext] {
        let app = Application::new(4);
        let seen = Seen::default();
        for (round, who) in ["a", "b"].into_iter().enumerate() {
            app.put(round * 2_000..round * 2_000 + 1_000);
            let mut batches = batches(&app, who, mode, Config::default().max_records(100));
            let stopper = batches.stopper();
            let mut late = false;
            while seen.count() < (round + 1) * 2_000 {
                // A call that is dropped loses nothing.
                let Ok(batch) = timeout(Duration::from_millis(1), batches.next()).await else { continue };
                let batch = batch.unwrap().unwrap();
                seen.note(who, &batch);
                if mode == CheckpointMode::Manual {
                    batch.checkpoint().await.unwrap();
                }
                if !late && seen.count() >= round * 2_000 + 1_000 {
                    late = true;
                    app.put(round * 2_000 + 1_000..(round + 1) * 2_000);
                }
            }
            stopper.graceful();
            assert!(batches.next().await.is_none() && batches.next().await.is_none());
            assert_eq!(app.owned(who).await, 0, "its leases are left to others");
        }
        assert_eq!(seen.once_in_order(), BTreeMap::from([("a".into(), 2_000), ("b".into(), 2_000)]));
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_a_stream_of_the_futures_crate() {
    let app = Application::new(1);
    app.put(0..10);
    let mut batches = pin!(manual(&app, "a"));
    let next = std::future::poll_fn(|context| futures_core::Stream::poll_next(batches.as_mut(), context));
    assert_eq!(numbers(&next.await.unwrap().unwrap()), Vec::from_iter(0..10));
}

#[tokio::test(start_paused = true)]
async fn one_batch_of_each_shard_is_out_and_what_is_not_acknowledged_stops_the_reading() {
    let app = Application::new(4);
    app.put(0..1_000);
    let mut batches = batches(&app, "a", CheckpointMode::Manual, Config::default().max_records(10));
    let mut out = BTreeMap::new();
    for _ in 0..4 {
        let batch = next(&mut batches).await;
        assert!(out.insert(batch.shard().shard_id.clone(), batch).is_none(), "a second one of a shard");
    }
    assert!(is_still(&mut batches).await, "a fifth one of four shards");
    let refused = app.local.control().on(Operation::GetRecords).then(Fault::Throttle);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(refused.hits(), 0, "it has read on");
    refused.remove();
    let (id, batch) = out.pop_first().unwrap();
    batch.checkpoint().await.unwrap();
    assert_eq!(next(&mut batches).await.shard().shard_id, id);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_dropped_comes_again_and_nothing_behind_it_before() {
    let app = Application::new(2);
    app.put(0..100);
    let mut batches = batches(&app, "a", CheckpointMode::Manual, Config::default().max_records(10));
    let dropped = next(&mut batches).await;
    let (id, first) = (dropped.shard().shard_id.clone(), numbers(&dropped));
    drop(dropped);
    let mut others = 0;
    let again = loop {
        let batch = next(&mut batches).await;
        if batch.shard().shard_id == id {
            break batch;
        }
        others += 1;
        batch.checkpoint().await.unwrap();
    };
    assert_eq!(numbers(&again), first);
    assert!(others > 0, "the other shard goes on meanwhile");
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_again_and_again_is_given_up_by_the_policy() {
    let app = Application::new(1);
    app.put(0..10);
    let letters = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&letters);
    let policy = ErrorPolicy::dead_letter_after(2, move |letter: DeadLetter| {
        written.lock().unwrap().push((letter.record.data, letter.error));
        async { Ok::<(), std::convert::Infallible>(()) }
    });
    let mut batches = batches(&app, "a", CheckpointMode::Manual, Config::default().on_error(policy));
    let mut processed = Vec::new();
    while processed.len() < 9 {
        let batch = next(&mut batches).await;
        if !numbers(&batch).contains(&6) {
            processed.extend(numbers(&batch));
            batch.checkpoint().await.unwrap();
        }
    }
    assert_eq!(processed, [0, 1, 2, 3, 4, 5, 7, 8, 9]);
    let expected = ("6".into(), String::from("the batch was dropped without an acknowledgement"));
    assert_eq!(*letters.lock().unwrap(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn children_come_when_the_last_batch_of_their_parents_is_acknowledged() {
    let app = Application::new(1);
    app.put(0..10);
    let mut batches = manual(&app, "a");
    let batch = next(&mut batches).await;
    app.local.split("orders", &shard(0), None).unwrap();
    app.put(10..110);
    assert!(is_still(&mut batches).await, "a child's batch before its parent's end");
    let seen = Seen::default();
    seen.note("a", &batch);
    batch.done();
    while seen.count() < 110 {
        let batch = next(&mut batches).await;
        seen.note("a", &batch);
        batch.checkpoint().await.unwrap();
    }
    seen.once_in_order();
    assert_eq!(app.rows().await[0].checkpoint, Checkpoint::ShardEnd);
}

#[tokio::test(start_paused = true)]
async fn shards_go_from_one_consumer_to_another_and_nothing_comes_twice() {
    let app = Application::new(4);
    let seen = Seen::default();
    let a = manual(&app, "a");
    let stop_a = a.stopper();
    let a = consume(a, &seen, Duration::from_millis(300));
    let mut b = None;
    for round in 0..300 {
        app.put(round * 20..(round + 1) * 20);
        sleep(Duration::from_millis(200)).await;
        match round {
            60 => b = Some(consume(manual(&app, "b"), &seen, Duration::from_millis(300))),
            200 => stop_a.graceful(),
            _ => {}
        }
        if round == 199 {
            app.shared(&[("a", 2), ("b", 2)]).await;
        }
    }
    until(|| seen.count() == 6_000).await;
    let by = seen.once_in_order();
    assert!(by.values().all(|count| *count > 1_500), "{by:?}");
    a.await.unwrap().unwrap();
    b.unwrap().abort();
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_is_in_hand_and_takes_back_what_is_not() {
    // Were what is taken back a failure, it would be skipped.
    let policy = Config::default().on_error(ErrorPolicy::skip_after(1));
    let app = Application::new(4);
    app.put(0..100);
    let mut first = batches(&app, "a", CheckpointMode::Manual, policy);
    let held = next(&mut first).await;
    let mut all = numbers(&held);
    sleep(Duration::from_secs(5)).await;
    first.stopper().graceful();
    sleep(Duration::from_secs(5)).await;
    assert!(is_still(&mut first).await, "neither over nor another batch");
    held.checkpoint().await.unwrap();
    assert!(timeout(Duration::from_secs(5), first.next()).await.unwrap().is_none());
    let mut second = manual(&app, "b");
    for _ in 0..3 {
        let batch = next(&mut second).await;
        all.extend(numbers(&batch));
        batch.done();
    }
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(0..100));
    assert!(is_still(&mut second).await);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_does_not_wait_and_what_was_in_hand_comes_again() {
    let app = Application::new(1);
    app.put(0..10);
    let mut batches = manual(&app, "a");
    let held = next(&mut batches).await;
    batches.stopper().graceful();
    batches.stopper().graceful();
    assert!(timeout(Duration::from_secs(1), batches.next()).await.unwrap().is_none());
    assert!(matches!(held.checkpoint().await, Err(CheckpointError::LeaseLost)));
    assert_eq!(numbers(&next(&mut manual(&app, "b")).await), Vec::from_iter(0..10));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_held_for_longer_than_a_handoff_may_take_is_somebody_elses() {
    let app = Application::new(2);
    app.put(0..100);
    let mut a = manual(&app, "a");
    let held = [next(&mut a).await, next(&mut a).await];
    let mut b = manual(&app, "b");
    let theirs = next(&mut b).await;
    let (lost, kept): (Vec<_>, Vec<_>) =
        held.into_iter().partition(|batch| batch.shard().shard_id == theirs.shard().shard_id);
    for batch in kept {
        batch.checkpoint().await.unwrap();
    }
    assert_eq!(numbers(&lost[0]), numbers(&theirs));
    for batch in lost {
        assert!(matches!(batch.checkpoint().await, Err(CheckpointError::LeaseLost)));
    }
    theirs.checkpoint().await.unwrap();
    assert!(is_still(&mut b).await);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_takes_back_what_nobody_has() {
    let app = Application::new(1);
    app.put(0..10);
    let mut batches = manual(&app, "a");
    app.shared(&[("a", 1)]).await;
    sleep(Duration::from_secs(2)).await;
    let table = app.local.control().on(Operation::UpdateItem).then(Fault::Hang);
    sleep(Duration::from_secs(40)).await;
    assert!(timeout(Duration::from_secs(1), batches.next()).await.is_err(), "its lease has gone");
    table.remove();
    let again = next(&mut batches).await;
    assert_eq!(numbers(&again), Vec::from_iter(0..10));
    again.checkpoint().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_checkpointed_by_a_stop_and_comes_again_after_a_crash() {
    for stops in [true, false] {
        let app = Application::new(1);
        app.put(0..10);
        let mut first = manual(&app, "a");
        next(&mut first).await.done();
        app.put(10..20);
        // It has got here once the next batch is there; what is taken back is not done.
        sleep(Duration::from_secs(5)).await;
        if stops {
            first.stopper().graceful();
            while first.next().await.is_some() {}
        }
        drop(first);
        let expected = if stops { 10..20 } else { 0..20 };
        let mut second = manual(&app, "b");
        assert_eq!(numbers(&next(&mut second).await), Vec::from_iter(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn asking_for_the_next_batch_checkpoints_the_one_before_and_dropping_the_stream_does_not() {
    // Were the drop of a stream a failure of its last batch, that would be skipped.
    let config = || Config::default().max_records(10).on_error(ErrorPolicy::skip_after(1));
    let app = Application::new(1);
    app.put(0..30);
    let mut first = batches(&app, "a", CheckpointMode::OnNext, config());
    assert_eq!(numbers(&next(&mut first).await), Vec::from_iter(0..10));
    assert!(matches!(app.rows().await[0].checkpoint, Checkpoint::TrimHorizon));
    let second = next(&mut first).await;
    assert_eq!(numbers(&second), Vec::from_iter(10..20));
    assert!(matches!(app.rows().await[0].checkpoint, Checkpoint::At { .. }));
    drop(second);
    sleep(Duration::from_secs(5)).await;
    drop(first);
    let mut later = batches(&app, "b", CheckpointMode::OnNext, config());
    assert_eq!(numbers(&next(&mut later).await)[0], 10);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_start_says_why_and_the_stream_ends() {
    let app = Application::new(1);
    let code = String::from("AccessDeniedException");
    let refused = Fault::Refuse { code: code.clone(), status: 400, message: "no".into() };
    let _fault = app.local.control().on(Operation::DescribeTable).then(refused);
    let mut batches = manual(&app, "a");
    let error = batches.next().await.unwrap().unwrap_err();
    assert!(matches!(&error, RunError::Refused { code: told, .. } if *told == code), "{error:?}");
    assert!(batches.next().await.is_none());
}

#[test]
fn outside_of_a_runtime_it_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(async { Application::new(1) });
    let Err(error) = app.consumer(Config::default()).batches(CheckpointMode::Manual) else {
        panic!("no runtime")
    };
    assert!(matches!(error, RunError::NoRuntime { .. }));
}
