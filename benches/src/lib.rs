//! What the measuring programs share. `cargo xtask bench producer` starts them; see the folder's README.
#![forbid(unsafe_code)]

mod keys;
mod latencies;
mod recorder;
mod usage;

pub use keys::Keys;
pub use latencies::Latencies;
pub use recorder::Sums;
pub use usage::Usage;
