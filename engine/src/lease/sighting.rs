//! Rows as this worker has seen them.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{LeaseKey, LeaseRow, WorkerId};

use crate::Moment;

/// A row, and since when it has looked like that to this worker.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) row: LeaseRow,
    /// When this worker first saw the row's counter and owners as they are.
    pub(super) since: Moment,
    /// When it first saw the owners as they are.
    pub(super) owned_since: Moment,
    /// Whether the holder has been seen to renew it, or whatever is known of it is all from before our time.
    pub(super) settled: bool,
    /// Chance's share in when it may be taken.
    chance: f64,
}

impl Sighting {
    /// Whether it has no holder, or one that has not been seen to do anything for `patience`.
    pub(super) fn is_unkept(&self, now: Moment, patience: Duration) -> bool {
        now.since(self.since) >= patience
    }

    /// By how much of the longest wait it is left to others first.
    pub(super) fn jitter(&self, most: Duration) -> Duration {
        most.mul_f64(self.chance)
    }
}

/// All rows of the last look at the table.
#[derive(Debug, Default)]
pub(super) struct Sightings(BTreeMap<LeaseKey, Sighting>);

impl Sightings {
    /// Takes in a look at the table. A row whose counter and owners have not moved keeps its age. Gives the workers that
    /// were seen to renew a lease, and those that another one has taken one from.
    pub(super) fn look(
        &mut self,
        now: Moment,
        rows: Vec<LeaseRow>,
        rng: &mut Rng,
    ) -> (Vec<WorkerId>, Vec<WorkerId>) {
        let before = std::mem::take(&mut self.0);
        let (mut renewed, mut robbed) = (Vec::new(), Vec::new());
        for row in rows {
            let old = before.get(&row.key);
            robbed.extend(old.and_then(|old| taken_from(&old.row, &row)).cloned());
            renewed.extend(self.see(now, row, old, rng));
        }
        (renewed, robbed)
    }

    /// Takes in one row, whatever is known of the others.
    pub(super) fn note(&mut self, now: Moment, row: LeaseRow, rng: &mut Rng) {
        let old = self.0.remove(&row.key);
        drop(self.see(now, row, old.as_ref(), rng));
    }

