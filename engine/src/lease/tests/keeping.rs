//! Belief, and answers that are lost, late or bad.

use super::*;

#[test]
fn a_lease_ends_by_time_alone_counted_from_the_request() {
    let mut fleet = Fleet::settled(1);
    let (id, _, change) = fleet.next_write("a");
    let sent = fleet.now;
    assert!(matches!(change, LeaseChange::Renew { counter: 1, .. }));
    let written = fleet.carry_out(Request::Write { key: lease_key(0), change });
    fleet.now = sent.after(Duration::from_secs(2));
    fleet.answer("a", id, written);
    let holds = |fleet: &Fleet, millis| {
        fleet.workers["a"].holds(&lease_key(0), sent.after(Duration::from_millis(millis)))
    };
    assert!(holds(&fleet, 9_999) && !holds(&fleet, 10_000), "the answer's delay buys nothing");
    // No write gets through any more.
    fleet.checkpoint("a", 0, 7, 1);
    while fleet.workers["a"].held().count() > 0 {
        let (id, _) = fleet.next_request("a");
        fleet.answer("a", id, lost());
    }
    fleet.workers.get_mut("a").unwrap().handle_timeout(fleet.now);
    assert_eq!(fleet.now, sent.after(Duration::from_secs(10)));
    fleet.drain("a");
    let told = fleet.told("a");
    assert!(matches!(told[0], Event::NotCheckpointed { cause: NotWritten::LeaseLost, .. }), "{told:?}");
    assert!(matches!(told[1], Event::Lost { cause: LossCause::Expired, .. }));
}

#[test]
fn a_write_whose_answer_was_lost_is_known_again_and_proves_nothing_new() {
    let mut fleet = Fleet::settled(1);
    let (id, key, change) = fleet.next_write("a");
    let proven = fleet.now;
    let written = fleet.carry_out(Request::Write { key, change });
    fleet.answer("a", id, written);
    // This renewal lands, its answer does not come.
    let (id, key, change) = fleet.next_write("a");
    drop(fleet.carry_out(Request::Write { key, change }));
    fleet.now = fleet.now.after(Duration::from_millis(1_500));
    fleet.answer("a", id, lost());
    // The next one is refused by our own.
    let (id, key, change) = fleet.next_write("a");
    assert!(matches!(change, LeaseChange::Renew { counter: 2, .. }));
    let refused = fleet.carry_out(Request::Write { key, change });
    assert!(matches!(&refused, Answer::Conflict(Some(row)) if row.counter == 3));
    fleet.answer("a", id, refused);
    assert!(!fleet.workers["a"].holds(&lease_key(0), proven.after(Duration::from_secs(10))));
    fleet.run(30);
    assert!(fleet.told("a").is_empty(), "{:?}", fleet.told("a"));
}

#[test]
fn a_checkpoint_behind_a_lost_renewal_is_written_once_more() {
    let mut fleet = Fleet::settled(1);
    let (id, key, change) = fleet.next_write("a");
    drop(fleet.carry_out(Request::Write { key, change }));
    fleet.answer("a", id, lost());
    fleet.checkpoint("a", 0, 7, 1);
    fleet.run(1);
    assert_eq!(fleet.told("a"), [&Event::Checkpointed { id: CheckpointId(1) }]);
    assert_eq!((fleet.row(0).checkpoint.clone(), fleet.row(0).counter), (at(7), 3));
}

#[test]
fn a_checkpoint_whose_own_answer_was_lost_is_stored() {
    for retried_inside_the_store in [false, true] {
        let mut fleet = Fleet::settled(1);
        fleet.checkpoint("a", 0, 7, 1);
        let (id, key, change) = fleet.next_write("a");
        drop(fleet.carry_out(Request::Write { key: key.clone(), change: change.clone() }));
        let answer =
            if retried_inside_the_store { fleet.carry_out(Request::Write { key, change }) } else { lost() };
        fleet.answer("a", id, answer);
        fleet.run(1);
        assert_eq!(fleet.told("a"), [&Event::Checkpointed { id: CheckpointId(1) }]);
    }
}

#[test]
fn checkpoints_that_wait_are_written_as_one_and_count_as_a_renewal() {
    let mut fleet = Fleet::settled(1);
    fleet.requests.clear();
    for (number, id) in [(7, 1), (8, 2), (9, 3)] {
        fleet.checkpoint("a", 0, number, id);
    }
    fleet.run(3);
    let told: Vec<_> = fleet.told("a").into_iter().cloned().collect();
    assert_eq!(told, [1, 2, 3].map(|id| Event::Checkpointed { id: CheckpointId(id) }));
    let writes: Vec<_> = fleet.requests.iter().filter(|r| matches!(r, Request::Write { .. })).collect();
    assert_eq!(writes.len(), 2, "the first, then the furthest, and no renewal: {writes:?}");
}

#[test]
fn what_a_shard_brings_is_told_where_checkpoints_are_all_that_is_written() {
    let mut fleet = Fleet::settled(1);
    let tenure = fleet.tenure("a", 0);
    fleet.requests.clear();
    for number in 1..=60 {
        fleet.run(1);
        fleet.workers.get_mut("a").unwrap().delivered(&lease_key(0), tenure, 10 << 10);
        fleet.checkpoint("a", 0, number, number);
    }
    fleet.drain("a");
    let writes = fleet.requests.iter().filter_map(|request| match request {
        Request::Write { change, .. } => Some(change),
        _ => None,
    });
    let writes: Vec<_> = writes.collect();
    let told = |change: &&&LeaseChange| matches!(change, LeaseChange::Checkpoint { throughput: Some(_), .. });
    assert_eq!(writes.len(), 60, "no renewal: {writes:?}");
    assert_eq!(writes.iter().filter(told).count(), 15, "every third of a failover time, not each time");
    let brings = fleet.row(0).throughput.unwrap().millionths();
    assert!((9_900_000..=10_100_000).contains(&brings), "10 KiB a second: {brings}");
}

