//! What the examples have in common. The examples themselves are in `src/bin`; begin with `quickstart.rs`.
#![forbid(unsafe_code)]

pub mod account;
pub mod events;
pub mod screen;
pub mod service;

/// The README's programs compile: they are documentation tests of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
