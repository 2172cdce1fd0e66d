//! A worker does not take a lease for another's that has been its own all the time, and loses none once all trouble has
//! stopped.

use std::collections::HashMap;
use std::time::Duration;

use shardflow_core::{LeaseKey, WorkerId};
use shardflow_engine::lease::LossCause;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct NoNeedlessLoss {
    /// When trouble stopped.
    healing: Option<Duration>,
    /// How often each lease has changed hands.
    changes: HashMap<LeaseKey, u64>,
    /// How often it had when a worker began to read it.
    began: HashMap<(LeaseKey, WorkerId), u64>,
}

impl NoNeedlessLoss {
    /// Until then a loss can still be the consequence of trouble: a failover time, and old mail.
    const AFTERMATH: Duration = Duration::from_secs(40);
}

impl Invariant for NoNeedlessLoss {
    fn see(&mut self, now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Healing => self.healing = Some(now),
            Seen::Written { before, after, .. } if before.and_then(|row| row.holder()) != after.holder() => {
                *self.changes.entry(after.key.clone()).or_default() += 1;
            }
            Seen::Deleted { key } => *self.changes.entry((*key).clone()).or_default() += 1,
            Seen::Began { row, .. } => {
                if let Some(worker) = row.holder() {
                    let changes = self.changes.get(&row.key).copied().unwrap_or_default();
                    self.began.insert((row.key.clone(), worker.clone()), changes);
                }
            }
            Seen::Lost { worker, row: Some(row), cause, alone: true } => {
                let own = row.holder() == Some(worker) && row.checkpoint_owner.is_none();
                let changes = self.changes.get(&row.key);
                let same = changes == self.began.get(&(row.key.clone(), (*worker).clone()));
                if *cause == LossCause::Taken && own && same {
                    return Err(format!("{worker} gives up a lease that nobody took: {row:?}"));
                }
                if self.healing.is_some_and(|since| now > since + Self::AFTERMATH) {
                    return Err(format!(
                        "{worker} loses a lease by {cause:?} although there is no trouble: {row:?}"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
