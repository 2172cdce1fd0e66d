//! Who has which lease.

use super::*;

impl Fleet {
    /// A fleet in which `a` leads and both have half of the leases.
    fn of_two(count: u32) -> Self {
        let mut fleet = Self::settled(count);
        fleet.join("b");
        fleet.hand_over_for(20);
        assert_eq!((fleet.count("a"), fleet.count("b")), (count as usize / 2, count as usize / 2));
        fleet.events.clear();
        fleet
    }

    /// Lets time pass, with handlers that let go a tenth of a second after they are asked to.
    pub(super) fn hand_over_for(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.run_for(Duration::from_millis(100));
            let asked: Vec<_> = self
                .events
                .iter()
                .filter_map(|(name, event)| match event {
                    Event::HandoffAsked { key, tenure } | Event::LetGo { key, tenure } => {
                        Some((*name, key.clone(), *tenure))
                    }
                    _ => None,
                })
                .collect();
            for (name, key, tenure) in asked {
                let now = self.now;
                if let Some(worker) = self.workers.get_mut(name) {
                    worker.leave(now, &key, tenure);
                    self.drain(name);
                }
            }
        }
    }
}

#[test]
fn the_first_worker_enters_the_leases_leads_and_takes_them() {
    let mut fleet = Fleet::with_shards(4);
    fleet.join("a");
    fleet.run_for(Duration::ZERO);
    assert_eq!(fleet.count("a"), 4, "without any wait");
    assert_eq!(fleet.told("a").len(), 4);
    assert!(fleet.table.values().all(|row| row.owner == Some(worker("a")) && row.counter == 1));
    assert!(fleet.table.values().all(|row| row.checkpoint == Checkpoint::TrimHorizon));
    assert_eq!(fleet.lock.as_ref().unwrap().owner, worker("a"));
    assert_eq!(fleet.version, Some(ClientVersion::V3));
    let place = |wanted: fn(&Request) -> bool| fleet.requests.iter().position(wanted).unwrap();
    let report = place(|request| matches!(request, Request::Report(_)));
    assert!(report < place(|request| matches!(request, Request::Lock(_))), "its row goes before all else");
    assert!(report < place(|request| matches!(request, Request::Create(_))));
}

#[test]
fn a_lease_costs_a_renewal_in_78_hundredths_of_a_failover_time() {
    let mut fleet = Fleet::settled(64);
    fleet.requests.clear();
    fleet.run(60);
    assert!(fleet.told("a").is_empty());
    let count = |wanted: fn(&Request) -> bool| fleet.requests.iter().filter(|r| wanted(r)).count();
    let renewals = count(|request| matches!(request, Request::Write { .. }));
    assert!((448..=512).contains(&renewals), "{renewals} a minute; the KCL makes 1,152");
    assert!(count(|request| matches!(request, Request::Look)) <= 21);
    assert!(count(|request| matches!(request, Request::Lock(_))) <= 6);
    assert!(count(|request| matches!(request, Request::Report(_))) <= 2);
    assert!(fleet.requests.len() <= 1_165 / 2, "half of the KCL's calls: {}", fleet.requests.len());
}

#[test]
fn a_second_worker_is_given_its_share_when_the_first_lets_go() {
    let mut fleet = Fleet::settled(4);
    fleet.join("b");
    fleet.run(8);
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
    fleet.run(1);
    assert_eq!((fleet.count("a"), fleet.count("b")), (2, 2));
    assert!(fleet.table.values().all(|row| row.checkpoint_owner.is_none() && row.owner_switches == 0));
    fleet.events.clear();
    fleet.run(120);
    assert!(fleet.told("a").is_empty() && fleet.told("b").is_empty(), "and then it rests");
}

#[test]
fn lease_counts_are_even_within_15_seconds_of_a_join() {
    let mut fleet = Fleet::settled(64);
    for (name, share) in [("b", 32), ("c", 21)] {
        fleet.join(name);
        fleet.hand_over_for(15);
        assert_eq!(fleet.count(name), share, "{name}");
    }
    let counts = ["a", "b", "c"].map(|name| fleet.count(name));
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
}

