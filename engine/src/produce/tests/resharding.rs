//! What a new map of the shards means for what is under way.

use super::*;

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
