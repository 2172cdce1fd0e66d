//! The leases of one worker: taking, keeping, handing over and giving up.
//!
//! ```text
//!            sighting: nobody has it, or nobody keeps it          answer: written
//!   free ───────────────────────── take ─────────────────────────────────────────► held ──┐ renew, checkpoint
//!    ▲                                                                             │  ▲───┘
//!    │ evict (shutdown)                             refused, and the row says why: │
//!    ├─────────────────────────────────────────────────────────────────────────────┤ handing over ─► assigned to the next
//!    │                                              time alone, or a row that is   │
//!    └───────────────────────────────────────────── another's: lost ◄──────────────┘
//! ```
//!
//! What makes it safe:
//!
//! - **A row's age is how long *this* worker has seen its counter unchanged.** Nobody's clock is compared with
//!   another's.
//! - **Belief has a deadline.** A lease is believed for one failover time from when the request was *sent* that last
//!   proved it. Others begin to count no earlier than that request landed, so this worker stops first.
//! - **A write whose answer was lost may have landed.** If the next write is refused by a row that names this worker
//!   with exactly the counter that it tried to write, that was its own: it goes on, on the older proof.
//! - **Each holding is a tenure.** An answer that belongs to an earlier one changes nothing.
//! - **Renewals and checkpoints of a lease go one at a time**, since both name the counter that they expect.

mod admission;
mod census;
mod children;
mod coordinator;
mod discover;
mod former;
mod garbage;
mod held;
mod lead;
mod leave;
mod messages;
mod pending;
mod report;
mod settings;
mod sighting;
mod start;
mod streams;
#[cfg(test)]
mod tests;
mod timed;
mod write;

pub use census::Census;
pub use coordinator::Coordinator;
pub use held::Tenure;
pub use messages::{Answer, CheckpointId, Event, LossCause, NotWritten, Request};
pub use settings::{Balance, Former, Settings, Weighing};
pub use streams::Wish;
