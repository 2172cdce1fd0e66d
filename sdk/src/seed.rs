//! Numbers that differ from one run to the next.

use std::hash::{BuildHasher, RandomState};

/// A number that differs from process to process and from call to call. Nothing secret hangs on it: it spreads retries and
/// tells workers apart.
#[must_use]
pub fn seed() -> u64 {
    // The standard library draws the keys of its hash maps from the operating system.
    RandomState::new().hash_one(0)
}
