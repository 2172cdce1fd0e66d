//! What the examples have in common. The examples themselves are in `src/bin`; begin with `quickstart.rs`.
#![forbid(unsafe_code)]

pub mod account;
pub mod events;
pub mod screen;
pub mod service;
