//! Coming back, shutting down, letting go.

use super::*;

#[test]
fn a_worker_that_comes_back_under_its_name_goes_on_at_once() {
    let mut fleet = Fleet::settled(2);
    fleet.join("a");
    fleet.run_for(Duration::ZERO);
    assert_eq!(fleet.count("a"), 2);
    assert!(fleet.table.values().all(|row| row.owner_switches == 0));
}

#[test]
fn a_worker_that_shuts_down_leaves_its_leases_to_the_others_at_once() {
    let mut fleet = Fleet::settled(2);
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().shut_down(now);
    fleet.run(20);
    assert_eq!(fleet.count("a"), 2, "kept until each is left");
    for shard in [0, 1] {
        fleet.checkpoint("a", shard, 7, shard);
        fleet.drain("a");
        fleet.leave("a", shard);
    }
    assert!(fleet.workers["a"].is_idle());
    assert!(fleet.table.values().all(|row| row.owner.is_none() && row.checkpoint == at(7)));
    fleet.join("b");
    fleet.run_for(Duration::ZERO);
    assert_eq!(fleet.count("b"), 2);
    assert_eq!(fleet.workers["a"].poll_timeout(), None);
}

#[test]
fn letting_go_is_tried_until_the_table_says_so() {
    let mut fleet = Fleet::settled(1);
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().shut_down(now);
    let tenure = fleet.tenure("a", 0);
    fleet.workers.get_mut("a").unwrap().leave(now, &lease_key(0), tenure);
    for _ in 0..3 {
        let (id, _, change) = fleet.next_write("a");
        assert!(matches!(change, LeaseChange::Evict { .. }));
        fleet.answer("a", id, lost());
    }
    assert!(!fleet.workers["a"].is_idle());
    fleet.run(1);
    assert!(fleet.workers["a"].is_idle());
    assert_eq!(fleet.row(0).owner, None);
}

#[test]
fn a_take_that_lands_during_shutdown_is_given_back() {
    let mut fleet = Fleet::with_shards(1);
    fleet.join("a");
    let (id, key, change) = fleet.next_write("a");
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().shut_down(now);
    let written = fleet.carry_out(Request::Write { key, change });
    fleet.answer("a", id, written);
    fleet.drain("a");
    assert!(fleet.workers["a"].is_idle() && fleet.told("a").is_empty());
    assert_eq!(fleet.row(0).owner, None);
}

#[test]
fn a_handoff_that_begins_while_leaving_goes_to_who_asked() {
    let mut fleet = Fleet::settled(1);
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().shut_down(now);
    let ask = LeaseChange::StartHandoff { from: worker("a"), to: worker("b") };
    drop(fleet.carry_out(Request::Write { key: lease_key(0), change: ask }));
    fleet.leave("a", 0);
    assert!(fleet.workers["a"].is_idle());
    assert_eq!(
        (fleet.row(0).owner.clone(), fleet.row(0).checkpoint_owner.clone()),
        (Some(worker("b")), None)
    );
}

#[test]
fn what_was_handed_to_a_worker_that_stops_is_passed_on() {
    let mut fleet = Fleet::settled(2);
    fleet.join("b");
    fleet.hand_over_for(10);
    // Behind its back, in the middle of its shutdown, another one that stops hands it a lease.
    let now = fleet.now;
    fleet.workers.get_mut("b").unwrap().shut_down(now);
    let mut row = LeaseRow::new(ShardId::numbered(7), at(5));
    row.owner = Some(worker("b"));
    row.counter = 9;
    fleet.table.insert(row.key.clone(), row);
    fleet.hand_over_for(10);
    assert!(fleet.workers["b"].is_idle());
    assert_eq!((fleet.row(7).owner.clone(), fleet.row(7).checkpoint.clone()), (Some(worker("a")), at(5)));
    assert_eq!(fleet.count("a"), 3);
}
