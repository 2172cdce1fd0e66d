//! A sink for CloudWatch metrics: what clients send is kept for tests to read, and nothing is computed from it.

mod datum;
mod sink;

pub use datum::{MetricDatum, MetricValue};
pub(crate) use sink::{MetricSink, PutMetricDataRequest};
