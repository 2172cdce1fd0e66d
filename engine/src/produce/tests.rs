//! The pipeline as a conversation: put, request, answer, outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use shardflow_core::aggregation::decode;
use shardflow_core::{Fate, HashKey, HashKeyRange, Record, Shard, ShardId};

use super::*;
use crate::{Failure, Moment, RequestId};

/// A pipeline, its clock, and what it asked for and told.
struct Talk {
    pipeline: Pipeline<u32>,
    now: Moment,
    asked: Vec<(RequestId, Request)>,
    settled: BTreeMap<u32, Outcome>,
    flushed: Vec<u64>,
    next_number: u64,
}

impl Talk {
    fn with(settings: Settings) -> Self {
        Self {
            pipeline: Pipeline::new(settings, 7),
            now: Moment::START,
            asked: Vec::new(),
            settled: BTreeMap::new(),
            flushed: Vec::new(),
            next_number: 0,
        }
    }

    /// One that has the map of a stream with that many shards.
    fn with_shards(settings: Settings, count: u32) -> Self {
        let mut talk = Self::with(settings);
        talk.put(u32::MAX, 0);
        talk.answer_map(divided(count));
        talk.flush();
        talk.deliver_all();
        talk.settled.clear();
        talk.flushed.clear();
        talk
    }

    fn drain(&mut self) {
        while let Some(request) = self.pipeline.poll_request() {
            self.asked.push(request);
        }
        while let Some(event) = self.pipeline.poll_event() {
            match event {
                Event::Settled { tag, outcome } => {
                    assert!(self.settled.insert(tag, outcome).is_none(), "{tag} is settled once");
                }
                Event::Flushed { failed, .. } => self.flushed.push(failed),
            }
        }
    }

    /// Puts a record that belongs to the given point of the hash space, in hundredths.
    fn put(&mut self, tag: u32, percent: u128) {
        self.put_sized(tag, percent, 10);
    }

    fn put_sized(&mut self, tag: u32, percent: u128, size: usize) {
        let key = HashKey(u128::MAX / 100 * percent);
        let mut data = tag.to_be_bytes().to_vec();
        data.resize(size.max(4), 0);
        let record = Record::new("k", data).unwrap().explicit_hash_key(key);
        self.pipeline.put(self.now, record, key, tag);
        self.drain();
    }

