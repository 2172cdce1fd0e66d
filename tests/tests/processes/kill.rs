//! Workers that are killed.

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shards_of_a_killed_worker_are_taken_over_whether_it_leads_or_follows() {
    let mut fleet = Fleet::new(6).await;
    for worker in ["a", "b", "c"] {
        fleet.start(worker);
    }
    fleet.shared(&["a", "b", "c"]).await;

    // In the middle of its work.
    let leader = fleet.leader(&["a", "b", "c"]).await;
    fleet.put(3_000);
    fleet.until("the leader works", |account| account.said(leader, "record").count() > 100).await;
    fleet.kill(leader).await;
    let left: Vec<_> = ["a", "b", "c"].into_iter().filter(|worker| *worker != leader).collect();
    fleet.feed = 5;
    fleet.shared(&left).await;

    let next = fleet.leader(&left).await;
    let follower = *left.iter().find(|worker| **worker != next).unwrap();
    fleet.put(3_000);
    let before = fleet.account().said(follower, "record").count();
    fleet
        .until("the follower works", |account| account.said(follower, "record").count() > before + 100)
        .await;
    fleet.kill(follower).await;
    fleet.shared(&[next]).await;
    fleet.processed().await;

    let repeats = fleet.account().repeats();
    assert!(repeats <= 6 * 2 * 50, "{repeats} repeats: more than the batches that were not checkpointed");
    fleet.end(&[]).await;
}
