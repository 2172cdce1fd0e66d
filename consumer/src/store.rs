//! Where leases are kept, as far as a worker needs to know.

use async_trait::async_trait;
use shardflow_core::{LeaseChange, LeaseKey, LeaseRow};
use shardflow_engine::Failure;
use shardflow_engine::lease::Answer;

/// A table of leases. [`DynamoDbLeases`](crate::DynamoDbLeases) is the one that workers share;
/// [`MemoryLeases`](crate::MemoryLeases) serves tests and single processes.
///
/// Each write is one atomic step with a condition: [`LeaseChange::apply_to`] says what it means. Workers bound every call by
/// a quarter of the failover time and treat one that is given up as of unknown fate.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Makes the table ready, creating it if need be. Is called once by each worker, and repeated if it fails.
    ///
    /// # Errors
    ///
    /// When it is not ready.
    async fn prepare(&self) -> Result<(), StoreError>;

    /// All leases. May lag behind writes; rows that are not leases are left out.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    async fn list(&self) -> Result<Vec<LeaseRow>, StoreError>;

    /// Enters a row, if there is none of its key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when there is one.
    async fn create(&self, row: &LeaseRow) -> Result<(), StoreError>;

    /// Changes a row, if it is as the change says. Attributes that the change does not name are left alone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it is not, with the row as it is.
    async fn write(&self, key: &LeaseKey, change: &LeaseChange) -> Result<(), StoreError>;
}

/// A lease store did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The row is not as the condition says; as it is, if there is one.
    #[error("the row is not as expected")]
    Conflict(Option<Box<LeaseRow>>),
    /// Not now.
    #[error("throttled: {0}")]
    Throttled(String),
    /// It may or may not have been done: no answer, or one that cannot be read.
    #[error("no answer: {0}")]
    Unknown(String),
    /// Not done, and it will not be until somebody changes something.
    #[error("refused with {code}: {message}")]
    Refused {
        /// The store's code.
        code: String,
        /// The store's words.
        message: String,
    },
}

impl StoreError {
    /// What the coordinator is told.
    pub(crate) fn into_answer(self) -> Answer {
        match self {
            Self::Conflict(row) => Answer::Conflict(row),
            Self::Throttled(message) => Answer::Failed(Failure::refused("ThrottlingException", message)),
            Self::Unknown(message) => Answer::Failed(Failure::unknown("StoreUnknown", message)),
            Self::Refused { code, message } => Answer::Failed(Failure::refused(code, message)),
        }
    }
}
