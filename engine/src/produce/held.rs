//! A record while the pipeline holds it.

use std::sync::Arc;

use shardflow_core::{Attempt, Fate, HashKey, Record};

use super::epochs::Epoch;
use crate::{Failure, Moment};

/// A record, whose it is and what has been tried for it.
#[derive(Debug)]
pub(super) struct Held<T> {
    /// Its hash key is noted in it.
    pub(super) record: Record,
    pub(super) tag: T,
    pub(super) accepted: Moment,
    /// Which flush it belongs to.
    pub(super) epoch: Epoch,
    pub(super) trail: Trail,
}

impl<T> Held<T> {
    pub(super) fn hash_key(&self) -> HashKey {
        self.record.hash_key()
    }
}

/// Failed tries, newest first. Records that travel together share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail(Option<Arc<Try>>);

#[derive(Debug)]
struct Try {
    sent: Moment,
    given_up: Moment,
    failure: Failure,
    number: u32,
    before: Trail,
}

impl Trail {
    /// How many tries are told at most. A record without a time to live could fail millions of times.
    const TOLD: u32 = 64;

    /// The trail with one more failed try.
    fn with(&self, sent: Moment, given_up: Moment, failure: Failure) -> Self {
        let number = self.len() + 1;
        let before = if number.is_multiple_of(Self::TOLD - 1) { self.doubt() } else { self.clone() };
        Self(Some(Arc::new(Try { sent, given_up, failure, number, before })))
    }

    /// The last try after which Kinesis may have the record, and no other: that is never forgotten.
    fn doubt(&self) -> Self {
        let mut trail = self;
        while let Some(newest) = &trail.0 {
            let Try { sent, given_up, failure, number, before } = &**newest;
            if failure.fate == Fate::Unknown {
                let (failure, before) = (failure.clone(), Self::default());
                let (sent, given_up, number) = (*sent, *given_up, *number);
                return Self(Some(Arc::new(Try { sent, given_up, failure, number, before })));
            }
            trail = before;
        }
        Self::default()
    }

    /// Tries in all, told or not.
    pub(super) fn len(&self) -> u32 {
        self.0.as_ref().map_or(0, |newest| newest.number)
    }

    /// When the last of them was given up.
    pub(super) fn ended(&self) -> Option<Moment> {
        self.0.as_ref().map(|newest| newest.given_up)
    }

    /// The tries of a record that was accepted then, oldest first.
    pub(super) fn attempts(&self, accepted: Moment) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        let mut trail = self;
        while let Some(newest) = &trail.0 {
            let Try { sent, given_up, failure, .. } = &**newest;
            let Failure { code, message, fate } = failure.clone();
            attempts.push(Attempt::new(sent.since(accepted), given_up.since(*sent), code, message, fate));
            trail = &newest.before;
        }
        attempts.reverse();
        attempts
    }

    fn same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Notes a failed try of records that travelled together.
    pub(super) fn note<T>(records: &mut [Held<T>], sent: Moment, given_up: Moment, failure: &Failure) {
        // Most of them have a common past, so most share the new node too.
        let mut last: Option<(Self, Self)> = None;
        for held in records {
            let after = match &last {
                Some((before, after)) if before.same(&held.trail) => after.clone(),
                _ => held.trail.with(sent, given_up, failure.clone()),
            };
            last = Some((std::mem::replace(&mut held.trail, after.clone()), after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_record_with_a_mark_of_eight_bytes_is_two_cache_lines() {
        assert_eq!(size_of::<Held<[u32; 2]>>(), 128);
    }

    #[test]
    fn a_trail_tells_its_tries_in_order_and_never_too_many() {
        let mut trail = Trail::default();
        let at = |seconds| Moment::from_start(Duration::from_secs(seconds));
        for i in 1..=3 {
            trail = trail.with(at(i * 10), at(i * 10 + 1), Failure::refused(format!("E{i}"), ""));
        }
        let attempts = trail.attempts(at(5));
        let told: Vec<_> =
            attempts.iter().map(|a| (a.code.as_str(), a.after.as_secs(), a.took.as_secs())).collect();
        assert_eq!(told, [("E1", 5, 1), ("E2", 15, 1), ("E3", 25, 1)]);
        for i in 0..1000 {
            trail = trail.with(at(i), at(i), Failure::refused("E", ""));
        }
        assert_eq!(trail.len(), 1003);
        assert!(trail.attempts(at(0)).len() <= 64);
    }

    #[test]
    fn a_try_that_was_never_answered_is_told_however_many_follow() {
        let at = Moment::from_start(Duration::from_secs(1));
        let mut trail = Trail::default().with(at, at, Failure::unknown("Timeout", ""));
        for _ in 0..1000 {
            trail = trail.with(at, at, Failure::refused("E", ""));
            let attempts = trail.attempts(at);
            assert!(attempts.len() <= 64);
            assert_eq!(attempts[0].fate, Fate::Unknown);
        }
    }
}
