//! A worker does not take a lease for another's that is its own, and loses none once all trouble has stopped.

use std::time::Duration;

use shardflow_engine::lease::LossCause;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct NoNeedlessLoss {
    /// When trouble stopped.
    healing: Option<Duration>,
}

impl NoNeedlessLoss {
    /// Until then a loss can still be the consequence of trouble: a failover time, and old mail.
    const AFTERMATH: Duration = Duration::from_secs(40);
}

impl Invariant for NoNeedlessLoss {
    fn see(&mut self, now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Healing => self.healing = Some(now),
            Seen::Lost { worker, row, cause } => {
                let own =
                    row.is_some_and(|row| row.holder() == Some(worker) && row.checkpoint_owner.is_none());
                if *cause == LossCause::Taken && own {
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
