//! A recorder of the `metrics` facade that costs next to nothing by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Keeps of each counter and gauge its value, of each histogram how many values it had and their sum.
///
/// What a publisher does with them is not the producer's cost.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    values: Arc<AtomicU64>,
}

impl Sums {
    /// How many values all histograms have had.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.values.load(Ordering::Relaxed)
    }
}

impl Recorder for Sums {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _what: SharedString) {}

    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _what: SharedString) {}

    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _what: SharedString) {}

    fn register_counter(&self, _key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(AtomicU64::new(0)))
    }

    fn register_gauge(&self, _key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(AtomicU64::new(0)))
    }

    fn register_histogram(&self, _key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Sum { all: Arc::clone(&self.values), ..Sum::default() }))
    }
}

#[derive(Debug, Default)]
struct Sum {
    count: AtomicU64,
    /// Thousandths.
    sum: AtomicU64,
    all: Arc<AtomicU64>,
}

impl HistogramFn for Sum {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts and times, none below zero"
    )]
    fn record_many(&self, value: f64, count: usize) {
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        self.sum.fetch_add((value * 1_000.0) as u64 * count as u64, Ordering::Relaxed);
        self.all.fetch_add(count as u64, Ordering::Relaxed);
    }
}
