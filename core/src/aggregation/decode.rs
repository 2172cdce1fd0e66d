//! Taking an aggregate apart.

use std::ops::Range;

use bytes::Bytes;
use shardflow_md5::{Digest, digest};

use super::wire::{Broken, Fields, Value};
use super::{DIGEST, MAGIC};
use crate::{HashKey, KinesisRecord, PartitionKey, Record, UserRecord};

/// Takes a Kinesis record apart into the user records in it, in the order in which they were put.
///
/// A record that is no aggregate, or one that cannot be read, comes out as it is: nothing is dropped. An aggregate can
/// be empty. No payload is copied. Which records belong to which shard is not looked at: see [`UserRecord::hash_key`].
#[must_use]
pub fn deaggregate(record: KinesisRecord) -> Vec<UserRecord> {
    try_deaggregate(record).unwrap_or_else(|(_, alone)| vec![alone])
}

/// The same, and tells why a record came out as it is.
///
/// # Errors
///
/// Why it is no aggregate, and the record.
#[expect(clippy::result_large_err, reason = "the error is what most callers go on with")]
pub fn try_deaggregate(record: KinesisRecord) -> Result<Vec<UserRecord>, (NotAnAggregate, UserRecord)> {
    let mut message = Message::default();
    match message.verify(&record.data) {
        Err(why) => Err((why, UserRecord::alone(record))),
        Ok(()) => Ok(message.user_records(&record).collect()),
    }
}

/// Reads an aggregate. All of it or nothing: a bad index or a cut message gives no records at all.
///
/// Any legal protobuf is read: fields in any order, fields that are not known, tags, numbers that are longer than they
/// need be. Of a field that occurs twice in a record the last counts.
///
/// # Errors
///
/// Why the bytes are to be delivered as they are.
pub fn decode(data: &Bytes) -> Result<Vec<SubRecord>, NotAnAggregate> {
    let mut message = Message::default();
    message.verify(data)?;
    Ok(message.sub_records(data).collect())
}

/// The part of an aggregate that its digest is of; nothing if the data is none.
pub(super) fn covered(data: &[u8]) -> Option<Range<usize>> {
    // The KCL asks for more than the magic and a digest, so an aggregate without a single field is plain data to it.
    let is_one = data.starts_with(&MAGIC) && data.len() > MAGIC.len() + DIGEST;
    is_one.then(|| MAGIC.len()..data.len() - DIGEST)
}

/// What an aggregate says. Its memory is there for the next one.
#[derive(Default)]
pub(super) struct Message {
    partition_keys: Vec<PartitionKey>,
    hash_keys: Vec<HashKey>,
    /// All of them refer to keys that are there.
    records: Vec<Raw>,
}

impl Message {
    /// Reads an aggregate, whose digest is computed here.
    fn verify(&mut self, data: &Bytes) -> Result<(), NotAnAggregate> {
        let covered = covered(data).ok_or(NotAnAggregate::Plain)?;
        self.read(data, digest(&data[covered]))
    }

    /// Reads an aggregate. `digest` is that of the part that is [`covered`]; it is not looked at if the data is none.
    pub(super) fn read(&mut self, data: &Bytes, digest: Digest) -> Result<(), NotAnAggregate> {
        let message = covered(data).ok_or(NotAnAggregate::Plain)?;
        if digest != data[message.end..] {
            return Err(NotAnAggregate::WrongDigest);
        }
        let Self { partition_keys, hash_keys, records } = self;
        partition_keys.clear();
        hash_keys.clear();
        records.clear();
        let mut fields = Fields::new(data, message);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(range)) => partition_keys.push(PartitionKey::within(data, range)),
                (2, Value::Bytes(range)) => hash_keys.push(hash_key(&data[range])?),
                (3, Value::Bytes(range)) => records.push(Raw::read(Fields::new(data, range))?),
                // Protobuf treats a known field with another wire type as one that is not known.
                _ => {}
            }
        }
        let known = |raw: &Raw| {
            raw.partition_key < partition_keys.len()
                && raw.hash_key.is_none_or(|index| index < hash_keys.len())
        };
        if records.iter().all(known) {
            Ok(())
        } else {
            Err(NotAnAggregate::Malformed("a record refers to a key that is not there"))
        }
    }

    /// How many records the aggregate has that was read last.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The records of the aggregate that was read last.
    fn sub_records(&self, data: &Bytes) -> impl Iterator<Item = SubRecord> {
        self.records.iter().map(|raw| SubRecord {
            partition_key: self.partition_keys[raw.partition_key].clone(),
            explicit_hash_key: raw.hash_key.map(|index| self.hash_keys[index]),
            data: data.slice(raw.data.clone()),
        })
    }

    /// The same with what the Kinesis record adds.
    pub(super) fn user_records(&self, record: &KinesisRecord) -> impl Iterator<Item = UserRecord> {
        (0..).zip(self.sub_records(&record.data)).map(|(index, sub)| UserRecord {
            sequence_number: record.sequence_number.clone(),
            sub_sequence_number: index,
            partition_key: Some(sub.partition_key),
            explicit_hash_key: sub.explicit_hash_key,
            data: sub.data,
            approximate_arrival: record.approximate_arrival,
            aggregated: true,
            out_of_range: false,
        })
    }
}

