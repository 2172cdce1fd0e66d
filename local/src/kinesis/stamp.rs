//! The service's time: whole milliseconds since the epoch, as its answers carry them.

use std::time::{Duration, SystemTime};

/// A moment on the service's clock. Finer than a millisecond it does not know.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// The moment of `time`, cut to the millisecond. Times before 1970 count as 1970.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub(crate) const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds, which is all that a sequence number has room for.
    pub(crate) const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    pub(crate) fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0)
    }

    /// How long ago `earlier` was; nothing if it is yet to come.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Timestamps as the JSON protocols write them: seconds with a fraction.
pub(crate) mod epoch_seconds {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Stamp;

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(Duration::from_millis(Stamp::of(*time).millis()).as_secs_f64())
    }

    /// Reads an optional timestamp. What is no moment after 1970 reads as 1970.
    pub(crate) fn option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        Ok(seconds.map(|seconds| {
            // Rounded to the millisecond: a double holds no more of today's epoch seconds than that exactly.
            let since = Duration::try_from_secs_f64((seconds * 1000.0).round() / 1000.0).unwrap_or_default();
            SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_a_time_cut_to_the_millisecond() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_500_700);
        assert_eq!(Stamp::of(time), Stamp::from_millis(1_500));
        assert_eq!(Stamp::of(time).time(), SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
        assert_eq!(Stamp::of(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), Stamp::default());
    }
}
