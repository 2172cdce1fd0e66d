//! Iterators that expire, and a record that cannot be processed.

use shardflow_core::Checkpoint;

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_iterators_cost_nothing_but_time() {
    let mut fleet = Fleet::new(2).await;
    fleet.start_as("a", "a", &["--failover-millis", "10000"]);
    fleet.shared(&["a"]).await;
    fleet.feed = 20;
    for some in 1..=10 {
        fleet.until("some more are processed", |account| account.has_processed(some * 200)).await;
        fleet.local.control().expire_iterators();
    }
    fleet.processed().await;
    assert_eq!(fleet.account().repeats(), 0);
    fleet.end(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_record_holds_up_its_own_shard_only_and_is_skipped_where_that_is_asked_for() {
    const POISON: u32 = 500;
    let mut fleet = Fleet::new(4).await;
    fleet.start_as("a", "a", &["--poison", "500", "--failover-millis", "10000"]);
    fleet.shared(&["a"]).await;
    fleet.put(1_000);
    let stream = fleet.local.records("orders").unwrap();
    let number = |data: &[u8]| std::str::from_utf8(data).unwrap().parse::<u32>().unwrap();
    let (poisoned, others): (Vec<_>, Vec<_>) = stream
        .iter()
        .flat_map(|held| held.user_records().map(|record| (&held.shard.id, number(&record.data))))
        .partition(|(shard, _)| {
            let of_shard = stream.iter().find(|held| held.shard.id == **shard).unwrap();
            of_shard.user_records().any(|record| number(&record.data) == POISON)
        });
    let shard = poisoned[0].0;
    fleet
        .until("the other shards go on while one is tried again", |account| {
            let tried = account.said("a", "poisoned").count();
            tried >= 5 && others.iter().all(|(_, number)| account.has_record(*number))
        })
        .await;
    let behind = || poisoned.iter().filter(|(_, number)| *number >= POISON);
    assert!(behind().count() > 1);
    assert!(behind().all(|(_, number)| !fleet.account().has_record(*number)), "something was skipped");
    let rows = fleet.view().await.leases;
    let stored = rows.iter().find(|row| row.shard_id == *shard).unwrap().checkpoint.clone();
    let of_shard = stream.iter().find(|held| held.shard.id == *shard).unwrap();
    let at = of_shard.user_records().find(|record| number(&record.data) == POISON).unwrap();
    assert!(stored < at.checkpoint(), "{stored:?} has passed {at:?}");

    // It stops though its handler fails, and the next one is told to skip.
    fleet.stop("a").await;
    fleet.start_as("b", "b", &["--poison", "500", "--skip-after", "2"]);
    fleet
        .until("all others are processed", |account| {
            poisoned.iter().all(|(_, number)| *number == POISON || account.has_record(*number))
        })
        .await;
    fleet
        .until_table("the checkpoint passes it", |view| {
            let row = view.leases.iter().find(|row| row.shard_id == *shard);
            row.is_some_and(|row| row.checkpoint > at.checkpoint() && row.checkpoint != Checkpoint::ShardEnd)
        })
        .await;
    fleet.end(&[POISON]).await;
}