    fn sleep(&mut self, millis: u64) {
        let until = self.now.after(Duration::from_millis(millis));
        while let Some(at) = self.pipeline.poll_timeout().filter(|&at| at <= until) {
            self.now = at.max(self.now);
            self.pipeline.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn flush(&mut self) {
        self.pipeline.flush(self.now);
        self.drain();
    }

    fn answer(&mut self, id: RequestId, answer: Answer) {
        self.pipeline.handle_answer(self.now, id, answer);
        self.drain();
    }

    fn take_map_request(&mut self) -> RequestId {
        let at = self
            .asked
            .iter()
            .position(|(_, r)| matches!(r, Request::ListShards { .. }))
            .expect("it asks for the map");
        self.asked.remove(at).0
    }

    fn answer_map(&mut self, shards: Vec<Shard>) {
        let id = self.take_map_request();
        self.answer(id, Answer::Shards(shards));
    }

    /// The oldest put that is not answered.
    fn take_put(&mut self) -> (RequestId, Vec<PutEntry>) {
        let at = self.asked.iter().position(|(_, r)| matches!(r, Request::PutRecords(_))).expect("it puts");
        match self.asked.remove(at) {
            (id, Request::PutRecords(entries)) => (id, entries),
            (_, Request::ListShards { .. }) => unreachable!(),
        }
    }

    fn puts(&self) -> usize {
        self.asked.iter().filter(|(_, r)| matches!(r, Request::PutRecords(_))).count()
    }

    fn placed(&mut self, shard: u64) -> Placed {
        self.next_number += 1;
        Placed {
            shard_id: ShardId::numbered(shard),
            sequence_number: self.next_number.to_string().parse().unwrap(),
        }
    }

    /// Delivers every put under way to the shard that owns it in a stream of `count` shards numbered from `first`.
    fn deliver_to(&mut self, first: u64, count: u32) {
        while self.puts() > 0 {
            let (id, entries) = self.take_put();
            let results = entries
                .iter()
                .map(|entry| {
                    let owner = HashKeyRange::divide(count).position(|r| r.contains(entry.explicit_hash_key));
                    Ok(self.placed(first + owner.unwrap() as u64))
                })
                .collect();
            self.answer(id, Answer::Put(results));
        }
    }

    fn deliver_all(&mut self) {
        let count = u32::try_from(self.pipeline.lanes.len()).unwrap();
        self.deliver_to(0, count);
    }

    fn delivered(&self, tag: u32) -> bool {
        matches!(self.settled.get(&tag), Some(Outcome::Delivered { .. }))
    }
}

fn shard(number: u64, range: HashKeyRange) -> Shard {
    Shard::new(ShardId::numbered(number), range)
}

fn divided(count: u32) -> Vec<Shard> {
    (0..).zip(HashKeyRange::divide(count)).map(|(number, range)| shard(number, range)).collect()
}

/// A stream of one shard, number 0, after its split into 1 and 2.
fn split() -> Vec<Shard> {
    let mut parent = shard(0, HashKeyRange::ALL);
    parent.ending_sequence_number = Some("9".parse().unwrap());
    let halves = (1..).zip(HashKeyRange::divide(2)).map(|(number, range)| shard(number, range));
    std::iter::once(parent).chain(halves).collect()
}

fn tags(entry: &PutEntry) -> Vec<u32> {
    let tag = |data: &[u8]| u32::from_be_bytes(data[..4].try_into().unwrap());
    match decode(&entry.data) {
        Ok(records) => records.iter().map(|record| tag(&record.data)).collect(),
        Err(_) => vec![tag(&entry.data)],
    }
}

fn all_tags(entries: &[PutEntry]) -> Vec<Vec<u32>> {
    entries.iter().map(tags).collect()
}

fn throttled() -> Failure {
    Failure::refused("ProvisionedThroughputExceededException", "slow down")
}

fn timed_out() -> Failure {
    Failure::unknown("Timeout", "no answer within 6 s")
}

fn per_key() -> Settings {
    Settings { ordering: Ordering::PerKey, ..Settings::default() }
}

#[test]
fn the_first_records_wait_for_the_map_and_then_travel_together() {
    let mut talk = Talk::with(Settings::default());
    talk.put(1, 10);
    talk.put(2, 60);
    talk.put(3, 20);
    assert_eq!(talk.puts(), 0);
    talk.answer_map(divided(2));
    talk.sleep(99);
    assert_eq!(talk.puts(), 0, "they wait for company");
    talk.sleep(1);
    let (id, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![1, 3], vec![2]]);
    assert_eq!((entries[0].partition_key.as_str(), entries[1].partition_key.as_str()), ("a", "k"));
    assert!(HashKeyRange::divide(2).next().unwrap().contains(entries[0].explicit_hash_key));
    let results = vec![Ok(talk.placed(0)), Ok(talk.placed(1))];
    talk.answer(id, Answer::Put(results.clone()));
    let delivered = |index: usize, sub| Outcome::Delivered {
        placed: results[index].clone().unwrap(),
        sub_sequence_number: sub,
        attempts: 1,
    };
    assert_eq!(
        talk.settled,
        BTreeMap::from([(1, delivered(0, Some(0))), (3, delivered(0, Some(1))), (2, delivered(1, None))])
    );
    assert!(talk.pipeline.is_empty());
}

#[test]
fn without_a_map_records_travel_alone_after_a_bounded_wait() {
    let mut talk = Talk::with(Settings::default());
    talk.put(1, 10);
    talk.put(2, 10);
    let id = talk.take_map_request();
    talk.answer(id, Answer::Failed(timed_out()));
    talk.sleep(4_999);
    assert_eq!(talk.puts(), 0);
    talk.sleep(201);
    let (id, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![1], vec![2]], "an aggregate could hold records of two shards");
    let results = vec![Ok(talk.placed(3)), Ok(talk.placed(4))];
    talk.answer(id, Answer::Put(results));
    assert!(talk.delivered(1) && talk.delivered(2));
}

