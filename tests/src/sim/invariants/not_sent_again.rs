//! A record that its producer knows to be in the stream is sent again only in a misplaced aggregate.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use shardflow_core::{SequenceNumber, ShardId};

use super::{Id, Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct NotSentAgain {
    /// What went where, if it was one record, or an aggregate whose records all belong there.
    well_placed: HashMap<(ShardId, SequenceNumber), Vec<Id>>,
    known: HashSet<Id>,
}

impl Invariant for NotSentAgain {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored { placed, range, ids }
                if ids.len() == 1 || ids.iter().all(|(_, k)| range.contains(*k)) =>
            {
                let place = (placed.shard_id.clone(), placed.sequence_number.clone());
                self.well_placed.insert(place, ids.iter().map(|(id, _)| *id).collect());
            }
            Seen::Answered { results, .. } => {
                for placed in results.iter().flatten() {
                    let place = (placed.shard_id.clone(), placed.sequence_number.clone());
                    self.known.extend(self.well_placed.get(&place).into_iter().flatten());
                }
            }
            Seen::Sent { ids } => {
                if let Some((id, _)) = ids.iter().find(|(id, _)| self.known.contains(id)) {
                    return Err(format!(
                        "{id:?} is sent although its producer knows that it is in the stream"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
