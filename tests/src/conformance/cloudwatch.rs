//! PutMetricData, in the protocol that the Rust SDK speaks: CBOR, compressed when it is large.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit, Statistic, StatisticSet};

use super::harness::{refused, same, told, topic};
use super::{Context, Need};

topic! { "cloudwatch", CloudWatch;
    "a value is taken and kept" [Need::Metrics] => value,
    "a set of statistics is taken and kept" [Need::Metrics] => statistics,
    "values with counts are taken and kept" [Need::Metrics] => counted,
    "a thousand data are taken in one call" => thousand,
    "more than a thousand data are refused" => too_many,
    "a datum with a value and statistics is refused" => ambiguous,
    "values with another number of counts are refused" => uneven,
}

const REFUSED: &[&str] = &[
    "InvalidParameterValue",
    "InvalidParameterValueException",
    "InvalidParameterCombination",
    "InvalidParameterCombinationException",
    "ValidationError",
    "ValidationException",
    "LimitExceeded",
];

/// What is kept of a metric.
#[derive(Debug, PartialEq)]
struct Kept {
    count: f64,
    sum: f64,
    greatest: f64,
}

async fn value(context: &Context) -> Result<(), String> {
    let datum = MetricDatum::builder().metric_name("RetriesPerRecord").value(2.5).unit(StandardUnit::Count);
    let kept = put_and_look(context, datum.dimensions(stream()).build(), "RetriesPerRecord").await?;
    same("kept", kept, Kept { count: 1.0, sum: 2.5, greatest: 2.5 })
}

async fn statistics(context: &Context) -> Result<(), String> {
    let set = StatisticSet::builder().sample_count(3.0).sum(6.0).minimum(1.0).maximum(3.0).build();
    let datum = MetricDatum::builder().metric_name("UserRecordsPut").statistic_values(set);
    let datum = datum.unit(StandardUnit::Count).dimensions(stream());
    let kept = put_and_look(context, datum.build(), "UserRecordsPut").await?;
    same("kept", kept, Kept { count: 3.0, sum: 6.0, greatest: 3.0 })
}

async fn counted(context: &Context) -> Result<(), String> {
    let datum = MetricDatum::builder().metric_name("RequestTime").unit(StandardUnit::Milliseconds);
    let datum = datum.set_values(Some(vec![1.0, 2.0, 5.0])).set_counts(Some(vec![1.0, 2.0, 1.0]));
    let kept = put_and_look(context, datum.dimensions(stream()).build(), "RequestTime").await?;
    same("kept", kept, Kept { count: 4.0, sum: 10.0, greatest: 5.0 })
}

async fn thousand(context: &Context) -> Result<(), String> {
    put(context, &context.name(), 1000).send().await.map(drop).map_err(told)
}

async fn too_many(context: &Context) -> Result<(), String> {
    refused(put(context, &context.name(), 1001).send().await, REFUSED).map(drop)
}

async fn ambiguous(context: &Context) -> Result<(), String> {
    let set = StatisticSet::builder().sample_count(1.0).sum(1.0).minimum(1.0).maximum(1.0).build();
    let datum = MetricDatum::builder().metric_name("m").value(1.0).statistic_values(set).build();
    let put = context.cloudwatch.put_metric_data().namespace(context.name()).metric_data(datum);
    refused(put.send().await, REFUSED).map(drop)
}

async fn uneven(context: &Context) -> Result<(), String> {
    let datum = MetricDatum::builder().metric_name("m").set_values(Some(vec![1.0, 2.0]));
    let datum = datum.set_counts(Some(vec![1.0])).build();
    let put = context.cloudwatch.put_metric_data().namespace(context.name()).metric_data(datum);
    refused(put.send().await, REFUSED).map(drop)
}

fn put(
    context: &Context,
    namespace: &str,
    count: usize,
) -> aws_sdk_cloudwatch::operation::put_metric_data::builders::PutMetricDataFluentBuilder {
    let datum = |number: usize| {
        MetricDatum::builder().metric_name(format!("metric-{number}")).value(1.0).dimensions(stream()).build()
    };
    let data = (0..count).map(datum).collect();
    context.cloudwatch.put_metric_data().namespace(namespace).set_metric_data(Some(data))
}

fn stream() -> Dimension {
    Dimension::builder().name("StreamName").value("orders").build()
}

/// Sends a datum, and finds what the server has kept of it.
async fn put_and_look(context: &Context, datum: MetricDatum, name: &str) -> Result<Kept, String> {
    let namespace = context.name();
    let put = context.cloudwatch.put_metric_data().namespace(&namespace).metric_data(datum);
    put.send().await.map_err(told)?;
    match context.sink() {
        Some(local) => {
            let data = local.metrics();
            let datum = data.iter().find(|datum| datum.namespace == namespace && datum.name == name);
            let datum = datum.ok_or("nothing is kept")?;
            same("dimension", datum.dimension("StreamName"), Some("orders"))?;
            summed(&datum.value)
        }
        None => query(context, &namespace, name).await,
    }
}

async fn query(context: &Context, namespace: &str, name: &str) -> Result<Kept, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the query is about the time at which a server that is not ours took it"
    )]
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let mut tries = context.tries("the metric to be found");
    loop {
        let query = context.cloudwatch.get_metric_statistics().namespace(namespace).metric_name(name);
        let query = query.dimensions(stream()).period(60);
        let query = query.start_time(DateTime::from(now - hour)).end_time(DateTime::from(now + hour));
        let query = query.statistics(Statistic::Sum).statistics(Statistic::SampleCount);
        let answer = query.statistics(Statistic::Maximum).send().await.map_err(told)?;
        if let [point] = answer.datapoints() {
            return Ok(Kept {
                count: point.sample_count().ok_or("no SampleCount")?,
                sum: point.sum().ok_or("no Sum")?,
                greatest: point.maximum().ok_or("no Maximum")?,
            });
        }
        tries.again().await?;
    }
}

fn summed(value: &shardflow_local::MetricValue) -> Result<Kept, String> {
    use shardflow_local::MetricValue;
    Ok(match value {
        MetricValue::Single(value) => Kept { count: 1.0, sum: *value, greatest: *value },
        MetricValue::Statistics { count, sum, max, .. } => Kept { count: *count, sum: *sum, greatest: *max },
        MetricValue::Counted(values) => Kept {
            count: values.iter().map(|(_, count)| count).sum(),
            sum: values.iter().map(|(value, count)| value * count).sum(),
            greatest: values.iter().map(|(value, _)| *value).fold(f64::MIN, f64::max),
        },
        other => return Err(format!("a kind of value that is new: {other:?}")),
    })
}
