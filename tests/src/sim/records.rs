//! Records that can be told apart wherever they turn up.

use fastrand::Rng;
use shardflow_core::aggregation::decode;
use shardflow_core::{HashKey, PartitionKey, Record};
use shardflow_engine::produce::PutEntry;

/// A record of the simulation: which producer put it, under which of its keys, as which of that key's records.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Id {
    /// The producer.
    pub producer: u16,
    /// The key, a number of the producer's own.
    pub key: u16,
    /// Its place among the records of the key, in the order of put.
    pub index: u32,
}

impl Id {
    /// The record, `size` bytes long at least.
    pub(super) fn record(self, size: usize) -> Record {
        let mut data = Vec::with_capacity(size.max(8));
        data.extend(self.producer.to_be_bytes());
        data.extend(self.key.to_be_bytes());
        data.extend(self.index.to_be_bytes());
        data.resize(size.max(8), 0);
        let key: PartitionKey = format!("{}-{}", self.producer, self.key).parse().expect("it is short");
        Record::new(key, data).expect("a key is a key")
    }

    /// Whether it is one of so many, chosen once for all.
    pub(super) fn is_one_of(self, many: u32) -> bool {
        let number = u64::from(self.producer) << 48 | u64::from(self.key) << 32 | u64::from(self.index);
        Rng::with_seed(number).u32(..many) == 0
    }

    /// Which record some data is.
    pub(super) fn of(data: &[u8]) -> Self {
        let number =
            |range: std::ops::Range<usize>| u16::from_be_bytes([data[range.start], data[range.end - 1]]);
        let index = [data[4], data[5], data[6], data[7]];
        Self { producer: number(0..2), key: number(2..4), index: u32::from_be_bytes(index) }
    }

    /// The records of one entry, with the keys that decide their shards.
    pub(super) fn all_of(entry: &PutEntry) -> Vec<(Self, HashKey)> {
        match decode(&entry.data) {
            // Where the service decides, any shard is right for a record by itself.
            Err(_) => vec![(Self::of(&entry.data), entry.explicit_hash_key.unwrap_or_default())],
            Ok(records) => records
                .into_iter()
                .map(|sub| {
                    let record = sub.into_record();
                    (Self::of(record.data()), record.hash_key())
                })
                .collect(),
        }
    }
}
