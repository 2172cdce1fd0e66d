//! Packing user records into one Kinesis record.

use std::borrow::Borrow;
use std::hash::BuildHasher;

use bytes::{Bytes, BytesMut};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use shardflow_md5::{Digest, digest_all};

use super::wire::{bytes_len, put_bytes, put_varint, varint_len};
use super::{DIGEST, MAGIC, tag};
use crate::{HashKey, Invalid, PartitionKey, Record};

/// Packs user records until a size is reached.
///
/// It knows the exact size of what it holds and of what it would hold with one record more, so an aggregate is never
/// built to find that it is too large. Keys that occur again are stored once. Data is copied once, when it is pushed.
#[derive(Debug)]
pub struct Aggregator {
    max: usize,
    partition_keys: PartitionKeys,
    hash_keys: HashKeys,
    records: Vec<u8>,
    count: usize,
    /// What a single record travels as, and what decides the shard of several.
    first: Option<Record>,
}

impl Aggregator {
    /// The size of one that holds nothing, in bytes.
    pub const EMPTY: usize = MAGIC.len() + DIGEST;

    /// An empty one that packs up to `max` bytes.
    #[must_use]
    pub fn new(max: AggregateSize) -> Self {
        Self {
            max: max.bytes(),
            partition_keys: PartitionKeys::default(),
            hash_keys: HashKeys::default(),
            records: Vec::new(),
            count: 0,
            first: None,
        }
    }

    /// Adds a record, or gives it back when there is no room for it. Takes it by value or by reference.
    ///
    /// # Errors
    ///
    /// The record, when the aggregate would exceed its size. A record that does not even fit into an empty aggregate
    /// travels alone.
    pub fn try_push<R: Borrow<Record>>(&mut self, record: R) -> Result<(), R> {
        let addition = self.addition(record.borrow());
        if self.size() + addition.size > self.max {
            return Err(record);
        }
        self.add(record.borrow(), addition);
        Ok(())
    }

    /// The exact size of the aggregate as it stands, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        MAGIC.len()
            + self.partition_keys.encoded.len()
            + self.hash_keys.encoded.len()
            + self.records.len()
            + DIGEST
    }

    /// The exact size that it would have with `record`.
    #[must_use]
    pub fn size_with(&self, record: &Record) -> usize {
        self.size() + self.addition(record).size
    }

    /// Whether there is room for `record`.
    #[must_use]
    pub fn has_room(&self, record: &Record) -> bool {
        self.size_with(record) <= self.max
    }

    /// What a record takes at most as the next one behind so many others: its keys may be there already.
    #[must_use]
    pub fn addition_at_most(record: &Record, others: usize) -> usize {
        // Every key that it can name has come with one of them or with itself.
        let index = varint_len(others as u64);
        let mut size = bytes_len(record.partition_key().as_bytes().len());
        let mut body = 1 + index + bytes_len(record.data().len());
        if let Some(explicit) = record.explicit() {
            size += bytes_len(decimal_len(explicit));
            body += 1 + index;
        }
        size + bytes_len(body)
    }

    /// Changes how large it can become, if it is empty.
    pub fn resize(&mut self, max: AggregateSize) {
        if self.is_empty() {
            self.max = max.bytes();
        }
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes everything out as one Kinesis record; `None` if there is nothing. The aggregator can be filled again.
    ///
    /// A single record comes out as it is, since the KPL never writes an aggregate of one.
    pub fn finish(&mut self) -> Option<Packed> {
        self.finish_unsealed(None, BytesMut::new()).map(Parcel::seal)
    }

    /// The same without the digest, for whoever seals several at once. `hash_key` is that of its first record, if it is
    /// known already; an aggregate is written into `buffer`, which must be empty.
    pub fn finish_unsealed(&mut self, hash_key: Option<HashKey>, buffer: BytesMut) -> Option<Parcel> {
        let first = self.first.take()?;
        let explicit_hash_key = hash_key.unwrap_or_else(|| first.hash_key());
        let parcel = if self.count == 1 {
            Parcel::alone(&first, explicit_hash_key)
        } else {
            Parcel {
                partition_key: PartitionKey::from_static(AGGREGATE_KEY),
                explicit_hash_key,
                content: Content::Unsealed(self.encode(buffer)),
                records: self.count,
            }
        };
        self.partition_keys.clear();
        self.hash_keys.clear();
        self.records.clear();
        self.count = 0;
        Some(parcel)
    }

    /// The aggregate, with room for its digest behind it.
    fn encode(&self, mut bytes: BytesMut) -> BytesMut {
        bytes.reserve(self.size());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.partition_keys.encoded);
        bytes.extend_from_slice(&self.hash_keys.encoded);
        bytes.extend_from_slice(&self.records);
        bytes
    }

    fn addition(&self, record: &Record) -> Addition {
        let key = record.partition_key().as_bytes();
        let found = self.partition_keys.find(key);
        let partition_key = found.unwrap_or(self.partition_keys.count);
        let mut size = if found.is_some() { 0 } else { bytes_len(key.len()) };
        let mut body = 1 + varint_len(partition_key) + bytes_len(record.data().len());
        let hash_key = record.explicit().map(|explicit| {
            let found = self.hash_keys.indices.get(&explicit).copied();
            let index = found.unwrap_or(self.hash_keys.count);
            size += if found.is_some() { 0 } else { bytes_len(decimal_len(explicit)) };
            body += 1 + varint_len(index);
            index
        });
        size += bytes_len(body);
        Addition { size, body, partition_key, hash_key }
    }

    fn add(&mut self, record: &Record, addition: Addition) {
        if addition.partition_key == self.partition_keys.count {
            self.partition_keys.insert(record.partition_key().as_bytes());
        }
        if let (Some(explicit), Some(index)) = (record.explicit(), addition.hash_key)
            && index == self.hash_keys.count
        {
            self.hash_keys.insert(explicit);
        }
        let to = &mut self.records;
        to.push(tag::RECORD);
        put_varint(to, addition.body as u64);
        to.push(tag::RECORD_PARTITION_KEY);
        put_varint(to, addition.partition_key);
        if let Some(index) = addition.hash_key {
            to.push(tag::RECORD_EXPLICIT_HASH_KEY);
            put_varint(to, index);
        }
        put_bytes(to, tag::RECORD_DATA, record.data());
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(record.clone());
        }
    }
}

