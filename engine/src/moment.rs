//! Time, as one worker counts it.

use std::time::Duration;

/// A point on this worker's own clock, counted from a start that only it knows. Never compared across workers.
///
/// A clock ends after 584 years, which is what 64 bits of nanoseconds are: every record that is held has a moment.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(u64);

impl Moment {
    /// The clock's start.
    pub const START: Self = Self(0);

    /// The point that lies `duration` after the clock's start; the end of time if there is none.
    #[must_use]
    pub const fn from_start(duration: Duration) -> Self {
        let seconds = duration.as_secs().saturating_mul(1_000_000_000);
        Self(seconds.saturating_add(duration.subsec_nanos() as u64))
    }

    /// Time since the clock's start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The point that lies `duration` later; the end of time if there is none.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_start(duration).0))
    }

    /// Time since `earlier`; none if that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_duration_is_valid() {
        let late = Moment::START.after(Duration::MAX);
        assert_eq!(late.after(Duration::MAX), late);
        assert_eq!(Moment::START.since(late), Duration::ZERO);
        assert_eq!(Moment::START.after(late.since(Moment::START)), late);
    }
}
