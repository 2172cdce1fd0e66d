//! Only who holds a lease renews it and stores checkpoints in it: nothing lands after another worker's take, or after a
//! handoff has ended.

use std::time::Duration;

use shardflow_core::LeaseChange;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct WriterIsHolder;

impl Invariant for WriterIsHolder {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Written { worker, before: Some(before), change: Some(change), .. } = seen else {
            return Ok(());
        };
        match change {
            LeaseChange::Checkpoint { .. } | LeaseChange::Renew { .. } if before.holder() != Some(worker) => {
                Err(format!(
                    "{worker} writes {change:?} to {}, which {:?} holds",
                    before.key,
                    before.holder()
                ))
            }
            _ => Ok(()),
        }
    }
}
