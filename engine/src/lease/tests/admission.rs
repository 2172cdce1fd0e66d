//! Tables that are somebody else's, and names that are.

use super::*;

fn owned(shard: u64, owner: &str) -> LeaseRow {
    let mut row = LeaseRow::new(ShardId::numbered(shard), at(5));
    row.owner = Some(worker(owner));
    row.counter = 7;
    row.hash_key_range = HashKeyRange::divide(2).nth(usize::try_from(shard).unwrap());
    row
}

/// A fleet of `a` over a table with leases of `old`, of which nothing says for which KCL they are.
fn over_an_old_table() -> Fleet {
    let mut fleet = Fleet::with_shards(2);
    for shard in 0..2 {
        fleet.table.insert(lease_key(shard), owned(shard, "old"));
    }
    fleet.join("a");
    fleet
}

fn unable(fleet: &Fleet) -> Option<&str> {
    fleet.told("a").into_iter().find_map(|event| match event {
        Event::Unable(failure) => Some(failure.code.as_str()),
        _ => None,
    })
}

#[test]
fn a_table_of_an_idle_kcl_2_is_taken_over_when_it_has_been_seen_to_be_idle() {
    let mut fleet = over_an_old_table();
    fleet.run(19);
    assert_eq!((fleet.version.clone(), fleet.count("a"), fleet.members.len()), (None, 0, 0));
    fleet.run(8);
    assert_eq!((fleet.version.clone(), fleet.count("a")), (Some(ClientVersion::V3), 2));
    assert_eq!(fleet.row(0).checkpoint, at(5));
    assert_eq!(unable(&fleet), None);
}

#[test]
fn a_table_that_workers_of_kcl_2_renew_is_refused_and_left_alone() {
    let mut fleet = over_an_old_table();
    fleet.run(5);
    fleet.table.get_mut(&lease_key(1)).unwrap().counter += 1;
    fleet.run(10);
    assert_eq!(unable(&fleet), Some("TableInUseByKcl2"));
    assert!(fleet.requests.iter().all(|request| matches!(request, Request::Look)), "{:?}", fleet.requests);
}

#[test]
fn a_table_in_the_middle_of_a_migration_is_refused() {
    for version in [ClientVersion::V2, ClientVersion::UpgradeFrom2, ClientVersion::Other("4X".into())] {
        let mut fleet = over_an_old_table();
        fleet.version = Some(version);
        fleet.run(3);
        assert_eq!(unable(&fleet), Some("TableOfAnotherVersion"));
        assert!(fleet.requests.iter().all(|request| matches!(request, Request::Look)));
    }
}

#[test]
fn a_table_that_may_still_go_back_is_worked_on_until_it_does() {
    let mut fleet = Fleet::with_shards(2);
    fleet.version = Some(ClientVersion::V3WithRollback);
    fleet.join("a");
    fleet.run(1);
    assert_eq!(fleet.count("a"), 2);
    fleet.version = Some(ClientVersion::V2);
    fleet.run(4);
    assert_eq!(unable(&fleet), Some("TableOfAnotherVersion"));
}

#[test]
fn of_two_workers_of_one_name_the_later_one_gives_way() {
    let mut fleet = Fleet::settled(2);
    fleet.run(5);
    let mut second = Fleet::with_shards(2);
    std::mem::swap(&mut second.workers, &mut fleet.workers);
    // Both run on one table, by turns.
    fleet.join("a");
    let mut failed = None;
    for _ in 0..60 {
        fleet.run_for(Duration::from_millis(250));
        failed = failed.or_else(|| unable(&fleet).map(str::to_owned));
        std::mem::swap(&mut second.workers, &mut fleet.workers);
        std::mem::swap(&mut second.events, &mut fleet.events);
        fleet.run_for(Duration::from_millis(250));
        assert_eq!(unable(&fleet), None, "the first one goes on");
        std::mem::swap(&mut second.workers, &mut fleet.workers);
        std::mem::swap(&mut second.events, &mut fleet.events);
        if failed.is_some() {
            break;
        }
    }
    assert_eq!(failed.as_deref(), Some("DuplicateWorkerId"));
}

#[test]
fn of_two_of_one_name_exactly_one_ends_however_close_they_start() {
    for seed in 0..20 {
        for (offset, ahead) in [(0, 0), (1, 0), (300, 0), (999, 0), (400, 3_600), (5_000, 3_600)] {
            let mut fleet = Fleet::with_shards(2);
            let start = |fleet: &mut Fleet, name, seed| {
                let coordinator = Coordinator::new(worker("w"), Settings::default(), seed, fleet.now);
                fleet.workers.insert(name, coordinator);
            };
            start(&mut fleet, "first", seed);
            if offset > 0 {
                fleet.run_for(Duration::from_millis(offset));
            }
            start(&mut fleet, "second", seed + 1_000);
            // Both look before either has written anything, or the second finds what the first has written. Its clock
            // may be behind.
            let both = ["first", "second"];
            let looks: Vec<_> = both[usize::from(offset > 0)..]
                .iter()
                .map(|name| (*name, fleet.next_request(name)))
                .collect();
            for (name, (id, request)) in looks {
                let mut answer = fleet.carry_out(request);
                if let (Answer::View { wall, .. }, "second") = (&mut answer, name) {
                    *wall -= ahead;
                }
                fleet.answer(name, id, answer);
            }
            // The first looks again within the same second.
            fleet.run_for(Duration::from_millis(100));
            let now = fleet.now;
            fleet.workers.get_mut("first").unwrap().look_soon(now);
            let mut ended = Vec::new();
            for second in 0..60 {
                fleet.run(1);
                for name in ["first", "second"] {
                    if fleet.told(name).iter().any(|event| matches!(event, Event::Unable(_))) {
                        fleet.workers.remove(name);
                        fleet.events.clear();
                        ended.push((name, second));
                    }
                }
            }
            let case = format!("seed {seed}, {offset} ms, {ahead} s: {ended:?}");
            assert!(matches!(ended[..], [(_, ..10)]), "{case}");
            assert!(offset == 0 || ended[0].0 == "second", "who was there stays: {case}");
            assert_eq!(fleet.workers.len(), 1);
        }
    }
}

#[test]
fn a_worker_that_comes_back_under_its_name_is_no_duplicate() {
    let mut fleet = Fleet::settled(2);
    fleet.run(5);
    fleet.join("a");
    fleet.run(100);
    assert_eq!((unable(&fleet), fleet.count("a")), (None, 2));
}

#[test]
fn a_clock_that_is_far_off_is_told_of_once() {
    let mut fleet = Fleet::settled(1);
    for _ in 0..5 {
        let ahead = fleet.wall() + 50;
        fleet.members.insert(worker("b"), Member::new(worker("b"), ahead));
        fleet.run(10);
    }
    assert_eq!(fleet.told("a"), [&Event::ClockSkew { worker: worker("b"), ahead: 50 }]);
}