#[test]
fn a_stream_that_is_not_there_is_told_at_once() {
    let mut talk = Talk::with(Settings::default());
    talk.put(1, 10);
    let id = talk.take_map_request();
    talk.answer(id, Answer::Failed(Failure::refused("ResourceNotFoundException", "no stream orders")));
    let Some(Outcome::Refused { record, attempts }) = talk.settled.get(&1) else {
        panic!("{:?}", talk.settled)
    };
    assert_eq!(record.data()[..4], 1_u32.to_be_bytes());
    assert_eq!((attempts.len(), attempts[0].code.as_str()), (1, "ResourceNotFoundException"));
    assert_eq!(talk.settled[&1].fate(), Some(Fate::Absent));
    // It asks again later, for those who come later.
    talk.put(2, 10);
    talk.sleep(1_000);
    talk.answer_map(divided(1));
    talk.sleep(100);
    talk.deliver_all();
    assert!(talk.delivered(2));
}

#[test]
fn a_full_aggregate_does_not_wait_for_the_linger() {
    let mut talk = Talk::with_shards(Settings { linger: Duration::from_secs(10), ..Settings::default() }, 1);
    for tag in 0..50 {
        talk.put_sized(tag, 10, 2_000);
    }
    talk.sleep(50);
    let (_, entries) = talk.take_put();
    assert_eq!(entries.len(), 1, "the second one still has room");
    let size = entries[0].data.len();
    assert!(size > 51_200 * 95 / 100 && size <= 51_200, "{size} bytes");
}

#[test]
fn much_for_one_shard_is_sent_at_once() {
    let mut talk = Talk::with_shards(Settings { linger: Duration::from_secs(10), ..Settings::default() }, 2);
    for tag in 0..160 {
        talk.put_sized(tag, 10, 2_000);
    }
    let (_, entries) = talk.take_put();
    assert!(entries.iter().map(|entry| entry.data.len()).sum::<usize>() >= 256 << 10);
}

#[test]
fn requests_respect_both_bounds() {
    let settings =
        Settings { request_entries: 3, request_bytes: 5_000, aggregate: None, ..Settings::default() };
    let mut talk = Talk::with_shards(settings, 1);
    for tag in 0..7 {
        talk.put_sized(tag, 10, 1_000);
    }
    for tag in 7..11 {
        talk.put_sized(tag, 10, 2_000);
    }
    talk.put_sized(11, 10, 9_000);
    talk.sleep(100);
    let sizes: Vec<_> = (0..talk.puts()).map(|_| all_tags(&talk.take_put().1).concat()).collect();
    assert_eq!(sizes, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7], vec![8, 9], vec![10], vec![11]]);
}

#[test]
fn a_record_too_large_for_an_aggregate_travels_alone_and_in_order() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    talk.put_sized(2, 10, 60_000);
    talk.put(3, 10);
    talk.put(4, 10);
    talk.flush();
    assert_eq!(all_tags(&talk.take_put().1), [vec![1], vec![2], vec![3, 4]]);
}

#[test]
fn only_what_failed_is_sent_again_and_before_what_is_newer() {
    let mut talk = Talk::with_shards(Settings { aggregate: None, ..Settings::default() }, 1);
    for tag in 1..=3 {
        talk.put(tag, 10);
    }
    talk.sleep(100);
    let (id, _) = talk.take_put();
    talk.put(4, 10);
    let first = talk.placed(0);
    let third = talk.placed(0);
    talk.answer(id, Answer::Put(vec![Ok(first), Err(throttled()), Ok(third)]));
    assert!(talk.delivered(1) && talk.delivered(3) && !talk.delivered(2));
    assert_eq!(talk.puts(), 0, "the shard is left alone for a while");
    talk.sleep(200);
    assert_eq!(all_tags(&talk.take_put().1), [vec![2], vec![4]]);
}

