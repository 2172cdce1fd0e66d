//! What a producer can be told.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use shardflow_core::aggregation::AggregateSize;
use shardflow_core::{Invalid, limits};
use shardflow_engine::produce::{self, Settings};

use crate::{ConfigError, RecordError, UnknownKey};

/// How a producer buffers, packs and retries.
///
/// The default suits most streams. Each setter says what more and less of it costs, and what the KPL calls it.
///
/// ```
/// use std::time::Duration;
/// use shardflow_producer::Config;
///
/// let config = Config::default().linger(Duration::from_millis(20));
/// let config = config.set("AggregationMaxSize".parse()?, "100000")?; // from a properties file, say
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) settings: Settings,
    pub(crate) max_buffered: BufferSize,
    pub(crate) request_timeout: Duration,
    pub(crate) on_failure: Option<OnFailure>,
}

pub(crate) type OnFailure = Arc<dyn Fn(RecordError) + Send + Sync>;

impl Default for Config {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            max_buffered: BufferSize::default(),
            request_timeout: Duration::from_secs(6),
            on_failure: None,
        }
    }
}

impl Config {
    /// Longest time that a record waits for company. Default 100 ms; zero sends at once.
    ///
    /// More of it means fuller aggregates and fewer requests, less of it less delay. The KPL's `RecordMaxBufferedTime`.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// Longest time from acceptance to the last try; then the record comes back as [`RecordError::Expired`]. Default
    /// 30 s. A try that is under way at that time is waited for, so up to [`Config::request_timeout`] comes on top.
    ///
    /// More of it bears longer outages, with the buffer full meanwhile; less of it tells sooner. The KPL's `RecordTtl`.
    #[must_use]
    pub fn record_ttl(mut self, ttl: Duration) -> Self {
        self.settings.record_ttl = ttl;
        self
    }

    /// Packs the records of a shard into aggregates of up to this size. Default 51,200 bytes, as the KPL; `None` puts
    /// each record by itself.
    ///
    /// Packing saves requests and, since a shard takes 1,000 records a second of any size, capacity. Consumers must
    /// unpack: Shardflow's and the KCL do. The KPL's `AggregationMaxSize` and `AggregationEnabled`.
    #[must_use]
    pub fn aggregate(mut self, size: impl Into<Option<AggregateSize>>) -> Self {
        self.settings.aggregate = size.into();
        self
    }

    /// Which order the records of one partition key keep. Default [`Ordering::None`].
    #[must_use]
    pub fn ordering(mut self, ordering: Ordering) -> Self {
        self.settings.ordering = match ordering {
            Ordering::None => produce::Ordering::None,
            Ordering::PerKey => produce::Ordering::PerKey,
        };
        self
    }

    /// Most bytes of all records that are not settled: data, keys and 256 bytes for each. Default 64 MiB.
    ///
    /// Once they are used up [`Producer::put`](crate::Producer::put) waits. The KPL has no such bound.
    #[must_use]
    pub fn max_buffered_bytes(mut self, size: BufferSize) -> Self {
        self.max_buffered = size;
        self
    }

    /// Largest record that the stream takes, data and partition key together. Default 1 MiB, the service's for a stream
    /// that was not told otherwise; at most 10 MiB (UpdateMaxRecordSize). Larger ones are refused before they are sent.
    ///
    /// The KPL's `MaxUserRecordSize`, which does not count the key.
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.settings.record_bytes = bytes.min(limits::RECORD_BYTES_MAX);
        self
    }

    /// Most PutRecords requests under way at a time. Default 24. The KPL's `MaxConnections`.
    #[must_use]
    pub fn requests_in_flight(mut self, count: RequestsInFlight) -> Self {
        self.settings.requests_in_flight = count.0;
        self
    }

    /// Longest time that one request may take; then it counts as of unknown fate and is repeated. Default 6 s. The KPL's
    /// `RequestTimeout`.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Is called with each failure that no ticket takes, because it was dropped. Without it those are logged.
    ///
    /// It runs on the producer's own task: hand the error over and return.
    #[must_use]
    pub fn on_failure(mut self, call: impl Fn(RecordError) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(call));
        self
    }

    /// Sets one value from text, under its KPL name: a properties file, an environment variable, a keyword argument.
    ///
    /// # Errors
    ///
    /// When the text does not parse, or is out of bounds.
    pub fn set(self, key: ConfigKey, text: &str) -> Result<Self, ConfigError> {
        let set = |value: Result<Self, Box<dyn StdError + Send + Sync>>| {
            value.map_err(|source| ConfigError { key, text: text.to_owned(), source })
        };
        let aggregate = self.settings.aggregate;
        set(match key {
            ConfigKey::AggregationEnabled => text
                .trim()
                .parse()
                .map_err(Into::into)
                .map(|on: bool| self.aggregate(on.then(|| aggregate.unwrap_or_default()))),
            ConfigKey::AggregationMaxSize => number(text, 64..=10_485_760)
                .and_then(|bytes| Ok(self.aggregate(AggregateSize::try_from(bytes)?))),
            ConfigKey::MaxConnections => number(text, 1..=256)
                .and_then(|n| Ok(self.requests_in_flight(RequestsInFlight::try_from(n)?))),
            ConfigKey::MaxUserRecordSize => number(text, 64..=10_485_760)
                .and_then(|bytes| Ok(self.max_record_bytes(usize::try_from(bytes)?))),
            ConfigKey::RecordMaxBufferedTime => {
                number(text, 0..=u64::MAX).map(|ms| self.linger(Duration::from_millis(ms)))
            }
            ConfigKey::RecordTtl => {
                number(text, 100..=u64::MAX).map(|ms| self.record_ttl(Duration::from_millis(ms)))
            }
            ConfigKey::RequestTimeout => {
                number(text, 100..=600_000).map(|ms| self.request_timeout(Duration::from_millis(ms)))
            }
        })
    }
}

