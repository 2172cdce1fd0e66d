//! Several streams in one table.

use std::collections::BTreeSet;

use shardflow_core::{InitialPosition, Stream};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// A stream by its name, which was created in that second.
fn id(name: &str, created: u64) -> StreamIdentifier {
    StreamIdentifier::new("123456789012", &name.parse().unwrap(), created).unwrap()
}

fn wish(names: &[&str]) -> Wish {
    let streams = names.iter().map(|name| (name.parse().unwrap(), InitialPosition::TrimHorizon));
    Wish { streams: streams.collect(), deleted: BTreeSet::new() }
}

fn key(stream: &StreamIdentifier, shard: u64) -> LeaseKey {
    LeaseKey::of(Some(stream), &ShardId::numbered(shard))
}

impl Fleet {
    /// Streams of two shards each.
    fn with_streams(ids: &[StreamIdentifier]) -> Self {
        let mut fleet = Self::with_shards(0);
        ids.iter().for_each(|id| fleet.create(id, 2));
        fleet
    }

    fn create(&mut self, id: &StreamIdentifier, count: u32) {
        let shards = Self::with_shards(count).shards;
        self.streams.insert(id.clone(), shards);
    }

    fn join_several(&mut self, name: &'static str, names: &[&str]) {
        let seed = u64::from(name.as_bytes()[0]);
        let mut worker = Coordinator::of_streams(worker(name), self.settings.clone(), seed, self.now);
        worker.set_streams(self.now, wish(names));
        self.workers.insert(name, worker);
    }

    fn set(&mut self, name: &'static str, wish: Wish) {
        let now = self.now;
        self.workers.get_mut(name).unwrap().set_streams(now, wish);
        self.drain(name);
    }

    fn keys(&self, name: &str) -> Vec<LeaseKey> {
        self.workers[name].held().map(|(key, _)| key.clone()).collect()
    }

