//! What can be made to happen to a call.

use std::time::Duration;

/// What happens to a call instead of, before or after its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Refused, nothing applied, with the code with which the service throttles this operation.
    Throttle,
    /// Refused, nothing applied.
    Refuse {
        /// The code, such as `InternalFailure`.
        code: String,
        /// The HTTP status: SDKs retry a 500 by themselves.
        status: u16,
        /// Words to go with it.
        message: String,
    },
    /// Carried out after this long. Adds up with other delays, and goes on to the next rule.
    Delay(Duration),
    /// The connection is cut; nothing applied. All that was in flight on it goes with it, as on HTTP/2.
    DropRequest,
    /// Applied, and then the connection is cut: the client cannot know.
    DropResponse,
    /// Never answered; nothing applied. The connection stays open until the client gives up.
    Hang,
    /// Some entries of a PutRecords request fail, the others are applied. PutRecord is refused; other operations do not
    /// notice.
    FailEntries {
        /// Which.
        entries: Entries,
        /// Their error code, such as `InternalFailure`.
        code: String,
    },
}

impl Fault {
    /// Refused with status 500 and `InternalFailure`, which SDKs retry by themselves.
    #[must_use]
    pub fn internal_failure() -> Self {
        Self::Refuse {
            code: "InternalFailure".to_owned(),
            status: 500,
            message: "an internal failure on request".to_owned(),
        }
    }

    /// Some entries of a PutRecords request are throttled.
    #[must_use]
    pub fn throttle_entries(entries: Entries) -> Self {
        Self::FailEntries { entries, code: "ProvisionedThroughputExceededException".to_owned() }
    }
}

/// A choice among the entries of a PutRecords request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Entries {
    /// All.
    All,
    /// Each so many-th: 2 is the second, the fourth and so on.
    Every(usize),
    /// Those at these places, counted from 0.
    At(Vec<usize>),
    /// Those with this partition key.
    WithKey(String),
}

impl Entries {
    pub(crate) fn picks(&self, index: usize, partition_key: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Every(step) => *step > 0 && (index + 1).is_multiple_of(*step),
            Self::At(places) => places.contains(&index),
            Self::WithKey(key) => partition_key == Some(key.as_str()),
        }
    }
}
