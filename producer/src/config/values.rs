//! What settings take: types that cannot hold a wrong value.

use std::ops::RangeInclusive;
use std::time::Duration;

use shardflow_core::{Invalid, limits};

/// Which order the records of one partition key keep.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ordering {
    /// None that survives a failed try: the fastest, and what the KPL does.
    #[default]
    None,
    /// The first occurrences of a key's records stand in the stream in the order in which they were put, across retries,
    /// lost answers and reshards. Puts of one key must not race each other.
    ///
    /// It costs a round trip for each entry of a shard: with aggregates of 50 KiB and 20 ms to the service, a shard takes
    /// its full 1 MiB a second; without aggregation it takes 50 records a second.
    PerKey,
}

/// Which metrics are recorded. What each level has is the KPL's choice.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum MetricsLevel {
    /// None.
    None,
    /// Those by which one sees whether all is well: records put, errors, time in the buffer.
    Summary,
    /// All.
    #[default]
    Detailed,
}

/// For what metrics are told apart.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum MetricsGranularity {
    /// One for everything.
    Global,
    /// One for each stream: label `StreamName`.
    Stream,
    /// One for each shard too: label `ShardId`. The most metrics, and CloudWatch takes money for each.
    #[default]
    Shard,
}

/// Bytes that a producer may hold: at least 1 MiB. Default 64 MiB.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BufferSize(pub(crate) usize);

impl Default for BufferSize {
    fn default() -> Self {
        Self(64 << 20)
    }
}

impl TryFrom<usize> for BufferSize {
    type Error = Invalid;

    fn try_from(bytes: usize) -> Result<Self, Invalid> {
        // The upper bound is what one semaphore counts on every platform.
        const BOUNDS: RangeInclusive<usize> = 1 << 20..=u32::MAX as usize >> 3;
        if BOUNDS.contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(Invalid::new("buffer size", bytes, "1048576 to 536870911 bytes"))
        }
    }
}

/// How many requests may be under way: 1 to 256. Default 24.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestsInFlight(pub(super) usize);

impl TryFrom<u64> for RequestsInFlight {
    type Error = Invalid;

    fn try_from(count: u64) -> Result<Self, Invalid> {
        match u8::try_from(count.wrapping_sub(1)) {
            Ok(count) => Ok(Self(usize::from(count) + 1)),
            Err(_) => Err(Invalid::new("requests in flight", count, "1 to 256")),
        }
    }
}

/// How many entries a request may have: 1 to 500. Default 500.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestEntries(pub(super) usize);

impl TryFrom<u64> for RequestEntries {
    type Error = Invalid;

    fn try_from(count: u64) -> Result<Self, Invalid> {
        match usize::try_from(count) {
            Ok(count @ 1..=limits::PUT_RECORDS_ENTRIES) => Ok(Self(count)),
            _ => Err(Invalid::new("entries of a request", count, "1 to 500")),
        }
    }
}

/// How many bytes a request may have: at least 52,224. Default 5 MiB. Above 10 MiB the service's limit counts.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestBytes(pub(super) usize);

impl RequestBytes {
    /// The KPL's: an aggregate of default size, and 1 KiB for its key.
    pub(super) const LEAST: u64 = 52_224;
}

impl TryFrom<u64> for RequestBytes {
    type Error = Invalid;

    fn try_from(bytes: u64) -> Result<Self, Invalid> {
        if bytes < Self::LEAST {
            return Err(Invalid::new("size of a request", bytes, "at least 52224 bytes"));
        }
        Ok(Self(
            usize::try_from(bytes).map_or(limits::PUT_RECORDS_BYTES, |b| b.min(limits::PUT_RECORDS_BYTES)),
        ))
    }
}

/// How fast one shard may be written, in per cent of the 1 MiB and 1,000 records that it takes in a second: at least 1.
/// Default 150.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RateLimit(u32);

impl RateLimit {
    /// So much that it never counts. A shard that refuses slows its producer down all the same.
    pub const OFF: Self = Self(1_000_000);

    pub(super) fn share(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl TryFrom<u64> for RateLimit {
    type Error = Invalid;

    /// From per cent; from 1,000,000 on it is [`RateLimit::OFF`].
    fn try_from(percent: u64) -> Result<Self, Invalid> {
        match percent {
            0 => Err(Invalid::new("rate limit", percent, "at least 1 per cent")),
            _ => Ok(u32::try_from(percent).map_or(Self::OFF, |percent| Self(percent).min(Self::OFF))),
        }
    }
}

/// How long it may take to connect: 100 ms to 5 min. Default 6 s.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ConnectTimeout(pub(crate) Duration);

impl ConnectTimeout {
    const BOUNDS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
}

impl Default for ConnectTimeout {
    fn default() -> Self {
        Self(Duration::from_secs(6))
    }
}

impl TryFrom<Duration> for ConnectTimeout {
    type Error = Invalid;

    fn try_from(time: Duration) -> Result<Self, Invalid> {
        if Self::BOUNDS.contains(&time) {
            Ok(Self(time))
        } else {
            Err(Invalid::new("time to connect", format!("{time:?}"), "100 ms to 5 min"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_bounds_are_no_values() {
        assert!(RequestsInFlight::try_from(0).is_err() && RequestsInFlight::try_from(257).is_err());
        assert!(BufferSize::try_from(1_000).is_err() && BufferSize::try_from(1 << 20).is_ok());
        assert!(RequestEntries::try_from(0).is_err() && RequestEntries::try_from(501).is_err());
        assert!(RequestBytes::try_from(52_223).is_err() && RequestBytes::try_from(52_224).is_ok());
        assert!(RateLimit::try_from(0).is_err() && RateLimit::try_from(1).is_ok());
        let seconds = |seconds| ConnectTimeout::try_from(Duration::from_secs(seconds));
        assert!(seconds(0).is_err() && seconds(301).is_err() && seconds(300).is_ok());
        assert_eq!(
            seconds(301).unwrap_err().to_string(),
            "time to connect 301s is not valid: 100 ms to 5 min"
        );
    }

    #[test]
    fn what_the_service_would_refuse_counts_as_its_limit() {
        assert_eq!(RequestBytes::try_from(u64::MAX), Ok(RequestBytes(10 << 20)));
        assert_eq!(RateLimit::try_from(u64::MAX), Ok(RateLimit::OFF));
        assert!(RateLimit::OFF.share().is_finite(), "the engine reckons with it");
    }
}
