//! Rows as this worker has seen them.

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_core::{LeaseKey, LeaseRow, WorkerId};

use crate::Moment;

/// A row, and since when it has looked like that to this worker.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) row: LeaseRow,
    /// When this worker first saw the row's counter and owners as they are.
    pub(super) since: Moment,
}

impl Sighting {
    /// Whether nobody keeps it: it has no holder, or one that has not been seen to do anything for a failover time.
    pub(super) fn is_free(&self, now: Moment, failover: Duration) -> bool {
        self.row.holder().is_none() || now.since(self.since) >= failover
    }
}

/// All rows of the last look at the table.
#[derive(Debug, Default)]
pub(super) struct Sightings(BTreeMap<LeaseKey, Sighting>);

impl Sightings {
    /// Takes in a look at the table. A row whose counter and owners have not moved keeps its age.
    pub(super) fn look(&mut self, now: Moment, rows: Vec<LeaseRow>) {
        let mut before = std::mem::take(&mut self.0);
        self.0 = rows
            .into_iter()
            .map(|row| {
                let unmoved = before.remove(&row.key).filter(|old| {
                    old.row.counter == row.counter
                        && old.row.owner == row.owner
                        && old.row.checkpoint_owner == row.checkpoint_owner
                });
                (row.key.clone(), Sighting { since: unmoved.map_or(now, |old| old.since), row })
            })
            .collect();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sighting> {
        self.0.values()
    }

    pub(super) fn get(&self, key: &LeaseKey) -> Option<&Sighting> {
        self.0.get(key)
    }

    /// Whether the shard can be read: every parent that still has a row has been read to its end.
    pub(super) fn parents_are_done(&self, row: &LeaseRow) -> bool {
        let mut parents = row.parents.iter().filter_map(|parent| self.0.get(&LeaseKey::from(parent)));
        parents.all(|parent| parent.row.checkpoint.is_shard_end())
    }

    /// When the first lease of another worker would count as free if nothing moved.
    pub(super) fn first_expiry(&self, me: &WorkerId, failover: Duration) -> Option<Moment> {
        let others = self.0.values().filter(|s| {
            s.row.holder().is_some_and(|holder| holder != me) && !s.row.checkpoint.is_shard_end()
        });
        others.map(|s| s.since.after(failover)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardflow_core::{Checkpoint, ShardId};

    #[test]
    fn a_row_ages_only_while_nothing_of_it_moves() {
        let failover = Duration::from_secs(10);
        let at = |seconds| Moment::from_start(Duration::from_secs(seconds));
        let mut row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
        row.owner = Some("other".parse().unwrap());
        let mut sightings = Sightings::default();
        sightings.look(at(100), vec![row.clone()]);
        assert!(!sightings.get(&row.key).unwrap().is_free(at(100), failover), "first sight proves nothing");
        row.checkpoint = Checkpoint::Latest;
        sightings.look(at(109), vec![row.clone()]);
        assert!(sightings.get(&row.key).unwrap().is_free(at(110), failover));
        row.counter += 1;
        sightings.look(at(112), vec![row.clone()]);
        assert!(!sightings.get(&row.key).unwrap().is_free(at(121), failover));
        assert_eq!(sightings.first_expiry(&"me".parse().unwrap(), failover), Some(at(122)));
        row.owner = None;
        sightings.look(at(122), vec![row.clone()]);
        assert!(sightings.get(&row.key).unwrap().is_free(at(122), failover));
    }
}
