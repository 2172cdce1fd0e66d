//! A fleet that is replaced one worker at a time.

use std::collections::BTreeSet;

use shardflow_consumer::LeaseRow;

use crate::fleet::Fleet;

/// As it is by default: what is shown here must not need a short one.
const FAILOVER: &[&str] = &["--failover-millis", "10000"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_replacement_repeats_nothing_and_leaves_nothing_behind() {
    let mut fleet = Fleet::new(100).await;
    for worker in ["a", "b", "c"] {
        fleet.start_as(worker, worker, FAILOVER);
    }
    fleet.shared(&["a", "b", "c"]).await;
    fleet.feed = 5;
    let mut workers = BTreeSet::from(["a", "b", "c"]);
    for (old, new) in [("a", "d"), ("b", "e"), ("c", "f")] {
        fleet.start_as(new, new, FAILOVER);
        workers.insert(new);
        fleet.until("the new one has shards", |account| !account.shards_of(new).is_empty()).await;
        fleet.signal(old, "TERM").await;
        while !fleet.has_ended(old) {
            let rows = fleet.view().await.leases;
            assert_eq!(rows.len(), 100);
            for row in rows {
                let owner = row.owner.as_ref().map(|owner| owner.as_str());
                assert!(owner.is_some_and(|owner| workers.contains(owner)), "nobody has {row:?}");
            }
            fleet.wait().await;
        }
        assert!(fleet.ended(old).await.success());
        workers.remove(old);
        let view = fleet.view().await;
        assert!(view.members.iter().all(|member| workers.contains(member.worker.as_str())), "{view:?}");
        let left = view.leases.iter().filter(|row| row.holder().is_some_and(|owner| owner.as_str() == old));
        assert_eq!(left.count(), 0, "{old} has left nothing");
        assert!(view.lock.is_none_or(|lock| lock.owner.as_str() != old), "{old} has kept the lock");
        let all: Vec<_> = workers.iter().copied().collect();
        fleet.shared(&all).await;
    }
    fleet.processed().await;
    {
        let account = fleet.account();
        assert_eq!(account.repeats(), 0);
        assert_eq!(account.overlaps, [""; 0]);
        let lost = account.lines.iter().filter(|line| line.word == "stopped" && line.more == "LeaseLost");
        assert_eq!(lost.count(), 0);
    }

    // The last one has nobody to go to.
    fleet.stop("d").await;
    fleet.shared(&["e", "f"]).await;
    fleet.stop("e").await;
    fleet.shared(&["f"]).await;
    fleet.stop("f").await;
    let view = fleet.view().await;
    assert!(view.members.is_empty() && view.lock.is_none_or(|lock| lock.released), "{:?}", view.members);
    let left: Vec<_> = view.leases.iter().filter_map(LeaseRow::holder).collect();
    assert!(left.is_empty(), "{left:?}");
    fleet.end(&[]).await;
}
