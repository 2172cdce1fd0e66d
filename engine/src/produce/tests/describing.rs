//! What the stream's description says, and what is done until it does.

use super::*;

fn auto() -> Option<Answer> {
    Some(described(RecordDistribution::Auto))
}

fn denied() -> Option<Answer> {
    Some(Answer::Failed(Failure::refused("AccessDeniedException", "kinesis:DescribeStreamSummary")))
}

fn with_description(description: Option<Answer>) -> Talk {
    Talk { description, ..Talk::with(Settings::default()) }
}

/// Answers the question that was left open.
fn describe(talk: &mut Talk, answer: Answer) {
    let at = talk.asked.iter().position(|(_, request)| *request == Request::Describe).expect("it asks");
    let (id, _) = talk.asked.remove(at);
    talk.answer(id, answer);
}

#[test]
fn where_the_service_decides_each_record_travels_alone_and_without_a_hash_key() {
    let mut talk = with_description(auto());
    talk.put(1, 10);
    talk.put(2, 10);
    talk.put_keyless(3, 10);
    talk.answer_map(divided(4));
    talk.sleep(100);
    let (id, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![1], vec![2], vec![3]]);
    assert!(entries.iter().all(|entry| entry.explicit_hash_key.is_none()));
    assert_eq!((key(&entries[0]), &entries[2].partition_key), ("k", &None));
    let results = vec![Ok(talk.placed(3)), Ok(talk.placed(0)), Ok(talk.placed(1))];
    talk.answer(id, Answer::Put(results));
    assert!((1..=3).all(|tag| talk.delivered(tag)), "any shard is right");
    talk.sleep(10_000);
    assert!(talk.asked.is_empty(), "and the map is not doubted");
}

#[test]
fn until_it_is_known_records_wait_for_the_description_as_for_the_map() {
    let mut talk = with_description(None);
    talk.put(1, 10);
    talk.put(2, 10);
    talk.answer_map(divided(1));
    talk.sleep(1_000);
    assert_eq!(talk.puts(), 0);
    describe(&mut talk, described(RecordDistribution::UserPartitionKey));
    assert_eq!(all_tags(&talk.take_put().1), [vec![1, 2]]);
}

#[test]
fn records_do_not_wait_for_ever() {
    let mut talk = with_description(None);
    talk.put(1, 10);
    talk.put(2, 60);
    talk.answer_map(divided(2));
    talk.sleep(5_000);
    let (_, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![1], vec![2]], "alone, since an aggregate could be dropped");
}

#[test]
fn a_description_that_cannot_be_had_stops_aggregation_until_it_can() {
    let mut talk = with_description(denied());
    talk.put(1, 10);
    talk.put(2, 10);
    talk.answer_map(divided(1));
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![1], vec![2]]);
    talk.description = Some(described(RecordDistribution::UserPartitionKey));
    talk.sleep(10_000);
    talk.put(3, 10);
    talk.put(4, 10);
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![3, 4]], "it was asked again");
}

#[test]
fn what_was_known_stays_so_when_it_cannot_be_had_again() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.description = denied();
    talk.sleep(400_000);
    talk.put(1, 10);
    talk.put(2, 10);
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![1, 2]]);
}

#[test]
fn what_is_assumed_counts_until_more_is_known() {
    let settings =
        Settings { distribution: Some(RecordDistribution::UserPartitionKey), ..Settings::default() };
    let mut talk = Talk { description: denied(), ..Talk::with(settings) };
    talk.put(1, 10);
    talk.put(2, 10);
    talk.answer_map(divided(1));
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![1, 2]]);
    talk.description = auto();
    talk.sleep(10_000);
    talk.put(3, 10);
    talk.put(4, 10);
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![3], vec![4]]);
}

#[test]
fn a_switch_shows_in_aggregates_that_go_astray_and_what_lies_ready_is_parted() {
    let mut talk = Talk::with_shards(Settings::default(), 2);
    talk.description = auto();
    for round in 0..3 {
        talk.put(round * 2, 10);
        talk.put(round * 2 + 1, 10);
        talk.flush();
        let (id, entries) = talk.take_put();
        assert_eq!(entries.len(), 1, "an aggregate");
        let strays = vec![Ok(talk.placed(1))];
        talk.answer(id, Answer::Put(strays));
        if round < 2 {
            // They are sent again; let them arrive this time.
            talk.sleep(200);
            talk.deliver_all();
        }
    }
    let mut astray = 0;
    let parted = loop {
        talk.sleep(100);
        if talk.puts() > 0 {
            let (id, entries) = talk.take_put();
            if entries.len() > 1 {
                break entries;
            }
            astray += 1;
            let strays = vec![Ok(talk.placed(1))];
            talk.answer(id, Answer::Put(strays));
        }
    };
    assert_eq!(all_tags(&parted), [vec![4], vec![5]], "the third made it ask");
    assert_eq!(parted[0].explicit_hash_key, None);
    assert!(astray < 10, "{astray} times the same way");
}

#[test]
fn when_the_service_stops_deciding_records_share_entries_again() {
    let mut talk = with_description(auto());
    talk.put(1, 10);
    talk.answer_map(divided(2));
    talk.sleep(100);
    let (id, _) = talk.take_put();
    let results = vec![Ok(talk.placed(1))];
    talk.answer(id, Answer::Put(results));
    talk.description = Some(described(RecordDistribution::UserPartitionKey));
    talk.sleep(400_000);
    talk.put(2, 10);
    talk.put(3, 10);
    talk.sleep(100);
    let (_, entries) = talk.take_put();
    assert_eq!(all_tags(&entries), [vec![2, 3]]);
    assert!(entries[0].explicit_hash_key.is_some());
}

#[test]
fn a_record_larger_than_the_stream_takes_comes_back_alone() {
    let mut talk = with_description(None);
    talk.put_sized(1, 10, 2 << 20);
    talk.put(2, 10);
    talk.answer_map(divided(1));
    describe(&mut talk, described(RecordDistribution::UserPartitionKey));
    let Outcome::Refused { attempts, record } = &talk.settled[&1] else { panic!("it is too large") };
    assert_eq!((attempts[0].code.as_str(), attempts[0].fate), ("RecordTooLarge", Fate::Absent));
    assert_eq!(record.data().len(), 2 << 20);
    talk.sleep(100);
    assert_eq!(all_tags(&talk.take_put().1), [vec![2]]);
}

#[test]
fn an_aggregate_stays_within_what_the_stream_takes() {
    let settings = Settings {
        aggregate: Some((4 << 20).try_into().unwrap()),
        linger: Duration::from_secs(1),
        ..Settings::default()
    };
    let mut talk = Talk::with(settings);
    for tag in 0..30 {
        talk.put_sized(tag, 10, 100_000);
    }
    talk.answer_map(divided(1));
    talk.flush();
    let mut sent = Vec::new();
    while sent.len() < 3 {
        let (id, entries) = talk.take_put();
        let results = entries.iter().map(|_| Ok(talk.placed(0))).collect();
        talk.answer(id, Answer::Put(results));
        talk.sleep(1_000);
        sent.extend(entries);
    }
    assert!(all_tags(&sent).iter().all(|tags| tags.len() == 10));
    assert!(sent.iter().all(|entry| entry.data.len() < 1 << 20));
}
