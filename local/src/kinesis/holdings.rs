//! Everything that a stream holds: no call of the service, but what a test looks at.

use std::time::SystemTime;

use shardflow_core::{KinesisRecord, Shard, ShardId};

use super::Kinesis;
use super::error::KinesisError;
use super::get_records::ReadRecord;
use super::shard::ShardState;
use super::stamp::Stamp;

impl Kinesis {
    /// A stream's shards by id, open or within retention, each with its records in order.
    ///
    /// # Errors
    ///
    /// When there is no such stream (`ResourceNotFound`).
    pub fn holdings(
        &mut self,
        now: SystemTime,
        stream: &str,
    ) -> Result<Vec<(Shard, Vec<KinesisRecord>)>, KinesisError> {
        let now = Stamp::of(now);
        let stream = self.stream_named(now, stream)?;
        let horizon = stream.horizon(now);
        let kept = |shard: &ShardState| {
            let records = shard.read(shard.start()).filter(|(_, record)| record.arrival >= horizon);
            records.map(|found| ReadRecord::of(found).into()).collect()
        };
        Ok(stream.shards(now).map(|shard| (description(shard), kept(shard))).collect())
    }
}

fn description(state: &ShardState) -> Shard {
    let id = |number: &u32| ShardId::numbered((*number).into());
    let mut shard = Shard::new(state.id.clone(), state.range);
    let mut parents = state.parents.iter().map(id);
    shard.parent = parents.next();
    shard.adjacent_parent = parents.next();
    shard.starting_sequence_number = Some(state.starting_sequence().into());
    shard.ending_sequence_number = state.ending_sequence().map(Into::into);
    shard
}
