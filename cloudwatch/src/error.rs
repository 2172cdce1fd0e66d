//! What can go wrong, one type for each thing that an application can ask for.

use std::time::Duration;

/// A publisher was started outside of a tokio runtime.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a publisher needs a tokio runtime")]
pub struct NoRuntime;

/// Not all that was recorded has been published.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// CloudWatch did not take it, or did not answer.
    #[error("{metrics} metrics are not published: {code}: {message}")]
    Failed {
        /// How many metrics wait.
        metrics: usize,
        /// CloudWatch's code, such as `AccessDenied`, or `Timeout`, `ConnectionFailed`, `NotSent` and `Unreadable`.
        code: String,
        /// CloudWatch's words, or the SDK's.
        message: String,
    },
    /// The time to close was over.
    #[error("{metrics} metrics were not published within {patience:?}")]
    Late {
        /// How many metrics were under way and are lost, as far as is known.
        metrics: usize,
        /// The time that there was.
        patience: Duration,
    },
    /// The publisher's runtime has ended, and what was not published is lost.
    #[error("the publisher has ended with its runtime")]
    Ended,
}
