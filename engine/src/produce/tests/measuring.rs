//! What is told to those who measure, and how things stand.

use super::*;

fn measured(settings: Settings) -> Settings {
    Settings { measured: true, linger: Duration::from_millis(100), ..settings }
}

fn measures(talk: &mut Talk) -> Vec<Measure> {
    std::iter::from_fn(|| talk.pipeline.poll_measure()).collect()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn nothing_is_told_to_nobody() {
    let mut talk = Talk::with_shards(Settings::default(), 1);
    talk.put(1, 10);
    talk.flush();
    talk.deliver_all();
    talk.put(2, 10);
    talk.pipeline.abandon(talk.now);
    assert_eq!(measures(&mut talk), []);
}

#[test]
fn an_entry_is_told_once_a_try_and_its_records_at_the_end() {
    let mut talk = Talk::with_shards(measured(Settings::default()), 2);
    measures(&mut talk);
    let shard = Some(ShardId::numbered(0));
    talk.put(1, 10);
    talk.put(2, 20);
    talk.sleep(40);
    talk.put(3, 10);
    talk.sleep(60);
    let (id, entries) = talk.take_put();
    let bytes = entries[0].data.len() + 1;
    talk.sleep(30);
    talk.answer(id, Answer::Put(vec![Err(throttled())]));
    let request = |took, failure| Measure::Request { took: millis(took), entries: 1, records: 3, failure };
    let entry = |shard, waited, end| Measure::Entry { shard, records: 3, waited, end };
    let waited = vec![(millis(100), 2), (millis(60), 1)];
    assert_eq!(
        measures(&mut talk),
        [request(30, None), entry(shard.clone(), waited, EntryEnd::Failed(throttled().code))]
    );

    let answered = talk.now;
    talk.sleep(2_000);
    let waits = talk.take_put();
    talk.answer(waits.0, Answer::Failed(timed_out()));
    let told = measures(&mut talk);
    let [Measure::Request { took, failure: Some(code), .. }, Measure::Entry { waited, end, .. }] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((code.as_str(), end), ("Timeout", &EntryEnd::Unanswered));
    assert!(waited[0].0 + *took == talk.now.since(answered) && waited[0].1 == 3, "since the last answer");

    talk.sleep(2_000);
    talk.deliver_all();
    let told = measures(&mut talk);
    let Measure::Entry { shard: taken, end, .. } = &told[1] else { panic!("{told:?}") };
    assert_eq!((taken, end), (&shard, &EntryEnd::Put(bytes)));
    let end = RecordsEnd::Delivered(30);
    assert_eq!(told[2..], [Measure::Settled { shard, retries: vec![(2, 3)], end }]);
}

#[test]
fn records_that_fail_are_told_with_the_shard_that_they_were_meant_for() {
    let mut talk =
        Talk::with_shards(measured(Settings { record_ttl: millis(500), ..Settings::default() }), 2);
    measures(&mut talk);
    let settled = |shard, tries, end| Measure::Settled {
        shard: Some(ShardId::numbered(shard)),
        retries: vec![(tries, 1)],
        end,
    };
    talk.put(1, 90);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    talk.answer(id, Answer::Put(vec![Err(Failure::refused("AccessDeniedException", "no"))]));
    assert_eq!(measures(&mut talk).last(), Some(&settled(1, 0, RecordsEnd::Failed)));
    talk.put(2, 10);
    talk.sleep(100);
    let (id, _) = talk.take_put();
    talk.sleep(500);
    talk.answer(id, Answer::Failed(timed_out()));
    assert_eq!(measures(&mut talk).last(), Some(&settled(0, 1, RecordsEnd::Expired)));
    talk.put(3, 90);
    talk.pipeline.abandon(talk.now);
    assert_eq!(measures(&mut talk), [settled(1, 0, RecordsEnd::Failed)]);
}

#[test]
fn a_snapshot_counts_records_wherever_they_are() {
    let mut talk = Talk::with(Settings::default());
    assert_eq!(talk.pipeline.snapshot(talk.now), Snapshot::default());
    talk.put(1, 10);
    talk.sleep(50);
    let waiting = talk.pipeline.snapshot(talk.now);
    assert_eq!((waiting.records, waiting.oldest, waiting.shards.len()), (1, Some(millis(50)), 0));
    talk.answer_map(divided(2));
    talk.put(2, 90);
    let packing = talk.pipeline.snapshot(talk.now);
    assert_eq!((packing.records, packing.bytes), (2, talk.pipeline.held_bytes()));
    let records = |snapshot: &Snapshot| snapshot.shards.iter().map(|shard| shard.records).collect::<Vec<_>>();
    assert_eq!(records(&packing), [1, 1]);
    talk.flush();
    talk.sleep(30);
    let sent = talk.pipeline.snapshot(talk.now);
    assert_eq!((sent.records, sent.oldest, sent.requests_in_flight), (2, Some(millis(80)), 1));
    assert_eq!(records(&sent), [0, 0]);
    talk.deliver_all();
    let done = talk.pipeline.snapshot(talk.now);
    assert_eq!((done.records, done.bytes, done.oldest, done.requests_in_flight), (0, 0, None, 0));
}

#[test]
fn a_snapshot_tells_which_shard_is_throttled_until_its_share_is_back() {
    let mut talk = Talk::with_shards(Settings { aggregate: None, ..Settings::default() }, 2);
    for tag in 0..100 {
        talk.put(tag, 10);
    }
    talk.put(100, 90);
    talk.flush();
    let (id, entries) = talk.take_put();
    let results = entries.iter().map(|entry| match entry.explicit_hash_key {
        Some(key) if key.0 >> 127 == 0 => Err(throttled()),
        _ => Ok(talk.placed(1)),
    });
    let results = results.collect();
    talk.answer(id, Answer::Put(results));
    let [slow, free] = &talk.pipeline.snapshot(talk.now).shards[..] else { panic!() };
    assert_eq!((&slow.shard, slow.records, slow.throttled), (&Some(ShardId::numbered(0)), 100, true));
    assert!(slow.held_back.is_some_and(|held| held <= millis(100)), "{slow:?}");
    assert!(slow.share_used > 0.09 && slow.share_allowed < 0.2, "{slow:?}");
    assert_eq!((free.throttled, free.held_back, free.share_allowed), (false, None, 1.5));
    talk.sleep(1_000);
    talk.deliver_all();
    talk.sleep(60_000);
    let back = &talk.pipeline.snapshot(talk.now).shards[0];
    assert_eq!((back.throttled, back.held_back, back.share_allowed), (false, None, 1.5));
    assert!(back.share_used < 0.001);
}
