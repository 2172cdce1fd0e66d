//! No record of a shard is read before its parents are done.

use std::time::Duration;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct ParentsFirst;

impl Invariant for ParentsFirst {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Began { shard, unfinished_parents } if *unfinished_parents > 0 => {
                Err(format!("{shard} is begun before its parents are done"))
            }
            _ => Ok(()),
        }
    }
}
