//! Room for records: the bytes that a producer may hold.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{AcquireError, Semaphore, TryAcquireError};

use crate::BufferSize;

/// Memory that the producers of several streams share, for [`Config::shared_buffer`](crate::Config::shared_buffer).
/// Cheap to clone; clones are the same memory.
///
/// One half is parted among the streams, so that each has room however much waits for another one that is slow or does
/// not answer. The other half is for whoever needs more. A record that counts more than half has no room at all.
#[derive(Clone)]
pub struct SharedBuffer(Arc<Shared>);

struct Shared {
    size: usize,
    /// What is set aside for each stream, and how many of these are left.
    part: usize,
    parts: AtomicUsize,
    /// A permit for each byte of the half that belongs to nobody.
    common: Semaphore,
}

impl SharedBuffer {
    /// Memory for producers of so many streams. One beyond that number has no part of its own.
    #[must_use]
    pub fn new(size: BufferSize, streams: usize) -> Self {
        let half = size.0 / 2;
        Self(Arc::new(Shared {
            size: size.0,
            part: half / streams.max(1),
            parts: AtomicUsize::new(streams),
            common: Semaphore::new(half),
        }))
    }
}

impl fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { size, part, parts, common } = &*self.0;
        let common = common.available_permits();
        f.debug_struct("SharedBuffer")
            .field("size", size)
            .field("part", part)
            .field("parts", parts)
            .field("common", &common)
            .finish()
    }
}

/// The room of one producer.
#[derive(Debug)]
pub(crate) struct Reserve {
    /// A permit for each byte that is its own. Closed with the producer.
    own: Semaphore,
    own_size: usize,
    shared: Option<SharedBuffer>,
    /// What it has of the common half.
    borrowed: AtomicUsize,
}

/// Where the room of a record comes from, and goes back to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purse {
    Own,
    Common,
}

impl Reserve {
    pub(crate) fn own(size: BufferSize) -> Self {
        Self { own: Semaphore::new(size.0), own_size: size.0, shared: None, borrowed: AtomicUsize::new(0) }
    }

    pub(crate) fn of(shared: SharedBuffer) -> Self {
        let part =
            shared.0.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let own_size = part.map_or(0, |_| shared.0.part);
        Self { own: Semaphore::new(own_size), own_size, shared: Some(shared), borrowed: AtomicUsize::new(0) }
    }

    /// The most that a record can count.
    pub(crate) fn most(&self) -> usize {
        self.shared.as_ref().map_or(self.own_size, |shared| shared.0.size / 2)
    }

    /// All the memory there is, for others too.
    pub(crate) fn size(&self) -> usize {
        self.shared.as_ref().map_or(self.own_size, |shared| shared.0.size)
    }

    /// What this producer holds.
    pub(crate) fn held(&self) -> usize {
        self.own_size.saturating_sub(self.own.available_permits()) + self.borrowed.load(Ordering::Relaxed)
    }

    /// Waits for room. Cancel safe: dropped before it returns, it has taken none.
    pub(crate) async fn take(&self, cost: u32) -> Result<Purse, AcquireError> {
        let Some(shared) = &self.shared else {
            self.own.acquire_many(cost).await?.forget();
            return Ok(Purse::Own);
        };
        tokio::select! {
            biased;
            own = self.own.acquire_many(cost) => {
                own?.forget();
                Ok(Purse::Own)
            }
            common = shared.0.common.acquire_many(cost) => {
                common?.forget();
                Ok(self.borrow(cost))
            }
        }
    }

    pub(crate) fn try_take(&self, cost: u32) -> Result<Purse, TryAcquireError> {
        match (self.own.try_acquire_many(cost), &self.shared) {
            (Ok(room), _) => {
                room.forget();
                Ok(Purse::Own)
            }
            (Err(TryAcquireError::NoPermits), Some(shared)) => {
                shared.0.common.try_acquire_many(cost)?.forget();
                Ok(self.borrow(cost))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn borrow(&self, cost: u32) -> Purse {
        self.borrowed.fetch_add(cost as usize, Ordering::Relaxed);
        Purse::Common
    }

    pub(crate) fn give_back(&self, purse: Purse, bytes: usize) {
        if bytes == 0 {
            return;
        }
        match (purse, &self.shared) {
            (Purse::Common, Some(shared)) => {
                self.borrowed.fetch_sub(bytes, Ordering::Relaxed);
                shared.0.common.add_permits(bytes);
            }
            (Purse::Own | Purse::Common, _) => self.own.add_permits(bytes),
        }
    }

    /// Nobody gets room any more.
    pub(crate) fn close(&self) {
        self.own.close();
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared
            && self.own_size > 0
        {
            shared.0.parts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn buffer(mib: usize, streams: usize) -> SharedBuffer {
        SharedBuffer::new(BufferSize::try_from(mib * MIB).unwrap(), streams)
    }

    fn fill(reserve: &Reserve, cost: u32) -> usize {
        std::iter::from_fn(|| reserve.try_take(cost).ok()).count()
    }

    #[test]
    fn one_stream_gets_its_part_and_the_common_half_and_leaves_the_others_theirs() {
        let shared = buffer(8, 4);
        let (greedy, other) = (Reserve::of(shared.clone()), Reserve::of(shared));
        assert_eq!(fill(&greedy, 1 << 19), 2 + 8);
        assert_eq!(greedy.held(), 5 * MIB);
        assert_eq!(fill(&other, 1 << 19), 2);
        assert_eq!(other.held(), MIB);
        greedy.give_back(Purse::Common, 1 << 19);
        assert_eq!(other.try_take(1 << 19), Ok(Purse::Common));
        other.give_back(Purse::Common, 1 << 19);
        greedy.give_back(Purse::Own, 1 << 20);
        assert_eq!(fill(&greedy, 1 << 19), 2 + 1);
    }

    #[test]
    fn a_part_goes_back_with_its_producer() {
        let shared = buffer(8, 1);
        let first = Reserve::of(shared.clone());
        let second = Reserve::of(shared.clone());
        assert_eq!((fill(&second, 1 << 20), fill(&first, 1 << 20)), (4, 4));
        second.give_back(Purse::Common, 4 * MIB);
        drop((first, second));
        assert_eq!(fill(&Reserve::of(shared), 1 << 20), 8);
    }

    #[test]
    fn the_most_that_a_record_can_count_is_told() {
        assert_eq!(Reserve::own(BufferSize::default()).most(), 64 * MIB);
        let shared = Reserve::of(buffer(64, 10));
        assert_eq!((shared.most(), shared.size()), (32 * MIB, 64 * MIB));
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_free_first_and_hears_of_the_close() {
        let shared = buffer(8, 2);
        let (one, other) = (Reserve::of(shared.clone()), Reserve::of(shared.clone()));
        let taken = (fill(&one, 1 << 20), fill(&other, 1 << 20));
        assert_eq!(taken, (2 + 4, 2));
        let waits = async {
            assert_eq!(other.take(1 << 20).await.unwrap(), Purse::Common);
            assert!(other.take(1 << 20).await.is_err());
        };
        let gives = async {
            tokio::task::yield_now().await;
            one.give_back(Purse::Common, 1 << 20);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            other.close();
        };
        tokio::join!(waits, gives);
    }
}
