//! At no time do two workers believe in one lease.
//!
//! But for what no lease without a common clock can promise: clocks that drift apart make an overlap of twice the drift of a
//! failover time; one that stood still while its machine was suspended makes one of a failover time, and two workers that
//! were given one name by mistake share its leases until they find each other out. What lands in the table is promised in
//! all of these cases as well: see `writer_is_holder`.

use std::collections::HashMap;
use std::time::Duration;

use shardflow_core::LeaseKey;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct OneBeliever {
    /// When somebody has deleted each lease. Its counter begins anew then, which fences nobody from before.
    deleted: HashMap<LeaseKey, Duration>,
}

/// How long a lease that was deleted by hand may have two workers, and two writers: a failover time, and old mail.
pub(super) const DELETED: Duration = Duration::from_secs(25);

impl Invariant for OneBeliever {
    fn see(&mut self, now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Deleted { key } => drop(self.deleted.insert((*key).clone(), now)),
            Seen::Believed { key, by, time, allowed }
                if time >= allowed && self.deleted.get(*key).is_none_or(|at| now > *at + DELETED) =>
            {
                return Err(format!("{by:?} believe in {key}, for {time:?}, where {allowed:?} is allowed"));
            }
            _ => {}
        }
        Ok(())
    }
}