#[test]
fn codes_that_nobody_knows_are_retried_until_the_record_expires() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    let start = talk.now;
    while !talk.settled.contains_key(&1) {
        talk.sleep(50);
        while talk.puts() > 0 {
            let (id, _) = talk.take_put();
            let failure = Failure::refused("NewTroubleException", "?");
            talk.answer(id, Answer::Put(vec![Err(failure)]));
        }
    }
    let Outcome::Expired { record, attempts } = &talk.settled[&1] else { panic!("{:?}", talk.settled) };
    assert_eq!(record.data()[..4], 1_u32.to_be_bytes());
    assert!(attempts.len() > 10 && attempts.iter().all(|attempt| attempt.code == "NewTroubleException"));
    assert!(attempts.is_sorted_by_key(|attempt| attempt.after));
    let life = talk.now.since(start);
    assert!(life >= Duration::from_secs(30) && life <= Duration::from_secs(33), "{life:?}");
    assert_eq!(talk.settled[&1].fate(), Some(Fate::Absent));
}

#[test]
fn after_a_lost_answer_the_fate_is_unknown() {
    let mut talk =
        Talk::with_shards(Settings { record_ttl: Duration::from_secs(1), ..Settings::default() }, 1);
    talk.put(1, 10);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    talk.sleep(900);
    talk.answer(id, Answer::Failed(timed_out()));
    assert!(matches!(talk.settled[&1], Outcome::Expired { .. }));
    assert_eq!(talk.settled[&1].fate(), Some(Fate::Unknown));
}

#[test]
fn what_the_service_forbids_fails_at_once() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    talk.put(2, 10);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    talk.answer(id, Answer::Failed(Failure::refused("AccessDeniedException", "not you")));
    assert!(
        matches!(&talk.settled[&2], Outcome::Refused { attempts, .. } if attempts[0].message == "not you")
    );
    assert!(matches!(talk.settled[&1], Outcome::Refused { .. }));
}

#[test]
fn one_entry_that_is_not_taken_does_not_fail_the_others() {
    let mut talk = Talk::with_shards(Settings { aggregate: None, ..Settings::default() }, 1);
    for tag in 0..9 {
        talk.put(tag, 10);
    }
    talk.sleep(100);
    while talk.puts() > 0 {
        let (id, entries) = talk.take_put();
        if all_tags(&entries).concat().contains(&5) {
            talk.answer(id, Answer::Failed(Failure::refused("ValidationException", "too odd")));
        } else {
            let results = entries.iter().map(|_| Ok(talk.placed(0))).collect();
            talk.answer(id, Answer::Put(results));
        }
    }
    assert!((0..9).all(|tag| talk.delivered(tag) == (tag != 5)));
    assert!(matches!(talk.settled[&5], Outcome::Refused { .. }));
}

#[test]
fn an_answer_of_another_length_is_no_answer() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    talk.answer(id, Answer::Put(vec![]));
    talk.sleep(200);
    talk.deliver_all();
    assert!(matches!(talk.settled[&1], Outcome::Delivered { attempts: 2, .. }));
}

#[test]
fn an_aggregate_that_a_split_parted_is_sent_again_whole_and_a_plain_record_is_not() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    talk.put(2, 90);
    talk.put_sized(3, 90, 60_000);
    talk.flush();
    let (id, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![1, 2], vec![3]]);
    let results = vec![Ok(talk.placed(1)), Ok(talk.placed(2))];
    talk.answer(id, Answer::Put(results));
    assert!(talk.delivered(3), "a KCL delivers it wherever it lies");
    assert!(!talk.delivered(1) && !talk.delivered(2));
    talk.sleep(1_000);
    talk.answer_map(split());
    let (id, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![1], vec![2]], "both of them, each for its own shard");
    let results = vec![Ok(talk.placed(1)), Ok(talk.placed(2))];
    talk.answer(id, Answer::Put(results));
    assert!(matches!(talk.settled[&1], Outcome::Delivered { attempts: 2, .. }));
    assert!(talk.delivered(2));
}

