//! What an application tells its metrics apart by.

use shardflow_core::Invalid;
use shardflow_core::limits::{self, is_metric_text};

use super::MetricsGranularity;

/// A label that an application has for its metrics: the KPL's additional dimension.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetricsDimension {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) of: MetricsGranularity,
}

impl MetricsDimension {
    /// A label of all metrics.
    ///
    /// # Errors
    ///
    /// When CloudWatch would not take it: a name has 1 to 255 characters of ASCII and no colon in front, a value 1 to 1,024, and
    /// neither is blank. And when the producer has a label of that name: `StreamName`, `ShardId`, `ErrorCode`.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Result<Self, Invalid> {
        let (name, value) = (name.into(), value.into());
        if !is_metric_text(&name, limits::METRIC_NAME_CHARS) || name.starts_with(':') {
            return Err(Invalid::new(
                "metrics dimension",
                name,
                "1 to 255 characters of ASCII, no colon in front",
            ));
        }
        if OWN.contains(&name.as_str()) {
            return Err(Invalid::new("metrics dimension", name, "the producer has a label of that name"));
        }
        if !is_metric_text(&value, limits::METRIC_DIMENSION_VALUE_CHARS) {
            return Err(Invalid::new("value of a metrics dimension", value, "1 to 1024 characters of ASCII"));
        }
        Ok(Self { name, value, of: MetricsGranularity::Global })
    }

    /// Of those metrics only that are of a stream, or of a shard. Default [`MetricsGranularity::Global`]: of all.
    #[must_use]
    pub fn of(self, granularity: MetricsGranularity) -> Self {
        Self { of: granularity, ..self }
    }
}

/// The labels that the producer gives.
const OWN: [&str; 3] = ["StreamName", "ShardId", "ErrorCode"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn what_cloudwatch_would_not_take_is_refused() {
        let long = "x".repeat(1_025);
        for (name, value) in [("", "a"), (" ", "a"), (":a", "a"), ("ä", "a"), (&long, "a"), ("ShardId", "a")]
        {
            assert!(MetricsDimension::new(name, value).is_err(), "{name}");
        }
        for value in ["", "  ", "a\nb", &long] {
            assert!(MetricsDimension::new("Host", value).is_err(), "{value}");
        }
        assert!(MetricsDimension::new("Host", "web 1").is_ok());
    }

    #[test]
    fn of_one_name_the_last_counts() {
        let host = |value| MetricsDimension::new("Host", value).unwrap();
        let config = Config::default().metrics_dimension(host("a")).metrics_dimension(host("b"));
        assert_eq!(config.metrics_dimensions, [host("b")]);
    }
}
