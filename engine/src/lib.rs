//! Every decision of the Shardflow producer and consumer, and nothing else.
//!
//! This crate has no clock, no task, no lock and no I/O. It is told what happened and when, and it hands back what to
//! do. `shardflow-producer` and `shardflow-consumer` carry that out and decide nothing; the simulator in the `tests`
//! folder drives the same machines through thousands of seeded worlds. It is an implementation detail of those crates:
//! use them.
//!
//! # The contract
//!
//! The machines are [`produce::Pipeline`] for one stream that is written, [`lease::Coordinator`] for the leases of one
//! worker, [`consume::ShardLife`] for one shard that is read under a lease and [`consume::Cursor`] for one that is read
//! without. All have the same four kinds of methods:
//!
//! - *what happened*: `handle_timeout`, `handle_answer`;
//! - *what the application wants*: `put`, `flush`, `checkpoint`, `stop`, …;
//! - *what to do about it*: `poll_request`, `poll_event`, `poll_timeout`;
//! - *what is so*: questions that change nothing, such as `holds`.
//!
//! A shell mutates once, then drains requests and events until both give `None`, then waits for an answer, for a
//! command, or for the moment that `poll_timeout` gives; and so on. It reads its clock once per turn. Each request has
//! an id and is answered at most once; an answer that no one waits for any more is ignored. A request that was given
//! up is answered as a failure of unknown fate: it may have been carried out.
//!
//! # Time
//!
//! A [`Moment`] is a point on the clock of one worker, and never leaves it. Workers need not agree on the time.
//!
//! # Repeatability
//!
//! Randomness comes from a seed, collections have an order, and time is an argument: the same calls give the same
//! answers, bit for bit.
#![forbid(unsafe_code)]

#[macro_use]
mod bug;

mod backoff;
pub mod consume;
mod failure;
mod leader;
pub mod lease;
mod moment;
pub mod produce;
mod request;
pub mod shards;

#[cfg(feature = "known-bugs")]
pub use bug::KnownBug;
pub use failure::{Failure, Verdict};
pub use moment::Moment;
pub use request::RequestId;
