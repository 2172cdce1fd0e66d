//! The worker's budget for records in memory, as its shards ask for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shardflow_core::LeaseKey;
use shardflow_engine::consume::{Budget, ShardLife};
use tokio::sync::oneshot;

/// The budget of a worker. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    budget: Budget,
    waiting: BTreeMap<LeaseKey, oneshot::Sender<()>>,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Shared { budget: Budget::new(bytes), waiting: BTreeMap::new() })))
    }

    /// A shard's place in it, until that is dropped.
    pub(crate) fn enter(&self, shard: LeaseKey) -> ShardRoom {
        self.lock().budget.enter(shard.clone());
        ShardRoom { room: self.clone(), shard }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Held for sums only; a panic in them would be a defect of the budget.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn grant(&mut self) {
        while let Some(shard) = self.budget.poll_grant() {
            if let Some(waiting) = self.waiting.remove(&shard) {
                // A shard that has ended meanwhile leaves, which gives it back.
                let _waits = waiting.send(()).is_ok();
            }
        }
    }
}

/// What one shard has of the budget.
#[derive(Debug)]
pub(crate) struct ShardRoom {
    room: Room,
    shard: LeaseKey,
}

impl ShardRoom {
    /// Has what its life says.
    pub(crate) fn hold(&self, life: &ShardLife) {
        let mut shared = self.room.lock();
        shared.budget.hold(&self.shard, life.buffered(), life.waits_for_room());
        shared.grant();
    }

    /// Asks for room for a read. Ends when it is granted, or fails when another question took its place.
    pub(crate) fn ask(&self, bytes: usize) -> oneshot::Receiver<()> {
        let (grant, granted) = oneshot::channel();
        let mut shared = self.room.lock();
        shared.waiting.insert(self.shard.clone(), grant);
        shared.budget.ask(self.shard.clone(), bytes);
        shared.grant();
        granted
    }
}

impl Drop for ShardRoom {
    fn drop(&mut self) {
        let mut shared = self.room.lock();
        shared.waiting.remove(&self.shard);
        shared.budget.leave(&self.shard);
        shared.grant();
    }
}
