//! What is to be published: merged by metric, and taken out in batches that fit a call.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit, StatisticSet};
use shardflow_core::limits;

use crate::metric::Metric;
use crate::statistics::Statistics;

/// What waits to be published. What could not be published waits here too, and what comes later is merged into it.
#[derive(Debug)]
pub(crate) struct Waiting {
    data: BTreeMap<Arc<Metric>, Datum>,
    /// How many metrics fit.
    limit: usize,
}

/// Statistics, and their unit if that is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Datum {
    pub(crate) statistics: Statistics,
    pub(crate) unit: Option<StandardUnit>,
}

impl Waiting {
    pub(crate) fn new(limit: usize) -> Self {
        Self { data: BTreeMap::new(), limit }
    }

    /// Adds to a metric, or tells that there are too many others.
    #[must_use = "what does not fit is to be counted"]
    pub(crate) fn add(&mut self, metric: &Arc<Metric>, datum: &Datum) -> bool {
        if let Some(there) = self.data.get_mut(metric) {
            there.statistics.merge(&datum.statistics);
            return true;
        }
        let fits = self.data.len() < self.limit;
        if fits {
            self.data.insert(Arc::clone(metric), datum.clone());
        }
        fits
    }

    /// Takes everything out, in batches for a call each.
    pub(crate) fn batches(&mut self) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        let mut bytes = 0;
        for (metric, datum) in std::mem::take(&mut self.data) {
            let size = metric.size();
            match batches.last_mut() {
                Some(last) if last.0.len() < limits::PUT_METRIC_DATA_DATA && bytes + size <= BATCH_BYTES => {
                    last.0.push((metric, datum));
                    bytes += size;
                }
                _ => {
                    batches.push(Batch(vec![(metric, datum)]));
                    bytes = size;
                }
            }
        }
        batches
    }

    /// Puts a batch back. It was here before, so that it fits.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        for (metric, datum) in batch.0 {
            let there = self.data.entry(metric);
            there.and_modify(|there| there.statistics.merge(&datum.statistics)).or_insert(datum);
        }
    }
}

/// Data of one call, at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch(Vec<(Arc<Metric>, Datum)>);

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many values are in it.
    pub(crate) fn values(&self) -> f64 {
        self.0.iter().map(|(_, datum)| datum.statistics.count).sum()
    }

    /// Its first metric.
    pub(crate) fn first(&self) -> Option<&Metric> {
        self.0.first().map(|(metric, _)| &**metric)
    }

    /// Two of half the size. Of one datum, the second half is nothing.
    pub(crate) fn halves(mut self) -> [Self; 2] {
        let second = self.0.split_off(self.0.len().div_ceil(2));
        [self, Self(second)]
    }

    /// As the SDK takes it.
    pub(crate) fn data(&self) -> Vec<MetricDatum> {
        self.0.iter().map(|(metric, datum)| metric_datum(metric, datum)).collect()
    }
}

fn metric_datum(metric: &Metric, datum: &Datum) -> MetricDatum {
    let Statistics { count, sum, min, max } = datum.statistics.bounded();
    let set = StatisticSet::builder().sample_count(count).sum(sum).minimum(min).maximum(max);
    let dimension = |(name, value): (&String, &String)| Dimension::builder().name(name).value(value).build();
    MetricDatum::builder()
        .metric_name(&metric.name)
        .set_dimensions(Some(metric.dimensions.iter().map(dimension).collect()))
        .statistic_values(set.build())
        .set_unit(datum.unit.clone())
        .build()
}

/// API PutMetricData: "limited to 1 MB", by the lesser of what that can mean.
const BATCH_BYTES: usize = 1_000_000;
const _: () = assert!(BATCH_BYTES <= limits::PUT_METRIC_DATA_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: impl Into<String>) -> Arc<Metric> {
        Arc::new(Metric { name: name.into(), dimensions: BTreeMap::new() })
    }

    fn datum(value: f64) -> Datum {
        Datum { statistics: Statistics::of(value), unit: Some(StandardUnit::Count) }
    }

    fn filled(count: usize) -> Waiting {
        let mut waiting = Waiting::new(count);
        for number in 0..count {
            assert!(waiting.add(&metric(format!("{number:05}")), &datum(1.0)));
        }
        waiting
    }

    #[test]
    fn what_is_added_to_one_metric_is_one_datum() {
        let mut waiting = Waiting::new(10);
        assert!(waiting.add(&metric("m"), &datum(1.0)) && waiting.add(&metric("m"), &datum(3.0)));
        let batches = waiting.batches();
        assert_eq!(batches[0].data().len(), 1);
        let data = &batches[0].data()[0];
        let set = data.statistic_values().unwrap();
        let numbers = [set.sample_count(), set.sum(), set.minimum(), set.maximum()];
        assert_eq!(numbers, [2.0, 4.0, 1.0, 3.0].map(Some));
        assert_eq!((data.metric_name(), data.unit()), (Some("m"), Some(&StandardUnit::Count)));
        assert_eq!((data.value(), data.timestamp()), (None, None));
        assert!(waiting.batches().is_empty(), "they are taken");
    }

    #[test]
    fn a_batch_has_no_more_data_than_a_call_takes() {
        let lengths: Vec<_> = filled(2001).batches().iter().map(Batch::len).collect();
        assert_eq!(lengths, [1000, 1000, 1]);
        assert!(filled(0).batches().is_empty());
    }

    #[test]
    fn a_batch_has_no_more_bytes_than_a_call_takes() {
        let mut waiting = Waiting::new(1000);
        let value = "v".repeat(1024);
        for number in 0..100 {
            let dimensions = (0..30).map(|name| (name.to_string(), value.clone())).collect();
            let metric = Arc::new(Metric { name: number.to_string(), dimensions });
            assert!(waiting.add(&metric, &datum(1.0)));
        }
        let batches = waiting.batches();
        assert!(batches.len() >= 4, "{}", batches.len());
        assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), 100);
        for batch in &batches {
            let bytes: usize = batch.0.iter().map(|(metric, _)| metric.size()).sum();
            assert!(bytes <= 1_000_000, "{bytes}");
        }
    }

    #[test]
    fn what_was_put_back_is_merged_with_what_came_since() {
        let mut waiting = Waiting::new(2);
        assert!(waiting.add(&metric("a"), &datum(1.0)) && waiting.add(&metric("b"), &datum(2.0)));
        let failed = waiting.batches();
        assert!(waiting.add(&metric("a"), &datum(5.0)));
        failed.into_iter().for_each(|batch| waiting.put_back(batch));
        let batches = waiting.batches();
        let sums: Vec<_> = batches[0].0.iter().map(|(_, datum)| datum.statistics.sum).collect();
        assert_eq!((sums, batches[0].values()), (vec![6.0, 2.0], 3.0));
    }

    #[test]
    fn more_metrics_than_fit_are_not_taken_and_those_that_are_there_go_on() {
        let mut waiting = filled(2);
        assert!(!waiting.add(&metric("another"), &datum(1.0)));
        assert!(waiting.add(&metric("00001"), &datum(1.0)));
        assert_eq!(waiting.batches()[0].len(), 2);
    }

    #[test]
    fn halves_have_everything_once() {
        let batch = filled(5).batches().remove(0);
        let [first, second] = batch.clone().halves();
        assert_eq!((first.len(), second.len()), (3, 2));
        assert_eq!([first.0, second.0].concat(), batch.0);
    }
}
