//! Records: as they are put, as Kinesis stores them, and as they are read.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

use crate::{Checkpoint, HashKey, Invalid, PartitionKey, SequenceNumber};

/// A user record to be put: data, and the key that decides its shard. Cheap to clone.
///
/// ```
/// use shardflow_core::{HashKey, Record};
///
/// let record = Record::new("user-1", "hello")?;
/// assert_eq!(record.size(), 11);
/// let record = record.explicit_hash_key(HashKey(0)); // to the first shard, whatever its key
/// assert!(Record::new("", "hello").is_err());
/// # Ok::<(), shardflow_core::Invalid>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Record {
    partition_key: PartitionKey,
    data: Bytes,
    /// Zero where it is not known.
    hash_key: HashKey,
    is_hash_key_known: bool,
    place: Place,
}

/// What decides the shard of a record.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Place {
    PartitionKey,
    Explicit,
    Keyless,
    /// The place that a producer gave to a keyless one.
    Given,
}

/// What stands for a key where Kinesis demands one.
const NO_KEY: &str = "-";

impl Record {
    /// A record under a partition key, 1 to 256 characters. Records of one key go to one shard.
    ///
    /// The data can be empty. How large it can be is the stream's to say and is checked when the record is put.
    ///
    /// # Errors
    ///
    /// When the key is empty or too long.
    pub fn new<K>(partition_key: K, data: impl Into<Bytes>) -> Result<Self, Invalid>
    where
        K: TryInto<PartitionKey>,
        Invalid: From<K::Error>,
    {
        let partition_key = partition_key.try_into()?;
        Ok(Self::of(partition_key, data.into(), None, Place::PartitionKey))
    }

    /// A record whose shard does not matter: the producer spreads those evenly over the stream, and packs them as fully as
    /// any.
    ///
    /// Where Kinesis demands a partition key it travels under `-`; a stream that distributes records by itself
    /// (`RecordDistributionStrategy` `AUTO`) gets it without. It can have 1 byte less data than the stream's limit.
    #[must_use]
    pub fn keyless(data: impl Into<Bytes>) -> Self {
        let partition_key = PartitionKey::from_static(NO_KEY);
        Self::of(partition_key, data.into(), None, Place::Keyless)
    }

    /// A record as it was found in an aggregate.
    pub(crate) fn as_written(
        partition_key: PartitionKey,
        explicit_hash_key: Option<HashKey>,
        data: Bytes,
    ) -> Self {
        let place = if explicit_hash_key.is_some() { Place::Explicit } else { Place::PartitionKey };
        Self::of(partition_key, data, explicit_hash_key, place)
    }

    fn of(partition_key: PartitionKey, data: Bytes, hash_key: Option<HashKey>, place: Place) -> Self {
        let is_hash_key_known = hash_key.is_some();
        Self { partition_key, data, hash_key: hash_key.unwrap_or_default(), is_hash_key_known, place }
    }

    /// Sends it to the shard that owns `key`, instead of the one that owns the MD5 of its partition key.
    #[must_use]
    pub fn explicit_hash_key(mut self, key: HashKey) -> Self {
        self.note_hash_key(key);
        self.place = Place::Explicit;
        self
    }

    /// Whether it was made by [`Record::keyless`].
    #[must_use]
    pub fn is_keyless(&self) -> bool {
        matches!(self.place, Place::Keyless | Place::Given)
    }

    /// Gives a keyless record its place. It stays keyless, so another place can be given to it. For producers.
    pub fn place(&mut self, key: HashKey) {
        if self.is_keyless() {
            self.note_hash_key(key);
            self.place = Place::Given;
        }
    }

    /// Notes its [`Record::hash_key`], so that it need not be computed any more. For producers.
    pub fn note_hash_key(&mut self, key: HashKey) {
        self.hash_key = key;
        self.is_hash_key_known = true;
    }

