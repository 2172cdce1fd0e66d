//! How far a shard is read, and its records from there on.

use std::collections::VecDeque;
use std::time::SystemTime;

use shardflow_core::{
    Checkpoint, HashKeyRange, KinesisRecord, SequenceNumber, ShardPosition, UserRecord, aggregation,
};

use super::ReadEvent;

/// Where reading starts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Start {
    pub(super) position: ShardPosition,
    /// Everything up to here is done already. Reading starts *at* its Kinesis record, since an aggregate can be done in
    /// part.
    pub(super) done: Option<Checkpoint>,
}

impl Start {
    /// Behind a checkpoint. `timestamp` is what `AT_TIMESTAMP` stands for, since rows do not store it.
    #[must_use]
    pub fn behind(checkpoint: &Checkpoint, timestamp: Option<SystemTime>) -> Self {
        let position = match checkpoint {
            Checkpoint::TrimHorizon => ShardPosition::TrimHorizon,
            Checkpoint::Latest => ShardPosition::Latest,
            // A row of an application that was configured with a time: without one, the oldest record loses nothing.
            Checkpoint::AtTimestamp => {
                timestamp.map_or(ShardPosition::TrimHorizon, ShardPosition::AtTimestamp)
            }
            Checkpoint::At { sequence_number, .. } => {
                ShardPosition::AtSequenceNumber(sequence_number.clone())
            }
            Checkpoint::ShardEnd => ShardPosition::Latest,
        };
        let done = matches!(checkpoint, Checkpoint::At { .. }).then(|| checkpoint.clone());
        Self { position, done }
    }
}

impl From<ShardPosition> for Start {
    fn from(position: ShardPosition) -> Self {
        Self { position, done: None }
    }
}

/// How far a shard is read.
#[derive(Debug)]
pub(super) struct Place {
    start: Start,
    /// The last Kinesis record that was read, or a number of the service's that stands between two.
    last: Option<SequenceNumber>,
    /// The hash keys that the shard owns, if they are known.
    range: Option<HashKeyRange>,
    drop_stray_aggregates: bool,
}

impl Place {
    pub(super) fn new(start: Start, range: Option<HashKeyRange>, drop_stray_aggregates: bool) -> Self {
        Self { start, last: None, range, drop_stray_aggregates }
    }

    /// Where to read on.
    pub(super) fn position(&self) -> ShardPosition {
        match &self.last {
            Some(last) => ShardPosition::AfterSequenceNumber(last.clone()),
            None => self.start.position.clone(),
        }
    }

    /// Reading has begun somewhere.
    pub(super) fn opened(&mut self, asked: SystemTime) {
        // Opened once more before the first record came, "the newest" would be a later one, and what came between
        // would be skipped.
        if self.start.position == ShardPosition::Latest {
            self.start.position = ShardPosition::AtTimestamp(asked);
        }
    }

    /// Everything up to a number is read.
    pub(super) fn read_to(&mut self, last: SequenceNumber) {
        self.last = Some(last);
    }

    /// Reading begins anew behind a checkpoint. One that is no record's stands for where reading has started: looked up
    /// once more, "the newest" would be a later one.
    pub(super) fn rewind(&mut self, checkpoint: &Checkpoint) {
        if matches!(checkpoint, Checkpoint::At { .. }) {
            self.start = Start::behind(checkpoint, None);
        }
        self.last = None;
    }

    /// The service does not take the number where reading is to go on. If there is one, reading begins anew at the
    /// oldest record: a duplicate is better than a loss. Gives the number.
    pub(super) fn forget(&mut self) -> Option<SequenceNumber> {
        let number = match self.position() {
            ShardPosition::AtSequenceNumber(number) | ShardPosition::AfterSequenceNumber(number) => number,
            ShardPosition::TrimHorizon | ShardPosition::Latest | ShardPosition::AtTimestamp(_) => {
                return None;
            }
        };
        self.start = ShardPosition::TrimHorizon.into();
        self.last = None;
        Some(number)
    }

    /// The user records of Kinesis records, without those that were done before.
    pub(super) fn unpack(
        &mut self,
        records: Vec<KinesisRecord>,
        events: &mut VecDeque<ReadEvent>,
    ) -> Vec<UserRecord> {
        let mut unpacked = Vec::with_capacity(records.len());
        for record in records {
            if self.last.as_ref().is_none_or(|last| record.sequence_number > *last) {
                unpacked.append(&mut self.unpack_one(record, events));
            }
        }
        unpacked
    }

    fn unpack_one(&mut self, record: KinesisRecord, events: &mut VecDeque<ReadEvent>) -> Vec<UserRecord> {
        let mut records = aggregation::try_deaggregate(record).unwrap_or_else(|(why, alone)| {
            if why.is_corrupt() {
                events.push_back(ReadEvent::CorruptAggregate { at: alone.checkpoint() });
            }
            vec![alone]
        });
        if let Some(range) = self.range {
            for record in records.iter_mut().filter(|record| record.aggregated) {
                record.out_of_range = record.hash_key().is_some_and(|key| !range.contains(key));
            }
            if self.drop_stray_aggregates && records.iter().any(|record| record.out_of_range) {
                let at = records[0].checkpoint();
                events.push_back(ReadEvent::AggregateDropped { at, records: records.len() });
                return Vec::new();
            }
        }
        if let Some(done) = &self.start.done {
            records.retain(|record| record.checkpoint() > *done);
            // Numbers only grow: behind the first record that is new, all are.
            if !records.is_empty() {
                self.start.done = None;
            }
        }
        records
    }
}
