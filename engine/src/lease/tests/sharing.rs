//! Who has which lease.

use super::*;

#[test]
fn the_first_worker_enters_the_leases_and_takes_them() {
    let mut fleet = Fleet::with_shards(4);
    fleet.join("a");
    fleet.run_for(Duration::ZERO);
    assert_eq!(fleet.count("a"), 4, "without any wait");
    assert_eq!(fleet.told("a").len(), 4);
    assert!(fleet.table.values().all(|row| row.owner == Some(worker("a")) && row.counter == 1));
    assert!(fleet.table.values().all(|row| row.checkpoint == Checkpoint::TrimHorizon));
}

#[test]
fn leases_are_kept_with_three_renewals_in_a_failover_time() {
    let mut fleet = Fleet::settled(2);
    fleet.requests.clear();
    fleet.run(100);
    assert!(fleet.told("a").is_empty());
    let renewals = fleet.requests.iter().filter(|r| matches!(r, Request::Write { .. })).count();
    assert_eq!(renewals, 2 * 30);
    assert!(fleet.requests.len() < renewals + 25, "and a look every five seconds");
}

#[test]
fn a_second_worker_asks_for_its_share_and_gets_it_when_the_first_lets_go() {
    let mut fleet = Fleet::settled(4);
    fleet.join("b");
    fleet.run(5);
    let shard = |event: &Event| match event {
        Event::HandoffAsked { key, .. } => (0..4).find(|&shard| lease_key(shard) == *key).unwrap(),
        other => panic!("{other:?}"),
    };
    let asked: Vec<_> = fleet.told("a").into_iter().map(shard).collect();
    assert_eq!((asked.len(), fleet.count("a"), fleet.count("b")), (2, 4, 0), "nobody takes a live lease");
    fleet.checkpoint("a", asked[0], 7, 1);
    fleet.drain("a");
    assert_eq!(fleet.told("a").last(), Some(&&Event::Checkpointed { id: CheckpointId(1) }));
    for shard in asked {
        fleet.leave("a", shard);
    }
    fleet.run(2);
    assert_eq!((fleet.count("a"), fleet.count("b")), (2, 2));
    assert!(fleet.table.values().all(|row| row.checkpoint_owner.is_none() && row.owner_switches == 0));
    fleet.events.clear();
    fleet.run(120);
    assert!(fleet.told("a").is_empty() && fleet.told("b").is_empty(), "and then it rests");
}

#[test]
fn a_lease_that_is_asked_for_and_not_let_go_is_handed_over_in_time() {
    let mut fleet = Fleet::settled(2);
    fleet.join("b");
    fleet.run(29);
    assert_eq!((fleet.count("a"), fleet.count("b")), (2, 0));
    fleet.run(8);
    assert_eq!((fleet.count("a"), fleet.count("b")), (1, 1));
    let cause = fleet.told("a").iter().find_map(|event| match event {
        Event::Lost { cause, .. } => Some(*cause),
        _ => None,
    });
    assert_eq!(cause, Some(LossCause::HandedOver));
}

#[test]
fn the_leases_of_a_dead_worker_are_taken_within_a_failover_time_and_one_look() {
    let mut fleet = Fleet::settled(4);
    fleet.join("b");
    fleet.run(40);
    assert_eq!((fleet.count("a"), fleet.count("b")), (2, 2));
    fleet.workers.remove("a");
    fleet.run(16);
    assert_eq!(fleet.count("b"), 4);
    assert_eq!(fleet.table.values().map(|row| row.owner_switches).max(), Some(1));
}
