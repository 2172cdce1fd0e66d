//! When a shard's end is stored, its children have leases: the hash space is always covered by leases that are not ended
//! and the shards that will come from them.

use std::time::Duration;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct ChildrenEntered;

impl Invariant for ChildrenEntered {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Written { after, orphans, .. } if !orphans.is_empty() => {
                Err(format!("{} is ended, and its children {orphans:?} have no lease", after.key))
            }
            _ => Ok(()),
        }
    }
}
