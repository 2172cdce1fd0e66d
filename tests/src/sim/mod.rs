//! Seeded worlds: producers, a stream, a lease table and workers on one thread and one clock, under faults.
//!
//! One seed decides everything: how many shards, producers and workers, their speed, and a script of trouble. The
//! producer's pipeline, the lease coordinator and the shard's life are the real ones of `shardflow-engine`; the stream is
//! the real state machine of `shardflow-local`. Simulated are the network between them, the handlers, and the shells,
//! which decide nothing.
//!
//! A world has two halves. First trouble: requests are lost, or carried out and their answers lost, or both late;
//! entries are throttled; workers crash, come back under a new or their old name, freeze and thaw, are cut off; shards
//! split and merge. Then all trouble stops, and the world must converge: everything accepted is settled, every record of
//! the stream processed, every lease held once, loads even.
//!
//! Promises are checked all the time, each by a file in [`invariants`].

mod account;
mod calm;
mod clock;
mod coverage;
mod faults;
pub mod invariants;
mod java;
mod keeper;
mod liveness;
mod network;
mod post;
mod producer;
mod records;
mod script;
mod stream;
mod table;
mod trace;
mod worker;
mod world;

pub use coverage::Coverage;
pub use trace::{Broken, Subject};
pub use world::{Failed, Outcome, World, run, run_traced};
