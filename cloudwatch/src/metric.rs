//! What CloudWatch tells metrics apart by, and takes money for: the name and the dimensions.

use std::collections::BTreeMap;

use metrics::Key;
use shardflow_core::limits::{self, is_metric_text};

use crate::Config;

/// A metric within its namespace.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) dimensions: BTreeMap<String, String>,
}

/// A name or a label is one that CloudWatch does not take; it would refuse everything else in the call with it.
#[derive(Debug)]
pub(crate) struct Illegal;

impl Metric {
    /// The metrics that get what is recorded under a key: the one with all dimensions, and those that it is rolled up into.
    pub(crate) fn of(key: &Key, config: &Config) -> Result<Vec<Self>, Illegal> {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned()));
        let labels = labels.filter(|(name, _)| config.has_dimension(name));
        // The KPL leaves out blank values too. Of two of one name, the last counts.
        let dimensions = config
            .added
            .iter()
            .cloned()
            .chain(labels)
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        let mut metric = Self { name: key.name().to_owned(), dimensions };
        if !metric.is_legal() {
            return Err(Illegal);
        }
        let mut metrics = vec![metric.clone()];
        for name in &config.rolled_up {
            if metric.dimensions.remove(name).is_some() {
                metrics.push(metric.clone());
            }
        }
        Ok(metrics)
    }

    /// Bytes that a datum of it takes in a request, and some more.
    pub(crate) fn size(&self) -> usize {
        // In CBOR, names of fields and numbers of a datum take 150 bytes, those of a dimension 20.
        const DATUM: usize = 200;
        const DIMENSION: usize = 30;
        let dimensions = self.dimensions.iter().map(|(name, value)| name.len() + value.len() + DIMENSION);
        DATUM + self.name.len() + dimensions.sum::<usize>()
    }

    fn is_legal(&self) -> bool {
        // CloudWatch API Dimension: no colon in front.
        let dimension = |(name, value): (&String, &String)| {
            is_metric_text(name, limits::METRIC_NAME_CHARS)
                && !name.starts_with(':')
                && is_metric_text(value, limits::METRIC_DIMENSION_VALUE_CHARS)
        };
        is_metric_text(&self.name, limits::METRIC_NAME_CHARS)
            && self.dimensions.len() <= limits::METRIC_DIMENSIONS
            && self.dimensions.iter().all(dimension)
    }
}

#[cfg(test)]
mod tests {
    use metrics::Label;

    use super::*;

    fn key(labels: &[(&str, &str)]) -> Key {
        let labels: Vec<_> =
            labels.iter().map(|&(name, value)| Label::new(name.to_owned(), value.to_owned())).collect();
        Key::from_parts("m", labels)
    }

    fn config() -> Config {
        Config::new("test".parse().unwrap())
    }

    /// The dimensions of each metric of a key.
    fn dimensions(labels: &[(&str, &str)], config: &Config) -> Vec<String> {
        let metrics = Metric::of(&key(labels), config).unwrap();
        let text = |metric: &Metric| {
            let pairs = metric.dimensions.iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join(" ")
        };
        metrics.iter().map(text).collect()
    }

    const SHARD: [(&str, &str); 2] = [("StreamName", "orders"), ("ShardId", "shard-1")];

    #[test]
    fn labels_become_dimensions() {
        assert_eq!(dimensions(&SHARD, &config()), ["ShardId=shard-1 StreamName=orders"]);
        assert_eq!(
            dimensions(&[("Operation", "ProcessTask"), ("Blank", " ")], &config()),
            ["Operation=ProcessTask"]
        );
    }

    #[test]
    fn only_enabled_dimensions_stay_and_the_operation() {
        let config = config().dimensions(["ShardId"]);
        let labels = [("Operation", "ProcessTask"), ("ShardId", "shard-1"), ("WorkerIdentifier", "w")];
        assert_eq!(dimensions(&labels, &config), ["Operation=ProcessTask ShardId=shard-1"]);
    }

    #[test]
    fn an_added_dimension_is_on_every_level_and_gives_way_to_a_label() {
        let config = config().with_dimension("env", "prod").roll_up(["ShardId"]);
        assert_eq!(dimensions(&[("ShardId", "1")], &config), ["ShardId=1 env=prod", "env=prod"]);
        assert_eq!(dimensions(&[("env", "test")], &config), ["env=test"]);
    }

    /// As `docs/metrics.md` has it.
    #[test]
    fn a_label_of_the_applications_own_is_rolled_up_like_any() {
        let config = Config::kpl().roll_up(["Host", "ShardId", "StreamName", "ErrorCode"]);
        assert_eq!(
            dimensions(&[("StreamName", "orders"), ("ShardId", "shard-1"), ("Host", "web")], &config),
            [
                "Host=web ShardId=shard-1 StreamName=orders",
                "ShardId=shard-1 StreamName=orders",
                "StreamName=orders",
                ""
            ]
        );
    }

    #[test]
    fn the_kpls_metrics_are_rolled_up_as_the_kpl_does() {
        let config = Config::kpl();
        assert_eq!(
            dimensions(&SHARD, &config),
            ["ShardId=shard-1 StreamName=orders", "StreamName=orders", ""]
        );
        let error = [SHARD[0], SHARD[1], ("ErrorCode", "E")];
        assert_eq!(
            dimensions(&error, &config),
            [
                "ErrorCode=E ShardId=shard-1 StreamName=orders",
                "ErrorCode=E StreamName=orders",
                "ErrorCode=E",
                ""
            ]
        );
        assert_eq!(dimensions(&[], &config), [""], "of granularity global");
        let by_stream = config.dimensions(["StreamName"]);
        assert_eq!(dimensions(&SHARD, &by_stream), ["StreamName=orders", ""], "nothing is counted twice");
    }

    #[test]
    fn what_cloudwatch_would_refuse_is_told_before() {
        let long = "v".repeat(1025);
        for labels in [[("a", "ü")], [("a", "x\ny")], [(":a", "x")], [("", "x")], [("a", &long)]] {
            assert!(Metric::of(&key(&labels), &config()).is_err(), "{labels:?}");
        }
        let many: Vec<_> = (0..31).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
        assert!(Metric::of(&key(&many), &config()).is_err());
        assert!(Metric::of(&key(&many[1..]), &config()).is_ok());
        assert!(Metric::of(&Key::from_name("n".repeat(256)), &config()).is_err());
        assert!(Metric::of(&Key::from_name(""), &config()).is_err());
    }
}
