//! One shard: its records, where it stands in the stream's history, and what it gives and takes in a second.

use std::collections::VecDeque;

use bytes::Bytes;
use shardflow_core::limits::{
    SHARD_READ_BYTES_PER_SECOND, SHARD_READS_PER_SECOND, SHARD_WRITE_BYTES_PER_SECOND,
    SHARD_WRITE_RECORDS_PER_SECOND,
};
use shardflow_core::{HashKeyRange, PartitionKey, ShardId};

use super::bucket::Bucket;
use super::sequence::Sequence;
use super::stamp::Stamp;

#[derive(Debug)]
pub(super) struct ShardState {
    pub(super) number: u32,
    pub(super) id: ShardId,
    pub(super) range: HashKeyRange,
    /// None, one after a split, two after a merge: the lower range first.
    pub(super) parents: Vec<u32>,
    pub(super) children: Vec<u32>,
    pub(super) created: Stamp,
    pub(super) closed: Option<Stamp>,
    /// The creation second in its sequence numbers. Not that of `created` where a parent was made in the same second:
    /// then it is one more than the parent's, or the child's numbers would not come after the parent's.
    epoch: u64,
    records: VecDeque<StoredRecord>,
    /// Records that left retention: the position of the first in `records`. Positions stay what they are.
    trimmed: u64,
    pub(super) write_records: Bucket,
    pub(super) write_bytes: Bucket,
    pub(super) reads: Bucket,
    pub(super) read_bytes: Bucket,
}

#[derive(Debug)]
pub(super) struct StoredRecord {
    pub(super) arrival: Stamp,
    pub(super) partition_key: Option<PartitionKey>,
    pub(super) data: Bytes,
}

impl StoredRecord {
    pub(super) fn size(&self) -> usize {
        self.data.len() + self.partition_key.as_ref().map_or(0, |key| key.as_bytes().len())
    }
}

impl ShardState {
    /// An open shard. `after` is the epoch of its youngest parent.
    pub(super) fn new(number: u32, range: HashKeyRange, created: Stamp, after: Option<u64>) -> Self {
        Self {
            number,
            id: ShardId::numbered(number.into()),
            range,
            parents: Vec::new(),
            children: Vec::new(),
            created,
            closed: None,
            epoch: created.seconds().max(after.map_or(0, |epoch| epoch + 1)),
            records: VecDeque::new(),
            trimmed: 0,
            write_records: Bucket::per_second(SHARD_WRITE_RECORDS_PER_SECOND),
            write_bytes: Bucket::per_second(SHARD_WRITE_BYTES_PER_SECOND),
            reads: Bucket::per_second(SHARD_READS_PER_SECOND),
            read_bytes: Bucket::per_second(SHARD_READ_BYTES_PER_SECOND),
        }
    }

    pub(super) fn append(
        &mut self,
        now: Stamp,
        partition_key: Option<PartitionKey>,
        data: Bytes,
    ) -> Sequence {
        // Arrival never runs backwards within a shard, whatever the clock does: positions by time are searched for.
        let arrival = self.records.back().map_or(now, |last| last.arrival.max(now));
        let sequence = self.sequence(self.end(), arrival);
        self.records.push_back(StoredRecord { arrival, partition_key, data });
        sequence
    }

    /// Forgets what arrived before `horizon`.
    pub(super) fn trim(&mut self, horizon: Stamp) {
        while self.records.front().is_some_and(|record| record.arrival < horizon) {
            self.records.pop_front();
            self.trimmed += 1;
        }
    }

    pub(super) fn close(&mut self, now: Stamp) {
        self.closed = Some(now);
    }

    pub(super) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The position of the oldest record that is kept.
    pub(super) fn start(&self) -> u64 {
        self.trimmed
    }

    /// The position behind the newest record.
    pub(super) fn end(&self) -> u64 {
        self.trimmed + self.records.len() as u64
    }

    pub(super) fn starting_sequence(&self) -> Sequence {
        Sequence::new(self.epoch, self.number, 0, self.epoch)
    }

    pub(super) fn ending_sequence(&self) -> Option<Sequence> {
        self.closed.map(|at| Sequence::end(self.epoch, self.number, at.seconds().max(self.epoch)))
    }

