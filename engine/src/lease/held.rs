//! A lease that this worker has.

use std::collections::VecDeque;
use std::time::Duration;

use shardflow_core::{Checkpoint, LeaseRow};

use super::coordinator::CheckpointId;
use crate::Moment;

/// Which holding of a lease this is. A worker that loses a lease and gets it again has another one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tenure(pub(super) u64);

/// What this worker knows of a lease that it has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) tenure: Tenure,
    /// The row as this worker believes it to be stored.
    pub(super) row: LeaseRow,
    /// When the request was *sent* that last proved that the lease is ours.
    pub(super) proven_at: Moment,
    pub(super) next_renewal: Moment,
    /// Whether a renewal or a checkpoint is under way.
    pub(super) writing: bool,
    /// Whether a write of this tenure went unanswered, so that the counter may be one ahead of ours.
    pub(super) unsure: bool,
    /// When the next write may be tried, after one that failed.
    pub(super) not_before: Option<Moment>,
    /// Since when we know that another worker is to get it.
    pub(super) handing_over: Option<Moment>,
    /// Whether it is to be given up as soon as nothing is under way.
    pub(super) leaving: bool,
    /// Checkpoints that were asked for and are not stored yet, oldest first.
    pub(super) wanted: VecDeque<(Checkpoint, CheckpointId)>,
}

impl Held {
    /// Until when it is believed.
    pub(super) fn until(&self, failover: Duration) -> Moment {
        self.proven_at.after(failover)
    }

    /// The checkpoint to be written next: the furthest of those that were asked for.
    pub(super) fn furthest(&self) -> Option<Checkpoint> {
        self.wanted.iter().map(|(checkpoint, _)| checkpoint).max().cloned()
    }
}
