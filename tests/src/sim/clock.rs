//! A worker's own clock: it begins anywhere, runs at a pace of its own, and may stand still for a while.

use std::time::Duration;

use shardflow_engine::Moment;

/// One worker's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    offset: Duration,
    /// By how many millionths it is fast, or slow.
    drift: i64,
}

impl Clock {
    const MILLION: i128 = 1_000_000;

    pub(super) fn new(offset: Duration, drift: i64) -> Self {
        Self { offset, drift }
    }

    /// What it shows at a time of the world.
    pub(super) fn at(&self, now: Duration) -> Moment {
        let nanos = nanos(now);
        Moment::from_start(self.offset + duration(nanos + nanos * i128::from(self.drift) / Self::MILLION))
    }

    /// When it shows a moment: then, or as little later as can be told.
    pub(super) fn when(&self, moment: Moment) -> Duration {
        let shown = nanos(moment.since_start().saturating_sub(self.offset));
        if self.drift == 0 {
            return duration(shown);
        }
        let pace = Self::MILLION + i128::from(self.drift);
        let mut when = duration(shown * Self::MILLION / pace);
        while self.at(when) < moment {
            when += Duration::from_nanos(1);
        }
        when
    }

    /// It is as if so much time had not passed. That needs a clock that has come so far.
    pub(super) fn stands_still(&mut self, time: Duration) {
        self.offset = self.offset.saturating_sub(time);
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

fn duration(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
