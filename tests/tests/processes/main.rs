//! Workers in processes of their own, over HTTP, and what becomes of records when something happens to them.
//!
//! Nothing here measures time: a test waits until something holds, and fails if it does not within a minute.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not as expected fails the test")]

mod account;
#[cfg(target_os = "linux")]
mod clock;
mod fleet;

mod freeze;
mod kill;
mod reading;
mod refused;
mod replace;
mod reshard;
mod table;
