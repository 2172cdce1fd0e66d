//! Which checkpoints an application may make.

use shardflow_core::Checkpoint;

/// The checkpoints of one shard in one tenure: they go forward only, and never past what the handler was given.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    stored: Checkpoint,
    given: Checkpoint,
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
        Self { given: stored.clone(), stored }
    }

    /// The handler is given records up to this one, or everything up to the shard's end.
    pub fn given(&mut self, up_to: Checkpoint) {
        self.given = up_to.max(self.given.clone());
    }

    /// The furthest checkpoint that is allowed.
    #[must_use]
    pub fn latest(&self) -> Checkpoint {
        self.given.clone()
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

    /// A checkpoint was stored.
    pub fn stored(&mut self, checkpoint: Checkpoint) {
        self.stored = checkpoint.max(self.stored.clone());
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
}
