//! Where leases are kept, as far as a worker needs to know.

use async_trait::async_trait;
use shardflow_core::{ClientVersion, LeaseChange, LeaseKey, LeaseRow, LockChange, Member, View, WorkerId};
use shardflow_engine::Failure;
use shardflow_engine::lease::Answer;

/// A table of leases. [`DynamoDbLeases`](crate::DynamoDbLeases) is the one that workers share;
/// [`MemoryLeases`](crate::MemoryLeases) serves tests and single processes.
///
/// Beside the leases it keeps who works ([`Member`]), who leads, and for which KCL the leases are kept. Each write is one
/// atomic step with a condition: [`LeaseChange::apply_to`] and [`LockChange::apply_to`] say what those mean. Workers bound
/// every call by a quarter of the failover time and treat one that is given up as of unknown fate; so a call that is
/// dropped may be carried out or not, but never by half.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// The name of the application whose leases these are, if it has one. Its consumer of enhanced fan-out is called so.
    fn application(&self) -> Option<&str> {
        None
    }

    /// Makes the table ready, creating it if need be. Is called once by each worker, and repeated if it fails.
    ///
    /// # Errors
    ///
    /// When it is not ready.
    async fn prepare(&self) -> Result<(), StoreError>;

    /// Everything in one look, in any order. May lag behind writes. What is not understood is left out.
    ///
    /// # Errors
    ///
    /// When it cannot be had. A view is whole or not at all.
    async fn view(&self) -> Result<View, StoreError>;

    /// One lease, if there is such a row. Never lags behind writes.
    ///
    /// # Errors
    ///
    /// When it cannot be had, or read.
    async fn get(&self, key: &LeaseKey) -> Result<Option<LeaseRow>, StoreError>;

    /// The leases whose row names the worker as its owner, in any order. May lag behind writes; cheaper than a view where
    /// the store has an index.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    async fn assigned(&self, worker: &WorkerId) -> Result<Vec<LeaseKey>, StoreError>;

    /// Enters a row, if there is none of its key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when there is one, with it.
    async fn create(&self, row: &LeaseRow) -> Result<(), StoreError>;

    /// Changes a row, if it is as the change says. Attributes that the change does not name are left alone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it is not, with the row as it is.
    async fn write(&self, key: &LeaseKey, change: &LeaseChange) -> Result<(), StoreError>;

    /// Deletes a row whose counter and checkpoint are those of `expected`. A row that is not there counts as deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when they are not, with the row as it is.
    async fn delete(&self, key: &LeaseKey, expected: &LeaseRow) -> Result<(), StoreError>;

    /// Says that a worker is there, in place of what it said before. Attributes that a [`Member`] does not have are left
    /// alone.
    ///
    /// # Errors
    ///
    /// When it was not written.
    async fn put_member(&self, member: &Member) -> Result<(), StoreError>;

    /// Says that a worker is gone; with `updated`, only if it has said nothing since. A worker that is not there counts as
    /// deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`], without a row, when it has.
    async fn delete_member(&self, worker: &WorkerId, updated: Option<u64>) -> Result<(), StoreError>;

    /// Changes the leader's lock, if it is as the change says.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`], without a row, when it is not.
    async fn change_lock(&self, change: &LockChange) -> Result<(), StoreError>;

    /// Says for which KCL the leases are kept, if nothing says so yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`], without a row, when something does.
    async fn claim(&self, version: &ClientVersion, worker: &WorkerId) -> Result<(), StoreError>;
}

/// A lease store did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The row is not as the condition says; as it is, if there is one and it is a lease.
    #[error("the row is not as expected")]
    Conflict(Option<Box<LeaseRow>>),
    /// Not now.
    #[error("throttled: {0}")]
    Throttled(String),
    /// It may or may not have been done: no answer, or one that cannot be read.
    #[error("no answer: {0}")]
    Unknown(String),
    /// Not done, and it will not be until somebody changes something.
    ///
    /// [`DynamoDbLeases`](crate::DynamoDbLeases) gives DynamoDB's own codes, such as `AccessDeniedException` and
    /// `ResourceNotFoundException`, and these: `NotALeaseTable` (the table has another key), `TableNotActive` (it does not become
    /// ready), `IncompleteLayout` and `UnknownLayout` (the tables of a KCL 3.0 to 3.4 fleet cannot be told from leftovers),
    /// `WorkerIdIsALease`, `NotALease` (a row cannot be read).
    #[error("refused with {code}: {message}")]
    Refused {
        /// The store's code.
        code: String,
        /// The store's words.
        message: String,
    },
}

impl StoreError {
    pub(crate) fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), message: message.into() }
    }

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
