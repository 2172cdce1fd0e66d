//! A delivered record lies where its receipt says; if it lies in an aggregate, the shard that took that owns the hash
//! keys of all its records, for a KCL drops the whole of any other.

use std::collections::HashMap;
use std::time::Duration;

use shardflow_core::{SequenceNumber, ShardId};
use shardflow_engine::produce::Outcome;

use super::{Id, Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct AcknowledgedIsThere {
    stored: HashMap<(ShardId, SequenceNumber), Entry>,
}

#[derive(Debug)]
struct Entry {
    ids: Vec<Id>,
    whole: bool,
}

impl Invariant for AcknowledgedIsThere {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored { placed, range, ids } => {
                let whole = ids.iter().all(|(_, key)| range.contains(*key));
                let entry = Entry { ids: ids.iter().map(|(id, _)| *id).collect(), whole };
                self.stored.insert((placed.shard_id.clone(), placed.sequence_number.clone()), entry);
            }
            Seen::Settled { id, outcome: Outcome::Delivered { placed, sub_sequence_number, .. } } => {
                let place = (placed.shard_id.clone(), placed.sequence_number.clone());
                let entry = self
                    .stored
                    .get(&place)
                    .ok_or_else(|| format!("{id:?} is not in the stream at {place:?}"))?;
                let index =
                    usize::try_from(sub_sequence_number.unwrap_or_default()).map_err(|e| e.to_string())?;
                if entry.ids.get(index) != Some(id) {
                    return Err(format!("{id:?} is not number {index} of the entry at {place:?}"));
                }
                if entry.ids.len() > 1 && !entry.whole {
                    return Err(format!("{id:?} counts as delivered in an aggregate that a KCL will drop"));
                }
                if sub_sequence_number.is_some() != (entry.ids.len() > 1) {
                    return Err(format!("{id:?} has the sub-sequence number {sub_sequence_number:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