    /// Takes the place of a keyless record and what was noted from it again: it is as it was made.
    #[must_use]
    pub fn displaced(self) -> Self {
        let Self { partition_key, data, hash_key, place, .. } = self;
        match place {
            Place::Explicit => Self::of(partition_key, data, Some(hash_key), place),
            Place::PartitionKey => Self::of(partition_key, data, None, place),
            Place::Keyless | Place::Given => Self::of(partition_key, data, None, Place::Keyless),
        }
    }

    /// Its partition key.
    #[must_use]
    pub fn partition_key(&self) -> &PartitionKey {
        &self.partition_key
    }

    /// Its explicit hash key, if it was given one.
    #[must_use]
    pub fn explicit(&self) -> Option<HashKey> {
        match self.place {
            Place::Explicit | Place::Given => Some(self.hash_key),
            Place::PartitionKey | Place::Keyless => None,
        }
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The key that decides its shard: the explicit one, or else the MD5 of its partition key.
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        if self.is_hash_key_known { self.hash_key } else { self.partition_key.hash_key() }
    }

    /// Its size as the service counts it: bytes of data and of partition key.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len() + self.partition_key.as_bytes().len()
    }
}

/// Without the data, which can be megabytes.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("partition_key", &self.partition_key)
            .field("explicit_hash_key", &self.explicit())
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// One record as GetRecords and SubscribeToShard give it. Its data can be an aggregate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KinesisRecord {
    /// Its place in the shard.
    pub sequence_number: SequenceNumber,
    /// Its partition key: `a` for an aggregate of the KPL's; absent where the stream distributes records by itself.
    pub partition_key: Option<PartitionKey>,
    /// Its data.
    pub data: Bytes,
    /// When the service took it, to the millisecond. Not a promise of order.
    pub approximate_arrival: Option<SystemTime>,
}

/// One record as the application that put it knew it, taken out of its aggregate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UserRecord {
    /// The place of the Kinesis record that carried it.
    pub sequence_number: SequenceNumber,
    /// Its place in that Kinesis record, 0 when it travelled alone. The two together name it for good.
    pub sub_sequence_number: u64,
    /// Its partition key; absent where the stream distributes records by itself.
    pub partition_key: Option<PartitionKey>,
    /// Its explicit hash key. Only aggregates keep it.
    pub explicit_hash_key: Option<HashKey>,
    /// Its data.
    pub data: Bytes,
    /// When the service took the Kinesis record, to the millisecond.
    pub approximate_arrival: Option<SystemTime>,
    /// Whether it came out of an aggregate.
    pub aggregated: bool,
    /// Whether it came out of an aggregate that holds it although its hash key belongs to another shard: a copy left by a
    /// split, which its producer has sent again, or the work of a writer that does not look at shards. Set by consumers
    /// that know their shard's range. Order per key is promised for the others only.
    pub out_of_range: bool,
}

impl UserRecord {
    /// A record that travelled alone, or whose aggregate could not be read.
    #[must_use]
    pub fn alone(record: KinesisRecord) -> Self {
        Self {
            sequence_number: record.sequence_number,
            sub_sequence_number: 0,
            partition_key: record.partition_key,
            explicit_hash_key: None,
            data: record.data,
            approximate_arrival: record.approximate_arrival,
            aggregated: false,
            out_of_range: false,
        }
    }

    /// The checkpoint that says: this one is done, and all before it.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::at(self.sequence_number.clone(), self.sub_sequence_number)
    }

    /// The key that decided its shard; absent only where the record has no partition key.
    #[must_use]
    pub fn hash_key(&self) -> Option<HashKey> {
        self.explicit_hash_key.or_else(|| self.partition_key.as_ref().map(PartitionKey::hash_key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_hash_key_wins_over_the_partition_key() {
        let record = Record::new("a", Bytes::new()).unwrap();
        assert_eq!(record.hash_key(), HashKey::of("a"));
        assert_eq!(record.explicit_hash_key(HashKey(7)).hash_key(), HashKey(7));
    }

    #[test]
    fn a_key_can_be_given_ready_made() {
        let key = PartitionKey::from_static("k");
        assert_eq!(Record::new(key.clone(), "x").unwrap().partition_key(), &key);
        assert_eq!(Record::new(String::from("k"), "x").unwrap().partition_key(), &key);
    }
}