#[test]
fn a_follower_that_is_asked_for_leases_finds_out_by_looking() {
    let mut fleet = Fleet::of_two(8);
    fleet.join("c");
    fleet.hand_over_for(12);
    assert_eq!(["a", "b", "c"].map(|name| fleet.count(name)).iter().sum::<usize>(), 8);
    assert!(fleet.count("c") >= 2);
    assert!(fleet.told("b").iter().any(|event| matches!(event, Event::HandoffAsked { .. })));
}

#[test]
fn a_lease_that_is_asked_for_and_not_let_go_is_handed_over_in_time() {
    let mut fleet = Fleet::settled(2);
    fleet.join("b");
    fleet.run(30);
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
fn the_leases_of_a_dead_worker_are_taken_within_15_seconds_whoever_leads() {
    for (dead, alive) in [("a", "b"), ("b", "a")] {
        for later in 0..10 {
            let mut fleet = Fleet::of_two(8);
            assert!(fleet.workers["a"].leads(fleet.now));
            fleet.run_for(Duration::from_millis(later * 777));
            fleet.workers.remove(dead);
            let died = fleet.now;
            while fleet.count(alive) < 8 {
                fleet.run_for(Duration::from_millis(100));
            }
            let took = fleet.now.since(died);
            assert!(took <= Duration::from_secs(15), "{dead} died and {alive} took {took:?}");
            assert_eq!(fleet.table.values().map(|row| row.owner_switches).max(), Some(1));
        }
    }
}

#[test]
fn survivors_part_what_a_dead_worker_had() {
    let mut fleet = Fleet::of_two(16);
    fleet.join("c");
    fleet.hand_over_for(20);
    fleet.workers.remove("a");
    fleet.hand_over_for(16);
    let counts = ["b", "c"].map(|name| fleet.count(name));
    assert_eq!(
        counts,
        [8, 8],
        "without one handoff: {:?}",
        fleet.events.iter().rev().take(20).collect::<Vec<_>>()
    );
}

#[test]
fn nobody_takes_more_than_it_may_have() {
    let mut fleet = Fleet::with_shards(4);
    fleet.settings.max_leases = 3;
    fleet.join("a");
    fleet.run(60);
    assert_eq!(fleet.count("a"), 3);
    fleet.join("b");
    fleet.run(20);
    assert_eq!(fleet.count("b"), 1);
}

#[test]
fn a_worker_that_has_just_been_given_a_lease_is_left_the_time_to_notice() {
    let mut fleet = Fleet::settled(1);
    fleet.now = fleet.now.after(Duration::from_secs(5));
    // A KCL leader gives it to a Java worker, which looks every ten seconds.
    let row = fleet.table.get_mut(&lease_key(0)).unwrap();
    row.owner = Some(worker("java"));
    row.counter += 1;
    fleet.lock = Some(LeaderLock::new(worker("java"), "v".into(), Duration::from_secs(120)));
    fleet.members.insert(worker("java"), Member::new(worker("java"), fleet.wall()));
    fleet.run(18);
    assert_eq!(fleet.count("a"), 0);
    fleet.run(8);
    assert_eq!(fleet.count("a"), 1, "it never came");
}

#[test]
fn a_worker_that_leads_no_more_directs_nothing() {
    let mut fleet = Fleet::settled(4);
    fleet.lock = Some(LeaderLock::new(worker("java"), "v".into(), Duration::from_secs(120)));
    fleet.run(30);
    assert!(!fleet.workers["a"].leads(fleet.now));
    fleet.requests.clear();
    fleet.join("b");
    fleet.run(60);
    assert!(
        !fleet.requests.iter().any(|request| matches!(
            request,
            Request::Write { change: LeaseChange::StartHandoff { .. }, .. }
        ))
    );
    assert_eq!((fleet.count("a"), fleet.count("b")), (4, 0));
}
