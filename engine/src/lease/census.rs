//! What a worker has seen of its application's leases, for whoever counts.

use super::coordinator::Coordinator;
use super::sighting::Sighting;
use crate::Moment;

/// How many there are of what, as of the last look at the table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Census {
    /// Leases of shards that are to be read: neither done, nor waiting for their parents.
    pub leases: usize,
    /// Those of them that nobody has, or that nobody keeps.
    pub unkept: usize,
    /// Workers that may be given leases, this one among them.
    pub workers: usize,
}

impl Coordinator {
    /// Counts what it has seen. Costs a pass over all leases.
    #[must_use]
    pub fn census(&self, now: Moment) -> Census {
        let unkept = |seen: &&Sighting| {
            let kept = self.held.contains_key(&seen.row.key);
            let patience = self.patience(&seen.row, seen.settled);
            !kept && (seen.row.holder().is_none() || seen.is_unkept(now, patience))
        };
        Census {
            leases: self.to_read().count(),
            unkept: self.to_read().filter(unkept).count(),
            workers: self.candidates(now).count(),
        }
    }
}
