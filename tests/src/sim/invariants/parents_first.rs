//! No record of a shard is read before its parents are done.

use std::time::Duration;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct ParentsFirst;

impl Invariant for ParentsFirst {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Began { row, unfinished_parents, .. } if *unfinished_parents > 0 => {
                Err(format!("{} is begun before its parents are done", row.key))
            }
            _ => Ok(()),
        }
    }
}
