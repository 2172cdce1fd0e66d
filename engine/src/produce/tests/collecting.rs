//! When records leave, and with which others.

use super::*;

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
    assert_eq!((key(&entries[0]), key(&entries[1])), ("a", "k"));
    assert!(HashKeyRange::divide(2).next().unwrap().contains(entries[0].explicit_hash_key.unwrap()));
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
