//! Leases from the outside, for who looks after an application.

use std::fmt;
use std::sync::Arc;

use shardflow_core::{Checkpoint, LeaseChange, LeaseKey, LeaseRow, StreamIdentifier};

use crate::{LeaseStore, StoreError};

/// The leases of an application, listed and set from code: by a tool for its operators, say. Cheap to clone.
///
/// ```
/// # use shardflow_consumer::{Checkpoint, Leases, MemoryLeases};
/// # async fn example(store: MemoryLeases) -> Result<(), Box<dyn std::error::Error>> {
/// let leases = Leases::of(store); // DynamoDbLeases where workers share a table
/// for lease in leases.list().await? {
///     println!("{}: {:?}, up to {}", lease.key, lease.holder(), lease.checkpoint);
/// }
/// leases.rewind_all(None, &Checkpoint::TrimHorizon).await?; // everything that is retained, again
/// # Ok(())
/// # }
/// ```
///
/// Workers may run meanwhile. Whoever has a lease that is set loses it at its next renewal, can store no checkpoint any more,
/// and goes on with its batch until then; whoever takes the lease next, the same worker perhaps, begins at the new checkpoint.
#[derive(Clone)]
pub struct Leases(Arc<dyn LeaseStore>);

impl Leases {
    /// The leases of a store. Does no I/O, and creates nothing later: a table must be there.
    #[must_use]
    pub fn of(store: impl LeaseStore) -> Self {
        Self(Arc::new(store))
    }

    /// All leases, by key. What they say may be some seconds old.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    pub async fn list(&self) -> Result<Vec<LeaseRow>, StoreError> {
        let mut leases = self.0.view().await?.leases;
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(leases)
    }

    /// Sets how far a shard has been processed, back or forth, and returns the lease as it was. A prepared checkpoint is
    /// dropped.
    ///
    /// [`Checkpoint::AtTimestamp`] stores no time: whoever gets the lease begins at the time that its own
    /// [`initial_position`](crate::Config::initial_position) names. Records that have left the stream do not come back. A
    /// shard that had ended, and has left the stream, ends again at once.
    ///
    /// Tries again, ten times at most, while workers change the lease. Dropped before it is done, it may have been done.
    ///
    /// # Errors
    ///
    /// [`RewindError`]. After [`StoreError::Unknown`] it may have been done; it does no harm to ask again.
    pub async fn rewind(&self, key: &LeaseKey, to: &Checkpoint) -> Result<LeaseRow, RewindError> {
        for _ in 0..ATTEMPTS {
            let found = self.0.get(key).await.map_err(|source| RewindError::store(key, source))?;
            let row = found.ok_or_else(|| RewindError::Missing { key: key.clone() })?;
            let change = LeaseChange::Rewind { counter: row.counter, checkpoint: to.clone() };
            match self.0.write(key, &change).await {
                Ok(()) => return Ok(row),
                Err(StoreError::Conflict(_)) => {}
                Err(source) => return Err(RewindError::store(key, source)),
            }
        }
        Err(RewindError::Contended { key: key.clone(), attempts: ATTEMPTS })
    }

    /// Sets all shards of a stream, or all that there are, and returns their leases as they were. Parents come before their
    /// children, so that a child does not begin again while its parents still count as done.
    ///
    /// Shards that have ended are read again too, but not from [`Checkpoint::Latest`], behind which they have nothing. Shards
    /// whose leases are entered meanwhile are left out.
    ///
    /// # Errors
    ///
    /// [`RewindError::OneShardOnly`] for a sequence number or a shard's end; nothing is set then. With every other, the
    /// leases before the one that it names have been set: ask again.
    pub async fn rewind_all(
        &self,
        stream: Option<&StreamIdentifier>,
        to: &Checkpoint,
    ) -> Result<Vec<LeaseRow>, RewindError> {
        let ended_too = match to {
            Checkpoint::TrimHorizon | Checkpoint::AtTimestamp => true,
            Checkpoint::Latest => false,
            Checkpoint::At { .. } | Checkpoint::ShardEnd => return Err(RewindError::OneShardOnly),
        };
        let leases = self.list().await.map_err(|source| RewindError::Store { key: None, source })?;
        let mut before = Vec::new();
        for lease in leases {
            let wanted = stream.is_none() || lease.stream.as_ref() == stream;
            if wanted && (ended_too || !lease.checkpoint.is_shard_end()) {
                before.push(self.rewind(&lease.key, to).await?);
            }
        }
        Ok(before)
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}

/// A lease was not set.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewindError {
    /// There is no such lease.
    #[error("there is no lease {key}")]
    Missing {
        /// The lease.
        key: LeaseKey,
    },
    /// Workers changed it each time.
    #[error("the lease {key} was changed by workers {attempts} times in a row")]
    Contended {
        /// The lease.
        key: LeaseKey,
        /// How often it was tried.
        attempts: u32,
    },
    /// A place in one shard means nothing in another.
    #[error("a sequence number or a shard's end is of one shard only")]
    OneShardOnly,
    /// The store did not do it.
    #[error("the lease store failed at {}", key.as_ref().map_or("the list", LeaseKey::as_str))]
    Store {
        /// The lease, or nothing if the leases cannot be listed.
        key: Option<LeaseKey>,
        /// What the store said.
        source: StoreError,
    },
}

impl RewindError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::OneShardOnly => false,
            Self::Contended { .. } => true,
            Self::Store { source, .. } => match source {
                StoreError::Conflict(_) | StoreError::Throttled(_) | StoreError::Unknown(_) => true,
                StoreError::Refused { .. } => false,
            },
        }
    }

    fn store(key: &LeaseKey, source: StoreError) -> Self {
        Self::Store { key: Some(key.clone()), source }
    }
}

const ATTEMPTS: u32 = 10;
