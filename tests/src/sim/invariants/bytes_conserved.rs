//! Bytes accepted are bytes settled and bytes held: a producer's memory is what it says.

use std::collections::HashMap;
use std::time::Duration;

use shardflow_engine::produce::Settings;

use super::{Id, Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct BytesConserved {
    open: HashMap<Id, usize>,
    held: HashMap<u16, usize>,
}

impl Invariant for BytesConserved {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Put { id, record } => {
                let cost = Settings::cost(record);
                self.open.insert(*id, cost);
                *self.held.entry(id.producer).or_default() += cost;
            }
            Seen::Settled { id, .. } => {
                let cost = self.open.remove(id).unwrap_or_default();
                *self.held.entry(id.producer).or_default() -= cost;
            }
            Seen::Held { producer, bytes } => {
                let held = self.held.get(producer).copied().unwrap_or_default();
                if held != *bytes {
                    return Err(format!(
                        "producer {producer} says that it holds {bytes} bytes, and holds {held}"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
