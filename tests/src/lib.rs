//! What tests of more than one crate share: the simulator.
#![forbid(unsafe_code)]

pub mod sim;
