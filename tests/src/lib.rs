//! What tests of more than one crate share: the simulator, the conformance suite, and clients and handlers for tests over the embedded service.
//!
//! Without its feature `shells` this is the simulator alone, which is built within a minute.
#![forbid(unsafe_code)]

#[cfg(feature = "shells")]
pub mod application;
#[cfg(feature = "shells")]
pub mod clients;
#[cfg(feature = "shells")]
pub mod conformance;
#[cfg(feature = "shells")]
pub mod ledger;
#[cfg(feature = "shells")]
pub mod process;
#[cfg(feature = "shells")]
pub mod readings;
#[cfg(feature = "shells")]
pub mod sent;
pub mod sim;
#[cfg(feature = "shells")]
pub mod wire;