    /// The records from `position` on, or from the oldest one if it is gone, with their sequence numbers.
    pub(super) fn read(&self, position: u64) -> impl Iterator<Item = (Sequence, &StoredRecord)> {
        let first = position.max(self.trimmed);
        let skipped = usize::try_from(first - self.trimmed).unwrap_or(usize::MAX);
        let from = skipped.min(self.records.len());
        (first..)
            .zip(self.records.range(from..))
            .map(|(at, record)| (self.sequence(at, record.arrival), record))
    }

    /// The position of the first record with this number or a higher one; or, if `after`, with a higher one only.
    pub(super) fn position_of(&self, sequence: Sequence, after: bool) -> u64 {
        // Indices count from 1, positions from 0; index 0 is the shard's start.
        let Some(position) = sequence.index().checked_sub(1) else { return self.start() };
        let passed = match self.read(position).next() {
            Some((found, _)) if position >= self.trimmed => found < sequence || (after && found == sequence),
            // Left retention, or yet to come.
            _ => after,
        };
        (position + u64::from(passed)).clamp(self.start(), self.end())
    }

    /// The position of the first record that arrived at `time` or later.
    pub(super) fn position_at(&self, time: Stamp) -> u64 {
        self.trimmed + self.records.partition_point(|record| record.arrival < time) as u64
    }

    /// A number behind which reading goes on at `position`, whether or not the record before it is still there.
    pub(super) fn sequence_before(&self, position: u64) -> Sequence {
        match position.checked_sub(1) {
            Some(last) => {
                let arrival = self.read(last).next().map(|(_, record)| record.arrival);
                self.sequence(last, arrival.filter(|_| last >= self.trimmed).unwrap_or(self.created))
            }
            None => self.starting_sequence(),
        }
    }

    fn sequence(&self, position: u64, arrival: Stamp) -> Sequence {
        Sequence::new(self.epoch, self.number, position + 1, arrival.seconds().max(self.epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Stamp = Stamp::from_millis(1_700_000_000_000);

    fn at(seconds: u64) -> Stamp {
        START.plus(std::time::Duration::from_secs(seconds))
    }

    fn shard_with(arrivals: &[u64]) -> (ShardState, Vec<Sequence>) {
        let mut shard = ShardState::new(0, HashKeyRange::ALL, START, None);
        let sequences = arrivals.iter().map(|s| shard.append(at(*s), None, Bytes::new())).collect();
        (shard, sequences)
    }

    #[test]
    fn every_record_is_found_by_its_number_and_by_numbers_between() {
        let (shard, sequences) = shard_with(&[0, 0, 1, 5]);
        for (position, sequence) in (0_u64..).zip(&sequences) {
            assert_eq!(shard.position_of(*sequence, false), position);
            assert_eq!(shard.position_of(*sequence, true), position + 1);
        }
        let between = Sequence::new(START.seconds(), 0, 2, at(9).seconds());
        assert_eq!(shard.position_of(between, false), 2);
        assert_eq!(shard.position_of(between, true), 2);
        assert_eq!(shard.position_of(shard.starting_sequence(), true), 0);
        assert_eq!(shard.position_of(Sequence::end(START.seconds(), 0, 0), false), 4);
    }

    #[test]
    fn positions_survive_trimming() {
        let (mut shard, sequences) = shard_with(&[0, 1, 2, 3]);
        shard.trim(at(2));
        assert_eq!((shard.start(), shard.end()), (2, 4));
        assert_eq!(shard.position_of(sequences[0], true), 2);
        assert_eq!(shard.position_of(sequences[3], false), 3);
        assert_eq!(shard.read(0).next().unwrap().0, sequences[2]);
        assert_eq!(shard.position_at(at(3)), 3);
        shard.trim(at(10));
        assert_eq!((shard.start(), shard.end()), (4, 4));
        assert_eq!(shard.append(at(11), None, Bytes::new()).index(), 5);
    }

    #[test]
    fn reading_goes_on_behind_a_made_up_number() {
        let (mut shard, _) = shard_with(&[0, 1]);
        for position in 0..=2 {
            assert_eq!(shard.position_of(shard.sequence_before(position), true), position);
        }
        shard.trim(at(10));
        assert_eq!(shard.position_of(shard.sequence_before(2), true), 2);
    }

    #[test]
    fn a_clock_that_steps_back_does_not_disorder_records() {
        let (shard, sequences) = shard_with(&[5, 3, 4]);
        assert!(sequences.is_sorted());
        assert_eq!(shard.position_at(at(5)), 0);
    }
}
