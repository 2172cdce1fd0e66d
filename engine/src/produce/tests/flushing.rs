//! Flushes, and the end.

use super::*;

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
