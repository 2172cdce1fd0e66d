//! What a recorder of metrics was told.

use std::collections::{BTreeMap, BTreeSet};

use metrics::Unit;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use metrics_util::{CompositeKey, MetricKind};

/// What was recorded under one name with the same labels.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The name.
    pub name: String,
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// As described.
    pub unit: Option<Unit>,
    /// By key.
    pub labels: BTreeMap<String, String>,
    /// Of a histogram all of them.
    pub values: Vec<f64>,
}

/// All that was recorded.
#[derive(Clone, Debug)]
pub struct Readings(pub Vec<Reading>);

impl Readings {
    /// What a recorder was told since it was last asked.
    #[must_use]
    pub fn of(recorder: &DebuggingRecorder) -> Self {
        let read = |(key, unit, _, value): (CompositeKey, Option<Unit>, _, DebugValue)| {
            let (kind, key) = key.into_parts();
            let values = match value {
                DebugValue::Counter(value) => vec![value as f64],
                DebugValue::Gauge(value) => vec![value.0],
                DebugValue::Histogram(values) => values.into_iter().map(|value| value.0).collect(),
            };
            let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned()));
            Reading { name: key.name().to_owned(), kind, unit, labels: labels.collect(), values }
        };
        Self(recorder.snapshotter().snapshot().into_vec().into_iter().map(read).collect())
    }

    /// The values of one that has these labels and no others.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that asks for what is not there fails")]
    pub fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let same = self.0.iter().find(|reading| reading.name == name && reading.labels == labels);
        same.unwrap_or_else(|| panic!("no {name} with {labels:?} in {self:#?}")).values.clone()
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|reading| reading.name.as_str()).collect()
    }

    /// The keys of all labels.
    #[must_use]
    pub fn labels(&self) -> BTreeSet<&str> {
        self.0.iter().flat_map(|reading| reading.labels.keys().map(String::as_str)).collect()
    }
}
