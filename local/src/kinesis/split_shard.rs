//! SplitShard.

use std::time::SystemTime;

use serde::Deserialize;
use shardflow_core::HashKey;

use super::error::KinesisError;
use super::shapes::{Empty, StreamRef, StreamStatus};
use super::stamp::Stamp;
use super::stream::{Change, StreamState};
use super::{Kinesis, request};

/// What SplitShard takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SplitShardRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// The shard to split. It has to be open.
    pub shard_to_split: String,
    /// Where the second child's range starts, in decimal.
    pub new_starting_hash_key: String,
}

impl Kinesis {
    /// Splits a shard in two. The stream is UPDATING, and the shard goes on taking records, until its transition time
    /// is over.
    ///
    /// # Errors
    ///
    /// When there is no such stream or shard (`ResourceNotFound`), the stream is not ACTIVE or the shard is closed
    /// (`ResourceInUse`), the key is at an edge of the shard or outside (`InvalidArgument`), or there would be too many
    /// shards (`LimitExceeded`).
    #[expect(clippy::missing_panics_doc, reason = "it cannot: what was just found is there")]
    pub fn split_shard(&mut self, now: SystemTime, split: SplitShardRequest) -> Result<Empty, KinesisError> {
        let (now, transition) = (Stamp::of(now), self.transition);
        // A key beyond the last one is outside of every shard, as the last one is.
        let at =
            request::hash_key(&split.new_starting_hash_key, "newStartingHashKey")?.unwrap_or(HashKey::MAX);
        let stream = self.stream(now, &split.stream)?;
        stream.require_active()?;
        let shard = stream.find_shard(now, &split.shard_to_split)?;
        require_open(stream, now, shard)?;
        let range = stream.shard(now, shard).expect("it was just found").range;
        // AWS wants more than one key on each side of the cut.
        if at.0 <= range.start().0.saturating_add(1) || at >= range.end() {
            return Err(KinesisError::invalid_argument(format!(
                "NewStartingHashKey {} used in SplitShard() on shard {} in stream {} under account {} is not both \
                 greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
                split.new_starting_hash_key,
                split.shard_to_split,
                stream.name,
                stream.account,
                range.start(),
                range.end()
            )));
        }
        self.require_room(now, 1)?;
        let stream = self.stream(now, &split.stream)?;
        stream.begin(now, transition, StreamStatus::Updating, Change::Split { shard, at });
        Ok(Empty {})
    }
}

pub(super) fn require_open(stream: &StreamState, now: Stamp, number: u32) -> Result<(), KinesisError> {
    match stream.shard(now, number) {
        Some(shard) if !shard.is_open() => Err(KinesisError::in_use(format!(
            "Shard {} in stream {} under account {} is closed.",
            shard.id, stream.name, stream.account
        ))),
        Some(_) | None => Ok(()),
    }
}
