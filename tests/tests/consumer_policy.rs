//! Handlers that fail for good: what each policy makes of a record that cannot be processed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not as expected fails the test")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use shardflow_consumer::{
    Batch, Checkpoint, Checkpointer, Config, DeadLetter, ErrorPolicy, GlueEncoded, RecordProcessor,
    SchemaVersionId, ShardInfo, Stop, Worker,
};
use shardflow_core::Record;
use shardflow_tests::application::{Application, until};
use shardflow_tests::ledger::Writer;
use tokio::time::{Instant, sleep};

/// How a handler treats the record 66.
#[derive(Clone, Copy)]
enum Poison {
    Fails,
    Panics,
}

/// A handler that cannot process the record 66, and checkpoints when it stops or is told to.
struct Poisoned {
    writer: Writer,
    poison: Poison,
    checkpoints: bool,
}

impl RecordProcessor for Poisoned {
    type Error = String;

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), String> {
        if batch.iter().any(|record| record.data == "66") {
            match self.poison {
                Poison::Fails => return Err("66 is too much".into()),
                Poison::Panics => panic!("66 is too much"),
            }
        }
        self.writer.note(batch);
        if self.checkpoints {
            checkpointer.batch(batch).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn stopping(&mut self, why: Stop, checkpointer: &Checkpointer) -> Result<(), String> {
        match why {
            Stop::LeaseLost => Ok(()),
            _ => checkpointer.latest().await.map_err(|error| error.to_string()),
        }
    }
}

/// Starts a worker with such handlers, and counts them.
fn run(
    app: &Application,
    policy: ErrorPolicy,
    poison: Poison,
    checkpoints: bool,
) -> (Worker, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let (making, writer) = (Arc::clone(&made), app.ledger.writer("a"));
    let factory = move |shard: &ShardInfo| {
        making.fetch_add(1, Ordering::Relaxed);
        Poisoned { writer: writer(shard), poison, checkpoints }
    };
    let config = Config::default().on_error(policy).worker_id("a".parse().unwrap());
    (app.consumer(config).run(factory).unwrap(), made)
}

fn others() -> Vec<String> {
    (0..100).filter(|number| *number != 66).map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_record_at_fault_is_skipped_and_the_checkpoint_passes_it() {
    for (poison, checkpoints) in
        [(Poison::Fails, true), (Poison::Fails, false), (Poison::Panics, true), (Poison::Panics, false)]
    {
        let app = Application::new(1);
        app.put(0..100);
        let (worker, _) = run(&app, ErrorPolicy::skip_after(3), poison, checkpoints);
        app.processed(99).await;
        let mut processed = app.ledger.records();
        if let (Poison::Panics, false) = (poison, checkpoints) {
            // Each fresh handler gets again what nobody has checkpointed, up to the end.
            assert!(processed.ends_with(&others()), "{processed:?}");
        } else {
            assert_eq!(processed, others());
        }
        worker.stopper().graceful();
        worker.await.unwrap();
        assert!(matches!(app.rows().await[0].checkpoint, Checkpoint::At { .. }));
        let next = app.worker("b", Config::default());
        app.put(100..101);
        app.processed(100).await;
        processed.push("100".into());
        assert_eq!(app.ledger.records(), processed, "nothing comes again");
        drop(next);
    }
}

#[tokio::test(start_paused = true)]
async fn a_skipped_record_is_checkpointed_though_no_other_follows() {
    let app = Application::new(1);
    app.put(0..10);
    app.put(66..67);
    let (worker, _) = run(&app, ErrorPolicy::skip_after(2), Poison::Fails, true);
    app.processed(10).await;
    sleep(Duration::from_secs(10)).await;
    // As a crash would end it: nobody checkpoints any more.
    drop(worker);
    let next = app.worker("b", Config::default());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(app.ledger.counts().len(), 10, "the skipped one does not come again");
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_goes_to_the_sink_and_the_shard_on_when_it_is_taken() {
    let app = Application::new(1);
    app.put(0..100);
    let letters = Arc::new(Mutex::new(Vec::new()));
    let (written, tries, ledger) = (Arc::clone(&letters), AtomicUsize::new(0), app.ledger.clone());
    let sink = move |letter: DeadLetter| {
        let (written, tries) = (Arc::clone(&written), tries.fetch_add(1, Ordering::Relaxed));
        assert_eq!(ledger.records(), others()[..66], "nothing behind it is processed before");
        async move {
            match tries {
                0 | 1 => Err("the queue is full"),
                2 => panic!("the queue is gone"),
                _ => {
                    written.lock().unwrap().push(letter);
                    Ok(())
                }
            }
        }
    };
    let (worker, made) = run(&app, ErrorPolicy::dead_letter_after(2, sink), Poison::Fails, true);
    until(|| !letters.lock().unwrap().is_empty()).await;
    app.processed(99).await;
    assert_eq!(app.ledger.records(), others());
    assert_eq!(made.load(Ordering::Relaxed), 1, "the handler is not to blame for the sink");
    let letters = letters.lock().unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].record.data.as_ref(), letters[0].error.as_str()), (&b"66"[..], "66 is too much"));
    drop(worker);
}

