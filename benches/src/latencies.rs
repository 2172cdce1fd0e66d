//! How long records took.

use std::time::Duration;

/// A sample of latencies.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds some.
    pub fn extend(&mut self, latencies: impl IntoIterator<Item = Duration>) {
        self.0.extend(latencies);
    }

    /// The latency that this share of them does not exceed, in milliseconds; zero if there are none.
    pub fn quantile(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index from a share")]
        let at = (self.0.len() as f64 * share) as usize;
        self.0.get(at.min(self.0.len().saturating_sub(1))).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sample() {
        let mut latencies = Latencies::default();
        assert!(latencies.quantile(0.5).abs() < 1e-9);
        latencies.extend((1..=100).rev().map(Duration::from_millis));
        assert!((latencies.quantile(0.5) - 51.0).abs() < 1e-9);
        assert!((latencies.quantile(0.99) - 100.0).abs() < 1e-9);
        assert!((latencies.quantile(1.0) - 100.0).abs() < 1e-9);
    }
}
