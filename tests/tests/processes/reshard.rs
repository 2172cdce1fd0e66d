//! Shards that are split and merged under workers, and behind their backs.

use shardflow_tests::application::shard;

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reshards_of_reshards_are_read_in_order_with_workers_and_without() {
    let mut fleet = Fleet::new(2).await;
    for worker in ["a", "b"] {
        fleet.start_as(worker, worker, &["--failover-millis", "10000"]);
    }
    fleet.shared(&["a", "b"]).await;

    let local = fleet.local.clone();
    let split = |number| local.split("orders", &shard(number), None).unwrap();
    let merge = |one, other| local.merge("orders", &shard(one), &shard(other)).unwrap();
    fleet.put(2_000);
    assert_eq!(split(0), [shard(2), shard(3)]);
    fleet.put(1_000);
    assert_eq!(merge(3, 1), shard(4));
    assert_eq!(split(2), [shard(5), shard(6)]);
    fleet.put(1_000);
    assert_eq!(split(4), [shard(7), shard(8)]);
    fleet.put(1_000);
    fleet.processed().await;
    fleet.shared(&["a", "b"]).await;
    {
        // Whoever reads a parent to its end goes on with its children, and keeps them.
        let account = fleet.account();
        let lost = account.lines.iter().filter(|line| line.word == "stopped" && line.more == "LeaseLost");
        assert_eq!((account.repeats(), lost.count()), (0, 0));
        assert_eq!(account.overlaps, [""; 0]);
    }

    // A parent whose end nobody has seen, children and grandchildren that nobody knows.
    fleet.put(2_000);
    fleet.kill("a").await;
    fleet.kill("b").await;
    fleet.put(500);
    assert_eq!(merge(6, 7), shard(9));
    fleet.put(500);
    assert_eq!(split(9), [shard(10), shard(11)]);
    assert_eq!(split(10), [shard(12), shard(13)]);
    fleet.put(500);
    assert_eq!(merge(5, 12), shard(14));
    fleet.put(500);
    fleet.start("c");
    fleet.start("d");
    fleet.processed().await;
    fleet.shared(&["c", "d"]).await;
    fleet.end(&[]).await;
}
