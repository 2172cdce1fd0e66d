//! While workers neither come nor go, and nothing fails, no lease changes hands, none is asked for, and none is lost.

use std::time::Duration;

use shardflow_core::LeaseChange;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct NothingMovesInCalm {
    calm: bool,
}

impl Invariant for NothingMovesInCalm {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Calm { .. } => self.calm = true,
            Seen::Stirred => self.calm = false,
            Seen::Written { worker, after, change: Some(change), .. } if self.calm => match change {
                LeaseChange::Take { .. }
                | LeaseChange::StartHandoff { .. }
                | LeaseChange::Assign { .. }
                | LeaseChange::Evict { .. }
                | LeaseChange::Rewind { .. } => {
                    return Err(format!("{worker} moves {} without a cause: {change:?}", after.key));
                }
                LeaseChange::Renew { .. }
                | LeaseChange::Checkpoint { .. }
                | LeaseChange::Prepare { .. }
                | LeaseChange::HashKeys { .. }
                | LeaseChange::Children { .. } => {}
            },
            Seen::Lost { worker, row, cause, .. } if self.calm => {
                return Err(format!("{worker} loses a lease by {cause:?} without a cause: {row:?}"));
            }
            _ => {}
        }
        Ok(())
    }
}
