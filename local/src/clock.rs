//! The service's time: tokio's, so that a paused runtime pauses the service, or the caller's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Where the service takes its time from.
///
/// By default it is the wall clock at the start, carried on by tokio's clock: under `tokio::time::pause` the service's
/// time stands still too, and moves when a test advances it.
#[derive(Clone, Default)]
pub enum Clock {
    /// tokio's clock.
    #[default]
    Tokio,
    /// The caller's. What the service itself waits for (a delay, a subscription's five minutes) it still waits for on
    /// tokio's clock, and looks at this one again when that has passed or [`Control::advance`](crate::Control::advance)
    /// is called, with no time at all if need be.
    Custom(Arc<dyn Fn() -> SystemTime + Send + Sync>),
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokio => "Tokio",
            Self::Custom(_) => "Custom",
        })
    }
}

/// A clock that runs, and can be put forward.
#[derive(Debug)]
pub(crate) struct RunningClock {
    clock: Clock,
    started: SystemTime,
    origin: tokio::time::Instant,
    /// Nanoseconds by which it was put forward.
    ahead: AtomicU64,
}

impl RunningClock {
    pub(crate) fn start(clock: Clock) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one look at the wall clock: from here on tokio's carries it"
        )]
        let started = SystemTime::now();
        Self { clock, started, origin: tokio::time::Instant::now(), ahead: AtomicU64::new(0) }
    }

    pub(crate) fn now(&self) -> SystemTime {
        let now = match &self.clock {
            Clock::Tokio => self.started + self.origin.elapsed(),
            Clock::Custom(clock) => clock(),
        };
        now + Duration::from_nanos(self.ahead.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.ahead.fetch_add(nanos, Ordering::Relaxed);
    }
}