/// What one record would add.
struct Addition {
    /// Bytes in all.
    size: usize,
    /// Bytes of the record's own message.
    body: usize,
    partition_key: u64,
    hash_key: Option<u64>,
}

/// Table 1: every partition key once, in order of first use.
#[derive(Default)]
struct PartitionKeys {
    encoded: Vec<u8>,
    /// Where each key lies in `encoded`, and its index.
    places: HashTable<(usize, usize, u64)>,
    count: u64,
    hasher: DefaultHashBuilder,
}

impl PartitionKeys {
    fn find(&self, key: &[u8]) -> Option<u64> {
        let hash = self.hasher.hash_one(key);
        self.places
            .find(hash, |&(start, end, _)| self.encoded[start..end] == *key)
            .map(|&(_, _, index)| index)
    }

    fn insert(&mut self, key: &[u8]) {
        put_bytes(&mut self.encoded, tag::PARTITION_KEY, key);
        let end = self.encoded.len();
        let place = (end - key.len(), end, self.count);
        let rehash = |&(start, end, _): &(usize, usize, u64)| self.hasher.hash_one(&self.encoded[start..end]);
        self.places.insert_unique(self.hasher.hash_one(key), place, rehash);
        self.count += 1;
    }

    fn clear(&mut self) {
        self.encoded.clear();
        self.places.clear();
        self.count = 0;
    }
}

impl std::fmt::Debug for PartitionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionKeys").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Table 2: every explicit hash key once, in order of first use, in decimal.
#[derive(Debug, Default)]
struct HashKeys {
    encoded: Vec<u8>,
    indices: HashMap<HashKey, u64>,
    count: u64,
}

impl HashKeys {
    fn insert(&mut self, key: HashKey) {
        put_bytes(&mut self.encoded, tag::EXPLICIT_HASH_KEY, key.to_string().as_bytes());
        self.indices.insert(key, self.count);
        self.count += 1;
    }

    fn clear(&mut self) {
        self.encoded.clear();
        self.indices.clear();
        self.count = 0;
    }
}

