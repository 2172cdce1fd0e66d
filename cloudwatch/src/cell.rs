//! Where values lie between two publications, one cell for each handle's metric: atomic, or a lock for a few instructions.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use metrics::{CounterFn, GaugeFn, HistogramFn};

use crate::statistics::Statistics;

/// What the registry needs of a cell.
pub(crate) trait Cell: Default + fmt::Debug {
    /// Takes what has come since the last time.
    fn take(&self) -> Statistics;

    /// Whether the cell matters although nobody has a handle to it: the next one is to go on where the last has ended.
    fn is_kept(&self) -> bool;
}

/// Publishes what was added. Of the single additions nothing is known later: a counter is told sums.
#[derive(Debug, Default)]
pub(crate) struct CounterCell {
    total: AtomicU64,
    /// How much of the total is published.
    taken: AtomicU64,
    /// It follows a counter elsewhere, so its total is what the next handle will compare with.
    follows: AtomicBool,
}

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.total.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.follows.store(true, Ordering::Relaxed);
        self.total.fetch_max(value, Ordering::Relaxed);
    }
}

impl Cell for CounterCell {
    fn take(&self) -> Statistics {
        let total = self.total.load(Ordering::Relaxed);
        // Totals wrap at their type's end, and their difference with them.
        match total.wrapping_sub(self.taken.swap(total, Ordering::Relaxed)) {
            0 => Statistics::EMPTY,
            added => Statistics::of(added as f64),
        }
    }

    fn is_kept(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }
}

/// Publishes all values.
#[derive(Debug)]
pub(crate) struct HistogramCell(Mutex<Statistics>);

impl HistogramCell {
    fn values(&self) -> MutexGuard<'_, Statistics> {
        self.0.lock().expect("nothing panics while it holds the values")
    }
}

impl Default for HistogramCell {
    fn default() -> Self {
        Self(Mutex::new(Statistics::EMPTY))
    }
}

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        if Statistics::takes(value) {
            self.values().record(value, count);
        }
    }
}

impl Cell for HistogramCell {
    fn take(&self) -> Statistics {
        std::mem::replace(&mut *self.values(), Statistics::EMPTY)
    }

    fn is_kept(&self) -> bool {
        false
    }
}

/// Publishes what the value was at each look, and how far it went between looks.
#[derive(Debug, Default)]
pub(crate) struct GaugeCell(Mutex<Course>);

/// How a value went.
#[derive(Debug)]
struct Course {
    now: f64,
    lowest: f64,
    highest: f64,
    looks: Statistics,
}

impl GaugeCell {
    /// Looks at the value: its mean is that of looks, so that it does not depend on how often it was set.
    pub(crate) fn look(&self) {
        let mut course = self.course();
        let now = course.now;
        course.looks.record(now, 1);
    }

    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut course = self.course();
        let value = change(course.now);
        if Statistics::takes(value) {
            course.now = value;
            course.lowest = course.lowest.min(value);
            course.highest = course.highest.max(value);
        }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.0.lock().expect("nothing panics while it holds the value")
    }
}

impl Default for Course {
    fn default() -> Self {
        Self::starting_at(0.0)
    }
}

impl Course {
    fn starting_at(now: f64) -> Self {
        Self { now, lowest: now, highest: now, looks: Statistics::EMPTY }
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.change(|now| now + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|now| now - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl Cell for GaugeCell {
    fn take(&self) -> Statistics {
        let mut course = self.course();
        let now = course.now;
        let Course { lowest, highest, mut looks, .. } =
            std::mem::replace(&mut *course, Course::starting_at(now));
        looks.record(now, 1);
        // As looks of their own: a set in which they were merely bounds would be one of no values.
        if lowest < looks.min {
            looks.record(lowest, 1);
        }
        if highest > looks.max {
            looks.record(highest, 1);
        }
        looks
    }

    fn is_kept(&self) -> bool {
        // What is zero is as good as new.
        self.course().now != 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_tells_what_was_added_since_the_last_time() {
        let counter = CounterCell::default();
        assert!(counter.take().is_empty());
        counter.increment(3);
        counter.increment(4);
        assert_eq!(counter.take(), Statistics::of(7.0));
        assert!(counter.take().is_empty());
        assert!(!counter.is_kept());
    }

    #[test]
    fn a_counter_that_follows_another_tells_how_far_that_has_come() {
        let counter = CounterCell::default();
        counter.absolute(10);
        counter.absolute(8);
        assert_eq!(counter.take(), Statistics::of(10.0));
        counter.absolute(15);
        assert_eq!(counter.take(), Statistics::of(5.0));
        assert!(counter.is_kept());
    }

    #[test]
    fn a_histogram_tells_all_values_once() {
        let histogram = HistogramCell::default();
        histogram.record(2.0);
        histogram.record_many(0.5, 4);
        assert_eq!(histogram.take(), Statistics { count: 5.0, sum: 4.0, min: 0.5, max: 2.0 });
        assert!(histogram.take().is_empty());
    }

    #[test]
    fn values_that_cloudwatch_refuses_are_left_out() {
        let histogram = HistogramCell::default();
        histogram.record(f64::NAN);
        histogram.record_many(f64::INFINITY, 2);
        assert!(histogram.take().is_empty());
        let gauge = GaugeCell::default();
        gauge.set(3.0);
        gauge.set(f64::NAN);
        assert!(gauge.is_kept());
        gauge.look();
        assert_eq!(gauge.take(), Statistics { count: 3.0, sum: 6.0, min: 0.0, max: 3.0 });
    }

    #[test]
    fn a_gauge_tells_its_value_at_each_look() {
        let gauge = GaugeCell::default();
        gauge.set(4.0);
        assert_eq!(gauge.take().max, 4.0);
        gauge.look();
        gauge.look();
        assert_eq!(gauge.take(), Statistics { count: 3.0, sum: 12.0, min: 4.0, max: 4.0 });
        assert_eq!(gauge.take(), Statistics::of(4.0), "it still has its value");
    }

    #[test]
    fn a_gauge_tells_how_far_it_went_between_looks() {
        let gauge = GaugeCell::default();
        gauge.set(5.0);
        gauge.increment(95.0);
        gauge.decrement(110.0);
        gauge.set(1.0);
        assert_eq!(gauge.take(), Statistics { count: 3.0, sum: 91.0, min: -10.0, max: 100.0 });
        assert!(gauge.is_kept());
        gauge.set(0.0);
        assert!(!gauge.is_kept());
    }
}