#[test]
fn what_another_worker_wrote_is_a_loss_and_nothing_is_stored_after_it() {
    let mut fleet = Fleet::settled(1);
    let tenure = fleet.tenure("a", 0);
    let row = fleet.table.get_mut(&lease_key(0)).unwrap();
    row.owner = Some(worker("b"));
    row.counter += 1;
    fleet.checkpoint("a", 0, 7, 1);
    fleet.drain("a");
    let lost = Event::Lost { key: lease_key(0), tenure, cause: LossCause::Taken };
    let refused = Event::NotCheckpointed { id: CheckpointId(1), cause: NotWritten::LeaseLost };
    assert_eq!(fleet.told("a"), [&refused, &lost]);
    assert_eq!(fleet.row(0).checkpoint, Checkpoint::TrimHorizon);
}

#[test]
fn a_row_that_is_gone_is_a_loss() {
    let mut fleet = Fleet::settled(1);
    fleet.table.clear();
    fleet.run(4);
    assert!(matches!(fleet.told("a")[0], Event::Lost { cause: LossCause::Deleted, .. }));
}

#[test]
fn a_lease_that_somebody_deletes_is_entered_again_when_nobody_can_believe_in_it_any_more() {
    let mut fleet = Fleet::settled(3);
    fleet.join("b");
    fleet.run(30);
    fleet.workers.remove("a");
    let deleted = fleet.now;
    fleet.table.remove(&lease_key(1));
    while !fleet.table.contains_key(&lease_key(1)) {
        fleet.run(1);
    }
    let gone = fleet.now.since(deleted);
    assert!(gone >= Duration::from_secs(10) && gone < Duration::from_secs(18), "{gone:?}");
    fleet.run(10);
    assert_eq!(fleet.count("b"), 3);
    fleet.requests.clear();
    fleet.run(60);
    let lists = |request: &&Request| matches!(request, Request::ListShards { .. });
    assert_eq!(fleet.requests.iter().filter(lists).count(), 0, "nothing is missing any more");
}

#[test]
fn what_no_list_can_fill_is_looked_into_once_in_a_failover_time() {
    let mut fleet = Fleet::settled(1);
    // Its shard is listed again, as in a stream that was created anew.
    fleet.table.get_mut(&lease_key(0)).unwrap().checkpoint = Checkpoint::ShardEnd;
    fleet.requests.clear();
    fleet.run(60);
    let lists = fleet.requests.iter().filter(|request| matches!(request, Request::ListShards { .. })).count();
    assert!((2..=6).contains(&lists), "{lists}");
}

#[test]
fn answers_to_a_former_holding_change_nothing() {
    let mut fleet = Fleet::settled(1);
    let (old, _, _) = fleet.next_write("a");
    fleet.now = fleet.now.after(Duration::from_secs(10));
    fleet.workers.get_mut("a").unwrap().handle_timeout(fleet.now);
    fleet.drain("a");
    assert!(matches!(fleet.told("a")[0], Event::Lost { cause: LossCause::Expired, .. }));
    fleet.run(1);
    assert_eq!(fleet.count("a"), 1, "the row still named it, so it took it up again");
    fleet.events.clear();
    fleet.answer("a", old, Answer::Conflict(None));
    fleet.run(20);
    assert!(fleet.told("a").is_empty());
}

#[test]
fn a_take_that_is_answered_too_late_is_not_believed() {
    let mut fleet = Fleet::with_shards(1);
    fleet.join("a");
    let (id, key, change) = fleet.next_write("a");
    assert!(matches!(change, LeaseChange::Take { .. }));
    let written = fleet.carry_out(Request::Write { key, change });
    fleet.now = fleet.now.after(Duration::from_secs(10));
    fleet.answer("a", id, written);
    assert_eq!(fleet.count("a"), 0);
    fleet.run(6);
    assert_eq!(fleet.count("a"), 1, "the row names it: it proves that and goes on");
}

#[test]
fn what_will_not_get_better_by_itself_is_told_at_the_start_and_the_rest_is_tried_again() {
    let mut fleet = Fleet::with_shards(1);
    fleet.join("a");
    let (id, request) = fleet.next_request("a");
    assert_eq!(request, Request::Look);
    fleet.answer("a", id, Answer::Failed(Failure::refused("ThrottlingException", "")));
    let (id, request) = fleet.next_request("a");
    assert_eq!(request, Request::Look);
    let (mut id, mut request) = (id, request);
    while !matches!(request, Request::ListShards { .. }) {
        let answer = fleet.carry_out(request);
        fleet.answer("a", id, answer);
        (id, request) = fleet.next_request("a");
    }
    let missing = Failure::refused("ResourceNotFoundException", "no stream orders");
    fleet.answer("a", id, Answer::Failed(missing.clone()));
    while !matches!(fleet.next_request("a").1, Request::ListShards { .. }) {}
    assert_eq!(fleet.told("a"), [&Event::Unable(missing)]);
}

#[test]
fn a_table_that_does_not_answer_for_a_while_costs_no_lease() {
    let mut fleet = Fleet::settled(4);
    let until = fleet.now.after(Duration::from_secs(6));
    while fleet.now < until {
        let (id, _) = fleet.next_request("a");
        fleet.answer("a", id, Answer::Failed(Failure::refused("ThrottlingException", "")));
    }
    // With the third of a failover time that the last renewal was old when it began, that is just within its life.
    fleet.run(1);
    assert!(
        !fleet.told("a").iter().any(|event| matches!(event, Event::Lost { .. })),
        "{:?}",
        fleet.told("a")
    );
}
