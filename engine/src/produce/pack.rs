//! Turning records into entries.

use bytes::BytesMut;
use shardflow_core::aggregation::{AggregateSize, Aggregator, Parcel};
use shardflow_core::{HashKey, HashKeyRange, PartitionKey, Record, ShardId};

use super::Settings;
use super::epochs::Epoch;
use super::held::Held;
use crate::Moment;

/// One Kinesis record with the user records that it carries.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) parcel: Parcel,
    pub(super) records: Vec<Held<T>>,
    pub(super) sum: Sum,
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

/// What its records have come to. They are not looked at when they are delivered: by then they are far from the processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    /// Each counted as [`Settings::cost`].
    pub(super) bytes: usize,
    /// The epoch of all of them, if it is one.
    pub(super) epoch: Option<Epoch>,
}

impl Sum {
    fn of<T>(held: &Held<T>) -> Self {
        Self { bytes: Settings::cost(&held.record), epoch: Some(held.epoch) }
    }

    fn add<T>(&mut self, held: &Held<T>) {
        self.bytes += Settings::cost(&held.record);
        self.epoch = self.epoch.filter(|epoch| *epoch == held.epoch);
    }
}

/// Records that are being packed into one entry.
#[derive(Debug)]
pub(super) struct Bundle<T> {
    /// How large an aggregate it can become; nothing when there is a record that shares with no other.
    size: Option<AggregateSize>,
    /// What the aggregate takes at most. As long as that is small enough nobody need know how large it is, and it is
    /// written when the bundle is closed: one bundle after the other, not a little of a thousand by turns.
    at_most: usize,
    /// Holds all of the records, once it matters.
    aggregator: Option<Box<Aggregator>>,
    records: Vec<Held<T>>,
    sum: Sum,
    pub(super) oldest: Moment,
    pub(super) due: Moment,
}

impl<T> Bundle<T> {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn into_records(self) -> Vec<Held<T>> {
        self.records
    }

    /// How large it can become, if it can hold more records.
    fn open_to(&self, most_records: usize) -> Option<AggregateSize> {
        self.size.filter(|_| self.records.len() < most_records)
    }

    /// What the aggregate takes at most with this record, if that is little enough. Once it is written its own size counts.
    fn at_most_with(&self, record: &Record, size: AggregateSize) -> Option<usize> {
        let at_most = self.at_most + Aggregator::addition_at_most(record, self.records.len());
        (self.aggregator.is_none() && at_most <= size.bytes()).then_some(at_most)
    }
}

/// What adding a record has done to a bundle.
#[derive(Debug)]
pub(super) enum Added<T> {
    /// Nothing else than that it holds one more.
    Along,
    /// It is there now, or must be sent sooner than before.
    Sooner,
    /// It was full and is to be closed; the record has opened another one.
    Full(Bundle<T>),
}

