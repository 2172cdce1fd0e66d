//! The leases of shards that come and go.

use super::*;

#[test]
fn children_are_entered_before_their_parent_ends_and_taken_after() {
    let mut fleet = Fleet::settled(1);
    let tenure = fleet.tenure("a", 0);
    let mut halves = HashKeyRange::divide(2);
    let mut child = |number| {
        let mut child = Shard::new(ShardId::numbered(number), halves.next().unwrap());
        child.parent = Some(ShardId::numbered(0));
        child
    };
    let children = vec![child(1), child(2)];
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().enter_children(now, &lease_key(0), tenure, children);
    // The first try does not get through.
    let (id, _) = fleet.next_request("a");
    fleet.answer("a", id, lost());
    fleet.run(1);
    assert_eq!(fleet.told("a"), [&Event::ChildrenEntered { key: lease_key(0), tenure }]);
    assert_eq!(fleet.table.len(), 3);
    assert_eq!(fleet.row(0).children.len(), 2);
    assert_eq!(
        (fleet.row(1).checkpoint.clone(), fleet.row(1).owner.clone()),
        (Checkpoint::TrimHorizon, Some(worker("a"))),
        "whoever ends the parent goes on with them"
    );
    fleet.run(20);
    let waiting: Vec<_> = fleet.workers["a"].waiting().map(|row| row.key.clone()).collect();
    assert_eq!(waiting, [lease_key(1), lease_key(2)], "the parent is not done");
    fleet.events.clear();
    let now = fleet.now;
    let end = Checkpoint::ShardEnd;
    fleet.workers.get_mut("a").unwrap().checkpoint(now, &lease_key(0), tenure, end, CheckpointId(1));
    fleet.drain("a");
    let begun = |event: &&Event| matches!(event, Event::Acquired { .. });
    assert_eq!(fleet.told("a").into_iter().filter(begun).count(), 2, "at once");
    fleet.leave("a", 0);
    let held: Vec<_> = fleet.workers["a"].held().map(|(key, _)| key.clone()).collect();
    assert_eq!(held, [lease_key(1), lease_key(2)]);
    assert_eq!(fleet.row(0).owner, Some(worker("a")), "an ended lease is just dropped");
}

#[test]
fn a_merged_shard_is_not_entered_before_both_parents_have_had_their_leases() {
    let mut fleet = Fleet::settled(2);
    let tenure = fleet.tenure("a", 0);
    let mut merged = Shard::new(ShardId::numbered(9), HashKeyRange::ALL);
    merged.parent = Some(ShardId::numbered(0));
    merged.adjacent_parent = Some(ShardId::numbered(5));
    let enter = |fleet: &mut Fleet| {
        let now = fleet.now;
        fleet.workers.get_mut("a").unwrap().enter_children(now, &lease_key(0), tenure, vec![merged.clone()]);
        fleet.drain("a");
    };
    // The other parent is a child of shard 1, which is still being read.
    let mut other = Shard::new(ShardId::numbered(5), HashKeyRange::ALL);
    other.parent = Some(ShardId::numbered(1));
    fleet.shards.push(other.clone());
    enter(&mut fleet);
    assert_eq!(fleet.told("a"), [&Event::ChildrenMustWait { key: lease_key(0), tenure }]);
    assert!(!fleet.table.contains_key(&lease_key(9)));
    fleet.events.clear();
    fleet.table.insert(lease_key(5), crate::shards::lease(&other, Checkpoint::TrimHorizon));
    fleet.run(1);
    enter(&mut fleet);
    assert_eq!(fleet.told("a")[0], &Event::ChildrenEntered { key: lease_key(0), tenure });
}

#[test]
fn a_parent_that_has_left_the_stream_is_not_waited_for() {
    let mut fleet = Fleet::settled(1);
    let tenure = fleet.tenure("a", 0);
    let mut merged = Shard::new(ShardId::numbered(9), HashKeyRange::ALL);
    merged.parent = Some(ShardId::numbered(0));
    merged.adjacent_parent = Some(ShardId::numbered(5));
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().enter_children(now, &lease_key(0), tenure, vec![merged]);
    fleet.drain("a");
    assert_eq!(fleet.told("a"), [&Event::ChildrenEntered { key: lease_key(0), tenure }]);
}

#[test]
fn a_shard_that_left_no_children_is_ended_without_a_word_of_them() {
    let mut fleet = Fleet::settled(1);
    let tenure = fleet.tenure("a", 0);
    fleet.requests.clear();
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().enter_children(now, &lease_key(0), tenure, vec![]);
    fleet.drain("a");
    assert_eq!(fleet.told("a"), [&Event::ChildrenEntered { key: lease_key(0), tenure }]);
    assert_eq!(fleet.requests, [], "a set of none is none that a table takes");
}

#[test]
fn children_are_not_entered_without_the_lease() {
    let mut fleet = Fleet::settled(1);
    let tenure = fleet.tenure("a", 0);
    fleet.table.clear();
    fleet.run(4);
    fleet.events.clear();
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().enter_children(now, &lease_key(0), tenure, vec![]);
    fleet.drain("a");
    assert_eq!(fleet.told("a"), [&Event::ChildrenMustWait { key: lease_key(0), tenure }]);
}
