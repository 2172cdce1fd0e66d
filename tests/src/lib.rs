//! What tests of more than one crate share: the simulator, the conformance suite, and clients and handlers for tests over the embedded service.
#![forbid(unsafe_code)]

pub mod application;
pub mod clients;
pub mod conformance;
pub mod ledger;
pub mod process;
pub mod readings;
pub mod sent;
pub mod sim;
pub mod wire;
