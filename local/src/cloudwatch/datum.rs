//! One datum as a client sent it.

use std::time::SystemTime;

use serde::Serialize;

use crate::kinesis::stamp::epoch_seconds;

/// One datum of a PutMetricData call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetricDatum {
    /// Its namespace, such as `KinesisProducerLibrary`.
    pub namespace: String,
    /// Its name, such as `UserRecordsPut`.
    pub name: String,
    /// Its dimensions, name and value, in the order in which they came.
    pub dimensions: Vec<(String, String)>,
    /// What was measured.
    pub value: MetricValue,
    /// Its unit, such as `Count`.
    pub unit: Option<String>,
    /// When it was measured, as the client says.
    #[serde(serialize_with = "optional_time")]
    pub timestamp: Option<SystemTime>,
    /// When it came in, on the service's clock.
    #[serde(serialize_with = "epoch_seconds::serialize")]
    pub received: SystemTime,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetricValue {
    /// One value.
    Single(f64),
    /// A summary of many.
    Statistics {
        /// How many.
        count: f64,
        /// Their sum.
        sum: f64,
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// Each value and how often it occurred.
    Counted(Vec<(f64, f64)>),
}

impl MetricDatum {
    /// The value of a dimension.
    #[must_use]
    pub fn dimension(&self, name: &str) -> Option<&str> {
        self.dimensions.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The sum of all that was measured.
    #[must_use]
    pub fn sum(&self) -> f64 {
        match &self.value {
            MetricValue::Single(value) => *value,
            MetricValue::Statistics { sum, .. } => *sum,
            MetricValue::Counted(values) => values.iter().map(|(value, count)| value * count).sum(),
        }
    }
}

fn optional_time<S: serde::Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => epoch_seconds::serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}
