//! What is published, and how.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use metrics::Metadata;
use shardflow_core::{Invalid, limits};

/// What a [`Publisher`](crate::Publisher) publishes, and how.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) namespace: Namespace,
    pub(crate) interval: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) max_metrics: usize,
    level: MetricsLevel,
    origin: Option<String>,
    /// All, if there is none.
    dimensions: Option<BTreeSet<String>>,
    pub(crate) added: Vec<(String, String)>,
    pub(crate) rolled_up: Vec<String>,
}

impl Config {
    /// All that is recorded, each metric under its name and with its labels as dimensions, once a minute.
    #[must_use]
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            interval: Duration::from_secs(60),
            call_timeout: Duration::from_secs(5),
            max_metrics: 10_000,
            level: MetricsLevel::Detailed,
            origin: None,
            dimensions: None,
            added: Vec::new(),
            rolled_up: Vec::new(),
        }
    }

    /// What the KPL publishes, so that alarms on it go on: the producer's metrics alone, in the namespace
    /// `KinesisProducerLibrary`, once a minute, for each shard, each stream and all streams together.
    ///
    /// `Config::metrics_level` and `Config::metrics_granularity` of the producer say which there are. In another namespace
    /// (`MetricsNamespace`), use [`Config::namespace`].
    #[must_use]
    pub fn kpl() -> Self {
        let namespace = Namespace("KinesisProducerLibrary".to_owned());
        Self::new(namespace).only_from("shardflow_producer").roll_up(["ShardId", "StreamName", "ErrorCode"])
    }

    /// What the KCL publishes: the consumer's metrics alone, every 10 seconds. The KCL's namespace is the application's name.
    #[must_use]
    pub fn kcl(application: Namespace) -> Self {
        Self::new(application).only_from("shardflow_consumer").interval(Duration::from_secs(10))
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(self, namespace: Namespace) -> Self {
        Self { namespace, ..self }
    }

    /// How often to publish: at least a second. Default one minute, as the KPL's `MetricsUploadDelay`; [`Config::kcl`] has
    /// the KCL's `metricsBufferTimeMillis`, 10 seconds.
    ///
    /// CloudWatch keeps these metrics by the minute. More often shows sooner what happens, and costs more calls.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval: interval.max(Duration::from_secs(1)), ..self }
    }

    /// The longest time of a call. Default 5 seconds, as in the KCL.
    ///
    /// Less of it has more calls repeated of which CloudWatch has taken the data already: these then count twice.
    #[must_use]
    pub fn call_timeout(self, call_timeout: Duration) -> Self {
        Self { call_timeout, ..self }
    }

    /// How many metrics, with their labels, may be in use between two publications. Default 10,000, as the KCL's
    /// `metricsMaxQueueSize`.
    ///
    /// Each takes about a kilobyte. What is recorded to further ones is lost and counted, see
    /// [`Health::lost`](crate::Health::lost).
    #[must_use]
    pub fn max_metrics(self, max_metrics: usize) -> Self {
        Self { max_metrics, ..self }
    }

    /// Which metrics are published. Default [`MetricsLevel::Detailed`], as the KCL's `metricsLevel`.
    ///
    /// What is left out is not even recorded.
    #[must_use]
    pub fn level(self, level: MetricsLevel) -> Self {
        Self { level, ..self }
    }

    /// Publishes only metrics that this crate or module records, such as `my_service`: what a recorder is told besides comes from
    /// anything that is linked in, and each metric costs money.
    #[must_use]
    pub fn only_from(self, module: impl Into<String>) -> Self {
        Self { origin: Some(module.into()), ..self }
    }

    /// Makes dimensions of these labels only, and of `Operation`; what differs in others alone is published as one. Default all
    /// labels. It is the KCL's `metricsEnabledDimensions`.
    #[must_use]
    pub fn dimensions<I: IntoIterator<Item: Into<String>>>(self, labels: I) -> Self {
        // The KCL's METRICS_ALWAYS_ENABLED_DIMENSIONS.
        let always = std::iter::once("Operation".to_owned());
        Self { dimensions: Some(labels.into_iter().map(Into::into).chain(always).collect()), ..self }
    }

    /// Adds a dimension to all metrics, unless they have a label of that name. None by default. It does what
    /// `addAdditionalDimension` does in the KPL.
    #[must_use]
    pub fn with_dimension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.added.push((name.into(), value.into()));
        self
    }

    /// Publishes what has these labels without them too: without the first of them, without the first two, and so on. None
    /// by default; [`Config::kpl`] has `ShardId`, `StreamName` and `ErrorCode`.
    ///
    /// CloudWatch does not add up over dimensions by itself: an alarm on a whole stream needs a metric of the whole stream.
    #[must_use]
    pub fn roll_up<I: IntoIterator<Item: Into<String>>>(self, labels: I) -> Self {
        Self { rolled_up: labels.into_iter().map(Into::into).collect(), ..self }
    }

    /// Whether a metric is published at all.
    pub(crate) fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let detailed = *metadata.level() < metrics::Level::INFO;
        let level = match self.level {
            MetricsLevel::None => false,
            MetricsLevel::Summary => !detailed,
            MetricsLevel::Detailed => true,
        };
        let within = |module: &str| {
            let inner = metadata.target().strip_prefix(module);
            inner.is_some_and(|inner| inner.is_empty() || inner.starts_with("::"))
        };
        level && self.origin.as_deref().is_none_or(within)
    }

    /// Whether a label becomes a dimension.
    pub(crate) fn has_dimension(&self, label: &str) -> bool {
        self.dimensions.as_ref().is_none_or(|dimensions| dimensions.contains(label))
    }
}

