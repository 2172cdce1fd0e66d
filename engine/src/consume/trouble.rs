//! Records whose handler fails: which they are, how often it has failed, and when it has failed often enough.

use shardflow_core::Checkpoint;

use super::shard_life::Batch;

/// What becomes of records whose handler has failed often enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GiveUp {
    /// How often it fails before.
    pub after: u32,
    /// What then.
    pub then: Then,
}

/// What is done instead of giving records to the handler once more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The record that fails by itself is passed over.
    Skip,
    /// The record that fails by itself is given to the sink of dead letters, and then passed over.
    DeadLetter,
    /// The shard rests, and begins anew with a fresh handler afterwards.
    Rest,
}

/// What to do about a batch that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cure {
    /// Give it to the handler again, later.
    Again,
    /// Give its halves to the handler, one after the other: only one record may be at fault.
    Halve,
    /// Do what the policy says.
    GiveUp(Then),
}

/// The records that fail at present.
///
/// Counts outlive a fresh handler, which gets them in other batches: what is remembered is where they lie.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// First and last record of the batch that failed.
    range: Option<(Checkpoint, Checkpoint)>,
    /// The furthest of them that has been decided since.
    good: Option<Checkpoint>,
    times: u32,
    /// While the record that is at fault is being looked for: how many of them the handler gets at once.
    piece: Option<usize>,
    /// The record that has failed by itself, and how often.
    suspect: Option<(Checkpoint, u32)>,
}

impl Trouble {
    /// A batch has failed once more. Gives how often it has by now, and what to do.
    pub(super) fn failed(&mut self, batch: &Batch, policy: Option<GiveUp>) -> (u32, Cure) {
        let (first, last) = batch.ends();
        match &mut self.range {
            Some((from, to)) if first <= *to && *from <= last => {
                *from = first.min(from.clone());
                *to = last.clone().max(to.clone());
            }
            _ => *self = Self { range: Some((first, last.clone())), ..Self::default() },
        }
        self.times += 1;
        let Some(GiveUp { after, then }) = policy else { return (self.times, Cure::Again) };
        let enough = |times| if times >= after { Cure::GiveUp(then) } else { Cure::Again };
        if then == Then::Rest {
            return (self.times, enough(self.times));
        }
        if self.piece.is_none() && self.times < after {
            return (self.times, Cure::Again);
        }
        match batch.records.len() {
            1 if self.piece.is_none() => (self.times, Cure::GiveUp(then)),
            1 => {
                let before = self.suspect.take().filter(|(at, _)| *at == last).map_or(0, |(_, times)| times);
                self.piece = Some(1);
                self.suspect = Some((last, before + 1));
                (before + 1, enough(before + 1))
            }
            count => {
                self.piece = Some(count / 2);
                (self.times, Cure::Halve)
            }
        }
    }

    /// A batch is decided: processed, or passed over.
    pub(super) fn decided(&mut self, batch: &Batch) {
        let (_, last) = batch.ends();
        match &self.range {
            Some((_, to)) if last >= *to => *self = Self::default(),
            Some((from, _)) if last >= *from && self.good.as_ref().is_none_or(|good| last > *good) => {
                self.good = Some(last);
                self.times = 0;
                self.piece = self.piece.map(|piece| piece.saturating_mul(2));
            }
            // A fresh handler is on its way there; it may get again what a former one has done.
            Some(_) | None => {}
        }
    }

    /// The shard has rested: the counts begin anew.
    pub(super) fn rested(&mut self) {
        *self = Self::default();
    }

