//! Memory for what is read and not yet processed: one number, shared by the shards of a worker.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Those that wait, with how much for, and since which turn.
    waiting: BTreeMap<LeaseKey, (usize, u64)>,
    turns: u64,
    // Of ten thousand shards most can be waiting, and each step of any shard asks who may go on.
    /// Those of them that have nothing, in the order in which they asked.
    empty: BTreeMap<u64, LeaseKey>,
    /// The others, in the order of how much they would have then.
    fuller: BTreeSet<(usize, u64, LeaseKey)>,
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
        Self {
            total,
            used: 0,
            shards: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turns: 0,
            empty: BTreeMap::new(),
            fuller: BTreeSet::new(),
        }
    }

    /// A shard begins.
    pub fn enter(&mut self, shard: LeaseKey) {
        self.shards.entry(shard).or_default();
    }

    /// A shard is given up, with all that it had.
    pub fn leave(&mut self, shard: &LeaseKey) {
        self.unqueue(shard);
        self.waiting.remove(shard);
        self.used -= self.shards.remove(shard).unwrap_or_default().all();
    }

    /// A shard has so many bytes now: records, and what it was granted for a read that is under way. One that still waits
    /// for an answer keeps what it may have been granted meanwhile.
    pub fn hold(&mut self, shard: &LeaseKey, bytes: usize, waits: bool) {
        let Some(before) = self.shards.get(shard).copied() else { return };
        let granted = if waits { before.granted } else { 0 };
        let held = Held { bytes, granted };
        self.change(shard, before, held);
    }

    /// A shard wants to read that much. [`Budget::poll_grant`] names it when it may. It can ask for one thing at a time.
    pub fn ask(&mut self, shard: LeaseKey, bytes: usize) {
        self.unqueue(&shard);
        match self.waiting.get_mut(&shard) {
            Some((asked, _)) => *asked = bytes,
            None => {
                self.turns += 1;
                self.waiting.insert(shard.clone(), (bytes, self.turns));
            }
        }
        self.queue(&shard);
    }

    /// The next shard that may read what it asked for, which it has from now on.
    pub fn poll_grant(&mut self) -> Option<LeaseKey> {
        let share = self.total / self.shards.len().max(1);
        let fits = |shard: &LeaseKey| {
            let (bytes, _) = self.waiting[shard];
            self.used == 0 || self.used + bytes <= self.total
        };
        // Nobody who has nothing is overtaken by another such: a large request would wait for ever.
        let empty = self.empty.first_key_value().filter(|(_, shard)| fits(shard));
        let within = self.fuller.iter().take_while(|(then, ..)| *then <= share);
        let fuller = within.filter(|(.., shard)| fits(shard)).map(|(_, turn, shard)| (turn, shard));
        let (_, shard) = empty.into_iter().chain(fuller).min()?;
        let shard = shard.clone();
        self.unqueue(&shard);
        let (bytes, _) = self.waiting.remove(&shard)?;
        if let Some(before) = self.shards.get(&shard).copied() {
            self.change(&shard, before, Held { granted: before.granted + bytes, ..before });
        }
        Some(shard)
    }

    fn change(&mut self, shard: &LeaseKey, before: Held, held: Held) {
        if before.all() != held.all() {
            self.unqueue(shard);
        }
        self.used = self.used - before.all() + held.all();
        self.shards.insert(shard.clone(), held);
        if before.all() != held.all() {
            self.queue(shard);
        }
    }

    /// Enters a shard that waits among those that do so.
    fn queue(&mut self, shard: &LeaseKey) {
        let Some((bytes, turn)) = self.waiting.get(shard).copied() else { return };
        match self.shards.get(shard).copied().unwrap_or_default().all() {
            0 => drop(self.empty.insert(turn, shard.clone())),
            held => drop(self.fuller.insert((held + bytes, turn, shard.clone()))),
        }
    }

    /// Takes it out again. What it has and asks for is what it was when it was entered.
    fn unqueue(&mut self, shard: &LeaseKey) {
        let Some((bytes, turn)) = self.waiting.get(shard).copied() else { return };
        if self.empty.remove(&turn).is_none() {
            let held = self.shards.get(shard).copied().unwrap_or_default().all();
            self.fuller.remove(&(held + bytes, turn, shard.clone()));
        }
    }

    /// How much is held by all of them.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shardflow_core::ShardId;

    use super::*;

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

    /// Who may go on, found by looking at all that wait.
    fn expected(budget: &Budget, queue: &[(u64, usize)]) -> Option<LeaseKey> {
        let share = budget.total / budget.shards.len().max(1);
        let mut first = true;
        let next = queue.iter().find(|(number, bytes)| {
            let held = budget.shards[&shard(*number)].all();
            let fits = budget.used == 0 || budget.used + bytes <= budget.total;
            let may = if held == 0 { first && fits } else { fits && held + bytes <= share };
            first &= held > 0;
            may
        });
        next.map(|(number, _)| shard(*number))
    }

    proptest! {
        #[test]
        fn who_may_go_on_is_whom_a_look_at_all_of_them_would_find(
            steps in proptest::collection::vec((0..4_u8, 0..5_u64, 0..60_usize), 0..60)
        ) {
            let mut budget = with_shards(100, 5);
            let mut queue: Vec<(u64, usize)> = Vec::new();
            for (step, number, bytes) in steps {
                match step {
                    0 => {
                        budget.ask(shard(number), bytes);
                        match queue.iter_mut().find(|(waiting, _)| *waiting == number) {
                            Some((_, asked)) => *asked = bytes,
                            None => queue.push((number, bytes)),
                        }
                    }
                    1 => budget.hold(&shard(number), bytes, false),
                    2 => budget.hold(&shard(number), bytes, true),
                    _ => {
                        let expected = expected(&budget, &queue);
                        let granted = budget.poll_grant();
                        prop_assert_eq!(&granted, &expected);
                        queue.retain(|(number, _)| granted.as_ref() != Some(&shard(*number)));
                    }
                }
                prop_assert_eq!(budget.used(), budget.shards.values().map(|held| held.all()).sum::<usize>());
            }
        }
    }
}
