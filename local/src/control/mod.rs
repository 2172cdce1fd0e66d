//! What a test does to the service: makes calls fail, moves its time, and sees every call.

mod calls;
mod fault;
mod operation;
mod panel;
mod rule;

pub(crate) use calls::PendingCall;
pub use calls::{Asked, Call, CallRecord, Outcome};
pub use fault::{Entries, Fault};
pub use operation::{Calls, Operation, Service};
pub use panel::Control;
pub(crate) use rule::Decision;
pub use rule::{Rule, RuleBuilder};
