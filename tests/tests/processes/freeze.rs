//! A worker that is frozen for longer than its leases last, and does not know it.

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_frozen_finds_its_leases_gone_and_stores_nothing() {
    let mut fleet = Fleet::new(4).await;
    // It takes its time with the record 500 and is frozen meanwhile: its next step is a checkpoint.
    fleet.start_as("a", "a", &["--hold-at", "500", "--hold-millis", "500"]);
    fleet.shared(&["a"]).await;
    fleet.put(1_000);
    fleet
        .until("the handler is in the middle", |account| account.said("a", "holding").next().is_some())
        .await;
    fleet.signal("a", "STOP").await;
    fleet.account().freeze("a");
    let held = fleet.account().said("a", "holding").next().unwrap().shard.clone();
    let at_work = fleet.account().shards_of("a").len();
    assert_eq!(at_work, 4);

    fleet.start("b");
    fleet.feed = 1;
    fleet.until("another has its shards", |account| account.shards_of("b").len() == 4).await;
    fleet.processed().await;
    let rows = fleet.view().await.leases;
    assert!(rows.iter().all(|row| row.holder().is_some_and(|holder| holder.as_str() == "b")), "{rows:#?}");

    let thawed_at = fleet.account().lines.len();
    fleet.signal("a", "CONT").await;
    fleet
        .until("the frozen one has found out", |account| {
            account.said("a", "stopped").filter(|line| line.more == "LeaseLost").count() >= 4
        })
        .await;
    {
        let account = fleet.account();
        let after = || account.lines[thawed_at..].iter().filter(|line| line.worker == "a");
        let refused = after().find(|line| line.word == "unstored" && line.shard == held).unwrap();
        assert_eq!(refused.more, "the lease is no longer held");
    }

    // It is a member of the fleet as before.
    fleet.feed = 1;
    fleet.shared(&["a", "b"]).await;
    fleet.processed().await;
    fleet.end(&[]).await;
}
