//! At no time do two workers lead.

use std::time::Duration;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct OneLeader;

impl Invariant for OneLeader {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Leaders { by } => Err(format!("{by:?} lead at the same time")),
            _ => Ok(()),
        }
    }
}
