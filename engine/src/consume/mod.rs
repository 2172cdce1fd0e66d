//! One shard that is read: from acquisition to its end, or until it goes to another worker.
//!
//! ```text
//!  reading   open iterator ─► read ─► read ─► … ─► end of shard (children known)
//!                              │       │
//!                              ▼       ▼  a few batches ahead, as far as there is room
//!  working   initialize ─► process ─► process ─► … ─► enter children ─► stopping(shard end) ─► SHARD_END ─► finished
//!                             ▲ │ failed: again, later; or by the policy halves of it, dead letter, skip, rest
//!                             └─┘                └──► stopping(handoff, shutdown, lease lost) ─► finished
//! ```
//!
//! Reading and working go on side by side; the handler is called for one thing at a time. A batch is given to it again
//! until it succeeds, or the policy decides, so nothing behind a record that failed is processed before it. Once the lease is not believed any
//! more no new batch is begun.

mod budget;
mod checkpoints;
mod cursor;
mod fanout;
mod fetch;
mod pace;
mod place;
mod polling;
mod read;
mod records;
mod registration;
mod room;
mod settings;
mod shard_life;
#[cfg(test)]
mod tests;
mod trouble;
mod work;

pub use budget::Budget;
pub use checkpoints::{Admission, Checkpoints, OutOfRange};
pub use cursor::{Cursor, Outcome, Stuck};
pub use place::Start;
pub use read::{Delivery, Page, ReadAnswer, ReadEvent, ReadRequest};
pub use records::Records;
pub use registration::{Found, Registration, RegistrationAnswer, RegistrationRequest, RegistrationStep};
pub use settings::{Retrieval, Settings};
pub use shard_life::{Answer, Batch, Event, Finish, Request, ShardLife, Stop};
pub use trouble::{GiveUp, Then};