fn hash_key(text: &[u8]) -> Result<HashKey, NotAnAggregate> {
    let malformed = NotAnAggregate::Malformed("an explicit hash key is no number below 2^128");
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(malformed)
}

/// A record as it stands in the message. The tables that it refers to may still follow.
struct Raw {
    partition_key: usize,
    hash_key: Option<usize>,
    data: Range<usize>,
}

impl Raw {
    fn read(mut fields: Fields<'_>) -> Result<Self, NotAnAggregate> {
        // What no memory holds is in no table.
        let index = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let (mut partition_key, mut hash_key, mut data) = (None, None, None);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Varint(number)) => partition_key = Some(index(number)),
                (2, Value::Varint(number)) => hash_key = Some(index(number)),
                (3, Value::Bytes(range)) => data = Some(range),
                _ => {}
            }
        }
        match (partition_key, data) {
            (Some(partition_key), Some(data)) => Ok(Self { partition_key, hash_key, data }),
            _ => Err(NotAnAggregate::Malformed("a record lacks its key or its data")),
        }
    }
}

/// A user record as it stands in an aggregate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SubRecord {
    /// Its partition key.
    pub partition_key: PartitionKey,
    /// Its explicit hash key. The KPL writes one only if the application gave one; other writers always do.
    pub explicit_hash_key: Option<HashKey>,
    /// Its data, sharing the aggregate's memory.
    pub data: Bytes,
}

impl SubRecord {
    /// The record as the application put it. Keys that break the service's rules stay as they were written.
    #[must_use]
    pub fn into_record(self) -> Record {
        Record::as_written(self.partition_key, self.explicit_hash_key, self.data)
    }
}

/// Why bytes are not an aggregate and are to be delivered as they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAnAggregate {
    /// They do not start like one: ordinary data.
    #[error("the data is no aggregate")]
    Plain,
    /// They start like one, but the digest at the end is not theirs.
    #[error("the data starts like an aggregate, but its digest is wrong")]
    WrongDigest,
    /// The digest is right, but what it covers cannot be read.
    #[error("the data is an aggregate that cannot be read: {0}")]
    Malformed(&'static str),
}

impl NotAnAggregate {
    /// Whether they look like an aggregate that was damaged or badly written.
    #[must_use]
    pub fn is_corrupt(self) -> bool {
        match self {
            Self::Plain => false,
            Self::WrongDigest | Self::Malformed(_) => true,
        }
    }
}

