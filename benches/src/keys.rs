//! Partition keys that spread records evenly.

use fastrand::Rng;

/// Random numbers below 2^63, to be written in decimal, mostly 18 and 19 digits: the keys that the KPL is driven with too.
/// Their sum tells the sink's account whether all of them have come.
///
/// They come from a generator of a few nanoseconds, so that making them is a small part of what is measured.
#[derive(Debug)]
pub struct Keys(Rng);

impl Keys {
    /// Keys that are the same for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }
}

impl Iterator for Keys {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        Some(self.0.u64(..) >> 1)
    }
}
