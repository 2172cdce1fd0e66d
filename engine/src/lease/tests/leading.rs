//! What a leader tidies away and settles.

use super::*;

fn ended(shard: u64, parents: &[u64], children: &[u64]) -> LeaseRow {
    let mut row = LeaseRow::new(ShardId::numbered(shard), Checkpoint::ShardEnd);
    row.parents = parents.iter().map(|&n| ShardId::numbered(n)).collect();
    row.children = children.iter().map(|&n| ShardId::numbered(n)).collect();
    row
}

#[test]
fn leases_of_ended_shards_go_oldest_first_once_their_children_are_under_way() {
    let mut fleet = Fleet::settled(1);
    // 7 became 8 and that became 0, which is being read.
    for row in [ended(7, &[], &[8]), ended(8, &[7], &[0])] {
        fleet.table.insert(row.key.clone(), row);
    }
    fleet.table.get_mut(&lease_key(0)).unwrap().parents.insert(ShardId::numbered(8));
    fleet.run(70);
    assert!(!fleet.table.contains_key(&lease_key(7)), "its child has ended");
    assert!(fleet.table.contains_key(&lease_key(8)), "its child has not been begun");
    fleet.checkpoint("a", 0, 7, 1);
    fleet.run(130);
    assert_eq!(fleet.table.len(), 1);
}

#[test]
fn a_worker_that_does_not_lead_tidies_only_what_it_has_ended_itself() {
    let mut fleet = Fleet::settled(2);
    fleet.lock = Some(LeaderLock::new(worker("java"), "v".into(), Duration::from_secs(1_000)));
    for (shard, owner) in [(7, "a"), (8, "java")] {
        let mut row = ended(shard, &[], &[0]);
        row.owner = Some(worker(owner));
        fleet.table.insert(row.key.clone(), row);
    }
    fleet.checkpoint("a", 0, 7, 1);
    fleet.run(200);
    assert!(!fleet.table.contains_key(&lease_key(7)) && fleet.table.contains_key(&lease_key(8)));
}

#[test]
fn rows_of_workers_that_are_long_gone_are_deleted() {
    let mut fleet = Fleet::settled(1);
    let old = fleet.wall() - 100_000;
    fleet.members.insert(worker("old"), Member::new(worker("old"), old));
    fleet.run(70);
    let gone = Request::Forget { worker: worker("old"), updated: Some(old) };
    assert!(fleet.requests.contains(&gone) && fleet.members.len() == 1);
}

#[test]
fn a_holder_that_never_lets_go_is_overruled_ten_seconds_after_its_time() {
    let mut fleet = Fleet::settled(2);
    // A foreign worker that keeps renewing.
    let row = fleet.table.get_mut(&lease_key(0)).unwrap();
    row.owner = Some(worker("a"));
    row.checkpoint_owner = Some(worker("java"));
    row.counter += 1;
    let began = fleet.now;
    while fleet.row(0).checkpoint_owner.is_some() {
        fleet.run(1);
        if fleet.row(0).checkpoint_owner.is_some() {
            fleet.table.get_mut(&lease_key(0)).unwrap().counter += 1;
        }
        assert!(fleet.now.since(began) < Duration::from_secs(60));
    }
    assert!(fleet.now.since(began) >= Duration::from_secs(40));
    fleet.run(4);
    assert_eq!(fleet.count("a"), 2);
}

#[test]
fn a_worker_counts_leases_workers_and_what_nobody_keeps() {
    let mut fleet = Fleet::settled(3);
    let census =
        |fleet: &Fleet, later| fleet.workers["a"].census(fleet.now.after(Duration::from_secs(later)));
    assert_eq!(census(&fleet, 60), Census { leases: 3, unkept: 0, workers: 1 });
    // A done shard, one that waits for its parents, and one that another worker has taken.
    let mut waiting = LeaseRow::new(ShardId::numbered(9), Checkpoint::TrimHorizon);
    waiting.parents.insert(ShardId::numbered(1));
    for row in [ended(8, &[], &[]), waiting] {
        fleet.table.insert(row.key.clone(), row);
    }
    fleet.members.insert(worker("java"), Member::new(worker("java"), fleet.wall()));
    let taken = fleet.table.get_mut(&lease_key(0)).unwrap();
    taken.owner = Some(worker("java"));
    taken.counter += 7;
    fleet.run(4);
    assert_eq!(census(&fleet, 0), Census { leases: 3, unkept: 0, workers: 2 });
    assert_eq!(census(&fleet, 30), Census { leases: 3, unkept: 1, workers: 2 });
}
