//! Feeds the reader of the KPL's configuration files: `cargo +nightly fuzz run properties`.
#![no_main]

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::check(input));