/// Packs, and keeps the buffers of what has been packed for the next ones.
#[derive(Debug)]
pub(super) struct Packer<T> {
    size: Option<AggregateSize>,
    most_records: usize,
    /// Whether records may share an entry.
    pub(super) together: bool,
    #[expect(
        clippy::vec_box,
        reason = "a lane has no more than its pointer, and there may be ten thousand lanes"
    )]
    spare: Vec<Box<Aggregator>>,
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
            self.spare_data.clear();
        }
    }

    /// Whether a bundle takes this record too.
    pub(super) fn has_room(&mut self, open: &mut Bundle<T>, record: &Record) -> bool {
        let Some(size) = open.open_to(self.most_records) else { return false };
        open.at_most_with(record, size).is_some() || self.aggregator(open, size).has_room(record)
    }

    /// Writes the aggregate as far as it goes.
    fn aggregator<'a>(&mut self, bundle: &'a mut Bundle<T>, size: AggregateSize) -> &'a mut Aggregator {
        bundle.aggregator.get_or_insert_with(|| {
            let mut aggregator = self.spare.pop().unwrap_or_else(|| Box::new(Aggregator::new(size)));
            aggregator.resize(size);
            for held in &bundle.records {
                aggregator.try_push(&held.record).expect("it takes no more than it can at most");
            }
            aggregator
        })
    }

    /// Whether the record was taken in without or with a look at how large the aggregate is.
    fn takes(&mut self, open: &mut Bundle<T>, record: &Record) -> bool {
        let Some(size) = open.open_to(self.most_records) else { return false };
        match open.at_most_with(record, size) {
            Some(at_most) => open.at_most = at_most,
            None => return self.aggregator(open, size).try_push(record).is_ok(),
        }
        true
    }

    /// Adds a record to the open bundle of a lane. If it does not fit, the bundle comes back to be closed, and the
    /// record opens a new one.
    pub(super) fn add(&mut self, open: &mut Option<Bundle<T>>, held: Held<T>, due: Moment) -> Added<T> {
        if let Some(open) = open
            && self.takes(open, &held.record)
        {
            let sooner = due < open.due || held.accepted < open.oldest;
            open.oldest = held.accepted.min(open.oldest);
            open.due = due.min(open.due);
            open.sum.add(&held);
            open.records.push(held);
            return if sooner { Added::Sooner } else { Added::Along };
        }
        open.replace(self.open(held, due)).map_or(Added::Sooner, Added::Full)
    }

    /// A bundle of one record. It is open to others only if it fits into an aggregate at all.
    fn open(&mut self, held: Held<T>, due: Moment) -> Bundle<T> {
        let at_most = Aggregator::EMPTY + Aggregator::addition_at_most(&held.record, 0);
        let size = self.size.filter(|size| at_most <= size.bytes());
        let (oldest, sum) = (held.accepted, Sum::of(&held));
        let mut records = self.spare_records.pop().unwrap_or_default();
        records.push(held);
        Bundle { size, at_most, aggregator: None, oldest, due, records, sum }
    }

    /// Makes an entry of a bundle.
    pub(super) fn close(
        &mut self,
        mut bundle: Bundle<T>,
        shard: Option<&ShardId>,
        range: HashKeyRange,
    ) -> Entry<T> {
        if let Some(size) = bundle.size
            && bundle.records.len() > 1
        {
            self.aggregator(&mut bundle, size);
        }
        let Bundle { aggregator, records, sum, oldest, due, .. } = bundle;
        let first = records.first().expect("a bundle is opened by its first record");
        let parcel = aggregator.and_then(|mut aggregator| {
            let buffer = self.spare_data.pop().unwrap_or_default();
            let parcel = aggregator.finish_unsealed(Some(first.hash_key()), buffer);
            self.keep(aggregator);
            parcel
        });
        let parcel = parcel.unwrap_or_else(|| Parcel::alone(&first.record, first.hash_key()));
        Entry { parcel, records, sum, due, oldest, shard: shard.cloned(), range }
    }

    /// An entry of a single record that shares with no other.
    pub(super) fn alone(
        held: Held<T>,
        due: Moment,
        shard: Option<&ShardId>,
        range: HashKeyRange,
    ) -> Entry<T> {
        let parcel = Parcel::alone(&held.record, held.hash_key());
        let (oldest, sum) = (held.accepted, Sum::of(&held));
        Entry { parcel, oldest, due, records: vec![held], sum, shard: shard.cloned(), range }
    }

    /// Whether records of a shard share entries. Those whose shard is not known must not: a KCL drops an aggregate
    /// that holds a record of another shard.
    pub(super) fn packs(&self, shard: Option<&ShardId>) -> bool {
        self.together && self.size.is_some() && shard.is_some()
    }

    fn keep(&mut self, aggregator: Box<Aggregator>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::produce::held::Trail;

    fn held(key: &str, bytes: usize) -> Held<()> {
        let record = Record::new(key, vec![0; bytes]).unwrap();
        Held { record, tag: (), accepted: Moment::START, epoch: Epoch::default(), trail: Trail::default() }
    }

    /// Also when the aggregate had to be written to know it, and a smaller record comes then.
    #[test]
    fn there_is_room_for_what_is_taken_and_for_nothing_else() {
        let size = Some(AggregateSize::try_from(600).unwrap());
        let mut packer = Packer::new(&Settings { aggregate: size, ..Settings::default() });
        let mut open = None;
        let (mut written, mut full) = (0, 0);
        for n in 0..2_000 {
            let held = held(["the same key time and again", "k"][n / 7 % 2], [40, 1, 9, 90, 3][n % 5]);
            let room = open.as_mut().is_some_and(|open| packer.has_room(open, &held.record));
            let due = held.accepted;
            match packer.add(&mut open, held, due) {
                Added::Along => assert!(room, "{n}"),
                Added::Sooner => assert_eq!(n, 0),
                Added::Full(_) => {
                    assert!(!room, "{n}");
                    full += 1;
                }
            }
            written += usize::from(open.as_ref().is_some_and(|open| open.aggregator.is_some()));
        }
        assert!(written > 100 && full > 50, "{written} {full}");
    }
}
