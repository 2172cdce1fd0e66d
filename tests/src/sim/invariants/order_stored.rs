//! With order per key, the first occurrences of a key's records stand in the stream in the order of put.
//!
//! But for records that were given back: one of those may land late, from a request that nobody waits for any more. And
//! but for those in aggregates that another shard should have taken: they are sent again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::super::account::may_be_there;
use super::{Id, Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct OrderStored {
    given_back: HashSet<Id>,
    seen: HashSet<Id>,
    newest: HashMap<(u16, u16), u32>,
}

impl Invariant for OrderStored {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Settled { id, outcome } if may_be_there(outcome) => drop(self.given_back.insert(*id)),
            Seen::Stored { ids, range, .. } => {
                for (id, _) in ids.iter().filter(|(_, key)| range.contains(*key)) {
                    if !self.seen.insert(*id) || self.given_back.contains(id) {
                        continue;
                    }
                    let newest = self.newest.entry((id.producer, id.key)).or_insert(id.index);
                    if *newest > id.index {
                        return Err(format!("{id:?} is stored behind number {newest} of its key"));
                    }
                    *newest = id.index;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