fn decimal_len(key: HashKey) -> usize {
    key.0.checked_ilog10().map_or(1, |power| power as usize + 1)
}

/// The partition key that every aggregate travels under. The KPL's choice; its readers do not look at it.
const AGGREGATE_KEY: &str = "a";

/// One Kinesis record, ready to be put.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Packed {
    /// The user's own key for a single record, `a` for an aggregate.
    pub partition_key: PartitionKey,
    /// The hash key of its first record. The KPL sends it always, and it must be sent with an aggregate, whose partition
    /// key says nothing about its shard.
    pub explicit_hash_key: HashKey,
    /// The record's data, or the aggregate.
    pub data: Bytes,
    /// How many user records it carries.
    pub records: usize,
}

/// One Kinesis record whose digest may still have to be computed.
///
/// A digest takes more time than all the rest of packing, and those of sixteen aggregates at once little more than one.
#[derive(Clone, Debug)]
pub struct Parcel {
    partition_key: PartitionKey,
    explicit_hash_key: HashKey,
    content: Content,
    records: usize,
}

#[derive(Clone, Debug)]
enum Content {
    Sealed(Bytes),
    /// An aggregate without its digest.
    Unsealed(BytesMut),
}

impl Parcel {
    /// A record that travels by itself. `hash_key` is its [`Record::hash_key`].
    #[must_use]
    pub fn alone(record: &Record, hash_key: HashKey) -> Self {
        Self {
            partition_key: record.partition_key().clone(),
            explicit_hash_key: hash_key,
            content: Content::Sealed(record.data().clone()),
            records: 1,
        }
    }

    /// As [`Packed::partition_key`].
    #[must_use]
    pub fn partition_key(&self) -> &PartitionKey {
        &self.partition_key
    }

    /// As [`Packed::explicit_hash_key`].
    #[must_use]
    pub fn explicit_hash_key(&self) -> HashKey {
        self.explicit_hash_key
    }

    /// Bytes of its data, digest included.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Sealed(data) => data.len(),
            Content::Unsealed(message) => message.len() + DIGEST,
        }
    }

    /// Whether it has no data: a record can be empty, an aggregate is not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its data. Seals it if that has not been done.
    pub fn data(&mut self) -> &Bytes {
        if matches!(self.content, Content::Unsealed(_)) {
            Self::seal_all([&mut *self]);
        }
        match &self.content {
            Content::Sealed(data) => data,
            Content::Unsealed(_) => unreachable!("it has just been sealed"),
        }
    }

    /// Computes the digests of all that lack one.
    pub fn seal_all<'a>(parcels: impl IntoIterator<Item = &'a mut Self>) {
        let mut open: Vec<(&mut Content, BytesMut)> = Vec::new();
        for parcel in parcels {
            if let Content::Unsealed(message) = &mut parcel.content {
                let message = std::mem::take(message);
                open.push((&mut parcel.content, message));
            }
        }
        let mut digests = vec![Digest::default(); open.len()];
        digest_all(open.iter().map(|(_, message)| &message[MAGIC.len()..]).zip(&mut digests));
        for ((content, mut bytes), digest) in open.into_iter().zip(digests) {
            bytes.extend_from_slice(&digest);
            *content = Content::Sealed(bytes.freeze());
        }
    }

    /// The memory of an aggregate that nobody else holds, emptied.
    #[must_use]
    pub fn into_buffer(self) -> Option<BytesMut> {
        let mut buffer = match self.content {
            Content::Sealed(data) if self.records > 1 => data.try_into_mut().ok()?,
            Content::Sealed(_) => return None,
            Content::Unsealed(buffer) => buffer,
        };
        buffer.clear();
        Some(buffer)
    }

    /// What is put.
    #[must_use]
    pub fn seal(mut self) -> Packed {
        let data = self.data().clone();
        let Self { partition_key, explicit_hash_key, records, .. } = self;
        Packed { partition_key, explicit_hash_key, data, records }
    }
}

/// How large an aggregate can become: 64 bytes to 10 MiB. The KPL's `AggregationMaxSize`; default 51,200 bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AggregateSize(u32);

