//! x
#![allow(missing_docs)]
mod clock;
mod config;
pub mod kinesis;
pub use clock::Clock;
pub use config::Config;
