//! What is tried again, and what is given back.

use super::*;

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
