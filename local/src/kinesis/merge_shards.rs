//! MergeShards.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, StreamRef, StreamStatus};
use super::split_shard::require_open;
use super::stamp::Stamp;
use super::stream::Change;

/// What MergeShards takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MergeShardsRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// One shard.
    pub shard_to_merge: String,
    /// The other one: its range starts where the first one's ends.
    pub adjacent_shard_to_merge: String,
}

impl Kinesis {
    /// Merges two adjacent shards. The stream is UPDATING, and the shards go on taking records, until its transition
    /// time is over.
    ///
    /// # Errors
    ///
    /// When there is no such stream or shard (`ResourceNotFound`), the stream is not ACTIVE or a shard is closed
    /// (`ResourceInUse`), or the shards do not touch (`InvalidArgument`).
    #[expect(clippy::missing_panics_doc, reason = "it cannot: what was just found is there")]
    pub fn merge_shards(
        &mut self,
        now: SystemTime,
        merge: MergeShardsRequest,
    ) -> Result<Empty, KinesisError> {
        let (now, transition) = (Stamp::of(now), self.transition);
        let stream = self.stream(now, &merge.stream)?;
        stream.require_active()?;
        let lower = stream.find_shard(now, &merge.shard_to_merge)?;
        let upper = stream.find_shard(now, &merge.adjacent_shard_to_merge)?;
        require_open(stream, now, lower)?;
        require_open(stream, now, upper)?;
        let start_and_end = |number| {
            let range = stream.shard(now, number).expect("it was just found").range;
            (range.start(), range.next())
        };
        if start_and_end(lower).1 != Some(start_and_end(upper).0) {
            return Err(KinesisError::invalid_argument(format!(
                "Shards {} and {} in stream {} under account {} are not an adjacent pair of shards eligible for merging",
                merge.shard_to_merge, merge.adjacent_shard_to_merge, stream.name, stream.account
            )));
        }
        stream.begin(now, transition, StreamStatus::Updating, Change::Merge { lower, upper });
        Ok(Empty {})
    }
}