/// Which metrics are published.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum MetricsLevel {
    /// None.
    None,
    /// Those by which one sees whether all is well: of the facade's level `INFO` and above.
    Summary,
    /// All.
    #[default]
    Detailed,
}

/// A namespace of CloudWatch: 1 to 255 letters, digits and characters of `.-_/#: `, not beginning with a colon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Namespace(String);

impl Namespace {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // CloudWatch user guide, "Namespaces": the characters; API PutMetricData, `Namespace`: `[^:].*`.
        let legal = |char: char| char.is_ascii_alphanumeric() || ".-_/#: ".contains(char);
        let length = 1..=limits::METRIC_NAME_CHARS;
        if length.contains(&text.len())
            && text.chars().all(legal)
            && !text.trim().is_empty()
            && !text.starts_with(':')
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(
                "namespace",
                format_args!("{text:?}"),
                "1 to 255 letters, digits, spaces and characters of .-_/#:, not beginning with a colon",
            ))
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_what_cloudwatch_takes() {
        for text in ["KinesisProducerLibrary", "my app/v1.2#3", "a:b"] {
            assert_eq!(text.parse::<Namespace>().unwrap().as_str(), text);
        }
        for text in ["", " ", ":a", "ü", "a\nb", &"a".repeat(256)] {
            drop(text.parse::<Namespace>().unwrap_err());
        }
    }

    #[test]
    fn level_and_origin_decide_what_is_wanted() {
        let config = || Config::new("test".parse().unwrap());
        let wants = |config: &Config, target: &str, level| config.wants(&Metadata::new(target, level, None));
        use metrics::Level as Of;
        for (level, debug, info) in [
            (MetricsLevel::None, false, false),
            (MetricsLevel::Summary, false, true),
            (MetricsLevel::Detailed, true, true),
        ] {
            let config = config().level(level);
            assert_eq!((wants(&config, "a", Of::DEBUG), wants(&config, "a", Of::INFO)), (debug, info));
        }
        let config = config().only_from("app");
        assert!(wants(&config, "app", Of::INFO) && wants(&config, "app::module", Of::INFO));
        assert!(!wants(&config, "application", Of::INFO) && !wants(&config, "other::app", Of::INFO));
    }
}
