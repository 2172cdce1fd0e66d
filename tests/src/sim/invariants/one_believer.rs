//! At no time do two workers believe in one lease. Clocks in these worlds run at one pace; their drift is not simulated.

use std::time::Duration;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct OneBeliever;

impl Invariant for OneBeliever {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Beliefs { believers } = seen else { return Ok(()) };
        match believers.iter().find(|(_, count)| **count > 1) {
            Some((key, count)) => Err(format!("{count} workers believe in {key}")),
            None => Ok(()),
        }
    }
}