#[test]
fn an_aggregate_in_one_half_of_a_split_is_delivered_when_all_of_it_belongs_there() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    talk.put(2, 20);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    let results = vec![Ok(talk.placed(1))];
    talk.answer(id, Answer::Put(results));
    assert!(talk.settled.is_empty(), "the map does not know that shard yet");
    talk.sleep(1_000);
    talk.answer_map(split());
    assert!(talk.delivered(1) && talk.delivered(2));
    assert_eq!(talk.puts(), 0);
}

#[test]
fn an_aggregate_in_a_shard_that_is_closed_again_is_looked_up_and_not_sent_twice() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    talk.put(2, 20);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    let results = vec![Ok(talk.placed(1))];
    talk.answer(id, Answer::Put(results));
    talk.sleep(1_000);
    assert!(matches!(talk.asked[0].1, Request::ListShards { closed: true }));
    let mut shards = split();
    shards[1].ending_sequence_number = Some("12".parse().unwrap());
    let quarters = (3..).zip(HashKeyRange::divide(4)).map(|(number, range)| shard(number, range));
    shards.extend(quarters.take(2));
    talk.answer_map(shards);
    assert!(talk.delivered(1) && talk.delivered(2));
}

#[test]
fn an_aggregate_in_a_merged_shard_is_delivered() {
    let mut talk = Talk::with_shards(Settings::default(), 2);
    talk.put(1, 10);
    talk.put(2, 20);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    let results = vec![Ok(talk.placed(2))];
    talk.answer(id, Answer::Put(results));
    talk.sleep(1_000);
    talk.answer_map(vec![shard(2, HashKeyRange::ALL)]);
    assert!(talk.delivered(1) && talk.delivered(2));
}

#[test]
fn while_a_new_map_is_fetched_the_old_one_serves() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put_sized(1, 10, 60_000);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    let results = vec![Ok(talk.placed(1))];
    talk.answer(id, Answer::Put(results));
    talk.sleep(1_000);
    let map = talk.take_map_request();
    talk.put(2, 10);
    talk.put(3, 10);
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![2, 3]], "aggregated as ever");
    talk.answer(map, Answer::Failed(timed_out()));
    talk.put(4, 10);
    talk.put(5, 10);
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![4, 5]]);
}

#[test]
fn an_aggregate_whose_shard_no_map_tells_is_given_back_in_time() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    talk.put(2, 90);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    let results = vec![Ok(talk.placed(1))];
    talk.answer(id, Answer::Put(results));
    talk.sleep(30_000);
    assert!(matches!(talk.settled[&1], Outcome::Expired { .. }));
    assert_eq!(talk.settled[&2].fate(), Some(Fate::Unknown));
    assert!(talk.pipeline.is_empty());
}

#[test]
fn the_map_is_asked_for_again_in_time_and_not_in_a_storm() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.sleep(331_000);
    let _ = talk.take_map_request();
    talk.sleep(1_000_000);
    assert!(talk.asked.is_empty(), "one at a time");
    let mut talk = Talk::with_shards(Settings::default(), 4);
    for tag in 0..20 {
        talk.put_sized(tag, 10, 60_000);
        talk.sleep(100);
        talk.deliver_to(90, 4);
    }
    let asked = talk.asked.len();
    assert!(asked <= 2, "{asked} requests within 2 s");
}

