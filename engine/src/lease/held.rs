//! A lease that this worker has.

use std::collections::VecDeque;
use std::time::Duration;

use shardflow_core::{Checkpoint, LeaseRow, PendingCheckpoint, Throughput};

use super::messages::CheckpointId;
use crate::Moment;

/// Which holding of a lease this is. A worker that loses a lease and gets it again has another one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tenure(pub(super) u64);

impl Tenure {
    /// A tenure of whatever stands in for a coordinator.
    #[must_use]
    pub const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// What this worker knows of a lease that it has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) tenure: Tenure,
    /// The row as this worker believes it to be stored.
    pub(super) row: LeaseRow,
    /// The counter with which it came.
    pub(super) began_with: u64,
    /// Whether nobody has been told of it yet, since its parents are not done.
    pub(super) waiting: bool,
    /// When the request was *sent* that last proved that the lease is ours.
    pub(super) proven_at: Moment,
    pub(super) next_renewal: Moment,
    /// Writes that are under way: renewals and checkpoints on the same counter, of which one at most can land.
    pub(super) writes: u32,
    /// When the last of these was sent.
    pub(super) wrote_at: Moment,
    /// Whether a write of this tenure went unanswered, so that the counter may be one ahead of ours.
    pub(super) unsure: bool,
    /// When the next write may be tried, after one that failed.
    pub(super) not_before: Option<Moment>,
    /// Since when we know that another worker is to get it.
    pub(super) handing_over: Option<Moment>,
    /// Whether its end was asked for, since the worker shuts down.
    pub(super) let_go: bool,
    /// Whether it is to be given up as soon as nothing is under way.
    pub(super) leaving: bool,
    /// Checkpoints that were asked for and are not stored yet, oldest first.
    pub(super) wanted: VecDeque<(Checkpoint, CheckpointId)>,
    /// Checkpoints that are to be noted for later, oldest first. They are written when no other is wanted.
    pub(super) prepares: VecDeque<(PendingCheckpoint, CheckpointId)>,
    /// Bytes that the handler has been given, and since when.
    pub(super) delivered: u64,
    pub(super) measured_at: Moment,
}

impl Held {
    pub(super) fn new(tenure: Tenure, row: LeaseRow, sent: Moment, next_renewal: Moment) -> Self {
        Self {
            tenure,
            began_with: row.counter,
            row,
            waiting: true,
            proven_at: sent,
            next_renewal,
            writes: 0,
            wrote_at: sent,
            unsure: false,
            not_before: None,
            handing_over: None,
            let_go: false,
            leaving: false,
            wanted: VecDeque::new(),
            prepares: VecDeque::new(),
            delivered: 0,
            measured_at: sent,
        }
    }

    /// Until when it is believed.
    pub(super) fn until(&self, failover: Duration) -> Moment {
        self.proven_at.after(failover)
    }

    /// Whether it is to be given up, and nothing of it is under way.
    pub(super) fn is_ready_to_leave(&self) -> bool {
        self.leaving && self.writes == 0
    }

    /// When its end is asked for, if it was offered at a shutdown and is kept that long.
    pub(super) fn is_let_go_at(&self, grace: Duration) -> Option<Moment> {
        let offered = self.handing_over.filter(|_| !self.let_go && !self.leaving);
        offered.map(|since| since.after(grace))
    }

    /// Whether the application waits for something to be written.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.wanted.is_empty() || !self.prepares.is_empty()
    }

    /// Everything that the application waits for, which will not be written any more.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = CheckpointId> + use<> {
        let wanted = std::mem::take(&mut self.wanted).into_iter().map(|(_, id)| id);
        wanted.chain(std::mem::take(&mut self.prepares).into_iter().map(|(_, id)| id))
    }

    /// The checkpoint to be written next: the furthest of those that were asked for.
    pub(super) fn furthest(&self) -> Option<Checkpoint> {
        self.wanted.iter().map(|(checkpoint, _)| checkpoint).max().cloned()
    }

    /// In less time than this nothing can be measured.
    pub(super) const MOMENT: Duration = Duration::from_millis(100);

    /// What the shard has brought lately, if that was last told so long ago.
    pub(super) fn measure(&mut self, now: Moment, least: Duration) -> Option<Throughput> {
        let within = now.since(self.measured_at);
        if within < least.max(Self::MOMENT) {
            return None;
        }
        let lately = Throughput::of(std::mem::take(&mut self.delivered), within);
        self.measured_at = now;
        let average = self.row.throughput.map_or(lately, |before| before.averaged_with(lately));
        self.row.throughput = Some(average);
        Some(average)
    }
}
