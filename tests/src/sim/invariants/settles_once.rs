//! Every accepted record settles exactly once.

use std::collections::HashSet;
use std::time::Duration;

use super::{Id, Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct SettlesOnce {
    open: HashSet<Id>,
}

impl Invariant for SettlesOnce {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Put { id, .. } if !self.open.insert(*id) => {
                Err(format!("{id:?} was put twice by the test"))
            }
            Seen::Settled { id, .. } if !self.open.remove(id) => {
                Err(format!("{id:?} is settled, and was not open"))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.open.iter().next() {
            Some(id) => Err(format!("{} records never settled, such as {id:?}", self.open.len())),
            None => Ok(()),
        }
    }
}
