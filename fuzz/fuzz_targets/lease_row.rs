//! Feeds the reader of lease rows: `cargo +nightly fuzz run lease_row`.
#![no_main]

#[path = "../src/lease_row.rs"]
mod lease_row;

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_row::check(input, shardflow_consumer::fuzz::read_lease_row));
