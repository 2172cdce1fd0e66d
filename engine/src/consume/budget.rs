//! Memory for what is read and not yet processed: one number, shared by the shards of a worker.

use std::collections::{BTreeMap, VecDeque};

use shardflow_core::LeaseKey;

/// Who has how much, and who waits for more.
///
/// A shard says what it has, and asks before it reads. Those that have nothing are served in the order in which they asked;
/// one that has something already may take more as long as it stays within its share, so that a shard whose handler does
/// not get on does not take the room of the others. While nobody has anything, anything is granted: a record that is larger
/// than all the room there is still gets through.
#[derive(Debug)]
pub struct Budget {
    total: usize,
    used: usize,
    shards: BTreeMap<LeaseKey, Held>,
    /// Those that wait, in the order in which they asked, with how much for.
    waiting: VecDeque<(LeaseKey, usize)>,
}

/// What one shard has.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    bytes: usize,
    /// What it was granted and does not know of yet.
    granted: usize,
}

impl Held {
    fn all(self) -> usize {
        self.bytes + self.granted
    }
}

impl Budget {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(total: usize) -> Self {
        Self { total, used: 0, shards: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// A shard begins.
    pub fn enter(&mut self, shard: LeaseKey) {
        self.shards.entry(shard).or_default();
    }

    /// A shard is given up, with all that it had.
    pub fn leave(&mut self, shard: &LeaseKey) {
        self.waiting.retain(|(waiting, _)| waiting != shard);
        self.used -= self.shards.remove(shard).unwrap_or_default().all();
    }

    /// A shard has so many bytes now: records, and what it was granted for a read that is under way. One that still waits
    /// for an answer keeps what it may have been granted meanwhile.
    pub fn hold(&mut self, shard: &LeaseKey, bytes: usize, waits: bool) {
        if let Some(held) = self.shards.get_mut(shard) {
            let granted = if waits { held.granted } else { 0 };
            self.used = self.used - held.all() + bytes + granted;
            *held = Held { bytes, granted };
        }
    }

    /// A shard wants to read that much. [`Budget::poll_grant`] names it when it may. It can ask for one thing at a time.
    pub fn ask(&mut self, shard: LeaseKey, bytes: usize) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == shard) {
            Some((_, asked)) => *asked = bytes,
            None => self.waiting.push_back((shard, bytes)),
        }
    }

    /// The next shard that may read what it asked for, which it has from now on.
    pub fn poll_grant(&mut self) -> Option<LeaseKey> {
        let share = self.total / self.shards.len().max(1);
        let mut first = true;
        let next = self.waiting.iter().position(|(shard, bytes)| {
            let held = self.shards.get(shard).copied().unwrap_or_default().all();
            let fits = self.used == 0 || self.used + bytes <= self.total;
            // Nobody who has nothing is overtaken by another such: a large request would wait for ever.
            let may = if held == 0 { first && fits } else { fits && held + bytes <= share };
            first &= held > 0;
            may
        })?;
        let (shard, bytes) = self.waiting.remove(next)?;
        if let Some(held) = self.shards.get_mut(&shard) {
            held.granted += bytes;
            self.used += bytes;
        }
        Some(shard)
    }

    /// How much is held by all of them.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardflow_core::ShardId;

    fn shard(number: u64) -> LeaseKey {
        LeaseKey::from(&ShardId::numbered(number))
    }

    fn with_shards(total: usize, count: u64) -> Budget {
        let mut budget = Budget::new(total);
        (0..count).for_each(|number| budget.enter(shard(number)));
        budget
    }

    fn granted(budget: &mut Budget) -> Vec<LeaseKey> {
        std::iter::from_fn(|| budget.poll_grant()).collect()
    }

    #[test]
    fn shards_get_room_in_the_order_in_which_they_asked() {
        let mut budget = with_shards(100, 4);
        for (number, bytes) in [(0, 60), (1, 60), (2, 10), (3, 10)] {
            budget.ask(shard(number), bytes);
        }
        assert_eq!(granted(&mut budget), [shard(0)], "a small one does not overtake");
        budget.hold(&shard(0), 5, false);
        assert_eq!(granted(&mut budget), [shard(1), shard(2), shard(3)]);
        assert_eq!(budget.used(), 85);
    }

    #[test]
    fn who_has_something_gets_more_within_its_share_only() {
        let mut budget = with_shards(100, 4);
        budget.hold(&shard(0), 10, false);
        budget.ask(shard(0), 20);
        assert_eq!(granted(&mut budget), [], "a quarter is its share");
        budget.ask(shard(0), 15);
        assert_eq!(granted(&mut budget), [shard(0)]);
        budget.hold(&shard(0), 0, true);
        assert_eq!(budget.used(), 15, "it has not heard of it yet");
        budget.hold(&shard(0), 25, false);
        budget.ask(shard(0), 1);
        budget.ask(shard(1), 70);
        assert_eq!(granted(&mut budget), [shard(1)], "it does not hold the others up");
        budget.leave(&shard(1));
        assert_eq!(budget.used(), 25);
    }

    #[test]
    fn while_nobody_has_anything_anything_goes() {
        let mut budget = with_shards(10, 2);
        budget.ask(shard(0), 50);
        budget.ask(shard(1), 1);
        assert_eq!(granted(&mut budget), [shard(0)]);
        budget.hold(&shard(0), 0, false);
        assert_eq!(granted(&mut budget), [shard(1)]);
    }

    #[test]
    fn who_leaves_waits_for_nothing() {
        let mut budget = with_shards(10, 2);
        budget.hold(&shard(1), 10, false);
        budget.ask(shard(0), 5);
        budget.leave(&shard(0));
        budget.leave(&shard(1));
        assert_eq!((granted(&mut budget), budget.used()), (vec![], 0));
    }
}
