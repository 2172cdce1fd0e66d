//! What the one worker decides that leads: who gets which lease, and what is tidied away.
//!
//! Any worker may lead; who does is settled by a lock in the table, in the format of the KCL's. Workers of both
//! libraries compete for the same lock and obey whoever has it. Nothing depends on there being a leader but balance and
//! speed: leases are renewed without one, and [`lease::Coordinator`](crate::lease::Coordinator) takes what nobody keeps.
//!
//! The parts are pure functions and small machines of their own; the coordinator, which sees the table, drives them.

mod assign;
mod lock;
mod members;
mod utilisation;

pub(crate) use assign::{Candidate, Decision, Load, by_count};
pub(crate) use lock::{Lock, Written};
pub(crate) use members::Members;
pub use utilisation::Weighing;
pub(crate) use utilisation::by_utilisation;
