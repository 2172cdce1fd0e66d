//! The facade's side.

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

use crate::registry::{Place, Registry};

/// Records for a [`Publisher`](crate::Publisher). Cheap to clone; all clones record for the same one.
///
/// Install it with [`metrics::set_global_recorder`], use it with [`metrics::with_local_recorder`], or give it to a recorder
/// that passes things on, such as `Fanout` of the crate `metrics-util`. When the publisher has ended it still takes what is
/// recorded, in bounded memory, and nothing comes of it.
#[derive(Clone, Debug)]
pub struct Recorder(pub(crate) Arc<Registry>);

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.0.describe(key.as_str(), unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.0.describe(key.as_str(), unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.0.describe(key.as_str(), unit);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        match self.0.register(|shelves| &mut shelves.counters, key, metadata) {
            Place::Nowhere => Counter::noop(),
            Place::Cell(cell) => Counter::from_arc(cell),
            Place::Lost(lost) => Counter::from_arc(lost),
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        match self.0.register(|shelves| &mut shelves.gauges, key, metadata) {
            Place::Nowhere => Gauge::noop(),
            Place::Cell(cell) => Gauge::from_arc(cell),
            Place::Lost(lost) => Gauge::from_arc(lost),
        }
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        match self.0.register(|shelves| &mut shelves.histograms, key, metadata) {
            Place::Nowhere => Histogram::noop(),
            Place::Cell(cell) => Histogram::from_arc(cell),
            Place::Lost(lost) => Histogram::from_arc(lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::types::{MetricDatum, StandardUnit};
    use metrics::{counter, describe_histogram, gauge, histogram, with_local_recorder};

    use super::*;
    use crate::Config;
    use crate::waiting::Waiting;

    fn recorder(config: Config) -> Recorder {
        Recorder(Arc::new(Registry::new(config)))
    }

    fn config() -> Config {
        Config::new("test".parse().unwrap())
    }

    /// What would be published now.
    fn taken(recorder: &Recorder) -> Vec<MetricDatum> {
        let mut waiting = Waiting::new(recorder.0.most_data());
        recorder.0.take(&mut waiting);
        waiting.batches().iter().flat_map(|batch| batch.data()).collect()
    }

    /// Name, count and sum of what would be published now.
    fn sums(recorder: &Recorder) -> Vec<(String, f64, f64)> {
        let of = |datum: &MetricDatum| {
            let set = datum.statistic_values().unwrap();
            (datum.metric_name().unwrap().to_owned(), set.sample_count().unwrap(), set.sum().unwrap())
        };
        taken(recorder).iter().map(of).collect()
    }

    #[test]
    fn what_is_recorded_is_taken_once() {
        let recorder = recorder(config());
        let (counter, gauge, histogram) =
            with_local_recorder(&recorder, || (counter!("c"), gauge!("g"), histogram!("h")));
        counter.increment(2);
        gauge.set(7.0);
        histogram.record(0.5);
        histogram.record_many(1.0, 2);
        let found = sums(&recorder);
        // The gauge has been 0 as well.
        assert_eq!(found, [("c".into(), 1.0, 2.0), ("g".into(), 2.0, 7.0), ("h".into(), 3.0, 2.5)]);
        assert_eq!(sums(&recorder), [("g".into(), 1.0, 7.0)], "a gauge goes on");
        histogram.record(3.0);
        assert_eq!(sums(&recorder)[1], ("h".into(), 1.0, 3.0), "and so do handles");
    }

    #[test]
    fn units_are_as_described_even_when_told_late() {
        let recorder = recorder(config());
        with_local_recorder(&recorder, || {
            histogram!("size").record(2.0);
            histogram!("plain").record(1.0);
            describe_histogram!("size", Unit::Kibibytes, "how large");
        });
        let data = taken(&recorder);
        assert_eq!((data[0].metric_name(), data[0].unit()), (Some("plain"), None));
        assert_eq!((data[1].metric_name(), data[1].unit()), (Some("size"), Some(&StandardUnit::Bytes)));
        assert_eq!(data[1].statistic_values().unwrap().maximum(), Some(2048.0));
    }

    #[test]
    fn metrics_that_differ_in_labels_that_are_no_dimensions_are_one() {
        let recorder = recorder(config().dimensions(["ShardId"]));
        with_local_recorder(&recorder, || {
            histogram!("h", "ShardId" => "1", "worker" => "a").record(1.0);
            histogram!("h", "ShardId" => "1", "worker" => "b").record(2.0);
            histogram!("h", "ShardId" => "2").record(4.0);
        });
        assert_eq!(sums(&recorder), [("h".into(), 2.0, 3.0), ("h".into(), 1.0, 4.0)]);
    }

    #[test]
    fn no_more_metrics_are_kept_than_fit_and_what_is_lost_is_counted() {
        let recorder = recorder(config().max_metrics(2));
        let kept = with_local_recorder(&recorder, || {
            let kept = [counter!("1"), counter!("2")];
            counter!("3").increment(9);
            gauge!("3").set(9.0);
            histogram!("3").record_many(9.0, 3);
            counter!("1").increment(1);
            kept
        });
        kept[1].increment(1);
        assert_eq!(sums(&recorder), [("1".into(), 1.0, 1.0), ("2".into(), 1.0, 1.0)]);
        assert_eq!((recorder.0.crowded.values(), recorder.0.illegal.values()), (5, 0));
    }

    #[test]
    fn metrics_without_a_handle_make_room_once_they_are_published() {
        let recorder = recorder(config().max_metrics(2));
        with_local_recorder(&recorder, || {
            let kept = counter!("kept");
            for round in 0..3 {
                counter!("passing", "round" => round.to_string()).increment(1);
                kept.increment(1);
                assert_eq!(sums(&recorder).len(), 2);
            }
        });
        assert_eq!(recorder.0.crowded.values(), 0);
    }

    #[test]
    fn a_gauge_without_a_handle_keeps_its_value() {
        let recorder = recorder(config());
        with_local_recorder(&recorder, || {
            gauge!("g").increment(3.0);
            drop(sums(&recorder));
            gauge!("g").increment(1.0);
            assert_eq!(sums(&recorder), [("g".into(), 2.0, 7.0)], "it went from 3 to 4");
            gauge!("g").decrement(4.0);
            drop(sums(&recorder));
        });
        assert!(sums(&recorder).is_empty(), "zero is as good as none");
    }

    #[test]
    fn what_cloudwatch_would_refuse_is_counted() {
        let recorder = recorder(config());
        with_local_recorder(&recorder, || counter!("c", "label" => "täg").increment(1));
        assert!(sums(&recorder).is_empty());
        assert_eq!((recorder.0.crowded.values(), recorder.0.illegal.values()), (0, 1));
    }

    #[test]
    fn what_is_not_wanted_is_not_kept() {
        let recorder = recorder(config().only_from("elsewhere").max_metrics(0));
        with_local_recorder(&recorder, || counter!("c").increment(1));
        assert!(sums(&recorder).is_empty());
        assert_eq!(recorder.0.crowded.values(), 0);
    }
}
