//! A large stream: what its leases cost a worker.

use super::*;

/// How many leases the workers have looked at in a minute in which nothing happens, and the requests that they have made.
fn minute(shards: u32, workers: usize) -> (usize, Vec<Request>) {
    let mut fleet = Fleet::with_shards(shards);
    fleet.join(WORKERS[0]);
    fleet.run(3);
    assert_eq!(fleet.count(WORKERS[0]), shards as usize);
    assert_eq!(
        fleet.requests.iter().filter(|request| matches!(request, Request::ListShards { .. })).count(),
        1
    );
    WORKERS[1..workers].iter().for_each(|name| fleet.join(name));
    fleet.run(87);
    let counts: Vec<_> = WORKERS[..workers].iter().map(|name| fleet.count(name)).collect();
    assert_eq!(counts.iter().sum::<usize>(), shards as usize);
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    let looked_at =
        |fleet: &Fleet| -> usize { fleet.workers.values().map(|worker| worker.held.looked_at.get()).sum() };
    let before = looked_at(&fleet);
    fleet.requests.clear();
    fleet.run(60);
    (looked_at(&fleet) - before, fleet.requests)
}

#[test]
fn ten_times_as_many_leases_are_looked_at_ten_times_as_often_in_all() {
    for (shards, workers) in [(1_000, 1), (20, 50)] {
        let (few, _) = minute(shards, workers);
        let (many, requests) = minute(shards * 10, workers);
        assert!(many < few * 12, "{few} and {many} by {workers} workers");
        let each = many / shards as usize / 10;
        // With a renewal and its answer several times, and with each look.
        assert!(each < 200, "each {each} times by {workers} workers");
        let count = |what: fn(&Request) -> bool| requests.iter().filter(|request| what(request)).count();
        let each = count(|request| matches!(request, Request::Write { .. })) as f64 / f64::from(shards * 10);
        assert!((7.0..8.0).contains(&each), "each renewed {each} times by {workers} workers");
        if workers == 1 {
            let scans = count(|request| matches!(request, Request::Look));
            assert!((1..=3).contains(&scans), "{scans} of ten pages each");
            let queries = count(|request| matches!(request, Request::Assigned));
            assert!((15..=21).contains(&queries), "{queries}");
        }
    }
}

const WORKERS: [&str; 50] = [
    "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4", "b5", "b6",
    "b7", "b8", "b9", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "d0", "d1", "d2", "d3",
    "d4", "d5", "d6", "d7", "d8", "d9", "e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9",
];
