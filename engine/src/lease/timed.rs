//! What is kept by lease, and wants something done at a time of its own.

use std::collections::{BTreeMap, BTreeSet};

use shardflow_core::LeaseKey;

use crate::Moment;

/// Things by lease, each of which is due at some time, or not at all.
///
/// A worker can have ten thousand leases, and with each answer about one of them it asks what is due: to look at all of them
/// each time would be the square of that. Here that looks at those alone whose time has come, and at those that were changed.
#[derive(Debug)]
pub(super) struct Timed<T> {
    all: BTreeMap<LeaseKey, T>,
    due: BTreeSet<(Moment, LeaseKey)>,
    /// What `due` has of each.
    noted: BTreeMap<LeaseKey, Moment>,
    /// Those that may have changed since their time was noted.
    changed: BTreeSet<LeaseKey>,
    /// How many have been looked at in all.
    #[cfg(test)]
    pub(super) looked_at: std::cell::Cell<usize>,
}

impl<T> Default for Timed<T> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            due: BTreeSet::new(),
            noted: BTreeMap::new(),
            changed: BTreeSet::new(),
            #[cfg(test)]
            looked_at: std::cell::Cell::default(),
        }
    }
}

impl<T> Timed<T> {
    pub(super) fn insert(&mut self, key: LeaseKey, thing: T) {
        self.changed.insert(key.clone());
        self.all.insert(key, thing);
    }

    pub(super) fn remove(&mut self, key: &LeaseKey) -> Option<T> {
        self.changed.remove(key);
        if let Some((key, at)) = self.noted.remove_entry(key) {
            self.due.remove(&(at, key));
        }
        self.all.remove(key)
    }

    /// To be changed.
    pub(super) fn get_mut(&mut self, key: &LeaseKey) -> Option<&mut T> {
        let thing = self.all.get_mut(key)?;
        if !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
        Some(thing)
    }

    /// All of them, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&LeaseKey, &mut T)> {
        self.look_at(self.all.len());
        self.changed = self.all.keys().cloned().collect();
        self.all.iter_mut()
    }

    /// Those whose time has come, in the order of their keys. `when` tells the time of one.
    pub(super) fn due(&mut self, now: Moment, when: impl Fn(&T) -> Option<Moment>) -> BTreeSet<LeaseKey> {
        self.look_at(self.changed.len());
        while let Some(key) = self.changed.pop_first() {
            let at = self.all.get(&key).and_then(&when);
            let before = self.noted.get(&key).copied();
            if at == before {
                continue;
            }
            if let Some(before) = before {
                self.due.remove(&(before, key.clone()));
            }
            match at {
                Some(at) => {
                    self.noted.insert(key.clone(), at);
                    self.due.insert((at, key));
                }
                None => drop(self.noted.remove(&key)),
            }
        }
        let due = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key.clone()).collect();
        self.look_at(BTreeSet::len(&due));
        due
    }

    /// When the next one is due, or sooner.
    pub(super) fn next(&self, when: impl Fn(&T) -> Option<Moment>) -> Option<Moment> {
        self.look_at(self.changed.len());
        let changed = self.changed.iter().filter_map(|key| when(self.all.get(key)?));
        changed.chain(self.due.first().map(|(at, _)| *at)).min()
    }

    pub(super) fn get(&self, key: &LeaseKey) -> Option<&T> {
        self.all.get(key)
    }

    pub(super) fn contains_key(&self, key: &LeaseKey) -> bool {
        self.all.contains_key(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&LeaseKey, &T)> {
        self.look_at(self.all.len());
        self.all.iter()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.look_at(self.all.len());
        self.all.values()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Counts what is looked at, for tests.
    #[cfg(test)]
    fn look_at(&self, count: usize) {
        self.looked_at.set(self.looked_at.get() + count);
    }

    #[cfg(not(test))]
    fn look_at(&self, _count: usize) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use shardflow_core::ShardId;

    use super::*;

    fn key(number: u64) -> LeaseKey {
        LeaseKey::from(&ShardId::numbered(number))
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    /// What is to be done with one of them.
    fn any_step() -> impl Strategy<Value = (u8, u64, Option<u64>)> {
        (0..5_u8, 0..6_u64, proptest::option::of(0..9_u64))
    }

    proptest! {
        #[test]
        fn due_is_what_a_look_at_all_of_them_would_find(steps in proptest::collection::vec(any_step(), 0..60)) {
            let (mut timed, mut plain) = (Timed::default(), BTreeMap::new());
            let when = |time: &Option<u64>| time.map(at);
            for (step, number, time) in steps {
                let key = key(number);
                match step {
                    0 => {
                        timed.insert(key.clone(), time);
                        plain.insert(key, time);
                    }
                    1 => prop_assert_eq!(timed.remove(&key), plain.remove(&key)),
                    2 => {
                        timed.get_mut(&key).into_iter().for_each(|thing| *thing = time);
                        plain.get_mut(&key).into_iter().for_each(|thing| *thing = time);
                    }
                    3 => {
                        timed.iter_mut().for_each(|(_, thing)| *thing = time);
                        plain.values_mut().for_each(|thing| *thing = time);
                    }
                    _ => {
                        let now = at(time.unwrap_or(4));
                        let due = plain.iter().filter(|(_, thing)| when(thing).is_some_and(|at| at <= now));
                        prop_assert_eq!(timed.due(now, when), due.map(|(key, _)| key.clone()).collect());
                    }
                }
                let next = plain.values().filter_map(when).min();
                let told = timed.next(when);
                prop_assert!(next.is_none() || told <= next && told.is_some(), "{told:?} instead of {next:?}");
                timed.due(at(0), when);
                prop_assert_eq!(timed.next(when), next);
            }
        }
    }
}
