//! How long to wait before trying again.

use std::time::Duration;

use fastrand::Rng;

/// Waits that double with each failure in a row, drawn at random so that many writers do not come back together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits of up to `least` after the first failure, and of up to `most` after many.
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, failures: 0 }
    }

    /// How long to wait after one more failure: anything from a quarter of `least` up to the present ceiling. Without
    /// that floor, one draw in many would be no wait at all.
    pub(crate) fn fail(&mut self, rng: &mut Rng) -> Duration {
        let ceiling =
            self.least.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(self.most);
        self.failures = self.failures.saturating_add(1).min(31);
        let floor = (self.least / 4).min(ceiling);
        floor + (ceiling - floor).mul_f64(rng.f64())
    }

    /// Forgets the failures.
    pub(crate) fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_its_bound_and_success_resets_it() {
        let mut rng = Rng::with_seed(1);
        let mut highest = [Duration::ZERO; 40];
        for _ in 0..300 {
            let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
            for highest in &mut highest {
                let wait = backoff.fail(&mut rng);
                assert!(wait >= Duration::from_millis(25) && wait <= Duration::from_secs(2), "{wait:?}");
                *highest = wait.max(*highest);
            }
            backoff.succeed();
            assert!(backoff.fail(&mut rng) <= Duration::from_millis(100));
        }
        let ceilings = [100, 200, 400, 800, 1600, 2000, 2000];
        for (highest, ceiling) in highest.iter().zip(ceilings) {
            let ceiling = Duration::from_millis(ceiling);
            assert!(*highest <= ceiling && *highest > ceiling.mul_f64(0.9), "{highest:?} of {ceiling:?}");
        }
    }
}