impl AggregateSize {
    /// The least size, 64 bytes.
    pub const MIN: Self = Self(64);
    /// The greatest size, 10 MiB.
    pub const MAX: Self = Self(10 << 20);

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0 as usize
    }
}

impl Default for AggregateSize {
    fn default() -> Self {
        Self(51_200)
    }
}

impl TryFrom<u64> for AggregateSize {
    type Error = Invalid;

    fn try_from(bytes: u64) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("aggregate size", bytes, "64 to 10485760 bytes");
        let size = Self(u32::try_from(bytes).map_err(|_| invalid())?);
        if (Self::MIN..=Self::MAX).contains(&size) { Ok(size) } else { Err(invalid()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(key: &str, data: &'static str) -> Record {
        Record::new(key, data).unwrap()
    }

    #[test]
    fn one_record_travels_as_it_is() {
        let mut aggregator = Aggregator::new(AggregateSize::default());
        assert_eq!(aggregator.finish(), None);
        aggregator.try_push(record("k", "x")).unwrap();
        let packed = aggregator.finish().unwrap();
        assert_eq!((packed.partition_key.as_str(), &packed.data[..], packed.records), ("k", &b"x"[..], 1));
        assert_eq!(packed.explicit_hash_key, HashKey::of("k"));
    }

    #[test]
    fn what_does_not_fit_comes_back_and_the_rest_stays() {
        let mut aggregator = Aggregator::new(AggregateSize::MIN);
        aggregator.try_push(record("k", "0123456789")).unwrap();
        aggregator.try_push(record("k", "0123456789")).unwrap();
        let third = record("k", "0123456789");
        assert_eq!(aggregator.try_push(&third), Err(&third));
        assert_eq!(aggregator.try_push(third.clone()), Err(third));
        assert_eq!(aggregator.finish().unwrap().records, 2);
        assert!(aggregator.is_empty());
    }

    #[test]
    fn sizes_are_exact_at_every_step() {
        let mut aggregator = Aggregator::new(AggregateSize::MAX);
        for i in 0..400_u128 {
            let mut record = Record::new(format!("key-{}", i % 150), vec![7; (i as usize) % 200]).unwrap();
            if i % 3 == 0 {
                record = record.explicit_hash_key(HashKey(10_u128.pow((i % 38) as u32) - 1));
            }
            let told = aggregator.size_with(&record);
            assert!(aggregator.size() + Aggregator::addition_at_most(&record, aggregator.len()) >= told);
            aggregator.try_push(record).unwrap();
            assert_eq!(aggregator.size(), told);
            assert_eq!(aggregator.encode(BytesMut::new()).len() + DIGEST, told);
        }
    }

    proptest! {
        /// A limit is met to the byte: nothing that fits is turned away, and nothing that does not gets in.
        #[test]
        fn a_record_is_refused_if_and_only_if_it_would_exceed_the_size(
            max in 64_u64..3_000,
            records in proptest::collection::vec(
                ("[a-c]|[a-z]{1,40}", proptest::option::of(any::<u128>()), 0_usize..300),
                1..60,
            ),
        ) {
            let mut aggregator = Aggregator::new(max.try_into().unwrap());
            for (key, explicit, size) in records {
                let mut record = Record::new(key, vec![0; size]).unwrap();
                if let Some(explicit) = explicit {
                    record = record.explicit_hash_key(HashKey(explicit));
                }
                let (told, before) = (aggregator.size_with(&record), (aggregator.size(), aggregator.len()));
                let taken = aggregator.try_push(&record).is_ok();
                prop_assert_eq!(taken, told as u64 <= max, "{} bytes of {}", told, max);
                let after = if taken { (told, before.1 + 1) } else { before };
                prop_assert_eq!((aggregator.size(), aggregator.len()), after);
            }
        }
    }

    #[test]
    fn sizes_out_of_bounds_are_refused() {
        assert!(AggregateSize::try_from(63).is_err());
        assert_eq!(AggregateSize::try_from(64), Ok(AggregateSize::MIN));
        assert_eq!(AggregateSize::try_from(10_485_760), Ok(AggregateSize::MAX));
        assert!(AggregateSize::try_from(10_485_761).is_err());
        assert!(AggregateSize::try_from(u64::MAX).is_err());
    }
}
