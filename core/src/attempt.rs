//! What was tried for a record, and what is known of it afterwards.

use std::time::Duration;

/// What is known of the fate of a record whose delivery failed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fate {
    /// Kinesis does not have it.
    Absent,
    /// A request that carried it went unanswered, so Kinesis may have it. Sending it again can duplicate it.
    Unknown,
}

/// One failed try to put a record.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// When the request was sent, counted from when the record was accepted.
    pub after: Duration,
    /// How long it took until it was answered or given up.
    pub took: Duration,
    /// The error code: the service's own, or what the client calls the failure, such as `Timeout`.
    pub code: String,
    /// The words that came with it.
    pub message: String,
    /// What this try alone leaves open.
    pub fate: Fate,
}

impl Attempt {
    /// A failed try.
    #[must_use]
    pub fn new(after: Duration, took: Duration, code: String, message: String, fate: Fate) -> Self {
        Self { after, took, code, message, fate }
    }
}
