//! Time, as one worker counts it.

use std::time::Duration;

/// A point on this worker's own clock, counted from a start that only it knows. Never compared across workers.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(Duration);

impl Moment {
    /// The clock's start.
    pub const START: Self = Self(Duration::ZERO);

    /// The point that lies `duration` after the clock's start.
    #[must_use]
    pub const fn from_start(duration: Duration) -> Self {
        Self(duration)
    }

    /// Time since the clock's start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The point that lies `duration` later; the end of time if there is none.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Time since `earlier`; none if that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
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
        assert_eq!(late.since(Moment::START), Duration::MAX);
    }
}
