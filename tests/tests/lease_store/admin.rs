//! Leases listed and set from outside of the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use shardflow_consumer::{
    Checkpoint, Config, DynamoDbLeases, InitialPosition, LeaseChange, LeaseRow, LeaseStore, Leases,
    MemoryLeases, RewindError, ShardId,
};
use shardflow_local::{Config as LocalConfig, Local};
use shardflow_tests::application::{Application, until};
use shardflow_tests::clients::Place;
use shardflow_tests::wire::{answer, between, operation};

fn lease(number: u64, checkpoint: Checkpoint) -> LeaseRow {
    LeaseRow::new(ShardId::numbered(number), checkpoint)
}

fn at(number: &str) -> Checkpoint {
    Checkpoint::at(number.parse().unwrap(), 0)
}

#[tokio::test(start_paused = true)]
async fn a_running_application_reads_everything_again() {
    let app = Application::new(4);
    app.put(0..50);
    let worker = app.worker("a", Config::default().initial_position(InitialPosition::TrimHorizon));
    app.processed(50).await;
    let before = Leases::of(app.leases()).rewind_all(None, &Checkpoint::TrimHorizon).await.unwrap();
    assert!(before.iter().all(|lease| lease.holder().is_some_and(|holder| holder.as_str() == "a")));
    until(|| app.ledger.counts().values().all(|&times| times >= 2)).await;
    assert_eq!(app.ledger.counts().len(), 50);
    worker.stopper().graceful();
    worker.await.unwrap();
    let listed = Leases::of(app.leases()).list().await.unwrap();
    let keys: Vec<_> = listed.iter().map(|lease| lease.key.clone()).collect();
    assert!(keys.is_sorted() && keys.len() == 4, "{keys:?}");
}

#[tokio::test]
async fn a_lease_that_is_set_is_nobodys_and_what_was_prepared_is_dropped() {
    let store = MemoryLeases::default();
    store.create(&lease(0, Checkpoint::TrimHorizon)).await.unwrap();
    let key = lease(0, Checkpoint::Latest).key;
    let take =
        LeaseChange::Take { worker: "a".parse().unwrap(), counter: 0, owner: None, checkpoint_owner: None };
    store.write(&key, &take).await.unwrap();
    let leases = Leases::of(store.clone());
    let before = leases.rewind(&key, &at("7")).await.unwrap();
    assert_eq!((before.counter, before.holder()), (1, Some(&"a".parse().unwrap())));
    let [after] = <[LeaseRow; 1]>::try_from(store.rows()).unwrap();
    assert_eq!((after.counter, after.holder(), &after.checkpoint), (2, None, &at("7")));
    let renewal = LeaseChange::Renew { counter: 1, handing_over: false, throughput: None };
    assert!(store.write(&key, &renewal).await.is_err(), "its holder finds out");
}

#[tokio::test]
async fn all_shards_of_a_stream_are_set_but_the_ended_ones_not_to_the_latest() {
    let stream = |name: &str| format!("123456789012:{name}:1700000000").parse().ok();
    let store = MemoryLeases::default();
    for row in [
        lease(0, Checkpoint::ShardEnd).of_stream(stream("orders")),
        lease(1, at("5")).of_stream(stream("orders")),
        lease(0, at("6")).of_stream(stream("bills")),
    ] {
        store.create(&row).await.unwrap();
    }
    let leases = Leases::of(store.clone());
    let checkpoints = || store.rows().into_iter().map(|row| row.checkpoint).collect::<Vec<_>>();
    let set = leases.rewind_all(stream("orders").as_ref(), &Checkpoint::Latest).await.unwrap();
    assert_eq!(set.len(), 1);
    assert_eq!(checkpoints(), [at("6"), Checkpoint::ShardEnd, Checkpoint::Latest]);
    let set = leases.rewind_all(stream("orders").as_ref(), &Checkpoint::AtTimestamp).await.unwrap();
    let names: Vec<_> = set.iter().map(|lease| lease.shard_id.as_str()).collect();
    assert_eq!(names, ["shardId-000000000000", "shardId-000000000001"], "parents before children");
    assert_eq!(checkpoints(), [at("6"), Checkpoint::AtTimestamp, Checkpoint::AtTimestamp]);
    leases.rewind_all(None, &Checkpoint::TrimHorizon).await.unwrap();
    assert!(checkpoints().iter().all(|checkpoint| *checkpoint == Checkpoint::TrimHorizon));
}

#[tokio::test]
async fn what_cannot_be_set_is_said() {
    let leases = Leases::of(MemoryLeases::default());
    let error = leases.rewind(&lease(3, Checkpoint::Latest).key, &Checkpoint::Latest).await.unwrap_err();
    assert!(
        matches!(&error, RewindError::Missing { key } if key.as_str() == "shardId-000000000003"),
        "{error}"
    );
    for to in [at("1"), Checkpoint::ShardEnd] {
        let error = leases.rewind_all(None, &to).await.unwrap_err();
        assert!(matches!(error, RewindError::OneShardOnly) && !error.is_retryable(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_changes_meanwhile_is_tried_again_but_not_for_ever() {
    for (conflicts, tries) in [(3, 4), (u32::MAX, 10)] {
        let local = Local::new(LocalConfig::default()).unwrap();
        let seen = Arc::new(AtomicU32::new(0));
        let counts = Arc::clone(&seen);
        let place = Place::inside(&local).through(|http| {
            between(http, move |request, on| {
                if operation(&request) != "UpdateItem" || counts.fetch_add(1, Ordering::Relaxed) >= conflicts {
                    return on.call(request);
                }
                let body = r#"{"__type":"ConditionalCheckFailedException","message":"The conditional request failed"}"#;
                HttpConnectorFuture::ready(Ok(answer(400, body.into())))
            })
        });
        let store = DynamoDbLeases::new(place.dynamodb(), "billing".parse().unwrap());
        store.prepare().await.unwrap();
        store.create(&lease(0, at("5"))).await.unwrap();
        let key = lease(0, Checkpoint::Latest).key;
        let result = Leases::of(store.clone()).rewind(&key, &Checkpoint::TrimHorizon).await;
        assert_eq!(seen.load(Ordering::Relaxed), tries);
        let checkpoint = store.get(&key).await.unwrap().unwrap().checkpoint;
        match result {
            Ok(before) => assert_eq!((before.checkpoint, checkpoint), (at("5"), Checkpoint::TrimHorizon)),
            Err(error) => {
                assert!(matches!(error, RewindError::Contended { attempts: 10, .. }), "{error}");
                assert!(error.is_retryable() && conflicts == u32::MAX);
                assert_eq!(checkpoint, at("5"));
            }
        }
    }
}