#[test]
fn a_flush_sends_at_once_and_is_done_when_all_before_it_is_settled() {
    let mut talk = Talk::with_shards(Settings::default(), 2);
    talk.flush();
    assert_eq!(talk.flushed, [0], "nothing to wait for");
    talk.put(1, 10);
    talk.put(2, 60);
    talk.flush();
    talk.put(3, 10);
    let (id, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![1], vec![2]]);
    let first = talk.placed(0);
    talk.answer(id, Answer::Put(vec![Ok(first), Err(throttled())]));
    assert_eq!(talk.flushed, [0]);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    talk.answer(id, Answer::Failed(Failure::refused("AccessDeniedException", "")));
    assert_eq!(talk.flushed, [0, 1], "one of them failed");
    assert!(!talk.settled.contains_key(&3));
}

#[test]
fn a_flush_before_the_first_map_hurries_what_waits_for_it() {
    let mut talk = Talk::with(Settings::default());
    talk.put(1, 10);
    talk.flush();
    talk.answer_map(divided(1));
    assert_eq!(talk.puts(), 1);
}

#[test]
fn what_is_abandoned_comes_back_with_what_is_known_of_it() {
    let mut talk = Talk::with_shards(Settings::default(), 2);
    talk.put(1, 10);
    talk.sleep(100);
    let (late, _) = talk.take_put();
    talk.put(2, 60);
    talk.flush();
    talk.put(3, 10);
    talk.pipeline.abandon(talk.now);
    talk.drain();
    let fates: Vec<_> = talk.settled.values().map(Outcome::fate).collect();
    assert_eq!(fates, [Some(Fate::Unknown), Some(Fate::Unknown), Some(Fate::Absent)]);
    assert!(talk.pipeline.is_empty());
    assert_eq!(talk.flushed, [2]);
    let placed = talk.placed(0);
    talk.answer(late, Answer::Put(vec![Ok(placed)]));
    assert_eq!((talk.settled.len(), talk.pipeline.poll_timeout().is_some()), (3, true));
}

#[test]
fn order_per_key_keeps_one_entry_of_a_shard_under_way() {
    let mut talk = Talk::with_shards(Settings { aggregate: None, ..per_key() }, 2);
    for tag in 1..=3 {
        talk.put(tag, 10);
    }
    talk.put(4, 60);
    talk.sleep(100);
    let (id, entries) = talk.take_put();
    assert_eq!((all_tags(&entries), talk.puts()), (vec![vec![1], vec![4]], 0));
    let fourth = talk.placed(1);
    talk.answer(id, Answer::Put(vec![Err(throttled()), Ok(fourth)]));
    talk.sleep(300);
    assert_eq!(all_tags(&talk.take_put().1), [vec![1]], "again, and nothing newer with it");
}

#[test]
fn order_per_key_survives_a_split() {
    let mut talk = Talk::with_shards(per_key(), 1);
    talk.put(1, 10);
    talk.put(2, 90);
    talk.sleep(100);
    let (first, _) = talk.take_put();
    talk.put(3, 90);
    // The map learns of the split by its age while the first aggregate is still under way.
    talk.sleep(331_000);
    talk.answer_map(split());
    talk.put(4, 10);
    talk.sleep(1_000);
    assert_eq!(talk.puts(), 0, "what is under way may still hold records of either half");
    let placed = talk.placed(1);
    talk.settled.clear();
    talk.answer(first, Answer::Put(vec![Ok(placed)]));
    // Too old by now to be sent again; the newer ones go on.
    assert!(matches!(talk.settled[&1], Outcome::Expired { .. }));
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![4]]);
}

#[test]
fn misplaced_records_go_before_newer_ones_of_their_keys() {
    let mut talk = Talk::with_shards(per_key(), 1);
    talk.put(1, 10);
    talk.put(2, 90);
    talk.sleep(100);
    let (first, _) = talk.take_put();
    talk.put(3, 90);
    talk.put(4, 10);
    let placed = talk.placed(1);
    talk.answer(first, Answer::Put(vec![Ok(placed)]));
    talk.sleep(1_000);
    assert_eq!(talk.puts(), 0, "where it went is not known yet");
    talk.answer_map(split());
    let (id, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![1], vec![2]]);
    assert_eq!(talk.puts(), 0);
    let results = vec![Ok(talk.placed(1)), Ok(talk.placed(2))];
    talk.answer(id, Answer::Put(results));
    assert_eq!(all_tags(&talk.take_put().1), [vec![4], vec![3]]);
}

