//! The clock that all parts of a worker share.

use std::time::SystemTime;

use shardflow_engine::Moment;
use tokio::time::Instant;

/// Tokio's clock as the engine counts it, and the time by the wall that it stands for. A paused clock pauses both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
    started: SystemTime,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "read once: from then on tokio's clock counts")]
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now(), started: SystemTime::now() }
    }

    pub(crate) fn now(self) -> Moment {
        Moment::from_start(self.epoch.elapsed())
    }

    pub(crate) fn instant(self, at: Moment) -> Instant {
        // A deadline beyond the end of tokio's time is as good as none.
        self.epoch
            .checked_add(at.since_start())
            .unwrap_or_else(|| self.epoch + std::time::Duration::from_secs(1 << 32))
    }

    /// Seconds since 1970.
    pub(crate) fn wall_seconds(self) -> u64 {
        self.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    pub(crate) fn wall(self) -> SystemTime {
        self.started + self.epoch.elapsed()
    }
}
