//! Order per key.

use super::*;

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
