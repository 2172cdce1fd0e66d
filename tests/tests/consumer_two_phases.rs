//! Checkpoints in two phases, over the embedded service under a paused clock.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::convert::Infallible;
use std::time::Duration;

use shardflow_consumer::{
    Batch, Checkpoint, CheckpointError, Checkpointer, Config, PendingCheckpoint, RecordProcessor, ShardInfo,
    Worker,
};
use shardflow_local::{Fault, Operation};
use shardflow_producer::{Config as ProducerConfig, Producer, Record};
use shardflow_tests::application::Application;
use shardflow_tests::clients::Place;
use tokio::sync::mpsc;

/// What a handler tells the test.
#[derive(Debug)]
enum Told {
    Begins(Option<PendingCheckpoint>),
    Has(Batch, Checkpointer),
}

/// Tells the test everything.
struct Teller(mpsc::Sender<Told>);

impl RecordProcessor for Teller {
    type Error = Infallible;

    async fn initialize(&mut self, shard: &ShardInfo) -> Result<(), Infallible> {
        self.0.send(Told::Begins(shard.pending.clone())).await.unwrap();
        Ok(())
    }

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), Infallible> {
        self.0.send(Told::Has(batch.clone(), checkpointer.clone())).await.unwrap();
        Ok(())
    }
}

/// Starts a worker; gives its checkpointer, the note that it found, and the records that it was given.
async fn begin(app: &Application, name: &str) -> (Worker, Option<PendingCheckpoint>, Batch, Checkpointer) {
    let (tell, mut told) = mpsc::channel(10);
    let config = Config::default().worker_id(name.parse().unwrap());
    let worker = app.consumer(config).run(move |_: &ShardInfo| Teller(tell.clone())).unwrap();
    let Some(Told::Begins(pending)) = told.recv().await else { unreachable!("it begins") };
    let Some(Told::Has(batch, checkpointer)) = told.recv().await else { unreachable!("there are records") };
    (worker, pending, batch, checkpointer)
}

/// Ten records in one aggregate.
async fn aggregate(app: &Application) {
    let kinesis = Place::inside(&app.local).kinesis();
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), ProducerConfig::default());
    for number in 0..10 {
        drop(producer.put(Record::new("key", number.to_string()).unwrap()).await.unwrap());
    }
    producer.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_next_worker_finds_what_was_prepared_and_can_make_it() {
    let app = Application::new(1);
    aggregate(&app).await;
    let (first, pending, batch, checkpointer) = begin(&app, "a").await;
    assert_eq!((pending, batch.len()), (None, 10));
    checkpointer.record(&batch[1]).await.unwrap();
    drop(checkpointer.prepare(&batch[4], Some("half".into())).await.unwrap());
    let row = app.rows().await.remove(0);
    assert_eq!((&row.checkpoint, row.pending.is_some()), (&batch[1].checkpoint(), true));
    drop(first);

    let (second, pending, again, checkpointer) = begin(&app, "b").await;
    let expected = PendingCheckpoint::new(batch[4].checkpoint(), Some("half".into()));
    assert_eq!(pending.as_ref(), Some(&expected), "inside the aggregate");
    assert_eq!(again[0].data, "2", "it is a note, and no checkpoint");
    let prepared = checkpointer.prepare(pending.unwrap().checkpoint, None).await.unwrap();
    prepared.commit().await.unwrap();
    prepared.commit().await.unwrap();
    let row = app.rows().await.remove(0);
    assert_eq!((&row.checkpoint, &row.pending), (prepared.checkpoint(), &None));
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn what_is_prepared_lies_within_the_range_of_checkpoints() {
    let app = Application::new(1);
    aggregate(&app).await;
    let (worker, _, batch, checkpointer) = begin(&app, "a").await;
    checkpointer.record(&batch[3]).await.unwrap();
    for wrong in [batch[2].checkpoint(), Checkpoint::ShardEnd, Checkpoint::TrimHorizon] {
        let error = checkpointer.prepare(wrong, None).await.unwrap_err();
        assert!(matches!(error, CheckpointError::OutOfRange { .. }), "{error}");
    }
    let nothing = checkpointer.prepare(&batch[3], Some("x".into())).await.unwrap();
    nothing.commit().await.unwrap();
    assert_eq!(app.rows().await[0].pending, None, "it is made already");
    let early = checkpointer.prepare(&batch[5], None).await.unwrap();
    let whole = checkpointer.prepare(&batch, None).await.unwrap();
    assert_eq!(*whole.checkpoint(), batch[9].checkpoint(), "with its place in the aggregate");
    whole.commit().await.unwrap();
    let error = early.commit().await.unwrap_err();
    assert!(matches!(error, CheckpointError::OutOfRange { .. }), "{error}");
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_table_in_trouble_loses_no_note() {
    let app = Application::new(1);
    aggregate(&app).await;
    let (worker, _, batch, checkpointer) = begin(&app, "a").await;
    for fault in [Fault::DropResponse, Fault::Throttle] {
        let rule = app.local.control().on(Operation::UpdateItem).every(2).then(fault);
        for record in &batch {
            let prepared = checkpointer.prepare(record, Some(record.data.clone())).await.unwrap();
            let noted = app.rows().await.remove(0).pending.unwrap();
            assert_eq!(
                (&noted.checkpoint, noted.state.as_ref()),
                (prepared.checkpoint(), Some(&record.data))
            );
        }
        rule.remove();
    }
    drop(worker);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (next, pending, ..) = begin(&app, "b").await;
    assert_eq!(pending.unwrap().state.unwrap(), "9");
    let error = checkpointer.prepare(&batch, None).await.unwrap_err();
    assert!(matches!(error, CheckpointError::LeaseLost), "{error}");
    drop(next);
}