    fn see(&mut self, now: Moment, row: LeaseRow, old: Option<&Sighting>, rng: &mut Rng) -> Option<WorkerId> {
        let same_owners =
            |old: &&Sighting| old.row.owner == row.owner && old.row.checkpoint_owner == row.checkpoint_owner;
        let chance = rng.f64();
        let kept = old.filter(same_owners);
        let unmoved = kept.filter(|old| old.row.counter == row.counter);
        let renewed = kept.filter(|old| old.row.counter < row.counter).and_then(|_| row.holder().cloned());
        let sighting = match (unmoved, kept, old) {
            (Some(same), _, _) => Sighting { row, ..same.clone() },
            (None, Some(kept), _) => {
                Sighting { row, since: now, owned_since: kept.owned_since, settled: true, chance }
            }
            // The start of a handoff changes no counter: the holder is the same.
            (None, None, Some(old)) if old.row.holder() == row.holder() => {
                Sighting { row, since: now, owned_since: now, settled: old.settled, chance }
            }
            (None, None, old) => {
                let now = if bug!(FirstSightExpired) && old.is_none() { Moment::START } else { now };
                Sighting { row, since: now, owned_since: now, settled: old.is_none(), chance }
            }
        };
        self.0.insert(sighting.row.key.clone(), sighting);
        renewed
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sighting> {
        self.0.values()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, key: &LeaseKey) -> Option<&Sighting> {
        self.0.get(key)
    }

    /// The leases whose shards are to be read now: those that are not done, and whose parents are.
    pub(super) fn to_read(&self) -> impl Iterator<Item = &Sighting> {
        self.iter().filter(|seen| self.is_to_read(&seen.row))
    }

    pub(super) fn is_to_read(&self, row: &LeaseRow) -> bool {
        !row.checkpoint.is_shard_end() && self.parents_are_done(row)
    }

    /// Whether the shard can be read: every parent that still has a row has been read to its end.
    pub(super) fn parents_are_done(&self, row: &LeaseRow) -> bool {
        let most = if bug!(ChildBeforeSecondParent) { 1 } else { row.parents.len() };
        let mut parents = row.parents.iter().take(most).filter_map(|parent| self.0.get(&row.sibling(parent)));
        parents.all(|parent| parent.row.checkpoint.is_shard_end())
    }
}

/// Who has lost a lease to a worker that took it, not at the end of a handoff.
fn taken_from<'a>(before: &'a LeaseRow, row: &LeaseRow) -> Option<&'a WorkerId> {
    let taken = row.owner_switches > before.owner_switches && row.owner != before.owner;
    before.owner.as_ref().filter(|_| taken && before.checkpoint_owner.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardflow_core::{Checkpoint, LeaseChange, ShardId};

    const FAILOVER: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_row_ages_only_while_nothing_of_it_moves() {
        let mut row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
        row.owner = Some("other".parse().unwrap());
        let mut sightings = Sightings::default();
        let mut rng = Rng::with_seed(1);
        let mut look = |sightings: &mut Sightings, seconds, row: &LeaseRow| {
            sightings.look(at(seconds), vec![row.clone()], &mut rng)
        };
        let unkept =
            |sightings: &Sightings, seconds| sightings.0.values().all(|s| s.is_unkept(at(seconds), FAILOVER));
        assert_eq!(look(&mut sightings, 100, &row).0, []);
        assert!(!unkept(&sightings, 100), "first sight proves nothing");
        row.checkpoint = Checkpoint::Latest;
        look(&mut sightings, 109, &row);
        assert!(unkept(&sightings, 110));
        row.counter += 1;
        assert_eq!(look(&mut sightings, 112, &row).0, ["other".parse().unwrap()]);
        assert!(!unkept(&sightings, 121) && unkept(&sightings, 122));
        row.owner = None;
        assert_eq!(look(&mut sightings, 122, &row).0, []);
        assert!(!unkept(&sightings, 131) && unkept(&sightings, 132));
    }

    #[test]
    fn whoever_a_lease_is_taken_from_has_let_it_expire() {
        let worker = |name: &str| name.parse::<WorkerId>().unwrap();
        let mut row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
        let mut sightings = Sightings::default();
        let mut rng = Rng::with_seed(1);
        let mut robbed = |row: &LeaseRow| sightings.look(at(1), vec![row.clone()], &mut rng).1;
        let take = |row: &LeaseRow, to: &str| LeaseChange::Take {
            worker: worker(to),
            counter: row.counter,
            owner: row.owner.clone(),
            checkpoint_owner: row.checkpoint_owner.clone(),
        };
        assert_eq!(robbed(&row), []);
        row = take(&row, "a").apply_to(&row).unwrap();
        assert_eq!(robbed(&row), [], "nobody had it");
        row = take(&row, "b").apply_to(&row).unwrap();
        assert_eq!(robbed(&row), [worker("a")]);
        row = LeaseChange::StartHandoff { from: worker("b"), to: worker("c") }.apply_to(&row).unwrap();
        assert_eq!(robbed(&row), []);
        let (owner, checkpoint_owner) = (row.owner.clone(), row.checkpoint_owner.clone());
        row = LeaseChange::Assign { to: worker("c"), owner, checkpoint_owner }.apply_to(&row).unwrap();
        assert_eq!(robbed(&row), [], "it was given");
    }

    #[test]
    fn a_lease_is_settled_once_its_owner_has_renewed_it() {
        let mut row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
        let mut sightings = Sightings::default();
        let mut rng = Rng::with_seed(1);
        let mut settled = |row: &LeaseRow| {
            sightings.look(at(1), vec![row.clone()], &mut rng);
            sightings.get(&row.key).unwrap().settled
        };
        assert!(settled(&row), "who knows how long it has been like that");
        row.owner = Some("a".parse().unwrap());
        row.counter = 1;
        assert!(!settled(&row));
        row.counter = 2;
        assert!(settled(&row));
        row.checkpoint_owner = row.owner.replace("b".parse().unwrap());
        assert!(settled(&row), "its holder is the same");
        row.checkpoint_owner = None;
        row.counter = 3;
        assert!(!settled(&row));
    }
}
