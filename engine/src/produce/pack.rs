//! Turning records into entries.

use bytes::BytesMut;
use shardflow_core::aggregation::{AggregateSize, Aggregator, Parcel};
use shardflow_core::{HashKey, HashKeyRange, PartitionKey, Record, ShardId};

use super::Settings;
use super::held::Held;
use crate::Moment;

/// One Kinesis record with the user records that it carries.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) parcel: Parcel,
    pub(super) records: Vec<Held<T>>,
    /// When it is to be sent.
    pub(super) due: Moment,
    /// When its oldest record was accepted.
    pub(super) oldest: Moment,
    /// The shard that it was packed for, if the map named one, and that shard's range.
    pub(super) shard: Option<ShardId>,
    pub(super) range: HashKeyRange,
}

impl<T> Entry<T> {
    /// What it counts in a request: the service counts data and partition key.
    pub(super) fn size(&self) -> usize {
        self.parcel.len() + self.parcel.partition_key().as_bytes().len()
    }

    /// Whether it carries a record that was put without a key.
    pub(super) fn is_keyless(&self) -> bool {
        self.records.first().is_some_and(|held| held.record.is_keyless())
    }

    pub(super) fn partition_key(&self) -> &PartitionKey {
        self.parcel.partition_key()
    }

    pub(super) fn hash_key(&self) -> HashKey {
        self.parcel.explicit_hash_key()
    }
}

/// Records that are being packed into one entry.
#[derive(Debug)]
pub(super) struct Bundle<T> {
    /// Holds all of the records; nothing when there is one that shares with no other.
    aggregator: Option<Aggregator>,
    records: Vec<Held<T>>,
    pub(super) oldest: Moment,
    pub(super) due: Moment,
}

impl<T> Bundle<T> {
    pub(super) fn into_records(self) -> Vec<Held<T>> {
        self.records
    }
}

/// Packs, and keeps the buffers of what has been packed for the next ones.
#[derive(Debug)]
pub(super) struct Packer<T> {
    size: Option<AggregateSize>,
    most_records: usize,
    /// Whether records may share an entry.
    pub(super) together: bool,
    spare: Vec<Aggregator>,
    spare_data: Vec<BytesMut>,
    spare_records: Vec<Vec<Held<T>>>,
}

impl<T> Packer<T> {
    /// Bytes of each kind of buffer that are kept for later use: without them, memory would be spread over the arenas of
    /// all threads that the driver has run on.
    const SPARE: usize = 12 << 20;
    /// What a record counts beside its data when it is an aggregate: the partition key `a`.
    const KEY: usize = 1;

    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            size: settings.aggregate,
            most_records: settings.aggregate_records,
            together: true,
            spare: Vec::new(),
            spare_data: Vec::new(),
            spare_records: Vec::new(),
        }
    }

    /// Keeps aggregates within what the stream takes as one record.
    pub(super) fn keep_within(&mut self, record_bytes: usize) {
        let most = AggregateSize::try_from(record_bytes.saturating_sub(Self::KEY) as u64).ok();
        if let (Some(size), Some(most)) = (self.size, most)
            && most < size
        {
            self.size = Some(most);
            self.spare.clear();
            self.spare_data.clear();
        }
    }

    /// Whether a bundle takes this record too.
    pub(super) fn has_room(&self, open: &Bundle<T>, record: &Record) -> bool {
        open.records.len() < self.most_records
            && open.aggregator.as_ref().is_some_and(|aggregator| aggregator.has_room(record))
    }

    /// Adds a record to the open bundle of a lane. If it does not fit, the bundle comes back to be closed, and the
    /// record opens a new one.
    pub(super) fn add(
        &mut self,
        open: &mut Option<Bundle<T>>,
        held: Held<T>,
        due: Moment,
    ) -> Option<Bundle<T>> {
        if let Some(Bundle { aggregator: Some(aggregator), records, oldest, due: earliest }) = open
            && records.len() < self.most_records
            && aggregator.try_push(&held.record).is_ok()
        {
            *oldest = held.accepted.min(*oldest);
            *earliest = due.min(*earliest);
            records.push(held);
            return None;
        }
        open.replace(self.open(held, due))
    }

    /// A bundle of one record. It is open to others only if it fits into an aggregate at all.
    fn open(&mut self, held: Held<T>, due: Moment) -> Bundle<T> {
        let mut aggregator = self.size.map(|size| self.spare.pop().unwrap_or_else(|| Aggregator::new(size)));
        if let Some(unused) = aggregator.take_if(|aggregator| aggregator.try_push(&held.record).is_err()) {
            self.keep(unused);
        }
        let oldest = held.accepted;
        let mut records = self.spare_records.pop().unwrap_or_default();
        records.push(held);
        Bundle { aggregator, oldest, due, records }
    }

    /// Makes an entry of a bundle.
    pub(super) fn close(
        &mut self,
        bundle: Bundle<T>,
        shard: Option<&ShardId>,
        range: HashKeyRange,
    ) -> Entry<T> {
        let Bundle { aggregator, records, oldest, due } = bundle;
        let first = records.first().expect("a bundle is opened by its first record");
        let parcel = aggregator.and_then(|mut aggregator| {
            let buffer = self.spare_data.pop().unwrap_or_default();
            let parcel = aggregator.finish_unsealed(Some(first.hash_key), buffer);
            self.keep(aggregator);
            parcel
        });
        let parcel = parcel.unwrap_or_else(|| Parcel::alone(&first.record, first.hash_key));
        Entry { parcel, records, due, oldest, shard: shard.cloned(), range }
    }

    /// An entry of a single record that shares with no other.
    pub(super) fn alone(
        held: Held<T>,
        due: Moment,
        shard: Option<&ShardId>,
        range: HashKeyRange,
    ) -> Entry<T> {
        let parcel = Parcel::alone(&held.record, held.hash_key);
        Entry { parcel, oldest: held.accepted, due, records: vec![held], shard: shard.cloned(), range }
    }

    /// Whether records of a shard share entries. Those whose shard is not known must not: a KCL drops an aggregate
    /// that holds a record of another shard.
    pub(super) fn packs(&self, shard: Option<&ShardId>) -> bool {
        self.together && self.size.is_some() && shard.is_some()
    }

    fn keep(&mut self, aggregator: Aggregator) {
        if self.spare.len() < self.most_spare() {
            self.spare.push(aggregator);
        }
    }

    /// Keeps the memory of an aggregate that was delivered.
    pub(super) fn keep_data(&mut self, parcel: Parcel) {
        if self.spare_data.len() < self.most_spare()
            && let Some(buffer) = parcel.into_buffer()
        {
            self.spare_data.push(buffer);
        }
    }

    /// Keeps the memory of its records, once they are told.
    pub(super) fn keep_records(&mut self, records: Vec<Held<T>>) {
        if records.capacity() > 1 && self.spare_records.len() < self.most_spare() {
            self.spare_records.push(records);
        }
    }

    fn most_spare(&self) -> usize {
        self.size.map_or(0, |size| (Self::SPARE / size.bytes()).clamp(1, 4_096))
    }
}
