//! Only who holds a lease renews it and stores checkpoints in it: nothing lands after another worker's take, or after a
//! handoff has ended.

use std::collections::HashMap;
use std::time::Duration;

use shardflow_core::{LeaseChange, LeaseKey};

use super::one_believer::DELETED;
use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct WriterIsHolder {
    deleted: HashMap<LeaseKey, Duration>,
}

impl Invariant for WriterIsHolder {
    fn see(&mut self, now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        if let Seen::Deleted { key } = seen {
            self.deleted.insert((*key).clone(), now);
        }
        let Seen::Written { worker, before: Some(before), after, change: Some(change), .. } = seen else {
            return Ok(());
        };
        // The counter of one that was deleted by hand begins anew.
        if self.deleted.get(&after.key).is_some_and(|at| now <= *at + DELETED) {
            return Ok(());
        }
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