    /// What a handler does that is asked for its end.
    fn leave_what_is_asked_for(&mut self, name: &'static str) -> usize {
        let asked = self.events.iter().filter(|(who, _)| *who == name).filter_map(|(_, event)| match event {
            Event::LetGo { key, tenure } => Some((key.clone(), *tenure)),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        self.events.retain(|(who, event)| *who != name || !matches!(event, Event::LetGo { .. }));
        let now = self.now;
        for (key, tenure) in &asked {
            self.workers.get_mut(name).unwrap().leave(now, key, *tenure);
        }
        self.drain(name);
        asked.len()
    }

    fn rows_of(&self, stream: &StreamIdentifier) -> Vec<&LeaseRow> {
        self.table.values().filter(|row| row.stream.as_ref() == Some(stream)).collect()
    }

    fn move_on(&mut self, stream: &StreamIdentifier) {
        let rows = self.table.values_mut().filter(|row| row.stream.as_ref() == Some(stream));
        rows.for_each(|row| row.checkpoint = at(7));
    }
}

#[test]
fn the_streams_of_a_new_table_are_entered_and_shared_out_together() {
    let (a, b) = (id("a", 1), id("b", 2));
    let mut fleet = Fleet::with_streams(&[a, b.clone()]);
    fleet.join_several("w", &["a", "b"]);
    fleet.run(2);
    fleet.join_several("x", &["a", "b"]);
    fleet.run(40);
    let keys: Vec<_> = fleet.table.keys().map(LeaseKey::as_str).collect();
    assert_eq!(
        keys,
        [
            "123456789012:a:1:shardId-000000000000",
            "123456789012:a:1:shardId-000000000001",
            "123456789012:b:2:shardId-000000000000",
            "123456789012:b:2:shardId-000000000001",
        ]
    );
    for row in fleet.rows_of(&b) {
        assert_eq!((&row.stream, &row.checkpoint), (&Some(b.clone()), &Checkpoint::TrimHorizon));
    }
    let asked = fleet.events.iter().filter(|(_, event)| matches!(event, Event::HandoffAsked { .. })).count();
    assert_eq!((asked, fleet.count("w"), fleet.count("x")), (2, 2, 2));
}

#[test]
fn a_stream_that_is_new_in_a_table_starts_where_it_was_told_to_and_the_others_go_on() {
    for (position, first) in [
        (InitialPosition::TrimHorizon, Checkpoint::TrimHorizon),
        (InitialPosition::Latest, Checkpoint::Latest),
    ] {
        let (a, b) = (id("a", 1), id("b", 2));
        let mut fleet = Fleet::with_streams(&[a.clone(), b.clone()]);
        fleet.join_several("w", &["a"]);
        fleet.run(2);
        fleet.move_on(&a);
        let mut both = wish(&["a", "b"]);
        both.streams.insert("b".parse().unwrap(), position);
        fleet.set("w", both);
        fleet.run(1);
        assert_eq!(fleet.count("w"), 4, "at once");
        assert!(fleet.rows_of(&a).iter().all(|row| row.checkpoint == at(7)));
        assert!(fleet.rows_of(&b).iter().all(|row| row.checkpoint == first), "whatever else is in the table");
    }
}

#[test]
fn a_stream_that_is_not_there_keeps_none_of_the_others_and_is_found_when_it_is() {
    let a = id("a", 1);
    let mut fleet = Fleet::with_streams(std::slice::from_ref(&a));
    fleet.join_several("w", &["a", "b"]);
    fleet.run(2);
    assert_eq!(fleet.keys("w"), [key(&a, 0), key(&a, 1)]);
    let b: Stream = "b".parse().unwrap();
    let fails = |event: &&Event| matches!(event, Event::StreamFails { stream, .. } if *stream == b);
    assert!(fleet.told("w").into_iter().any(|event| fails(&event)));
    fleet.run(600);
    let asked =
        fleet.requests.iter().filter(|request| matches!(request, Request::Describe(stream) if *stream == b));
    assert!((10..60).contains(&asked.count()), "at growing distances, up to a minute");
    let b = id("b", 700);
    fleet.create(&b, 1);
    fleet.run(61);
    assert!(fleet.keys("w").contains(&key(&b, 0)));
}

#[test]
fn a_stream_that_cannot_be_listed_does_not_end_the_worker() {
    let (a, b) = (id("a", 1), id("b", 2));
    let mut fleet = Fleet::with_streams(&[a.clone(), b.clone()]);
    fleet.join_several("w", &["a", "b"]);
    let denied = loop {
        match fleet.next_request("w") {
            (request, Request::ListShards { stream, .. }) if stream.as_ref() == Some(&b) => break request,
            (request, other) => {
                let answer = fleet.carry_out(other);
                fleet.answer("w", request, answer);
            }
        }
    };
    fleet.answer("w", denied, Answer::Failed(Failure::refused("AccessDeniedException", "no")));
    fleet.run(1);
    assert!(!fleet.told("w").iter().any(|event| matches!(event, Event::Unable(_))));
    assert!(fleet.keys("w").contains(&key(&a, 0)));
    fleet.run(10);
    assert_eq!(fleet.count("w"), 4);
}

#[test]
fn a_removed_stream_is_let_go_and_its_leases_stay_where_they_are() {
    let (a, b) = (id("a", 1), id("b", 2));
    let mut fleet = Fleet::with_streams(&[a.clone(), b.clone()]);
    fleet.join_several("w", &["a", "b"]);
    fleet.run(2);
    fleet.move_on(&b);
    fleet.set("w", wish(&["a"]));
    assert_eq!(fleet.leave_what_is_asked_for("w"), 2);
    fleet.run(7_200);
    assert_eq!(fleet.keys("w"), [key(&a, 0), key(&a, 1)]);
    assert!(fleet.rows_of(&b).iter().all(|row| row.owner.is_none() && row.checkpoint == at(7)));
    fleet.set("w", wish(&["a", "b"]));
    fleet.run(5);
    assert_eq!(fleet.count("w"), 4);
    assert_eq!(fleet.rows_of(&b).len(), 2);
    assert!(fleet.rows_of(&b).iter().all(|row| row.checkpoint == at(7)), "it goes on where it was");
}

#[test]
fn a_lease_that_comes_after_its_stream_was_removed_is_left_at_once() {
    let b = id("b", 2);
    let mut fleet = Fleet::with_streams(std::slice::from_ref(&b));
    fleet.join_several("w", &["b"]);
    let (id, taken, change) = fleet.next_write("w");
    let answer = fleet.carry_out(Request::Write { key: taken.clone(), change });
    fleet.set("w", Wish::default());
    fleet.answer("w", id, answer);
    fleet.drain("w");
    fleet.run(30);
    assert_eq!((fleet.count("w"), &fleet.table[&taken].owner), (0, &None));
    assert!(
        !fleet.told("w").iter().any(|event| matches!(event, Event::Acquired { .. })),
        "nobody is to read it"
    );
}

#[test]
fn what_becomes_of_former_streams_is_a_policy() {
    let table = [
        (Former::Keep, false, 2, false),
        (Former::Read, false, 2, true),
        (Former::DeleteAfter(HOUR), false, 0, false),
        (Former::DeleteNamedAfter(HOUR), false, 2, false),
        (Former::DeleteNamedAfter(HOUR), true, 0, false),
    ];
    for (former, named, rows, is_read) in table {
        let (a, b) = (id("a", 1), id("b", 2));
        let mut fleet = Fleet::with_streams(&[a.clone(), b.clone()]);
        fleet.settings.former = former;
        fleet.join_several("w", &["a", "b"]);
        fleet.run(2);
        let mut wish = wish(&["a"]);
        wish.deleted.extend(named.then(|| b.clone()));
        fleet.set("w", wish);
        fleet.leave_what_is_asked_for("w");
        fleet.run(3_590);
        assert_eq!(fleet.rows_of(&b).len(), 2, "{former:?}");
        fleet.run(60);
        assert_eq!(fleet.rows_of(&b).len(), rows, "{former:?} {named}");
        assert_eq!(fleet.keys("w").contains(&key(&b, 0)), is_read, "{former:?}");
        assert_eq!(fleet.rows_of(&a).len(), 2);
        let deleted =
            |event: &&Event| matches!(event, Event::StreamDeleted { identifier } if *identifier == b);
        assert_eq!(fleet.told("w").into_iter().filter(deleted).count(), usize::from(rows == 0), "{former:?}");
    }
}

#[test]
fn what_another_worker_reads_is_not_deleted_and_not_given_to_one_that_does_not() {
    let (a, b) = (id("a", 1), id("b", 2));
    let mut fleet = Fleet::with_streams(&[a, b.clone()]);
    fleet.settings.former = Former::DeleteAfter(Duration::from_secs(60));
    // It leads, and does not know the other's stream.
    fleet.join_several("w", &["a"]);
    fleet.run(5);
    fleet.join_several("x", &["a", "b"]);
    fleet.run(400);
    assert!(fleet.workers["w"].leads(fleet.now));
    assert_eq!(fleet.rows_of(&b).len(), 2);
    assert!([key(&b, 0), key(&b, 1)].iter().all(|key| fleet.keys("x").contains(key)), "{:?}", fleet.table);
    let deletes = fleet.requests.iter().filter(|request| matches!(request, Request::Delete(_)));
    assert_eq!(deletes.count(), 0, "whatever would become of them");
}

#[test]
fn a_leader_takes_back_what_others_do_not_read() {
    let (a, b) = (id("a", 1), id("b", 2));
    let mut fleet = Fleet::with_streams(&[a, b.clone()]);
    fleet.join_several("w", &["a"]);
    fleet.run(5);
    fleet.join_several("x", &["a"]);
    fleet.run(5);
    assert!(fleet.workers["w"].leads(fleet.now));
    fleet.set("w", wish(&["a", "b"]));
    fleet.run(40);
    let both = [key(&b, 0), key(&b, 1)];
    assert!(both.iter().all(|key| fleet.keys("w").contains(key)), "{:?}", fleet.table);
    // And leaves them here for as long as the other is known not to know them.
    let before: Vec<_> = both.iter().map(|key| fleet.table[key].owner_switches).collect();
    fleet.run(200);
    let after: Vec<_> = both.iter().map(|key| fleet.table[key].owner_switches).collect();
    assert_eq!(before, after);
}

#[test]
fn a_stream_of_the_same_name_is_another_one() {
    let (old, new) = (id("a", 1), id("a", 500));
    let mut fleet = Fleet::with_streams(std::slice::from_ref(&old));
    fleet.join_several("w", &["a"]);
    fleet.run(20);
    fleet.move_on(&old);
    fleet.streams.clear();
    fleet.create(&new, 1);
    let now = fleet.now;
    fleet.workers.get_mut("w").unwrap().doubt_stream(now, &old);
    fleet.run(1);
    assert_eq!(fleet.leave_what_is_asked_for("w"), 2);
    fleet.run(1);
    let found =
        |event: &&Event| matches!(event, Event::StreamFound { before: Some(before), .. } if *before == old);
    assert!(fleet.told("w").into_iter().any(|event| found(&event)));
    assert_eq!(fleet.keys("w"), [key(&new, 0)]);
    assert_eq!(fleet.rows_of(&new)[0].checkpoint, Checkpoint::TrimHorizon);
    assert!(fleet.rows_of(&old).iter().all(|row| row.owner.is_none()), "its leases are former ones");
    // Neither is one of its leases read again when former streams are.
    fleet.settings.former = Former::Read;
    fleet.join_several("x", &["a"]);
    fleet.run(60);
    assert!(fleet.rows_of(&old).iter().all(|row| row.owner.is_none()));
}

#[test]
fn doubts_do_not_ask_more_than_every_ten_seconds() {
    let a = id("a", 1);
    let mut fleet = Fleet::with_streams(std::slice::from_ref(&a));
    fleet.join_several("w", &["a"]);
    fleet.run(20);
    fleet.requests.clear();
    for _ in 0..60 {
        let now = fleet.now;
        fleet.workers.get_mut("w").unwrap().doubt_stream(now, &a);
        fleet.run(1);
    }
    let asked = fleet.requests.iter().filter(|request| matches!(request, Request::Describe(_))).count();
    assert!((5..=7).contains(&asked), "{asked}");
}

#[test]
fn leases_are_not_deleted_while_their_stream_may_be_wanted() {
    let a = id("a", 1);
    let mut fleet = Fleet::with_streams(std::slice::from_ref(&a));
    fleet.settings.former = Former::DeleteAfter(Duration::from_secs(60));
    fleet.join_several("w", &["a"]);
    fleet.run(5);
    fleet.workers.clear();
    // It cannot be described, as where the right to do so is missing.
    fleet.streams.clear();
    fleet.join_several("x", &["a"]);
    fleet.run(600);
    assert_eq!(fleet.rows_of(&a).len(), 2);
    // And none are where nothing at all is wanted.
    fleet.set("x", Wish::default());
    fleet.run(600);
    assert_eq!(fleet.rows_of(&a).len(), 2);
}

#[test]
fn a_table_of_the_other_kind_is_refused_unless_that_is_allowed() {
    for (several, mixed) in [(false, false), (true, false), (false, true), (true, true)] {
        let a = id("a", 1);
        let mut fleet = Fleet::with_streams(std::slice::from_ref(&a));
        fleet.shards = Fleet::with_shards(1).shards;
        fleet.settings.mixed_keys = mixed;
        // What is there from before.
        let row = LeaseRow::new(ShardId::numbered(0), at(3)).of_stream((!several).then(|| a.clone()));
        fleet.table.insert(row.key.clone(), row.clone());
        if several {
            fleet.join_several("w", &["a"]);
        } else {
            fleet.join("w");
        }
        fleet.run(30);
        let refused = fleet.told("w").into_iter().find_map(|event| match event {
            Event::Unable(failure) => Some(failure.code.clone()),
            _ => None,
        });
        if mixed {
            assert_eq!(refused, None);
            assert_eq!(fleet.count("w"), if several { 2 } else { 1 });
        } else {
            let code = if several { "LeasesOfOneStream" } else { "LeasesOfSeveralStreams" };
            assert_eq!((refused.as_deref(), fleet.count("w")), (Some(code), 0));
        }
        assert_eq!(fleet.table[&row.key], row, "it is left alone");
    }
}

#[test]
fn children_and_holes_are_of_their_stream() {
    let (a, b) = (id("a", 1), id("b", 2));
    let mut fleet = Fleet::with_streams(&[a.clone(), b.clone()]);
    fleet.join_several("w", &["a", "b"]);
    fleet.run(2);
    let child = |number, range| {
        let mut child = Shard::new(ShardId::numbered(number), range);
        child.parent = Some(ShardId::numbered(1));
        child
    };
    let half = fleet.streams[&a][1].hash_key_range;
    let tenure = fleet.workers["w"].held().find(|(k, _)| **k == key(&a, 1)).unwrap().1;
    let now = fleet.now;
    let children = vec![child(2, half)];
    fleet.workers.get_mut("w").unwrap().enter_children(now, &key(&a, 1), tenure, children);
    fleet.run(1);
    assert_eq!(fleet.table[&key(&a, 2)].stream, Some(a.clone()));
    assert_eq!(fleet.rows_of(&b).len(), 2, "shards of the same name are another stream's");
    // A lease of b goes: it comes back, and what is a's stays.
    fleet.move_on(&b);
    let before = fleet.rows_of(&a).len();
    fleet.table.remove(&key(&b, 1));
    fleet.run(30);
    assert_eq!(fleet.table[&key(&b, 1)].checkpoint, Checkpoint::TrimHorizon);
    assert_eq!(fleet.rows_of(&a).len(), before);
}

#[test]
fn many_streams_are_asked_about_some_at_a_time() {
    let ids: Vec<_> = (0..200).map(|n| id(&format!("s{n}"), 1)).collect();
    let mut fleet = Fleet::with_streams(&ids);
    let names: Vec<_> = (0..200).map(|n| format!("s{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    fleet.join_several("w", &names);
    let worker = fleet.workers.get_mut("w").unwrap();
    let first = std::iter::from_fn(|| worker.poll_request()).collect::<Vec<_>>();
    let described = first.iter().filter(|(_, request)| matches!(request, Request::Describe(_))).count();
    assert_eq!(described, 10);
    for (id, request) in first {
        let answer = fleet.carry_out(request);
        fleet.answer("w", id, answer);
    }
    fleet.run(10);
    assert_eq!(fleet.count("w"), 400);
}

#[test]
fn garbage_is_told_from_what_its_own_stream_still_has() {
    let (a, b) = (id("a", 1), id("b", 2));
    let mut fleet = Fleet::with_streams(&[a.clone(), b.clone()]);
    fleet.join_several("w", &["a", "b"]);
    fleet.run(40);
    for stream in [&a, &b] {
        let mut ended =
            LeaseRow::new(ShardId::numbered(9), Checkpoint::ShardEnd).of_stream(Some(stream.clone()));
        ended.hash_key_range = Some(HashKeyRange::ALL);
        fleet.table.insert(ended.key.clone(), ended);
    }
    let mut listed = Shard::new(ShardId::numbered(9), HashKeyRange::ALL);
    listed.ending_sequence_number = "9".parse().ok();
    fleet.streams.get_mut(&b).unwrap().push(listed);
    fleet.run(60 * 60);
    assert_eq!((fleet.rows_of(&a).len(), fleet.rows_of(&b).len()), (2, 3));
}
