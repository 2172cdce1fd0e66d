//! A checkpoint never goes back, and never passes a record that no handler has processed: nothing is skipped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use shardflow_core::{Checkpoint, ShardId};

use super::{Id, Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct CheckpointCoversProcessed {
    shards: HashMap<ShardId, Shard>,
}

/// What is known of one shard.
#[derive(Debug, Default)]
struct Shard {
    /// Records in it that no checkpoint has passed yet, by their place.
    ahead: BTreeMap<Checkpoint, Id>,
    processed: BTreeSet<Checkpoint>,
}

impl Invariant for CheckpointCoversProcessed {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored { placed, ids, .. } => {
                let shard = self.shards.entry(placed.shard_id.clone()).or_default();
                for (sub, (id, _)) in (0..).zip(*ids) {
                    shard.ahead.insert(Checkpoint::at(placed.sequence_number.clone(), sub), *id);
                }
            }
            // What is gone cannot be read any more.
            Seen::Aged => self.shards.values_mut().for_each(|shard| shard.ahead.clear()),
            Seen::Processed { shard, records, .. } => {
                let places = records.iter().map(|record| record.at.clone());
                self.shards.entry((*shard).clone()).or_default().processed.extend(places);
            }
            Seen::Written { before: Some(before), after, .. } => {
                if after.checkpoint < before.checkpoint {
                    return Err(format!(
                        "the checkpoint of {} goes back from {} to {}",
                        after.key, before.checkpoint, after.checkpoint
                    ));
                }
                if after.checkpoint != before.checkpoint {
                    let shard = self.shards.entry(after.shard_id.clone()).or_default();
                    shard.pass(&after.checkpoint).map_err(|(at, id)| {
                        format!("{} of {} passes {id:?} at {at}, unprocessed", after.checkpoint, after.key)
                    })?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Shard {
    fn pass(&mut self, checkpoint: &Checkpoint) -> Result<(), (Checkpoint, Id)> {
        while let Some(first) = self.ahead.first_entry() {
            if first.key() > checkpoint {
                break;
            }
            let (at, id) = first.remove_entry();
            if !self.processed.contains(&at) {
                return Err((at, id));
            }
        }
        Ok(())
    }
}
