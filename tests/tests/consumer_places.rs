//! Records and checkpoints whose place is not here: shards that left retention, streams that were made anew, aggregates
//! across shards.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::time::Duration;

use shardflow_consumer::{Checkpoint, Config, Stop, Strays};
use shardflow_core::aggregation::{AggregateSize, Aggregator};
use shardflow_core::{HashKey, Record};
use shardflow_tests::application::{Application, shard, until};
use shardflow_tests::clients::Place;
use shardflow_tests::ledger::What;
use tokio::time::sleep;

async fn stop(worker: shardflow_consumer::Worker) {
    worker.stopper().graceful();
    worker.await.unwrap();
}

/// Deletes the stream, and makes another one of its name after a while.
async fn recreate(app: &Application, shards: u32, after: Duration) {
    let kinesis = Place::inside(&app.local).kinesis();
    kinesis.delete_stream().stream_name("orders").send().await.unwrap();
    sleep(after).await;
    app.local.create_stream("orders", shards).unwrap();
}

#[tokio::test(start_paused = true)]
async fn shards_that_left_retention_while_the_application_was_down_give_way_to_their_children() {
    let app = Application::new(2);
    app.put(0..100);
    let worker = app.worker("a", Config::default());
    app.processed(100).await;
    stop(worker).await;
    // Shards 2 and 3 come from 0, shard 4 from 3 and 1; all but 2 and 4 leave retention.
    app.local.split("orders", &shard(0), None).unwrap();
    app.put(100..200);
    app.local.merge("orders", &shard(3), &shard(1)).unwrap();
    app.local.control().advance(Duration::from_secs(25 * 3600));
    app.put(200..300);
    let worker = app.worker("b", Config::default());
    until(|| (200..300).all(|n: usize| app.ledger.counts().contains_key(&n.to_string()))).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    let ended = |number| {
        let end = |line: &shardflow_tests::ledger::Line| {
            line.shard == shard(number) && line.what == What::Stopped(Stop::ShardEnd)
        };
        app.ledger.lines().iter().any(end)
    };
    assert!(ended(0) && ended(1), "the handlers hear of the end");
    stop(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_made_anew_while_the_application_was_down_is_read_from_its_beginning() {
    let app = Application::new(2);
    app.put(0..100);
    let worker = app.worker("a", Config::default());
    app.processed(100).await;
    stop(worker).await;
    recreate(&app, 2, Duration::from_secs(60)).await;
    app.put(100..200);
    let worker = app.worker("b", Config::default());
    app.processed(200).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    stop(worker).await;
    let rows = app.rows().await;
    assert!(rows.iter().all(|row| matches!(row.checkpoint, Checkpoint::At { .. })), "{rows:?}");
    // And now its checkpoints are this stream's.
    app.put(200..300);
    let worker = app.worker("c", Config::default());
    app.processed(300).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_made_anew_while_it_is_read_is_read_from_its_beginning() {
    let app = Application::new(2);
    app.put(0..100);
    let worker = app.worker("a", Config::default());
    app.processed(100).await;
    recreate(&app, 2, Duration::from_secs(300)).await;
    app.put(100..200);
    app.processed(200).await;
    assert!(app.ledger.counts().values().all(|&count| count == 1));
    stop(worker).await;
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_across_shards_is_delivered_or_left_out() {
    for (strays, expected) in
        [(Strays::Deliver, vec!["near", "far", "other"]), (Strays::DropAggregate, vec!["other"])]
    {
        let app = Application::new(2);
        let mut aggregator = Aggregator::new(AggregateSize::MAX);
        for (data, key) in [("near", 0), ("far", u128::MAX)] {
            let record = Record::new(data, data).unwrap().explicit_hash_key(HashKey(key));
            aggregator.try_push(record).unwrap();
        }
        let aggregate = aggregator.finish().unwrap();
        for data in [aggregate.data, "other".into()] {
            let record = Record::new("k", data).unwrap().explicit_hash_key(HashKey(0));
            app.local.put("orders", &record).unwrap();
        }
        let worker = app.worker("a", Config::default().strays(strays));
        app.processed(expected.len()).await;
        assert_eq!(app.ledger.records(), expected);
        drop(worker);
    }
}
