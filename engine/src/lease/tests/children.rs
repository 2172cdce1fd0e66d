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
fn a_look_that_is_older_than_the_parents_lease_does_not_begin_the_child() {
    let mut fleet = Fleet::settled(1);
    let tenure = fleet.tenure("a", 0);
    // A look that was under way when the parent's lease was entered shows the table without it.
    let (id, look) = fleet.next_request("a");
    assert_eq!(look, Request::Look);
    let Answer::View { mut view, wall } = fleet.carry_out(look) else { unreachable!() };
    view.leases.clear();
    fleet.answer("a", id, Answer::View { view, wall });
    let mut child = Shard::new(ShardId::numbered(1), HashKeyRange::ALL);
    child.parent = Some(ShardId::numbered(0));
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().enter_children(now, &lease_key(0), tenure, vec![child]);
    fleet.drain("a");
    assert_eq!(fleet.told("a"), [&Event::ChildrenEntered { key: lease_key(0), tenure }], "and no more");
    assert_eq!(fleet.row(1).owner, Some(worker("a")));
    fleet.events.clear();
    let now = fleet.now;
    let end = Checkpoint::ShardEnd;
    fleet.workers.get_mut("a").unwrap().checkpoint(now, &lease_key(0), tenure, end, CheckpointId(1));
    fleet.drain("a");
    let begun = |event: &&Event| matches!(event, Event::Acquired { .. });
    assert_eq!(fleet.told("a").into_iter().filter(begun).count(), 1);
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

/// A fleet of one worker and one shard, with rows of shards that have ended: their numbers, parents and children.
fn with_ended(rows: &[(u64, &[u64], &[u64])]) -> Fleet {
    let mut fleet = Fleet::settled(1);
    for (shard, parents, children) in rows {
        let mut row = LeaseRow::new(ShardId::numbered(*shard), Checkpoint::ShardEnd);
        row.parents = parents.iter().copied().map(ShardId::numbered).collect();
        row.children = children.iter().copied().map(ShardId::numbered).collect();
        row.hash_key_range = Some(HashKeyRange::ALL);
        fleet.table.insert(row.key.clone(), row);
    }
    fleet.requests.clear();
    fleet
}

fn lists(fleet: &Fleet) -> usize {
    fleet.requests.iter().filter(|request| matches!(request, Request::ListShards { .. })).count()
}

#[test]
fn leases_of_ended_shards_that_left_the_stream_without_children_are_deleted_once_in_half_an_hour() {
    // The child of 4 has no lease any more; 6 came from 4, and was never seen to have children.
    let mut fleet = with_ended(&[(4, &[], &[5]), (6, &[4], &[])]);
    fleet.run(29 * 60);
    assert_eq!((fleet.table.len(), lists(&fleet)), (3, 0));
    fleet.run(2 * 60);
    assert_eq!(fleet.table.keys().collect::<Vec<_>>(), [&lease_key(0)]);
    assert_eq!(lists(&fleet), 1);
    fleet.run(60 * 60);
    assert_eq!(lists(&fleet), 1, "with nothing to ask for");
    assert_eq!(fleet.count("a"), 1);
}

#[test]
fn what_somebody_may_still_need_is_left_whatever_is_listed() {
    // 4 is listed. 5 is a parent of a shard that is. 7 has a child that is still to be begun, and 8 a parent.
    let mut fleet = with_ended(&[(4, &[], &[]), (5, &[], &[]), (7, &[], &[9]), (8, &[9], &[])]);
    let mut listed = Shard::new(ShardId::numbered(4), HashKeyRange::ALL);
    listed.parent = Some(ShardId::numbered(5));
    listed.ending_sequence_number = "9".parse().ok();
    fleet.shards.push(listed);
    let mut child = LeaseRow::new(ShardId::numbered(9), Checkpoint::TrimHorizon);
    child.hash_key_range = Some(HashKeyRange::ALL);
    fleet.table.insert(child.key.clone(), child);
    fleet.run(2 * 60 * 60);
    assert!(lists(&fleet) > 1, "it asks");
    for shard in [4, 5, 7, 8] {
        assert!(fleet.table.contains_key(&lease_key(shard)), "{shard}");
    }
}

#[test]
fn nothing_is_deleted_while_a_lease_is_missing() {
    let mut fleet = with_ended(&[(6, &[], &[])]);
    fleet.run(30 * 60 - 5);
    fleet.table.remove(&lease_key(0));
    fleet.run(10);
    assert!(fleet.table.contains_key(&lease_key(6)));
    fleet.run(31 * 60);
    assert_eq!(fleet.table.keys().collect::<Vec<_>>(), [&lease_key(0)], "it has been entered again");
}
