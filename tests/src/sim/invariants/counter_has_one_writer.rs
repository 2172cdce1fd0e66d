//! A lease's counter never goes back, and each of its values is written once, as long as nobody deletes the lease.

use std::collections::HashMap;
use std::time::Duration;

use shardflow_core::{LeaseKey, WorkerId};

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct CounterHasOneWriter {
    writers: HashMap<(LeaseKey, u64), WorkerId>,
}

impl Invariant for CounterHasOneWriter {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        if let Seen::Deleted { key } = seen {
            self.writers.retain(|(lease, _), _| lease != *key);
        }
        let Seen::Written { worker, before, after, .. } = seen else { return Ok(()) };
        let before = before.map(|row| row.counter);
        if before.is_some_and(|before| after.counter < before) {
            return Err(format!(
                "the counter of {} goes back from {before:?} to {}",
                after.key, after.counter
            ));
        }
        if before != Some(after.counter) {
            let value = (after.key.clone(), after.counter);
            if let Some(first) = self.writers.insert(value, (*worker).clone()) {
                return Err(format!("{first} and {worker} both wrote {} of {}", after.counter, after.key));
            }
        }
        Ok(())
    }
}
