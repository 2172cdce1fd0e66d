//! Bytes that other writers made: read, and written again to the same bytes.
#![expect(clippy::unwrap_used, reason = "a fixture that is not as expected fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::Value;
use shardflow_core::aggregation::{AggregateSize, Aggregator, NotAnAggregate, decode};
use shardflow_core::{HashKey, HashKeyRange, PartitionKey, Record};

fn fixture(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(base64: &Value) -> Bytes {
    BASE64_STANDARD.decode(base64.as_str().unwrap()).unwrap().into()
}

fn unpack(data: &Bytes) -> Vec<Record> {
    decode(data).unwrap().into_iter().map(|sub| sub.into_record()).collect()
}

fn pack(records: &[Record]) -> (PartitionKey, HashKey, Bytes) {
    let mut aggregator = Aggregator::new(AggregateSize::MAX);
    for record in records {
        aggregator.try_push(record).expect("10 MiB hold every fixture");
    }
    let size = aggregator.size();
    let packed = aggregator.finish().unwrap();
    assert!(records.len() == 1 || packed.data.len() == size);
    (packed.partition_key, packed.explicit_hash_key, packed.data)
}

#[test]
fn every_entry_of_the_java_kpl_is_read_and_written_to_the_same_bytes() {
    let mut aggregates = 0;
    let mut numbers = BTreeMap::new();
    for name in ["20-keys", "first-request", "no-aggregation", "random-keys", "random-keys-2"] {
        let request = fixture(&format!("kpl/kpl-1.1.1-{name}.json"));
        for entry in request["Records"].as_array().unwrap() {
            let data = bytes(&entry["Data"]);
            let partition_key = entry["PartitionKey"].as_str().unwrap();
            // KPL 1.1.1 leaves it out of plain records as long as it does not know how the stream distributes them.
            let hash_key: HashKey = match entry["ExplicitHashKey"].as_str() {
                Some(key) => key.parse().unwrap(),
                None => HashKey::of(partition_key),
            };
            let records = match decode(&data) {
                Err(NotAnAggregate::Plain) => {
                    assert_eq!(hash_key, HashKey::of(partition_key));
                    vec![Record::new(partition_key, data.clone()).unwrap()]
                }
                Err(corrupt) => panic!("{name}: {corrupt}"),
                Ok(_) => {
                    aggregates += 1;
                    assert_eq!(partition_key, "a");
                    unpack(&data)
                }
            };
            // The KPL's promise, and ours: all of one shard.
            let shard = HashKeyRange::divide(4).find(|range| range.contains(hash_key)).unwrap();
            assert!(records.iter().all(|record| shard.contains(record.hash_key())));
            assert!(records.iter().all(|record| record.data().len() == 60));
            for record in &records {
                let number = u64::from_be_bytes(record.data()[..8].try_into().unwrap());
                *numbers.entry((name, number)).or_insert(0) += 1;
            }
            let (key, explicit, written) = pack(&records);
            assert_eq!((key.as_str(), explicit), (partition_key, hash_key), "{name}");
            assert_eq!(written, data, "{name}");
        }
    }
    assert!(aggregates >= 12 && numbers.len() > 3_000, "{aggregates} aggregates, {} records", numbers.len());
    assert!(numbers.values().all(|&seen| seen == 1), "no record is read twice");
}

#[test]
fn aggregates_of_the_python_and_node_libraries_are_read_and_written_to_the_same_bytes() {
    let cases = fixture("aggregators/cases.json");
    for writer in ["python", "node"] {
        let aggregates = fixture(&format!("aggregators/{writer}.json"));
        assert_eq!(aggregates.as_object().unwrap().len(), cases.as_object().unwrap().len());
        for (name, records) in cases.as_object().unwrap() {
            let record = |r: &Value| {
                let record = Record::new(r["key"].as_str().unwrap(), bytes(&r["data"])).unwrap();
                match r["explicit"].as_str() {
                    Some(key) => record.explicit_hash_key(key.parse().unwrap()),
                    None => record,
                }
            };
            let expected: Vec<_> = records.as_array().unwrap().iter().map(record).collect();
            let aggregate = bytes(&aggregates[name]);
            assert_eq!(unpack(&aggregate), expected, "{writer}: {name}");
            // One record alone these libraries put into an aggregate of its own, the KPL and we do not: it travels as it is,
            // which costs a reader less and is as good. So there are no bytes of ours to compare.
            if expected.len() > 1 {
                assert_eq!(pack(&expected).2, aggregate, "{writer}: {name}");
            }
        }
    }
}

#[test]
fn a_damaged_fixture_is_plain_data_whatever_byte_is_hit() {
    let aggregates = fixture("aggregators/python.json");
    let whole = bytes(&aggregates["some-explicit"]);
    for at in 0..whole.len() {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 0x10;
        let expected = if at < 4 { NotAnAggregate::Plain } else { NotAnAggregate::WrongDigest };
        assert_eq!(decode(&damaged.into()).unwrap_err(), expected, "byte {at}");
        assert!(decode(&whole.slice(..at)).is_err(), "cut at {at}");
    }
}