impl From<Broken> for NotAnAggregate {
    fn from(Broken: Broken) -> Self {
        Self::Malformed("it is not a protobuf message")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregation::{AggregateSize, Aggregator};
    use proptest::prelude::*;

    fn sealed(message: &[u8]) -> Bytes {
        [&MAGIC[..], message, &digest(message)].concat().into()
    }

    fn decoded(message: &[u8]) -> Vec<(String, Option<u128>, Vec<u8>)> {
        let text = |sub: SubRecord| {
            (sub.partition_key.to_string(), sub.explicit_hash_key.map(|key| key.0), sub.data.to_vec())
        };
        decode(&sealed(message)).unwrap().into_iter().map(text).collect()
    }

    fn plain(data: &'static [u8]) -> KinesisRecord {
        KinesisRecord {
            sequence_number: "7".parse().unwrap(),
            partition_key: Some(PartitionKey::from_static("k")),
            data: Bytes::from_static(data),
            approximate_arrival: None,
        }
    }

    #[test]
    fn fields_come_in_any_order_and_length() {
        // The record first, its data before its indices, the key index padded to two bytes, then the tables.
        let message =
            [&[0x1a, 8, 0x1a, 1, b'x', 0x10, 0, 0x08, 0x80, 0x00][..], &[0x12, 1, b'9'], &[0x0a, 1, b'k']]
                .concat();
        assert_eq!(decoded(&message), [("k".into(), Some(9), b"x".to_vec())]);
    }

    #[test]
    fn unknown_fields_and_tags_are_passed_over_and_the_last_value_counts() {
        let record = [
            &[0x08, 5, 0x08, 0][..],         // the key index, twice
            &[0x1a, 1, b'x', 0x1a, 1, b'y'], // the data, twice
            &[0x22, 3, 0x0a, 1, b't'],       // a tag
            &[0x28, 1, 0x33, 0x34],          // a field and a group that are not known
            &[0x0a, 1, b'?'],                // the key index with another wire type
        ]
        .concat();
        let message = [&[0x0a, 1, b'k', 0x7a, 0][..], &[0x1a, 22], &record].concat();
        assert_eq!(record.len(), 22);
        assert_eq!(decoded(&message), [("k".into(), None, b"y".to_vec())]);
    }

    #[test]
    fn one_record_and_none_are_legal_too() {
        assert_eq!(decoded(&[0x0a, 1, b'k', 0x1a, 4, 0x08, 0, 0x1a, 0]), [("k".into(), None, vec![])]);
        assert_eq!(decoded(&[0x0a, 1, b'k']), []);
    }

    #[test]
    fn what_cannot_be_read_is_delivered_as_it_is() {
        use NotAnAggregate::{Malformed, Plain, WrongDigest};
        let mut flipped = sealed(&[0x0a, 1, b'k']).to_vec();
        flipped[5] ^= 1;
        for (data, expected) in [
            (Bytes::new(), Plain),
            (Bytes::from_static(b"\xf3\x89\x9a"), Plain),
            (sealed(&[]), Plain),
            (flipped.into(), WrongDigest),
            (sealed(&[0x0a, 9]), Malformed("it is not a protobuf message")),
            (sealed(&[0x1a, 4, 0x08, 0, 0x1a, 0]), Malformed("a record refers to a key that is not there")),
            (sealed(&[0x0a, 1, b'k', 0x1a, 2, 0x08, 0]), Malformed("a record lacks its key or its data")),
            (sealed(&[0x12, 1, b'x']), Malformed("an explicit hash key is no number below 2^128")),
        ] {
            let error = decode(&data).unwrap_err();
            assert_eq!((error, error.is_corrupt()), (expected, expected != Plain), "{data:x?}");
            let record = KinesisRecord { data, ..plain(b"") };
            assert_eq!(deaggregate(record.clone()), [UserRecord::alone(record)]);
        }
    }

    #[test]
    fn records_are_numbered_within_their_aggregate() {
        let mut aggregator = Aggregator::new(AggregateSize::default());
        for data in ["a", "b", "c"] {
            aggregator.try_push(Record::new("k", data).unwrap()).unwrap();
        }
        let record = KinesisRecord { data: aggregator.finish().unwrap().data, ..plain(b"") };
        let records = deaggregate(record);
        assert_eq!(records.iter().map(|r| r.sub_sequence_number).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(records.iter().all(|r| r.aggregated && r.sequence_number.as_str() == "7"));
        assert!(records.windows(2).all(|pair| pair[0].checkpoint() < pair[1].checkpoint()));
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let key = proptest::sample::select(vec![
            "a",
            "b",
            "user-1",
            "é",
            "a much longer partition key than the others",
        ]);
        let explicit =
            prop_oneof![Just(None), Just(Some(0)), Just(Some(u128::MAX)), any::<u128>().prop_map(Some)];
        let data = proptest::collection::vec(any::<u8>(), 0..300);
        (key, explicit, data).prop_map(|(key, explicit, data)| {
            let record = Record::new(key, data).unwrap();
            match explicit {
                Some(key) => record.explicit_hash_key(HashKey(key)),
                None => record,
            }
        })
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(records in proptest::collection::vec(any_record(), 2..200)) {
            let mut aggregator = Aggregator::new(AggregateSize::MAX);
            for record in &records {
                prop_assert!(aggregator.try_push(record).is_ok());
            }
            let size = aggregator.size();
            let packed = aggregator.finish().unwrap();
            prop_assert_eq!(packed.data.len(), size);
            prop_assert_eq!(packed.explicit_hash_key, records[0].hash_key());
            let back: Vec<_> = decode(&packed.data).unwrap().into_iter().map(SubRecord::into_record).collect();
            prop_assert_eq!(back, records);
        }

        #[test]
        fn no_bytes_make_it_panic(message in proptest::collection::vec(any::<u8>(), 1..200)) {
            drop(decode(&sealed(&message)));
        }
    }
}
