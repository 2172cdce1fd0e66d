//! Coordinators and one table, as a conversation.

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_core::{Checkpoint, HashKeyRange, LeaseChange, LeaseKey, LeaseRow, Shard, ShardId, WorkerId};

use super::*;
use crate::{Failure, Moment, RequestId};

/// A stream, its lease table, and workers that reach both at once unless a test says otherwise.
struct Fleet {
    now: Moment,
    shards: Vec<Shard>,
    table: BTreeMap<LeaseKey, LeaseRow>,
    workers: BTreeMap<&'static str, Coordinator>,
    events: Vec<(&'static str, Event)>,
    requests: Vec<Request>,
}

impl Fleet {
    fn with_shards(count: u32) -> Self {
        let shards =
            (0..).zip(HashKeyRange::divide(count)).map(|(n, range)| Shard::new(ShardId::numbered(n), range));
        Self {
            now: Moment::START,
            shards: shards.collect(),
            table: BTreeMap::new(),
            workers: BTreeMap::new(),
            events: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// A fleet of one worker, `a`, that has all leases.
    fn settled(count: u32) -> Self {
        let mut fleet = Self::with_shards(count);
        fleet.join("a");
        fleet.run(1);
        assert_eq!(fleet.count("a"), count as usize);
        fleet.events.clear();
        fleet
    }

    fn join(&mut self, name: &'static str) {
        let seed = u64::from(name.as_bytes()[0]);
        self.workers.insert(name, Coordinator::new(worker(name), Settings::default(), seed, self.now));
    }

    fn count(&self, name: &str) -> usize {
        self.workers[name].held().count()
    }

    fn tenure(&self, name: &str, shard: u64) -> Tenure {
        self.workers[name].held().find(|(key, _)| **key == lease_key(shard)).expect("it is held").1
    }

    fn row(&self, shard: u64) -> &LeaseRow {
        &self.table[&lease_key(shard)]
    }

    /// What the table or the stream says to a request.
    fn carry_out(&mut self, request: Request) -> Answer {
        self.requests.push(request.clone());
        match request {
            Request::List => Answer::Rows(self.table.values().cloned().collect()),
            Request::ListShards(_) => Answer::Shards(self.shards.clone()),
            Request::Create(row) => match self.table.get(&row.key) {
                Some(row) => Answer::Conflict(Some(Box::new(row.clone()))),
                None => {
                    self.table.insert(row.key.clone(), *row);
                    Answer::Written
                }
            },
            Request::Write { key, change } => match self.table.get_mut(&key) {
                None => Answer::Conflict(None),
                Some(row) => match change.apply_to(row) {
                    None => Answer::Conflict(Some(Box::new(row.clone()))),
                    Some(changed) => {
                        *row = changed;
                        Answer::Written
                    }
                },
            },
        }
    }

    fn drain(&mut self, name: &'static str) {
        loop {
            while let Some(event) = self.workers.get_mut(name).unwrap().poll_event() {
                self.events.push((name, event));
            }
            let Some((id, request)) = self.workers.get_mut(name).unwrap().poll_request() else { return };
            let answer = self.carry_out(request);
            self.answer(name, id, answer);
        }
    }

    fn answer(&mut self, name: &'static str, id: RequestId, answer: Answer) {
        self.workers.get_mut(name).unwrap().handle_answer(self.now, id, answer);
    }

    /// Lets time pass, in seconds, with every worker on time.
    fn run(&mut self, seconds: u64) {
        self.run_for(Duration::from_secs(seconds));
    }

    fn run_for(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        let names: Vec<_> = self.workers.keys().copied().collect();
        names.iter().for_each(|name| self.drain(name));
        loop {
            let next =
                names.iter().filter_map(|name| Some((self.workers[name].poll_timeout()?, *name))).min();
            let Some((at, name)) = next.filter(|(at, _)| *at <= until) else { break };
            self.now = at.max(self.now);
            self.workers.get_mut(name).unwrap().handle_timeout(self.now);
            self.drain(name);
        }
        self.now = until;
    }

    /// Lets time pass for one worker up to its next request, which is not carried out.
    fn next_request(&mut self, name: &'static str) -> (RequestId, Request) {
        for _ in 0..100 {
            let worker = self.workers.get_mut(name).unwrap();
            while let Some(event) = worker.poll_event() {
                self.events.push((name, event));
            }
            if let Some(request) = worker.poll_request() {
                return request;
            }
            self.now = worker.poll_timeout().expect("it wants something").max(self.now);
            worker.handle_timeout(self.now);
        }
        panic!("{name} asks for nothing");
    }

    /// The next write of a worker to a lease; everything else is carried out.
    fn next_write(&mut self, name: &'static str) -> (RequestId, LeaseKey, LeaseChange) {
        loop {
            match self.next_request(name) {
                (id, Request::Write { key, change }) => return (id, key, change),
                (id, other) => {
                    let answer = self.carry_out(other);
                    self.answer(name, id, answer);
                }
            }
        }
    }

    fn told(&self, name: &str) -> Vec<&Event> {
        let kept = |event: &Event| matches!(event, Event::Kept { .. });
        self.events
            .iter()
            .filter(|(who, event)| *who == name && !kept(event))
            .map(|(_, event)| event)
            .collect()
    }

    fn checkpoint(&mut self, name: &'static str, shard: u64, number: u64, id: u64) {
        let tenure = self.tenure(name, shard);
        let checkpoint = at(number);
        let now = self.now;
        self.workers.get_mut(name).unwrap().checkpoint(
            now,
            &lease_key(shard),
            tenure,
            checkpoint,
            CheckpointId(id),
        );
    }

    fn leave(&mut self, name: &'static str, shard: u64) {
        let tenure = self.tenure(name, shard);
        let now = self.now;
        self.workers.get_mut(name).unwrap().leave(now, &lease_key(shard), tenure);
        self.drain(name);
    }
}

fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

fn lease_key(shard: u64) -> LeaseKey {
    LeaseKey::from(&ShardId::numbered(shard))
}

fn at(number: u64) -> Checkpoint {
    Checkpoint::at(number.to_string().parse().unwrap(), 0)
}

fn lost() -> Answer {
    Answer::Failed(Failure::unknown("Timeout", "no answer"))
}

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

#[test]
fn a_lease_ends_by_time_alone_counted_from_the_request() {
    let mut fleet = Fleet::settled(1);
    let (id, _, change) = fleet.next_write("a");
    let sent = fleet.now;
    assert!(matches!(change, LeaseChange::Renew { counter: 1, .. }));
    let written = fleet.carry_out(Request::Write { key: lease_key(0), change });
    fleet.now = sent.after(Duration::from_secs(4));
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
    fleet.now = fleet.now.after(Duration::from_secs(2));
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
    let lists = |request: &&Request| matches!(request, Request::ListShards(_));
    assert_eq!(fleet.requests.iter().filter(lists).count(), 0, "nothing is missing any more");
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
        (Checkpoint::TrimHorizon, None)
    );
    fleet.run(20);
    assert_eq!(fleet.count("a"), 1, "the parent is not done");
    let now = fleet.now;
    let end = Checkpoint::ShardEnd;
    fleet.workers.get_mut("a").unwrap().checkpoint(now, &lease_key(0), tenure, end, CheckpointId(1));
    fleet.drain("a");
    fleet.leave("a", 0);
    let now = fleet.now;
    fleet.workers.get_mut("a").unwrap().look_soon(now);
    fleet.drain("a");
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

#[test]
fn what_will_not_get_better_by_itself_is_told_at_the_start_and_the_rest_is_tried_again() {
    let mut fleet = Fleet::with_shards(1);
    fleet.join("a");
    let (id, request) = fleet.next_request("a");
    assert_eq!(request, Request::List);
    fleet.answer("a", id, Answer::Failed(Failure::refused("ThrottlingException", "")));
    let (id, request) = fleet.next_request("a");
    assert_eq!(request, Request::List);
    fleet.answer("a", id, Answer::Rows(Vec::new()));
    let (id, _) = fleet.next_request("a");
    let missing = Failure::refused("ResourceNotFoundException", "no stream orders");
    fleet.answer("a", id, Answer::Failed(missing.clone()));
    let (_, request) = fleet.next_request("a");
    assert!(matches!(request, Request::ListShards(_)));
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
