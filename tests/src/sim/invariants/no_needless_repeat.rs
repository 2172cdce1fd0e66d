//! A record comes again only where that cannot be helped: within one run of a shard only to a fresh handler, and in the
//! next run only if it lies behind the checkpoint. And a worker that lets a shard go in good order has stored all that
//! it processed, so that the next one repeats nothing. A handler that panicked is excused: what it has not checkpointed it
//! may have kept in memory only, so that nobody can say for it that this is processed.

use std::collections::HashMap;
use std::time::Duration;

use shardflow_core::Checkpoint;

use super::{Invariant, Run, Seen};

#[derive(Debug, Default)]
pub(super) struct NoNeedlessRepeat {
    /// The last record that each run has processed, or the checkpoint that it began behind.
    last: HashMap<Run, Checkpoint>,
}

impl Invariant for NoNeedlessRepeat {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Began { run, row, .. } => drop(self.last.insert(*run, row.checkpoint.clone())),
            Seen::Restarted { run, checkpoint, .. } => {
                self.last.insert(*run, (*checkpoint).clone());
            }
            Seen::Processed { run, shard, records } => {
                for record in *records {
                    let last = self.last.insert(*run, record.at.clone());
                    if let Some(last) =
                        last.filter(|last| matches!(last, Checkpoint::At { .. }) && record.at <= *last)
                    {
                        return Err(format!(
                            "{:?} of {shard} at {} comes after {last}",
                            record.id, record.at
                        ));
                    }
                }
            }
            Seen::Released { shard, unsaved: Some(unsaved) } => {
                return Err(format!(
                    "{shard} is let go, processed up to {unsaved}, without a checkpoint there"
                ));
            }
            _ => {}
        }
        Ok(())
    }
}
