//! Which checkpoints an application may make.

use std::collections::BTreeSet;

use shardflow_core::{Checkpoint, LeaseRow, PendingCheckpoint};

/// The checkpoints of one shard in one tenure: they go forward only, and never past what the handler was given.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    stored: Checkpoint,
    /// The furthest record that the handler was ever given. What it says of such a record is its own statement.
    given: Checkpoint,
    /// Everything up to here is decided: processed, or passed over by the policy.
    decided: Checkpoint,
    /// The end of the batch that the handler is busy with.
    busy: Option<Checkpoint>,
    /// Records behind the stored checkpoint that were decided without the handler.
    passed: BTreeSet<Checkpoint>,
    /// The checkpoint that is noted for later.
    pending: Option<PendingCheckpoint>,
}

/// What to do about a checkpoint that is allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// Write it.
    Write,
    /// It is stored already.
    Stored,
}

/// A checkpoint lies outside of what the application may say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutOfRange {
    /// The last one that was stored.
    pub stored: Checkpoint,
    /// The last record that the handler was given.
    pub given: Checkpoint,
}

impl Checkpoints {
    /// Begins at the checkpoint that the lease came with.
    #[must_use]
    pub fn new(stored: Checkpoint) -> Self {
        Self {
            given: stored.clone(),
            decided: stored.clone(),
            busy: None,
            passed: BTreeSet::new(),
            pending: None,
            stored,
        }
    }

    /// Begins as the lease says.
    #[must_use]
    pub fn of(row: &LeaseRow) -> Self {
        Self { pending: row.pending.clone(), ..Self::new(row.checkpoint.clone()) }
    }

    /// The handler is given records up to this one, or everything up to the shard's end.
    pub fn given(&mut self, up_to: Checkpoint) {
        self.given = up_to.clone().max(self.given.clone());
        self.busy = Some(up_to);
    }

    /// The handler has processed what it was given.
    pub fn succeeded(&mut self) {
        if let Some(done) = self.busy.take() {
            self.decided = done;
        }
    }

    /// The handler has not processed what it was given.
    pub fn failed(&mut self) {
        self.busy = None;
    }

    /// A record is decided without the handler. Tells whether its checkpoint can be written at once, since the one of all
    /// records before it is. Else it is left to the handler: it may have more to do about those.
    pub fn passed(&mut self, record: Checkpoint) -> bool {
        let nothing_open = self.decided <= self.stored;
        self.given = record.clone().max(self.given.clone());
        self.passed.insert(record.clone());
        self.decided = record;
        nothing_open
    }

    /// A fresh handler begins at the checkpoint that is stored, which is told, with the records behind it that were decided
    /// without a handler.
    pub fn restart(&mut self) -> (Checkpoint, BTreeSet<Checkpoint>) {
        self.busy = None;
        self.decided = self.stored.clone();
        (self.stored.clone(), self.passed.clone())
    }

    /// The furthest checkpoint that the handler can mean by "all that I was given": with the batch that it is busy with,
    /// and without one that it failed at.
    #[must_use]
    pub fn latest(&self) -> Checkpoint {
        if bug!(FinalCheckpointAhead) {
            return self.given.clone();
        }
        let latest = self.busy.as_ref().unwrap_or(&self.decided);
        latest.max(&self.stored).clone()
    }

    /// Whether a checkpoint may be written.
    ///
    /// # Errors
    ///
    /// When it lies behind the last one, or ahead of what the handler was given.
    pub fn admit(&self, wanted: &Checkpoint) -> Result<Admission, OutOfRange> {
        if *wanted == self.stored {
            Ok(Admission::Stored)
        } else if (&self.stored..=&self.given).contains(&wanted) {
            Ok(Admission::Write)
        } else {
            Err(OutOfRange { stored: self.stored.clone(), given: self.given.clone() })
        }
    }

    /// The checkpoint that is noted for later.
    #[must_use]
    pub fn pending(&self) -> Option<&PendingCheckpoint> {
        self.pending.as_ref()
    }

    /// A checkpoint was noted for later.
    pub fn prepared(&mut self, pending: PendingCheckpoint) {
        self.pending = Some(pending);
    }

    /// A checkpoint was stored, which drops one that was noted.
    pub fn stored(&mut self, checkpoint: Checkpoint) {
        self.pending = None;
        self.stored = checkpoint.max(self.stored.clone());
        self.passed.retain(|record| *record > self.stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_go_forward_and_not_past_what_was_given() {
        let at = |number: u32, sub| Checkpoint::at(number.to_string().parse().unwrap(), sub);
        let mut checkpoints = Checkpoints::new(Checkpoint::TrimHorizon);
        assert!(checkpoints.admit(&at(1, 0)).is_err());
        checkpoints.given(at(5, 3));
        assert_eq!(checkpoints.admit(&at(5, 3)), Ok(Admission::Write));
        assert_eq!(checkpoints.admit(&at(5, 2)), Ok(Admission::Write));
        let ahead = checkpoints.admit(&at(5, 4)).unwrap_err();
        assert_eq!((ahead.stored, ahead.given), (Checkpoint::TrimHorizon, at(5, 3)));
        checkpoints.stored(at(5, 2));
        assert_eq!(checkpoints.admit(&at(5, 2)), Ok(Admission::Stored));
        assert!(checkpoints.admit(&at(5, 1)).is_err());
        assert!(checkpoints.admit(&Checkpoint::ShardEnd).is_err());
        checkpoints.given(Checkpoint::ShardEnd);
        assert_eq!(checkpoints.latest(), Checkpoint::ShardEnd);
        assert_eq!(checkpoints.admit(&Checkpoint::ShardEnd), Ok(Admission::Write));
    }

    #[test]
    fn the_latest_is_never_ahead_of_what_is_decided() {
        let at = |number: u32| Checkpoint::at(number.to_string().parse().unwrap(), 0);
        let mut checkpoints = Checkpoints::new(at(1));
        checkpoints.given(at(5));
        assert_eq!(checkpoints.latest(), at(5), "the handler knows what it is about");
        checkpoints.failed();
        assert_eq!(checkpoints.latest(), at(1), "nobody has processed the batch");
        checkpoints.given(at(3));
        assert_eq!(checkpoints.latest(), at(3), "half of it");
        checkpoints.succeeded();
        assert!(!checkpoints.passed(at(4)), "what is before it is not checkpointed");
        assert_eq!(checkpoints.latest(), at(4));
        checkpoints.stored(at(4));
        assert!(checkpoints.passed(at(6)));
        assert_eq!(checkpoints.admit(&at(6)), Ok(Admission::Write));
        checkpoints.given(at(9));
        checkpoints.succeeded();
        assert_eq!(checkpoints.restart(), (at(4), BTreeSet::from([at(6)])));
        assert_eq!(checkpoints.latest(), at(4), "a fresh handler has not seen the rest");
        checkpoints.stored(at(9));
        assert_eq!(checkpoints.latest(), at(9), "the old one had");
    }
}
