//! Which leases this worker goes for.

use std::collections::BTreeMap;

use fastrand::Rng;
use shardflow_core::{LeaseKey, LeaseRow, WorkerId};

use super::Settings;
use super::sighting::Sightings;
use crate::Moment;

/// What to do about one lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Choice {
    /// Nobody keeps it: take it.
    Take(LeaseKey),
    /// A worker has more than its share: ask it to hand this one over.
    Ask { key: LeaseKey, from: WorkerId },
}

/// Chooses by count: every worker is to have as many leases as the next one, give or take one.
///
/// Leases that are done, or whose parents are not, count for nobody. A lease on its way to a worker counts as that
/// worker's. Asking makes the fuller of two workers no emptier than the other becomes, so two workers never ask each
/// other for the same lease in turn.
pub(super) fn choose(
    me: &WorkerId,
    seen: &Sightings,
    now: Moment,
    settings: &Settings,
    rng: &mut Rng,
) -> Vec<Choice> {
    let mut free = Vec::new();
    let mut loads: BTreeMap<&WorkerId, Load<'_>> = BTreeMap::from([(me, Load::default())]);
    for sighting in seen.iter() {
        let row = &sighting.row;
        if row.checkpoint.is_shard_end() || !seen.parents_are_done(row) {
            continue;
        }
        let is_free = sighting.is_free(now, settings.failover);
        match &row.owner {
            // Mine by the row, and nobody else's: kept, or taken up again without a choice.
            Some(owner) if !is_free || (owner == me && row.checkpoint_owner.is_none()) => {
                loads.entry(owner).or_default().add(row);
            }
            _ => free.push(&row.key),
        }
    }
    let leases = free.len() + loads.values().map(|load| load.count).sum::<usize>();
    let share = leases.div_ceil(loads.len()).min(settings.max_leases);
    let mine = loads.remove(me).map_or(0, |mine| mine.count);
    let lacking = share.saturating_sub(mine);
    if !free.is_empty() {
        // Workers that start together look at the same rows: by chance they begin with different ones.
        rng.shuffle(&mut free);
        return free.into_iter().take(lacking).cloned().map(Choice::Take).collect();
    }
    (mine..share).map_while(|mine| ask_the_fullest(&mut loads, mine, rng)).collect()
}

/// What another worker has.
#[derive(Default)]
struct Load<'a> {
    count: usize,
    /// Those that are not being handed over already.
    settled: Vec<&'a LeaseKey>,
}

impl<'a> Load<'a> {
    fn add(&mut self, row: &'a LeaseRow) {
        self.count += 1;
        if row.checkpoint_owner.is_none() {
            self.settled.push(&row.key);
        }
    }
}

/// Asks whoever has most for one of its leases, if that still has more than we will.
fn ask_the_fullest(loads: &mut BTreeMap<&WorkerId, Load<'_>>, mine: usize, rng: &mut Rng) -> Option<Choice> {
    let fuller = |load: &Load<'_>| load.count > mine + 1 && !load.settled.is_empty();
    let (from, load) =
        loads.iter_mut().filter(|(_, load)| fuller(load)).max_by_key(|(_, load)| load.count)?;
    load.count -= 1;
    let key = load.settled.swap_remove(rng.usize(..load.settled.len())).clone();
    Some(Choice::Ask { key, from: (*from).clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardflow_core::{Checkpoint, ShardId};
    use std::time::Duration;

    fn worker(name: &str) -> WorkerId {
        name.parse().unwrap()
    }

    /// Rows of shards 0, 1, 2, …: `owner`, or `holder>owner` during a handoff, `-` for nobody, `!` for done.
    fn rows(text: &str) -> Vec<LeaseRow> {
        let row = |(number, owner): (u64, &str)| {
            let mut row = LeaseRow::new(ShardId::numbered(number), Checkpoint::TrimHorizon);
            match owner.split_once('>') {
                Some((holder, owner)) => {
                    row.checkpoint_owner = Some(worker(holder));
                    row.owner = Some(worker(owner));
                }
                None if owner == "!" => row.checkpoint = Checkpoint::ShardEnd,
                None => row.owner = (owner != "-").then(|| worker(owner)),
            }
            row
        };
        (0..).zip(text.split_whitespace()).map(row).collect()
    }

    /// How many leases `me` takes and how many it asks of whom, when it has seen the rows for some seconds.
    fn chosen(rows: Vec<LeaseRow>, seconds: u64) -> (usize, Vec<(String, usize)>) {
        let mut seen = Sightings::default();
        seen.look(Moment::START, rows);
        let now = Moment::from_start(Duration::from_secs(seconds));
        let choices = choose(&worker("me"), &seen, now, &Settings::default(), &mut Rng::with_seed(3));
        let mut asked = BTreeMap::new();
        let mut taken = 0;
        for choice in choices {
            match choice {
                Choice::Take(_) => taken += 1,
                Choice::Ask { from, .. } => *asked.entry(from.to_string()).or_insert(0) += 1,
            }
        }
        (taken, asked.into_iter().collect())
    }

    fn asks(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
        expected.iter().map(|&(from, count)| (from.to_owned(), count)).collect()
    }

    #[test]
    fn the_first_worker_takes_all_and_later_ones_their_share() {
        assert_eq!(chosen(rows("- - - -"), 0), (4, vec![]));
        assert_eq!(chosen(rows("a a - - -"), 0), (3, vec![]));
        assert_eq!(chosen(rows("a b - - - - -"), 0), (3, vec![]));
        assert_eq!(chosen(rows("a a b b"), 0), (0, asks(&[("b", 1)])));
        assert_eq!(chosen(rows("a a a a"), 0), (0, asks(&[("a", 2)])));
        assert_eq!(chosen(rows("a a a a a b b me"), 0), (0, asks(&[("a", 2)])));
    }

    #[test]
    fn a_balanced_fleet_is_left_alone() {
        for text in ["me a", "me me a", "me a a", "me a b", "me a a b b", "a"] {
            assert_eq!(chosen(rows(text), 0), (0, vec![]), "{text}");
        }
    }

    #[test]
    fn leases_on_their_way_count_for_who_gets_them() {
        assert_eq!(chosen(rows("a a a>me a>me"), 0), (0, vec![]));
        assert_eq!(chosen(rows("a a a>b a>b"), 0).1.len(), 1);
        assert_eq!(chosen(rows("me>a a me me"), 0), (0, vec![]));
    }

    #[test]
    fn what_nobody_keeps_is_taken_and_not_asked_for() {
        assert_eq!(chosen(rows("a a a a"), 9), (0, asks(&[("a", 2)])));
        assert_eq!(chosen(rows("a a a a"), 10), (4, vec![]));
        assert_eq!(chosen(rows("a>me a>b"), 10), (2, vec![]), "both parties may be gone");
    }

    #[test]
    fn ended_shards_and_children_of_unfinished_ones_count_for_nobody() {
        let mut family = rows("a ! - -");
        family[2].parents.insert(ShardId::numbered(0));
        family[3].parents.insert(ShardId::numbered(1));
        family[3].parents.insert(ShardId::numbered(9));
        assert_eq!(chosen(family, 0), (1, vec![]), "only the child whose parents are done, or have no row");
    }

    #[test]
    fn nobody_takes_more_than_it_may() {
        let mut seen = Sightings::default();
        seen.look(Moment::START, rows("- - - - me"));
        let settings = Settings { max_leases: 3, ..Settings::default() };
        let choices = choose(&worker("me"), &seen, Moment::START, &settings, &mut Rng::with_seed(1));
        assert_eq!(choices.len(), 2);
    }
}
