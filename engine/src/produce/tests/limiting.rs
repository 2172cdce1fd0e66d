//! How fast shards are written, and what refusals change.

use super::*;

fn refuse(talk: &mut Talk) -> usize {
    let (id, entries) = talk.take_put();
    talk.answer(id, Answer::Put(entries.iter().map(|_| Err(throttled())).collect()));
    entries.len()
}

fn alone(shard_share: f64) -> Settings {
    Settings { aggregate: None, linger: Duration::ZERO, shard_share, ..Settings::default() }
}

#[test]
fn a_shard_gets_no_more_than_its_share_and_others_do_not_wait_for_it() {
    let mut talk = Talk::with_shards(alone(0.5), 2);
    talk.sleep(5_000);
    for tag in 0..20_000 {
        talk.put(tag, 10);
    }
    talk.put(20_000, 90);
    let start = talk.now;
    let mut sent = 0;
    while talk.now.since(start) < Duration::from_secs(10) {
        while talk.puts() > 0 {
            let (id, entries) = talk.take_put();
            sent += entries.len();
            let results = entries
                .iter()
                .map(|entry| Ok(talk.placed(u64::from(entry.explicit_hash_key.unwrap().0 >> 127 != 0))));
            let results = results.collect();
            talk.answer(id, Answer::Put(results));
        }
        if talk.now == start {
            assert!(talk.delivered(20_000), "the other shard is free");
        }
        talk.sleep(10);
    }
    // A full bucket of 1,000 to begin with, then 500 a second.
    assert!((5_950..=6_050).contains(&sent), "{sent}");
}

#[test]
fn entries_that_are_refused_together_are_one_trouble() {
    let mut talk = Talk::with_shards(Settings { aggregate: None, ..Settings::default() }, 1);
    for tag in 0..400 {
        talk.put(tag, 10);
    }
    talk.flush();
    assert_eq!(refuse(&mut talk), 400);
    talk.sleep(101);
    assert!(talk.puts() > 0, "the first wait is short, however many were refused");
}

#[test]
fn attempts_stay_few_while_a_shard_refuses_everything() {
    let mut talk = Talk::with_shards(alone(1.5), 1);
    for tag in 0..400 {
        talk.put(tag, 10);
    }
    let (mut requests, start) = (0, talk.now);
    while talk.now.since(start) < Duration::from_secs(25) {
        while talk.puts() > 0 {
            refuse(&mut talk);
            requests += 1;
        }
        talk.sleep(10);
    }
    // The first 24 go before any answer; then one a second on average.
    assert!((10..80).contains(&requests), "{requests}");
}

#[test]
fn what_waits_for_a_slow_shard_expires_in_time() {
    let ttl = Duration::from_secs(2);
    let mut talk = Talk::with_shards(Settings { record_ttl: ttl, ..alone(0.1) }, 1);
    // The first takes a minute and a half to pay for.
    talk.put_sized(1, 10, 9 << 20);
    talk.deliver_all();
    let start = talk.now;
    talk.put(2, 10);
    while !talk.settled.contains_key(&2) {
        talk.sleep(10);
    }
    assert!(matches!(talk.settled[&2], Outcome::Expired { .. }));
    assert!(talk.now.since(start) <= ttl + Duration::from_millis(10), "{:?}", talk.now.since(start));
}

#[test]
fn a_refusal_can_be_final() {
    let mut talk = Talk::with_shards(Settings { fail_if_throttled: true, ..alone(1.5) }, 1);
    talk.put(1, 10);
    refuse(&mut talk);
    let Outcome::Refused { attempts, .. } = &talk.settled[&1] else { panic!("{:?}", talk.settled) };
    assert_eq!(attempts[0].code, "ProvisionedThroughputExceededException");
    // Another cause is not.
    talk.sleep(100);
    talk.put(2, 10);
    let (id, _) = talk.take_put();
    talk.answer(id, Answer::Put(vec![Err(Failure::refused("InternalFailure", ""))]));
    talk.sleep(200);
    talk.deliver_all();
    assert!(talk.delivered(2));
}

/// Producers that write one shard, which takes 1 MiB a second and refuses the rest. Gives the parts of all entries that
/// were refused, and of all bytes that were delivered, over 30 of 45 seconds.
fn contend(producers: usize, share_of_capacity: f64) -> (f64, f64) {
    const CAPACITY: f64 = 1_048_576.0;
    const RECORD: usize = 1_000;
    const ROUND_TRIP: u64 = 20;
    let settings = Settings { record_ttl: Duration::from_secs(600), ..Settings::default() };
    let mut talks: Vec<_> = (0..producers).map(|_| Talk::with_shards(settings.clone(), 1)).collect();
    let (mut bucket, mut entries_sent, mut refused, mut taken) = (CAPACITY, 0.0, 0.0, 0.0);
    let mut answers: Vec<(u64, usize, RequestId, Vec<_>)> = Vec::new();
    let mut put = 0.0;
    let mut tag = 0;
    for millis in 0..45_000_u64 {
        bucket = (bucket + CAPACITY / 1_000.0).min(CAPACITY);
        put += share_of_capacity * CAPACITY / 1_000.0 / RECORD as f64;
        while put >= 1.0 {
            put -= 1.0;
            tag += 1;
            // Backlogs are bounded, as by a byte budget.
            let talk = &mut talks[tag as usize % producers];
            if talk.pipeline.held_bytes() < 8 << 20 {
                talk.put_sized(tag, 10, RECORD);
            }
        }
        for (number, talk) in talks.iter_mut().enumerate() {
            talk.sleep(1);
            talk.settled.clear();
            while talk.puts() > 0 {
                let (id, entries) = talk.take_put();
                let results: Vec<_> = entries
                    .iter()
                    .map(|entry| {
                        let size = entry.data.len() as f64;
                        let counts = f64::from(u8::from(millis > 15_000));
                        entries_sent += counts;
                        if bucket < size {
                            refused += counts;
                            return Err(throttled());
                        }
                        bucket -= size;
                        taken += counts * size;
                        Ok(talk.placed(0))
                    })
                    .collect();
                answers.push((millis + ROUND_TRIP, number, id, results));
            }
        }
        while answers.first().is_some_and(|&(at, ..)| at <= millis) {
            let (_, number, id, results) = answers.remove(0);
            talks[number].answer(id, Answer::Put(results));
        }
    }
    (refused / entries_sent, taken / CAPACITY / 30.0)
}

#[test]
fn two_producers_at_nearly_all_of_a_shard_are_hardly_refused() {
    let (refused, taken) = contend(2, 0.95);
    assert!(refused < 0.005, "{refused} of the entries were refused");
    assert!(taken > 0.93, "{taken} of the capacity was used");
}

#[test]
fn more_than_a_shard_takes_is_offered_at_about_the_rate_it_takes() {
    for producers in [1, 3] {
        let (refused, taken) = contend(producers, 1.3);
        // The KPL: 41 % refused.
        assert!(refused < 0.08, "{producers}: {refused} of the entries were refused");
        assert!(taken > 0.9, "{producers}: {taken} of the capacity was used");
    }
}
