//! Where data goes, and the request that brings it: one shape for JSON and CBOR.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use serde::Deserialize;
use shardflow_core::limits::PUT_METRIC_DATA_DATA;

use super::{MetricDatum, MetricValue};
use crate::kinesis::stamp::epoch_seconds;

/// The last data that came in.
#[derive(Debug, Default)]
pub(crate) struct MetricSink(Mutex<VecDeque<MetricDatum>>);

/// Data that are kept: a fleet of a hundred workers for a quarter of an hour, and some tens of megabytes at most.
const KEPT: usize = 100_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutMetricDataRequest {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<DatumShape>,
    /// Data that belong to entities: the same shape, one level down.
    #[serde(default)]
    entity_metric_data: Vec<EntityShape>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntityShape {
    #[serde(default)]
    metric_data: Vec<DatumShape>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DatumShape {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<DimensionShape>,
    #[serde(default, deserialize_with = "epoch_seconds::option")]
    timestamp: Option<SystemTime>,
    #[serde(default)]
    value: Option<f64>,
    #[serde(default)]
    statistic_values: Option<StatisticsShape>,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    counts: Vec<f64>,
    #[serde(default)]
    unit: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DimensionShape {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticsShape {
    sample_count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

impl MetricSink {
    /// Takes the data of a call, or says why not.
    pub(crate) fn put(&self, now: SystemTime, request: PutMetricDataRequest) -> Result<(), String> {
        let PutMetricDataRequest { namespace, metric_data, entity_metric_data } = request;
        let shapes: Vec<_> = metric_data
            .into_iter()
            .chain(entity_metric_data.into_iter().flat_map(|entity| entity.metric_data))
            .collect();
        if shapes.len() > PUT_METRIC_DATA_DATA {
            return Err(format!(
                "The collection MetricData must not have a size greater than {PUT_METRIC_DATA_DATA}."
            ));
        }
        let data: Vec<_> =
            shapes.into_iter().map(|shape| shape.read(&namespace, now)).collect::<Result<_, _>>()?;
        let mut kept = self.data();
        kept.extend(data);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
        Ok(())
    }

    pub(crate) fn all(&self) -> Vec<MetricDatum> {
        self.data().iter().cloned().collect()
    }

    fn data(&self) -> MutexGuard<'_, VecDeque<MetricDatum>> {
        self.0.lock().expect("nothing panics while it holds the data")
    }
}

impl DatumShape {
    fn read(self, namespace: &str, received: SystemTime) -> Result<MetricDatum, String> {
        let value = match (self.value, self.statistic_values) {
            (Some(value), None) if self.values.is_empty() => MetricValue::Single(value),
            (None, Some(statistics)) if self.values.is_empty() => MetricValue::Statistics {
                count: statistics.sample_count,
                sum: statistics.sum,
                min: statistics.minimum,
                max: statistics.maximum,
            },
            (None, None) if !self.values.is_empty() => {
                if !self.counts.is_empty() && self.counts.len() != self.values.len() {
                    return Err(format!("{} has not as many Counts as Values.", self.metric_name));
                }
                let counts = self.counts.into_iter().chain(std::iter::repeat(1.0));
                MetricValue::Counted(self.values.into_iter().zip(counts).collect())
            }
            _ => {
                return Err(format!(
                    "{} must have exactly one of Value, StatisticValues and Values.",
                    self.metric_name
                ));
            }
        };
        Ok(MetricDatum {
            namespace: namespace.to_owned(),
            name: self.metric_name,
            dimensions: self.dimensions.into_iter().map(|pair| (pair.name, pair.value)).collect(),
            value,
            unit: self.unit,
            timestamp: self.timestamp,
            received,
        })
    }
}
