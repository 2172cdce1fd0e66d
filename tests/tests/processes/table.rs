//! A lease table that loses a row, and one that says no for a while.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_local::{Fault, Service};
use shardflow_tests::application::shard;
use shardflow_tests::clients::Place;
use tokio::time::sleep;

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_deleted_by_hand_comes_back() {
    let mut fleet = Fleet::new(4).await;
    for worker in ["a", "b"] {
        fleet.start(worker);
    }
    fleet.shared(&["a", "b"]).await;
    fleet.put(1_000);
    fleet.processed().await;

    let victim = shard(2).to_string();
    let delete = Place::inside(&fleet.local)
        .dynamodb()
        .delete_item()
        .table_name("billing")
        .key("leaseKey", AttributeValue::S(victim.clone()));
    // Its checkpoint goes with it.
    fleet.account().forget(&victim);
    delete.send().await.unwrap();
    fleet.feed = 2;
    let lost = |line: &&crate::account::Line| line.shard == victim && line.more == "LeaseLost";
    fleet
        .until("its holder finds out", |account| {
            account.said("a", "stopped").chain(account.said("b", "stopped")).filter(lost).count() > 0
        })
        .await;
    fleet.account().forget(&victim);
    fleet
        .until_table("the lease is back", |view| {
            view.leases.iter().any(|row| row.key.as_str() == victim && row.holder().is_some())
        })
        .await;
    fleet.shared(&["a", "b"]).await;
    fleet.processed().await;
    fleet.end(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_come_back_when_a_table_that_was_throttled_answers_again() {
    let mut fleet = Fleet::new(4).await;
    for worker in ["a", "b"] {
        fleet.start(worker);
    }
    fleet.shared(&["a", "b"]).await;
    fleet.put(1_000);
    fleet.feed = 2;
    let rule = fleet.local.control().on(Service::DynamoDb).then(Fault::Throttle);
    fleet
        .until("nobody believes in a lease any more", |account| {
            account.shards_of("a").is_empty() && account.shards_of("b").is_empty()
        })
        .await;
    // Four more failover times without a table.
    sleep(Duration::from_secs(4)).await;
    assert!(fleet.account().shards_of("a").is_empty() && fleet.account().shards_of("b").is_empty());
    fleet.put(1_000);
    rule.remove();
    fleet.shared(&["a", "b"]).await;
    fleet.processed().await;
    let repeats = fleet.account().repeats();
    assert!(repeats <= 4 * 50, "{repeats} repeats: more than the batches that were not checkpointed");
    fleet.end(&[]).await;
}