#[derive(Clone, Debug)]
enum Step {
    Put(u128, usize),
    Sleep(u64),
    Answer(u8),
    Flush,
    Reshard(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u128..100, 4_usize..3_000).prop_map(|(percent, size)| Step::Put(percent, size)),
        3 => (0_u64..400).prop_map(Step::Sleep),
        5 => any::<u8>().prop_map(Step::Answer),
        1 => Just(Step::Flush),
        1 => any::<u8>().prop_map(Step::Reshard),
    ]
}

proptest! {
    /// Whatever the service answers, each record settles once, and bytes in are bytes settled and bytes held.
    #[test]
    fn every_record_settles_once(
        steps in proptest::collection::vec(any_step(), 1..120),
        ordered: bool,
        small: bool,
    ) {
        let ordering = if ordered { Ordering::PerKey } else { Ordering::None };
        let aggregate = if small { 300_u64 } else { 51_200 };
        let mut talk = Talk::with(Settings {
            ordering,
            aggregate: Some(aggregate.try_into().unwrap()),
            requests_in_flight: 3,
            ..Settings::default()
        });
        let (mut tag, mut flushes, mut shards, mut first) = (0, 0, 1_u32, 0_u64);
        for step in steps {
            match step {
                Step::Put(percent, size) => {
                    talk.put_sized(tag, percent, size);
                    tag += 1;
                }
                Step::Sleep(millis) => talk.sleep(millis),
                Step::Flush => {
                    talk.flush();
                    flushes += 1;
                }
                Step::Reshard(n) => {
                    first += u64::from(shards);
                    shards = u32::from(n % 5) + 1;
                }
                Step::Answer(dice) if !talk.asked.is_empty() => {
                    let (id, request) = talk.asked.remove(usize::from(dice) % talk.asked.len());
                    let answer = match request {
                        _ if dice % 7 == 0 => Answer::Failed(timed_out()),
                        _ if dice % 31 == 1 => Answer::Failed(Failure::refused("ValidationException", "")),
                        Request::ListShards { .. } => Answer::Shards(
                            (first..).zip(HashKeyRange::divide(shards)).map(|(n, range)| shard(n, range)).collect(),
                        ),
                        Request::PutRecords(entries) => Answer::Put(
                            entries.iter().enumerate().map(|(i, entry)| {
                                if (usize::from(dice) + i) % 4 == 2 {
                                    return Err(throttled());
                                }
                                let mut owner = HashKeyRange::divide(shards);
                                let owner = owner.position(|r| r.contains(entry.explicit_hash_key)).unwrap();
                                Ok(talk.placed(first + owner as u64))
                            }).collect(),
                        ),
                    };
                    talk.answer(id, answer);
                }
                Step::Answer(_) => {}
            }
            let in_flight: usize = talk.pipeline.flights.len();
            prop_assert!(in_flight <= 3);
            prop_assert_eq!(talk.pipeline.is_empty(), talk.settled.len() == tag as usize);
        }
        talk.sleep(40_000);
        while let Some((id, request)) = (!talk.asked.is_empty()).then(|| talk.asked.remove(0)) {
            let answer = match request {
                Request::ListShards { .. } => Answer::Shards(divided(1)),
                Request::PutRecords(_) => Answer::Failed(timed_out()),
            };
            talk.answer(id, answer);
            talk.sleep(40_000);
            if talk.pipeline.is_empty() {
                break;
            }
        }
        prop_assert_eq!(talk.settled.len(), tag as usize);
        prop_assert_eq!(talk.pipeline.held_bytes(), 0);
        prop_assert_eq!(talk.flushed.len(), flushes);
    }
}
