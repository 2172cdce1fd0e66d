//! How fast one shard is read. Its five reads a second are shared with other applications, of which nothing is known but
//! that reads are refused.

use std::time::Duration;

use fastrand::Rng;

use super::Settings;

/// The pace of one shard: a share of the settings' own that halves with each refusal and comes back as time passes, so that
/// applications that read the same shard come to equal shares without knowing of each other.
#[derive(Debug)]
pub(super) struct Pace {
    share: f64,
    /// Whether it has been at rest once.
    rested: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { share: 1.0, rested: false }
    }

    /// A read succeeded. Gives how long after it was sent the next one is.
    pub(super) fn read(&mut self, caught_up: bool, settings: &Settings, rng: &mut Rng) -> Duration {
        /// What the share grows by in a second: one that was halved is back after ten. By reads instead of time, those that
        /// have much would come to have all.
        const GROWTH: f64 = 0.05;
        let mut pause = self.pause(settings, rng);
        if caught_up {
            // Shards that were acquired together are not to be read together for ever.
            let part = if self.rested { 1.0 } else { rng.f64() };
            self.rested = true;
            pause = settings.idle_every.mul_f64(part).max(pause);
        }
        self.share = (self.share + GROWTH * pause.as_secs_f64()).min(1.0);
        pause
    }

    /// A read was refused, since there were too many. Gives how long to wait.
    pub(super) fn throttled(&mut self, settings: &Settings, rng: &mut Rng) -> Duration {
        /// One read in ten seconds, of five a second.
        const LEAST: f64 = 0.02;
        self.share = (self.share / 2.0).max(LEAST);
        self.pause(settings, rng)
    }

    fn pause(&self, settings: &Settings, rng: &mut Rng) -> Duration {
        let pause = settings.read_every.div_f64(self.share);
        // Two that were refused together are not to come back together.
        if self.share < 1.0 { pause.mul_f64(0.75 + 0.5 * rng.f64()) } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_with_each_refusal_and_comes_back_as_time_passes() {
        let (settings, mut rng, mut pace) = (Settings::default(), Rng::with_seed(1), Pace::new());
        let near = |pause: Duration, millis: u64| {
            let expected = Duration::from_millis(millis);
            assert!(
                pause >= expected.mul_f64(0.75) && pause <= expected.mul_f64(1.25),
                "{pause:?} of {millis}"
            );
        };
        for millis in [400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
            near(pace.throttled(&settings, &mut rng), millis);
        }
        near(pace.read(false, &settings, &mut rng), 10_000);
        assert!(pace.share > 0.35 && pace.share < 0.65, "{pace:?}");
        for _ in 0..60 {
            pace.read(false, &settings, &mut rng);
        }
        assert_eq!(pace.read(false, &settings, &mut rng), Duration::from_millis(200));
    }

    #[test]
    fn shards_that_begin_together_come_to_rest_apart() {
        let (settings, mut rng) = (Settings::default(), Rng::with_seed(1));
        let first: std::collections::BTreeSet<_> =
            (0..20).map(|_| Pace::new().read(true, &settings, &mut rng)).collect();
        assert!(first.len() > 10 && first.iter().all(|pause| *pause <= settings.idle_every), "{first:?}");
        let mut pace = Pace::new();
        pace.read(true, &settings, &mut rng);
        assert_eq!(pace.read(true, &settings, &mut rng), settings.idle_every);
    }

    #[test]
    fn applications_that_share_a_shard_come_to_equal_shares() {
        // Five reads a second: a second one within 200 ms is refused. Reads take their time to get there.
        let (settings, mut rng) = (Settings::default(), Rng::with_seed(1));
        let mut readers: Vec<_> = (0..4).map(|_| (Duration::ZERO, Pace::new(), 0_u32, 0_u32)).collect();
        let mut free_at = Duration::ZERO;
        loop {
            let (at, pace, read, refused) = readers.iter_mut().min_by_key(|reader| reader.0).unwrap();
            let now = *at;
            if now > Duration::from_secs(600) {
                break;
            }
            let there = now + Duration::from_millis(rng.u64(5..50));
            if there >= free_at {
                free_at = there + Duration::from_millis(200);
                *read += 1;
                *at += pace.read(false, &settings, &mut rng);
            } else {
                *refused += 1;
                *at += pace.throttled(&settings, &mut rng);
            }
        }
        let reads: Vec<_> = readers.iter().map(|reader| reader.2).collect();
        let (all, refused): (u32, u32) = (reads.iter().sum(), readers.iter().map(|reader| reader.3).sum());
        assert!(reads.iter().all(|read| read * 7 > all), "each has a seventh at least: {reads:?}");
        assert!(all > 1_200 && refused < all / 2, "{all} of 3000 reads, {refused} refused");
    }
}
