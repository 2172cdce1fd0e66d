//! A token bucket: so much in a second, and no more than one second's worth at once.

use std::time::Duration;

use super::stamp::Stamp;

/// A rate limit that holds one second's worth and starts full. All arithmetic is exact, so that a test can count.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    per_second: i64,
    /// In thousandths, since it fills by the millisecond. Negative while it is in debt.
    level: i64,
    filled: Stamp,
}

impl Bucket {
    pub(super) fn per_second(rate: u32) -> Self {
        let per_second = i64::from(rate);
        Self { per_second, level: per_second * 1000, filled: Stamp::default() }
    }

    /// Whether `amount` can be taken now. An amount larger than the bucket can once it is full, and leaves a debt.
    pub(super) fn admits(&mut self, now: Stamp, amount: usize) -> bool {
        self.fill(now);
        self.level >= thousandths(amount).min(self.per_second * 1000)
    }

    /// Whether anything is left. For what is taken before its size is known: that leaves a debt.
    pub(super) fn has_any(&mut self, now: Stamp) -> bool {
        self.fill(now);
        self.level > 0
    }

    pub(super) fn take(&mut self, amount: usize) {
        self.level = self.level.saturating_sub(thousandths(amount));
    }

    /// When [`has_any`](Self::has_any) turns true; now, if it is.
    pub(super) fn next(&mut self, now: Stamp) -> Stamp {
        self.fill(now);
        let debt = u64::try_from(-self.level).unwrap_or(0);
        if self.level > 0 {
            now
        } else {
            self.filled.plus(Duration::from_millis(debt / self.per_second.unsigned_abs() + 1))
        }
    }

    fn fill(&mut self, now: Stamp) {
        let elapsed = i64::try_from(now.since(self.filled).as_millis()).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.per_second));
        self.level = self.level.min(self.per_second * 1000);
        self.filled = self.filled.max(now);
    }
}

fn thousandths(amount: usize) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Stamp {
        Stamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn it_gives_a_second_at_once_and_then_by_the_millisecond() {
        let mut bucket = Bucket::per_second(1000);
        let taken = |bucket: &mut Bucket, now| {
            (0..)
                .take_while(|_| {
                    bucket.admits(now, 1) && {
                        bucket.take(1);
                        true
                    }
                })
                .count()
        };
        assert_eq!(taken(&mut bucket, at(0)), 1000);
        assert_eq!(taken(&mut bucket, at(7)), 7);
        assert_eq!(taken(&mut bucket, at(60_000)), 1000);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let mut bucket = Bucket::per_second(10);
        assert!(bucket.admits(at(1000), 10));
        bucket.take(10);
        assert!(!bucket.admits(at(0), 1));
        assert!(!bucket.admits(at(1099), 1));
        assert!(bucket.admits(at(1100), 1));
    }

    #[test]
    fn what_is_larger_than_the_bucket_waits_for_a_full_one_and_leaves_a_debt() {
        let mut bucket = Bucket::per_second(100);
        assert!(bucket.admits(at(0), 350));
        bucket.take(350);
        assert!(!bucket.has_any(at(2500)));
        assert_eq!(bucket.next(at(0)), at(2501));
        assert!(bucket.has_any(at(2501)));
        assert!(!bucket.admits(at(3499), 350));
        assert!(bucket.admits(at(3500), 350));
    }
}
