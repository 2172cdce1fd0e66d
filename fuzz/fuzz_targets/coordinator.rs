//! Tells the lease coordinator anything: `cargo +nightly fuzz run coordinator`.
#![no_main]

#[path = "../src/coordinator.rs"]
mod coordinator;

libfuzzer_sys::fuzz_target!(|input: &[u8]| coordinator::check(input));
