//! What is kept of many values: a set of statistics, as CloudWatch takes it.

/// Count, sum, least and greatest of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Statistics {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Statistics {
    /// Of no values.
    pub(crate) const EMPTY: Self = Self { count: 0.0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };

    /// Of one value.
    pub(crate) fn of(value: f64) -> Self {
        Self { count: 1.0, sum: value, min: value, max: value }
    }

    /// Adds the same value so often.
    pub(crate) fn record(&mut self, value: f64, times: usize) {
        if times > 0 {
            let times = times as f64;
            self.merge(&Self { count: times, sum: value * times, min: value, max: value });
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The same values in another unit.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        let Self { count, sum, min, max } = self;
        Self { count, sum: sum * factor, min: min * factor, max: max * factor }
    }

    /// The same within what CloudWatch takes: sums and scales may have left it although no value did.
    pub(crate) fn bounded(self) -> Self {
        let bounded = |value: f64| value.clamp(-LARGEST, LARGEST);
        let Self { count, sum, min, max } = self;
        Self { count, sum: bounded(sum), min: bounded(min), max: bounded(max) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0.0
    }

    /// Whether CloudWatch takes such a value. One that it does not take has it refuse all that is in the same call.
    pub(crate) fn takes(value: f64) -> bool {
        // False for what is not a number.
        value.abs() <= LARGEST
    }
}

/// API PutMetricData: "Values must be in the range of -2^360 to 2^360."
const LARGEST: f64 = f64::from_bits((1023 + 360) << 52);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Statistics {
        let mut statistics = Statistics::EMPTY;
        for &value in values {
            statistics.record(value, 1);
        }
        statistics
    }

    #[test]
    fn values_become_their_count_sum_least_and_greatest() {
        assert_eq!(of(&[2.0, -1.0, 5.0]), Statistics { count: 3.0, sum: 6.0, min: -1.0, max: 5.0 });
        assert!(of(&[]).is_empty());
        assert!(!of(&[0.0]).is_empty(), "a zero is a value");
    }

    #[test]
    fn one_value_many_times_is_as_many_values() {
        let mut statistics = Statistics::EMPTY;
        statistics.record(3.0, 4);
        statistics.record(7.0, 0);
        assert_eq!(statistics, of(&[3.0, 3.0, 3.0, 3.0]));
    }

    #[test]
    fn merging_is_as_if_all_had_been_recorded_in_one() {
        let mut merged = of(&[1.0, 9.0]);
        merged.merge(&of(&[4.0]));
        merged.merge(&Statistics::EMPTY);
        assert_eq!(merged, of(&[1.0, 9.0, 4.0]));
    }

    #[test]
    fn another_unit_changes_all_but_the_count() {
        let expected = Statistics { count: 2.0, sum: 3072.0, min: 1024.0, max: 2048.0 };
        assert_eq!(of(&[1.0, 2.0]).scaled(1024.0), expected);
    }

    #[test]
    fn what_cloudwatch_refuses_is_known() {
        assert_eq!(LARGEST, 2_f64.powi(360));
        for (value, takes) in [
            (0.0, true),
            (-1.5, true),
            (LARGEST, true),
            (LARGEST * 2.0, false),
            (f64::NAN, false),
            (f64::NEG_INFINITY, false),
        ] {
            assert_eq!(Statistics::takes(value), takes, "{value}");
        }
        let mut statistics = Statistics::EMPTY;
        statistics.record(LARGEST, 3);
        assert_eq!(statistics.bounded().sum, LARGEST);
    }
}
