//! With order per key, the first occurrences of a key's records are processed in the order of put, across reshards,
//! handoffs and crashes. But for records that were given back, as in the stream, and for copies out of their shard's
//! range, which say so.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::super::account::may_be_there;
use super::{Handled, Id, Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct OrderProcessed {
    given_back: HashSet<Id>,
    seen: HashSet<Id>,
    newest: HashMap<(u16, u16), u32>,
}

impl Invariant for OrderProcessed {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Settled { id, outcome } if may_be_there(outcome) => drop(self.given_back.insert(*id)),
            Seen::Processed { shard, records, .. } => {
                for Handled { id, at, .. } in records.iter().filter(|record| !record.out_of_range) {
                    if !self.seen.insert(*id) || self.given_back.contains(id) {
                        continue;
                    }
                    let newest = self.newest.entry((id.producer, id.key)).or_insert(id.index);
                    if *newest > id.index {
                        return Err(format!(
                            "{id:?} of {shard} at {at} is processed behind number {newest} of its key"
                        ));
                    }
                    *newest = id.index;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
