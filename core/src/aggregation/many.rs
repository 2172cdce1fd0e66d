//! Many Kinesis records at once: their digests, and those of the keys in them, take a small part of the time of one by one.

use shardflow_md5::{Digest, digest_all};

use super::NotAnAggregate;
use super::decode::{Message, covered};
use crate::{HashKey, HashKeyRange, KinesisRecord, UserRecord};

/// Takes Kinesis records apart into the user records in them, in order, as
/// [`try_deaggregate`](super::try_deaggregate) does with one.
///
/// `alone` is told of each record that came out as it is, and why it is no aggregate.
#[must_use]
pub fn deaggregate_all(
    records: Vec<KinesisRecord>,
    mut alone: impl FnMut(NotAnAggregate, &UserRecord),
) -> Vec<UserRecord> {
    let mut digests = vec![Digest::default(); records.len()];
    let messages = records.iter().zip(&mut digests);
    digest_all(messages.filter_map(|(record, digest)| Some((&record.data[covered(&record.data)?], digest))));
    let mut message = Message::default();
    let mut left: usize = records.iter().map(|record| record.data.len()).sum();
    let mut all = Vec::with_capacity(records.len());
    for (record, digest) in records.into_iter().zip(digests) {
        let bytes = record.data.len();
        match message.read(&record.data, digest) {
            Ok(()) => {
                if all.len() + message.len() > all.capacity() {
                    // As many as there are if the others are as full as this one. Made bit by bit, room costs a copy each time.
                    let alike = message.len().saturating_mul(left / bytes);
                    all.reserve(alike.min(AT_ONCE).max(message.len()));
                }
                all.extend(message.user_records(&record));
            }
            Err(why) => {
                let record = UserRecord::alone(record);
                alone(why, &record);
                all.push(record);
            }
        }
        left -= bytes;
    }
    all
}

/// Sets [`UserRecord::out_of_range`] of records that were read from a shard with this range.
pub fn mark_out_of_range(records: &mut [UserRecord], range: HashKeyRange) {
    if range == HashKeyRange::ALL {
        return;
    }
    let mut digests = [Digest::default(); TOGETHER];
    for records in records.chunks_mut(TOGETHER) {
        let keys = records.iter().zip(&mut digests).filter_map(|(record, digest)| {
            let key = record.partition_key.as_ref()?;
            (record.aggregated && record.explicit_hash_key.is_none()).then(|| (key.as_bytes(), digest))
        });
        digest_all(keys);
        for (record, digest) in records.iter_mut().zip(&digests).filter(|(record, _)| record.aggregated) {
            let of_key = || HashKey(u128::from_be_bytes(*digest));
            let key = record.explicit_hash_key.or_else(|| record.partition_key.as_ref().map(|_| of_key()));
            record.out_of_range = key.is_some_and(|key| !range.contains(key));
        }
    }
}

/// Room for more records than that is not made because of one aggregate, which can be of many that are tiny.
const AT_ONCE: usize = 100_000;
/// So many digests stay in the innermost cache, and fill the widest lanes many times.
const TOGETHER: usize = 512;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::{AggregateSize, Aggregator, deaggregate, try_deaggregate};
    use super::*;
    use crate::{PartitionKey, Record};

    fn kinesis_record(number: usize, data: Bytes) -> KinesisRecord {
        KinesisRecord {
            sequence_number: (number + 1).to_string().parse().unwrap(),
            partition_key: Some(PartitionKey::from_static("a")),
            data,
            approximate_arrival: None,
        }
    }

    /// So many records in an aggregate, or plain data, or a damaged aggregate.
    fn any_data() -> impl Strategy<Value = Bytes> {
        let record = (any::<u16>(), any::<Option<u128>>(), 0..50_usize);
        (proptest::collection::vec(record, 1..30), any::<bool>()).prop_map(|(records, damaged)| {
            let mut aggregator = Aggregator::new(AggregateSize::MAX);
            for (key, explicit, size) in records {
                let record = Record::new(key.to_string(), vec![1; size]).unwrap();
                let record =
                    if let Some(key) = explicit { record.explicit_hash_key(HashKey(key)) } else { record };
                assert!(aggregator.try_push(record).is_ok());
            }
            let mut data = aggregator.finish().unwrap().data.to_vec();
            let last = data.len().saturating_sub(1);
            if damaged && last > 0 {
                data[last] ^= 1;
            }
            data.into()
        })
    }

    proptest! {
        #[test]
        fn many_come_apart_as_one_by_one(data in proptest::collection::vec(any_data(), 0..20), end in any::<u128>()) {
            let records: Vec<_> = data.into_iter().enumerate().map(|(n, data)| kinesis_record(n, data)).collect();
            let mut alone = Vec::new();
            let mut together = deaggregate_all(records.clone(), |why, record| alone.push((why, record.checkpoint())));
            let mut one_by_one: Vec<_> = records.iter().cloned().flat_map(deaggregate).collect();
            prop_assert_eq!(&together, &one_by_one);
            let left: Vec<_> = records.into_iter().filter_map(|record| try_deaggregate(record).err()).collect();
            prop_assert_eq!(alone, left.iter().map(|(why, record)| (*why, record.checkpoint())).collect::<Vec<_>>());

            let range = HashKeyRange::new(HashKey::MIN, HashKey(end)).unwrap();
            mark_out_of_range(&mut together, range);
            for record in one_by_one.iter_mut().filter(|record| record.aggregated) {
                record.out_of_range = record.hash_key().is_some_and(|key| !range.contains(key));
            }
            prop_assert_eq!(together, one_by_one);
        }
    }

    #[test]
    fn chunks_do_not_show() {
        let record = |number: usize| UserRecord {
            aggregated: !number.is_multiple_of(3),
            partition_key: Some(PartitionKey::as_written(number.to_string().into())),
            ..UserRecord::alone(kinesis_record(number, Bytes::new()))
        };
        let mut records: Vec<_> = (0..TOGETHER * 2 + 7).map(record).collect();
        let range = HashKeyRange::new(HashKey::MIN, HashKey(u128::MAX / 2)).unwrap();
        mark_out_of_range(&mut records, range);
        for record in &records {
            let outside = record.aggregated && !range.contains(record.hash_key().unwrap());
            assert_eq!(record.out_of_range, outside);
        }
    }
}
