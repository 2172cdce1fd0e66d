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
            Checkpoint::At { sequence_number, .. } if bug!(AggregateReadInPart) => {
                ShardPosition::AfterSequenceNumber(sequence_number.clone())
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
        let is_new =
            |record: &KinesisRecord| self.last.as_ref().is_none_or(|last| record.sequence_number > *last);
        let records = records.into_iter().filter(is_new).collect();
        let mut unpacked = aggregation::deaggregate_all(records, |why, alone| {
            if why.is_corrupt() {
                events.push_back(ReadEvent::CorruptAggregate { at: alone.checkpoint() });
            }
        });
        if let Some(range) = self.range {
            aggregation::mark_out_of_range(&mut unpacked, range);
            if self.drop_stray_aggregates {
                unpacked = without_stray_aggregates(&unpacked, events);
            }
        }
        if let Some(done) = &self.start.done {
            // Numbers only grow: behind the first record that is new, all are.
            let new = unpacked.iter().position(|record| record.checkpoint() > *done);
            unpacked.drain(..new.unwrap_or(unpacked.len()));
            if !unpacked.is_empty() {
                self.start.done = None;
            }
        }
        unpacked
    }
}

/// Leaves out every aggregate that holds a record of another shard's hash keys.
fn without_stray_aggregates(records: &[UserRecord], events: &mut VecDeque<ReadEvent>) -> Vec<UserRecord> {
    let mut kept = Vec::with_capacity(records.len());
    for together in records.chunk_by(|a, b| a.sequence_number == b.sequence_number) {
        if together.iter().any(|record| record.out_of_range) {
            let at = together[0].checkpoint();
            events.push_back(ReadEvent::AggregateDropped { at, records: together.len() });
        } else {
            kept.extend_from_slice(together);
        }
    }
    kept
}
