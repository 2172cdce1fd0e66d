//! Records without a key.

use super::*;

/// How many bytes each shard got of `count` records of a size, over its share of the hash space.
fn loads(settings: Settings, shards: Vec<Shard>, count: u32, size: usize) -> (Vec<f64>, usize) {
    let mut talk = Talk::with(settings);
    let ranges: Vec<_> = shards.iter().map(|shard| shard.hash_key_range).collect();
    let (mut got, mut entries_sent) = (vec![0.0; ranges.len()], 0);
    talk.put_keyless(0, size);
    talk.answer_map(shards);
    for tag in 1..count {
        talk.put_keyless(tag, size);
        talk.now = talk.now.after(Duration::from_micros(20));
        let last = tag + 1 == count;
        if last {
            talk.flush();
        } else if tag % 256 == 0 {
            talk.sleep(0);
        }
        while talk.puts() > 0 || last && !talk.pipeline.is_empty() {
            if talk.puts() == 0 {
                talk.sleep(1);
                continue;
            }
            let (id, entries) = talk.take_put();
            let owner = |entry: &PutEntry| {
                ranges.iter().position(|range| range.contains(entry.explicit_hash_key.unwrap())).unwrap()
            };
            let owners: Vec<_> = entries.iter().map(owner).collect();
            entries_sent += entries.len();
            for (owner, entry) in owners.iter().zip(&entries) {
                got[*owner] += decode(&entry.data).map_or(1, |records| records.len()) as f64;
            }
            let results = owners.iter().map(|owner| Ok(talk.placed(*owner as u64))).collect();
            talk.answer(id, Answer::Put(results));
        }
        talk.settled.clear();
    }
    let width = |range: &HashKeyRange| (range.end().0 - range.start().0) as f64 / u128::MAX as f64;
    (got.iter().zip(&ranges).map(|(got, range)| got / width(range)).collect(), entries_sent)
}

fn spread(loads: &[f64]) -> f64 {
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    loads.iter().fold(0.0_f64, |most, load| most.max(*load)) / mean
}

fn unlimited() -> Settings {
    Settings { shard_share: 10_000.0, ..Settings::default() }
}

#[test]
fn a_million_spread_evenly_over_sixteen_shards_and_fill_their_aggregates() {
    let (loads, entries) = loads(unlimited(), divided(16), 1_000_000, 100);
    assert!((loads.iter().sum::<f64>() - 16_000_000.0).abs() < 0.5, "all arrived");
    assert!(spread(&loads) < 1.05, "{loads:?}");
    // 100 bytes of data and 6 of protobuf.
    assert!(1_000_000.0 / entries as f64 > 0.95 * 51_200.0 / 108.0, "{entries}");
}

#[test]
fn shards_of_unequal_width_get_their_due() {
    let [quarter, half] = [HashKeyRange::divide(4), HashKeyRange::divide(2)];
    let ranges = quarter.take(2).chain(half.skip(1));
    let shards = (0..).zip(ranges).map(|(number, range)| shard(number, range)).collect();
    let (loads, _) = loads(unlimited(), shards, 200_000, 100);
    assert!(spread(&loads) < 1.05, "{loads:?}");
}

#[test]
fn without_aggregation_each_goes_to_another_place() {
    let (loads, entries) = loads(Settings { aggregate: None, ..unlimited() }, divided(7), 20_000, 100);
    assert_eq!(entries, 20_000);
    assert!(spread(&loads) < 1.01, "{loads:?}");
}

#[test]
fn slowly_put_ones_do_not_all_go_to_one_shard() {
    let mut talk = Talk::with_shards(Settings::default(), 4);
    let mut shards = std::collections::BTreeSet::new();
    for tag in 0..8 {
        talk.put_keyless(tag, 100);
        talk.sleep(200);
        let (_, entries) = talk.take_put();
        let key = entries[0].explicit_hash_key.unwrap();
        shards.insert(HashKeyRange::divide(4).position(|range| range.contains(key)));
    }
    assert_eq!(shards.len(), 4);
}

#[test]
fn a_shard_that_is_held_back_is_passed_over() {
    let mut talk = Talk::with_shards(Settings::default(), 2);
    talk.put(0, 10);
    talk.flush();
    let (id, _) = talk.take_put();
    talk.answer(id, Answer::Put(vec![Err(throttled())]));
    for tag in 1..20 {
        talk.put_keyless(tag, 60_000);
    }
    assert!(talk.take_put().1.iter().all(|entry| entry.explicit_hash_key.unwrap().0 >> 127 == 1));
}

#[test]
fn what_is_not_delivered_comes_back_as_it_was_put() {
    let mut talk = Talk::with_shards(Settings::default(), 2);
    talk.put_keyless(1, 10);
    talk.pipeline.abandon(talk.now);
    talk.drain();
    let Outcome::Abandoned { record, .. } = &talk.settled[&1] else { panic!("it was given up") };
    assert!(record.is_keyless());
    assert_eq!(record.explicit(), None);
}
