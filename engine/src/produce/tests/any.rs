//! Any conversation at all.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u128, usize),
    Sleep(u64),
    Answer(u8),
    Flush,
    Reshard(u8),
    Keyless(usize),
    Switch(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u128..100, 4_usize..3_000).prop_map(|(percent, size)| Step::Put(percent, size)),
        3 => (0_u64..400).prop_map(Step::Sleep),
        5 => any::<u8>().prop_map(Step::Answer),
        1 => Just(Step::Flush),
        1 => any::<u8>().prop_map(Step::Reshard),
        2 => (4_usize..3_000).prop_map(Step::Keyless),
        1 => any::<u8>().prop_map(Step::Switch),
    ]
}

proptest! {
    /// Whatever the service answers, each record settles once and is measured so, bytes in are bytes settled and
    /// bytes held, and a snapshot tells of what is held.
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
            measured: true,
            ..Settings::default()
        });
        let mut accepted = Vec::new();
        let (mut tag, mut flushes, mut shards, mut first) = (0, 0, 1_u32, 0_u64);
        for step in steps {
            match step {
                Step::Put(percent, size) => {
                    accepted.push(talk.now);
                    talk.put_sized(tag, percent, size);
                    tag += 1;
                }
                Step::Keyless(size) => {
                    accepted.push(talk.now);
                    talk.put_keyless(tag, size);
                    tag += 1;
                }
                Step::Switch(dice) => {
                    talk.description = Some(match dice % 4 {
                        0 => Answer::Failed(timed_out()),
                        1 => described(RecordDistribution::Auto),
                        _ => described(RecordDistribution::UserPartitionKey),
                    });
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
                        Request::Describe => described(RecordDistribution::UserPartitionKey),
                        Request::PutRecords(entries) => Answer::Put(
                            entries.iter().enumerate().map(|(i, entry)| {
                                if (usize::from(dice) + i) % 4 == 2 {
                                    return Err(throttled());
                                }
                                let owner = entry.explicit_hash_key.map_or(0, |key| {
                                    HashKeyRange::divide(shards).position(|r| r.contains(key)).unwrap()
                                });
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
            let held = (0..tag).filter(|tag| !talk.settled.contains_key(tag));
            let oldest = held.clone().map(|tag| talk.now.since(accepted[tag as usize])).max();
            let snapshot = talk.pipeline.snapshot(talk.now);
            prop_assert_eq!(snapshot.records, held.count() as u64);
            prop_assert_eq!(snapshot.oldest, oldest);
        }
        talk.sleep(40_000);
        while let Some((id, request)) = (!talk.asked.is_empty()).then(|| talk.asked.remove(0)) {
            let answer = match request {
                Request::ListShards { .. } => Answer::Shards(divided(1)),
                Request::PutRecords(_) | Request::Describe => Answer::Failed(timed_out()),
            };
            talk.answer(id, answer);
            talk.sleep(40_000);
            if talk.pipeline.is_empty() {
                break;
            }
        }
        prop_assert_eq!(talk.settled.len(), tag as usize);
        let measured = std::iter::from_fn(|| talk.pipeline.poll_measure()).map(|measure| match measure {
            Measure::Settled { retries, .. } => retries.iter().map(|(_, count)| count).sum(),
            Measure::Request { .. } | Measure::Entry { .. } => 0,
        });
        prop_assert_eq!(measured.sum::<usize>(), tag as usize);
        prop_assert_eq!(talk.pipeline.held_bytes(), 0);
        prop_assert_eq!(talk.flushed.len(), flushes);
    }
}
