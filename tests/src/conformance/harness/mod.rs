//! What the checks stand on: a server, clients of it, and words for what is not as it should be.

mod check;
mod consumer;
mod context;
mod deviations;
mod dynamodb;
mod kinesis;
mod run;
mod stream;
mod table;
mod target;
mod verify;

pub(super) use check::topic;
pub use check::{Check, Need, Topic};
pub(super) use consumer::Consumer;
pub use context::Context;
pub use deviations::Deviations;
pub(super) use dynamodb::{Item, item, key, number, text};
pub(super) use kinesis::{entry, filter, filter_at, strings};
pub use run::{Line, Tally, Verdict, run};
pub(super) use stream::{Drained, Placed, Stream, arrival};
pub(super) use table::Table;
pub use target::{Target, Time};
pub(super) use verify::{ensure, refused, same, told};