fn number(text: &str, bounds: std::ops::RangeInclusive<u64>) -> Result<u64, Box<dyn StdError + Send + Sync>> {
    let number: u64 = text.trim().parse()?;
    if bounds.contains(&number) {
        Ok(number)
    } else {
        Err(format!("{number} is not within {} and {}", bounds.start(), bounds.end()).into())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("settings", &self.settings)
            .field("max_buffered", &self.max_buffered)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

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
        const BOUNDS: std::ops::RangeInclusive<usize> = 1 << 20..=u32::MAX as usize >> 3;
        if BOUNDS.contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(Invalid::new("buffer size", bytes, "1048576 to 536870911 bytes"))
        }
    }
}

/// How many requests may be under way: 1 to 256. Default 24.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestsInFlight(pub(crate) usize);

impl TryFrom<u64> for RequestsInFlight {
    type Error = Invalid;

    fn try_from(count: u64) -> Result<Self, Invalid> {
        match u8::try_from(count.wrapping_sub(1)) {
            Ok(count) => Ok(Self(usize::from(count) + 1)),
            Err(_) => Err(Invalid::new("requests in flight", count, "1 to 256")),
        }
    }
}

/// The names under which values can be set from text: the KPL's own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ConfigKey {
    /// `AggregationEnabled`: `true` or `false`.
    AggregationEnabled,
    /// `AggregationMaxSize`, bytes: 64 to 10485760.
    AggregationMaxSize,
    /// `MaxConnections`: 1 to 256.
    MaxConnections,
    /// `MaxUserRecordSize`, bytes: 64 to 10485760.
    MaxUserRecordSize,
    /// `RecordMaxBufferedTime`, milliseconds.
    RecordMaxBufferedTime,
    /// `RecordTtl`, milliseconds: at least 100.
    RecordTtl,
    /// `RequestTimeout`, milliseconds: 100 to 600000.
    RequestTimeout,
}

impl ConfigKey {
    const ALL: [Self; 7] = [
        Self::AggregationEnabled,
        Self::AggregationMaxSize,
        Self::MaxConnections,
        Self::MaxUserRecordSize,
        Self::RecordMaxBufferedTime,
        Self::RecordTtl,
        Self::RequestTimeout,
    ];

    /// The KPL's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AggregationEnabled => "AggregationEnabled",
            Self::AggregationMaxSize => "AggregationMaxSize",
            Self::MaxConnections => "MaxConnections",
            Self::MaxUserRecordSize => "MaxUserRecordSize",
            Self::RecordMaxBufferedTime => "RecordMaxBufferedTime",
            Self::RecordTtl => "RecordTtl",
            Self::RequestTimeout => "RequestTimeout",
        }
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ConfigKey {
    type Err = UnknownKey;

    fn from_str(name: &str) -> Result<Self, UnknownKey> {
        Self::ALL.into_iter().find(|key| key.name() == name).ok_or_else(|| UnknownKey::new(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, text: &str) -> Result<Settings, ConfigError> {
        Config::default().set(key.parse().unwrap(), text).map(|config| config.settings)
    }

    #[test]
    fn every_key_sets_its_value() {
        assert_eq!(set("AggregationEnabled", "false").unwrap().aggregate, None);
        assert_eq!(set("AggregationEnabled", "true").unwrap().aggregate, Some(AggregateSize::default()));
        assert_eq!(set("AggregationMaxSize", "64").unwrap().aggregate, Some(AggregateSize::MIN));
        assert_eq!(set("MaxConnections", "256").unwrap().requests_in_flight, 256);
        assert_eq!(set("MaxUserRecordSize", "2097152").unwrap().record_bytes, 2 << 20);
        assert_eq!(set("RecordMaxBufferedTime", " 50 ").unwrap().linger, Duration::from_millis(50));
        assert_eq!(
            set("RecordTtl", "18446744073709551615").unwrap().record_ttl,
            Duration::from_millis(u64::MAX)
        );
        let config = Config::default().set(ConfigKey::RequestTimeout, "100").unwrap();
        assert_eq!(config.request_timeout, Duration::from_millis(100));
        for key in ConfigKey::ALL {
            assert_eq!(key.name().parse(), Ok(key));
        }
    }

    #[test]
    fn a_wrong_value_names_key_text_and_bounds() {
        let error = set("AggregationMaxSize", "12").unwrap_err();
        assert_eq!(error.to_string(), r#"AggregationMaxSize cannot be "12""#);
        assert_eq!(error.source().unwrap().to_string(), "12 is not within 64 and 10485760");
        for (key, text) in
            [("MaxConnections", "0"), ("RecordTtl", "99"), ("AggregationEnabled", "yes"), ("RecordTtl", "-1")]
        {
            assert_eq!(set(key, text).unwrap_err().key().name(), key);
        }
        assert_eq!(
            "recordTtl".parse::<ConfigKey>().unwrap_err().to_string(),
            r#"no setting is called "recordTtl""#
        );
    }

    #[test]
    fn numbers_out_of_bounds_are_no_values() {
        assert!(RequestsInFlight::try_from(0).is_err() && RequestsInFlight::try_from(257).is_err());
        assert!(BufferSize::try_from(1_000).is_err() && BufferSize::try_from(1 << 20).is_ok());
    }
}