/// A handler of records that a serializer of the Glue schema registry has written.
struct Decoding(Arc<Mutex<Vec<(SchemaVersionId, Bytes)>>>);

impl RecordProcessor for Decoding {
    type Error = Box<dyn std::error::Error + Send + Sync>;

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), Self::Error> {
        let decode = |data| GlueEncoded::parse(data).ok_or("it was written without the registry");
        let decoded: Vec<_> = batch.iter().map(|record| decode(&record.data)).collect::<Result<_, _>>()?;
        let decoded = decoded.into_iter().map(|encoded| (encoded.schema_version_id, encoded.payload));
        self.0.lock().unwrap().extend(decoded);
        Ok(checkpointer.batch(batch).await?)
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_decoded_goes_to_the_sink_as_it_was_put() {
    let app = Application::new(1);
    let encoded = |payload: &str| [&[3, 0][..], &[7; 16], payload.as_bytes()].concat();
    for data in [encoded("first"), b"plain".to_vec(), encoded("last")] {
        app.local.put("orders", &Record::new("key", data).unwrap()).unwrap();
    }
    let letters = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&letters);
    let sink = move |letter: DeadLetter| {
        written.lock().unwrap().push((letter.record.data, letter.error));
        async { Ok::<(), String>(()) }
    };
    let decoded = Arc::new(Mutex::new(Vec::new()));
    let config = Config::default().on_error(ErrorPolicy::dead_letter_after(2, sink));
    let handled = Arc::clone(&decoded);
    let worker = app.consumer(config).run(move |_: &ShardInfo| Decoding(Arc::clone(&handled))).unwrap();
    until(|| decoded.lock().unwrap().len() == 2).await;
    let schema = SchemaVersionId([7; 16]);
    assert_eq!(*decoded.lock().unwrap(), [(schema, Bytes::from("first")), (schema, Bytes::from("last"))]);
    let letter = (Bytes::from("plain"), String::from("it was written without the registry"));
    assert_eq!(*letters.lock().unwrap(), [letter]);
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_rests_keeps_its_lease_and_begins_again_with_a_fresh_handler() {
    let app = Application::new(1);
    app.put(0..50);
    let policy = ErrorPolicy::stop_shard_after(3).rest(Duration::from_secs(100));
    let (worker, made) = run(&app, policy, Poison::Fails, true);
    app.processed(50).await;
    app.put(50..100);
    sleep(Duration::from_secs(90)).await;
    let other = app.worker("b", Config::default());
    assert_eq!((made.load(Ordering::Relaxed), app.owned("a").await), (1, 1));
    let before = Instant::now();
    until(|| made.load(Ordering::Relaxed) == 2).await;
    assert!(before.elapsed() < Duration::from_secs(15), "{:?}", before.elapsed());
    until(|| made.load(Ordering::Relaxed) == 4).await;
    assert!(before.elapsed() > Duration::from_secs(200), "{:?}", before.elapsed());
    assert_eq!(
        (app.ledger.counts().len(), app.owned("a").await),
        (50, 1),
        "it has not gone to the other worker"
    );
    worker.stopper().graceful();
    let before = Instant::now();
    worker.await.unwrap();
    // The other worker has had time to notice that the lease is offered to it.
    assert!(before.elapsed() < Duration::from_secs(30), "a rest is not waited for: {:?}", before.elapsed());
    app.processed(100).await;
    assert!(
        app.ledger.counts().values().all(|&count| count == 1),
        "checkpointed up to the batch that failed"
    );
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_stops_does_not_checkpoint_the_batch_that_it_failed_at() {
    let app = Application::new(1);
    app.put(0..50);
    let (worker, _) = run(&app, ErrorPolicy::retry(), Poison::Fails, false);
    app.processed(50).await;
    app.put(50..100);
    sleep(Duration::from_secs(60)).await;
    worker.stopper().graceful();
    worker.await.unwrap();
    let next = app.worker("b", Config::default());
    app.processed(100).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    drop(next);
}