    /// How many records of a batch the handler gets at once, if not all: none that has not failed together with one that
    /// may be at fault, and no more of the latter than has been found out.
    pub(super) fn cut(&self, batch: &Batch) -> Option<usize> {
        let (piece, (from, to)) = (self.piece?, self.range.as_ref()?);
        let is_good = |at| at < *from || self.good.as_ref().is_some_and(|good| at <= *good);
        let before = batch.records.partition_point(|record| is_good(record.checkpoint()));
        let failed = batch.records.partition_point(|record| record.checkpoint() <= *to);
        let most = if before > 0 { before } else { piece.min(failed).max(1) };
        (failed > 0 && most < batch.records.len()).then_some(most)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shardflow_core::{KinesisRecord, UserRecord};

    use super::*;

    fn batch(numbers: std::ops::RangeInclusive<u32>) -> Batch {
        let record = |number: u32| {
            UserRecord::alone(KinesisRecord {
                sequence_number: number.to_string().parse().unwrap(),
                partition_key: None,
                data: "data".into(),
                approximate_arrival: None,
            })
        };
        Batch { records: numbers.map(record).collect(), behind: Duration::ZERO }
    }

    fn skip(after: u32) -> Option<GiveUp> {
        Some(GiveUp { after, then: Then::Skip })
    }

    #[test]
    fn without_a_policy_it_is_always_again() {
        let mut trouble = Trouble::default();
        for times in 1..100 {
            assert_eq!(trouble.failed(&batch(1..=9), None), (times, Cure::Again));
        }
    }

    #[test]
    fn a_record_alone_has_as_many_tries_as_the_policy_says() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed(&batch(1..=1), skip(2)), (1, Cure::Again));
        assert_eq!(trouble.failed(&batch(1..=1), skip(2)), (2, Cure::GiveUp(Then::Skip)));
        trouble.decided(&batch(1..=1));
        assert_eq!(trouble.failed(&batch(2..=2), skip(2)), (1, Cure::Again), "another one");
    }

    #[test]
    fn a_batch_is_halved_down_to_the_record_at_fault() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed(&batch(1..=8), skip(2)), (1, Cure::Again));
        assert_eq!(trouble.failed(&batch(1..=8), skip(2)), (2, Cure::Halve));
        trouble.decided(&batch(1..=4));
        assert_eq!(trouble.failed(&batch(5..=8), skip(2)).1, Cure::Halve, "one failure tells enough");
        assert_eq!(trouble.failed(&batch(5..=6), skip(2)).1, Cure::Halve);
        assert_eq!(trouble.failed(&batch(5..=5), skip(2)), (1, Cure::Again));
        assert_eq!(trouble.failed(&batch(5..=5), skip(2)), (2, Cure::GiveUp(Then::Skip)));
        trouble.decided(&batch(5..=5));
        assert_eq!(trouble.failed(&batch(6..=6), skip(2)), (1, Cure::Again), "it has tries of its own");
        trouble.decided(&batch(6..=6));
        trouble.decided(&batch(7..=8));
        assert_eq!(trouble.failed(&batch(9..=12), skip(2)), (1, Cure::Again), "all of it is behind us");
    }

    #[test]
    fn a_fresh_handler_does_not_begin_the_count_anew() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed(&batch(5..=8), skip(3)), (1, Cure::Again));
        trouble.decided(&batch(1..=4));
        assert_eq!(trouble.failed(&batch(5..=7), skip(3)), (2, Cure::Again), "cut otherwise");
        assert_eq!(trouble.failed(&batch(3..=9), skip(3)), (3, Cure::Halve));
        assert_eq!(trouble.cut(&batch(1..=9)), Some(2), "what comes before goes by itself");
        assert_eq!(trouble.cut(&batch(3..=9)), Some(3), "and then the half");
        assert_eq!(trouble.failed(&batch(3..=5), skip(3)).1, Cure::Halve);
        assert_eq!(trouble.cut(&batch(3..=9)), Some(1));
        assert_eq!(trouble.failed(&batch(3..=3), skip(3)), (1, Cure::Again));
        assert_eq!(trouble.cut(&batch(2..=9)), Some(1));
        assert_eq!(trouble.failed(&batch(3..=3), skip(3)), (2, Cure::Again));
        assert_eq!(trouble.failed(&batch(3..=3), skip(3)), (3, Cure::GiveUp(Then::Skip)));
        trouble.decided(&batch(3..=3));
        assert_eq!(trouble.cut(&batch(4..=20)), Some(2), "more again with each that is well");
        trouble.decided(&batch(4..=5));
        assert_eq!(trouble.cut(&batch(6..=20)), Some(4));
        assert_eq!(trouble.cut(&batch(8..=20)), Some(2), "the others have not failed");
        assert_eq!(trouble.cut(&batch(10..=20)), None);
    }

    #[test]
    fn a_shard_rests_without_a_search() {
        let rest = Some(GiveUp { after: 2, then: Then::Rest });
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed(&batch(1..=8), rest), (1, Cure::Again));
        assert_eq!(trouble.failed(&batch(1..=8), rest), (2, Cure::GiveUp(Then::Rest)));
        trouble.rested();
        assert_eq!(trouble.failed(&batch(1..=8), rest), (1, Cure::Again));
    }
}
