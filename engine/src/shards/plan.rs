//! Planning the leases that are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use shardflow_core::{Checkpoint, HashKey, HashKeyRange, InitialPosition, LeaseRow, Shard, ShardId};

/// Which shards to list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ShardFilter {
    /// All that the stream still has.
    All,
    /// Those that are open.
    AtLatest,
    /// Those that were open at the oldest record.
    AtTrimHorizon,
    /// Those that were open at a time.
    AtTimestamp(SystemTime),
}

impl ShardFilter {
    /// The shards that must be known to find the leases that are missing.
    #[must_use]
    pub fn needed<'a>(mut rows: impl Iterator<Item = &'a LeaseRow>, position: InitialPosition) -> Self {
        // Several workers can start at once, so a table that holds nothing but beginnings is as good as empty.
        if rows.any(|row| row.checkpoint != beginning(position)) {
            return Self::All;
        }
        match position {
            InitialPosition::TrimHorizon => Self::AtTrimHorizon,
            InitialPosition::Latest => Self::AtLatest,
            InitialPosition::AtTimestamp(at) => Self::AtTimestamp(at),
        }
    }
}

/// The shards that were listed leave a part of the hash space to nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Incomplete;

/// The lease of a shard, as it is entered.
#[must_use]
pub fn lease(shard: &Shard, checkpoint: Checkpoint) -> LeaseRow {
    let mut row = LeaseRow::new(shard.id.clone(), checkpoint);
    row.parents = shard.parents().cloned().collect();
    row.hash_key_range = Some(shard.hash_key_range);
    row
}

/// The leases to be entered, oldest shard first so that a crash in the middle leaves nothing that cannot be mended.
///
/// As long as no shard has been begun, every shard of the filter gets one at the initial position. Later, an open shard
/// without one gets it only if no ancestor of it is still to be read: otherwise it will be entered when its parents end.
/// Ancestors that were missed are entered instead of it as far back as the initial position asks for. What was missed
/// is read from its oldest record, since `Latest` counts once per application.
///
/// # Errors
///
/// When the first shards do not cover the hash space, as can be seen during a reshard.
pub fn plan(
    listed: &[Shard],
    rows: &[&LeaseRow],
    filter: ShardFilter,
    position: InitialPosition,
) -> Result<Vec<LeaseRow>, Incomplete> {
    let by_id: BTreeMap<&ShardId, &Shard> = listed.iter().map(|shard| (&shard.id, shard)).collect();
    let planned = match filter {
        ShardFilter::All => among_rows(&by_id, rows, position),
        ShardFilter::AtLatest | ShardFilter::AtTrimHorizon | ShardFilter::AtTimestamp(_) => {
            let mut first = first(&by_id, filter, position)?;
            let entered: BTreeSet<_> = rows.iter().map(|row| &row.shard_id).collect();
            first.retain(|shard, _| !entered.contains(shard));
            first
        }
    };
    let mut planned: Vec<_> =
        planned.into_iter().filter_map(|(id, checkpoint)| Some((*by_id.get(&id)?, checkpoint))).collect();
    planned.sort_by(|(a, _), (b, _)| {
        (&a.starting_sequence_number, &a.id).cmp(&(&b.starting_sequence_number, &b.id))
    });
    Ok(planned.into_iter().map(|(shard, checkpoint)| lease(shard, checkpoint)).collect())
}

type Planned = BTreeMap<ShardId, Checkpoint>;

/// The checkpoint of a shard at which the application starts.
fn beginning(position: InitialPosition) -> Checkpoint {
    match position {
        InitialPosition::TrimHorizon => Checkpoint::TrimHorizon,
        InitialPosition::Latest => Checkpoint::Latest,
        InitialPosition::AtTimestamp(_) => Checkpoint::AtTimestamp,
    }
}

/// The checkpoint of a shard that the application missed.
fn missed(position: InitialPosition) -> Checkpoint {
    match position {
        InitialPosition::TrimHorizon | InitialPosition::Latest => Checkpoint::TrimHorizon,
        InitialPosition::AtTimestamp(_) => Checkpoint::AtTimestamp,
    }
}

/// The leases of a new application.
fn first(
    listed: &BTreeMap<&ShardId, &Shard>,
    filter: ShardFilter,
    position: InitialPosition,
) -> Result<Planned, Incomplete> {
    // Servers that do not know a filter answer with all shards, so what it means is applied to the answer as well.
    let fits = |shard: &&Shard| match filter {
        ShardFilter::AtLatest => shard.is_open(),
        ShardFilter::All | ShardFilter::AtTrimHorizon | ShardFilter::AtTimestamp(_) => {
            !shard.parents().any(|parent| listed.contains_key(parent))
        }
    };
    let first: Vec<_> = listed.values().copied().filter(fits).collect();
    if !tiles(first.iter().map(|shard| shard.hash_key_range)) {
        return Err(Incomplete);
    }
    Ok(first.into_iter().map(|shard| (shard.id.clone(), beginning(position))).collect())
}

/// What the leases that are still to be read cover.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cover {
    /// All hash keys.
    Whole,
    /// Records of some hash keys would be read by nobody, since a lease is missing: somebody has deleted it, or it was
    /// never entered.
    Hole,
    /// Some leases do not say which hash keys they are for, as those of an old KCL.
    Unknown,
}

/// What the leases cover.
///
/// Each shard's children are entered before it is ended, so what is still to be read covers the hash space at any time.
pub fn cover<'a>(rows: impl Iterator<Item = &'a LeaseRow>) -> Cover {
    let to_read = rows.filter(|row| !row.checkpoint.is_shard_end());
    let Some(mut ranges) = to_read.map(|row| row.hash_key_range).collect::<Option<Vec<_>>>() else {
        return Cover::Unknown;
    };
    ranges.sort();
    let mut next = Some(HashKey::MIN);
    for range in ranges {
        match next {
            Some(uncovered) if uncovered < range.start() => return Cover::Hole,
            Some(uncovered) => next = range.next().map(|after| after.max(uncovered)),
            None => return Cover::Whole,
        }
    }
    if next.is_some() { Cover::Hole } else { Cover::Whole }
}

/// Whether the ranges cover the hash space once.
fn tiles(ranges: impl Iterator<Item = HashKeyRange>) -> bool {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort();
    let mut next = Some(HashKey::MIN);
    for range in ranges {
        if next != Some(range.start()) {
            return false;
        }
        next = range.next();
    }
    next.is_none()
}

/// The leases that an application with leases lacks.
fn among_rows(listed: &BTreeMap<&ShardId, &Shard>, rows: &[&LeaseRow], position: InitialPosition) -> Planned {
    let reach = |row: &LeaseRow| if row.checkpoint.is_shard_end() { Reach::Ended } else { Reach::Coming };
    let known = rows.iter().map(|row| (row.shard_id.clone(), reach(row))).collect();
    let mut search = Search { listed, position, known, wanted: BTreeSet::new(), planned: Planned::new() };
    for shard in listed.values().filter(|shard| shard.is_open()) {
        if search.reach(shard) == Reach::Never {
            search.plan(shard);
        }
    }
    search.planned
}

/// Whether a shard's records will be read by means of the leases that exist or are planned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reach {
    /// Its lease is at its end.
    Ended,
    /// It has a lease, or will get one when its parents end.
    Coming,
    /// Neither it nor a shard that it comes from has a lease.
    Never,
}

struct Search<'a> {
    listed: &'a BTreeMap<&'a ShardId, &'a Shard>,
    position: InitialPosition,
    known: BTreeMap<ShardId, Reach>,
    /// Shards that would be read if nothing before them is.
    wanted: BTreeSet<ShardId>,
    planned: Planned,
}

impl Search<'_> {
    fn plan(&mut self, shard: &Shard) {
        self.planned.insert(shard.id.clone(), missed(self.position));
    }

    /// Whether the shard's records will be read, once what is missing before it is planned.
    ///
    /// A lineage is as deep as the retention is long: a stream of the longest retention that splits or merges every
    /// hour would be a few thousand deep, which the recursion bears.
    fn reach(&mut self, shard: &Shard) -> Reach {
        if let Some(&known) = self.known.get(&shard.id) {
            return known;
        }
        // A list in which a shard comes from itself is no list of Kinesis', but must not keep us for ever.
        self.known.insert(shard.id.clone(), Reach::Never);
        let parents: Vec<_> = shard.parents().filter_map(|id| self.listed.get(id).copied()).collect();
        let reached: Vec<_> = parents.iter().map(|parent| self.reach(parent)).collect();
        let wanted = parents.iter().any(|parent| self.wanted.contains(&parent.id));
        let reach = if wanted || reached.iter().any(|reach| *reach != Reach::Never) {
            for (parent, _) in parents.iter().zip(&reached).filter(|(_, reach)| **reach == Reach::Never) {
                self.plan(parent);
            }
            if reached.iter().all(|reach| *reach == Reach::Ended) {
                // Its turn has come, and its lease is gone.
                self.plan(shard);
            }
            Reach::Coming
        } else {
            if !matches!(self.position, InitialPosition::Latest) {
                self.wanted.insert(shard.id.clone());
            }
            Reach::Never
        };
        self.known.insert(shard.id.clone(), reach);
        reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn shard(number: u64, parents: &[u64], range: (u128, u128)) -> Shard {
        let eighth = |n: u128| n * (u128::MAX / 8 + 1);
        let end = if range.1 == 8 { u128::MAX } else { eighth(range.1) - 1 };
        let range = HashKeyRange::new(HashKey(eighth(range.0)), HashKey(end)).unwrap();
        let mut shard = Shard::new(ShardId::numbered(number), range);
        shard.parent = parents.first().map(|&parent| ShardId::numbered(parent));
        shard.adjacent_parent = parents.get(1).map(|&parent| ShardId::numbered(parent));
        shard.starting_sequence_number = Some(number.to_string().parse().unwrap());
        shard
    }

    #[test]
    fn shards_that_come_from_each_other_end_the_search() {
        let shards = [shard(0, &[1], (0, 4)), shard(1, &[0], (4, 8))];
        let listed = shards.iter().map(|shard| (&shard.id, shard)).collect();
        let planned = among_rows(&listed, &[], InitialPosition::TrimHorizon);
        assert_eq!(planned.keys().collect::<Vec<_>>(), [&ShardId::numbered(1)]);
    }

    /// The reference tree of the KCL's documentation: 0 to 5 at first; 0 and 1 merged into 6, 2 and 3 into 7, 6 and 7
    /// into 8; 5 split into 9 and 10. Open: 4, 8, 9, 10.
    fn tree() -> Vec<Shard> {
        let mut shards = vec![
            shard(0, &[], (0, 1)),
            shard(1, &[], (1, 2)),
            shard(2, &[], (2, 3)),
            shard(3, &[], (3, 4)),
            shard(4, &[], (4, 6)),
            shard(5, &[], (6, 8)),
            shard(6, &[0, 1], (0, 2)),
            shard(7, &[2, 3], (2, 4)),
            shard(8, &[6, 7], (0, 4)),
            shard(9, &[5], (6, 7)),
            shard(10, &[5], (7, 8)),
        ];
        for closed in [0, 1, 2, 3, 5, 6, 7] {
            shards[closed].ending_sequence_number = Some("99".parse().unwrap());
        }
        shards
    }

    fn at_timestamp() -> InitialPosition {
        InitialPosition::AtTimestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
    }

    /// Numbers of the planned shards and their checkpoints, with leases for `leased` at `checkpoint`.
    fn planned(leased: &[u64], checkpoint: Checkpoint, position: InitialPosition) -> Vec<(u64, Checkpoint)> {
        let rows: Vec<_> =
            leased.iter().map(|&n| LeaseRow::new(ShardId::numbered(n), checkpoint.clone())).collect();
        let rows: Vec<_> = rows.iter().collect();
        let filter = ShardFilter::needed(rows.iter().copied(), position);
        let number = |row: &LeaseRow| (0..11).find(|&n| ShardId::numbered(n) == row.shard_id).unwrap();
        let plan = plan(&tree(), &rows, filter, position).unwrap();
        plan.iter().map(|row| (number(row), row.checkpoint.clone())).collect()
    }

    fn progress() -> Checkpoint {
        Checkpoint::at("5".parse().unwrap(), 0)
    }

    #[test]
    fn a_new_application_starts_where_it_was_told_to() {
        let all = |numbers: &[u64], checkpoint: Checkpoint| -> Vec<_> {
            numbers.iter().map(|&n| (n, checkpoint.clone())).collect()
        };
        let oldest = planned(&[], progress(), InitialPosition::TrimHorizon);
        assert_eq!(oldest, all(&[0, 1, 2, 3, 4, 5], Checkpoint::TrimHorizon));
        let newest = planned(&[], progress(), InitialPosition::Latest);
        assert_eq!(newest, all(&[4, 8, 9, 10], Checkpoint::Latest));
        let rest = planned(&[4, 8], Checkpoint::Latest, InitialPosition::Latest);
        assert_eq!(rest, all(&[9, 10], Checkpoint::Latest), "another worker is at it");
    }

    #[test]
    fn an_application_with_leases_gets_what_the_kcl_would_enter() {
        let leased = [4, 5, 7];
        assert_eq!(
            planned(&leased, progress(), InitialPosition::Latest),
            [(6, Checkpoint::TrimHorizon)],
            "the KCL enters it at LATEST and skips what it holds"
        );
        assert_eq!(
            planned(&leased, progress(), InitialPosition::TrimHorizon),
            [(0, Checkpoint::TrimHorizon), (1, Checkpoint::TrimHorizon)]
        );
        assert_eq!(
            planned(&leased, progress(), at_timestamp()),
            [(0, Checkpoint::AtTimestamp), (1, Checkpoint::AtTimestamp)]
        );
    }

    #[test]
    fn shards_that_will_be_reached_get_no_lease() {
        for position in [InitialPosition::TrimHorizon, InitialPosition::Latest, at_timestamp()] {
            assert_eq!(planned(&[0, 1, 2, 3, 4, 5], progress(), position), []);
            assert_eq!(planned(&[4, 8, 9, 10], progress(), position), []);
        }
    }

    #[test]
    fn a_shard_whose_parents_have_ended_gets_the_lease_that_it_lacks() {
        let ended = [0, 1, 2, 3, 5, 6, 7].map(|n| (n, Checkpoint::ShardEnd));
        let rows = |rest: &[u64], ended: &[(u64, Checkpoint)]| -> Vec<LeaseRow> {
            let rest = rest.iter().map(|&n| (n, progress()));
            let all = ended.iter().cloned().chain(rest);
            all.map(|(n, checkpoint)| LeaseRow::new(ShardId::numbered(n), checkpoint)).collect()
        };
        let missing = |rows: &[LeaseRow]| -> Vec<ShardId> {
            let rows: Vec<_> = rows.iter().collect();
            let planned = plan(&tree(), &rows, ShardFilter::All, InitialPosition::Latest).unwrap();
            planned.into_iter().map(|row| row.shard_id).collect()
        };
        assert_eq!(missing(&rows(&[4, 9, 10], &ended)), [ShardId::numbered(8)]);
        assert_eq!(missing(&rows(&[4, 8, 9], &ended)), [ShardId::numbered(10)]);
        // One parent of 8 is still to be read: it will be entered then.
        assert_eq!(missing(&rows(&[4, 7, 9, 10], &ended[..6])), []);
    }

    #[test]
    fn a_hole_is_seen_whatever_overlaps() {
        let tree = tree();
        let rows: Vec<_> = tree.iter().map(|shard| lease(shard, progress())).collect();
        let hole = |shards: &[usize]| cover(shards.iter().map(|&n| &rows[n])) == Cover::Hole;
        assert!(!hole(&[4, 8, 9, 10]) && !hole(&[0, 1, 2, 3, 4, 5]) && !hole(&[0, 1, 4, 5, 6, 7, 8, 9, 10]));
        assert!(
            hole(&[8, 9, 10]) && hole(&[4, 9, 10]) && hole(&[4, 8, 9]) && hole(&[0, 1, 3, 4, 5]) && hole(&[])
        );
        let mut unknown = lease(&tree[0], progress());
        unknown.hash_key_range = None;
        assert_eq!(cover([&unknown].into_iter()), Cover::Unknown, "it could be anywhere");
    }

    #[test]
    fn a_lease_knows_its_parents_and_its_range() {
        let row = lease(&tree()[8], Checkpoint::TrimHorizon);
        assert_eq!(row.parents, BTreeSet::from([ShardId::numbered(6), ShardId::numbered(7)]));
        assert_eq!(row.hash_key_range, Some(tree()[8].hash_key_range));
    }

    #[test]
    fn a_list_with_a_hole_is_no_beginning() {
        let mut shards = tree();
        shards.remove(4);
        for filter in [ShardFilter::AtTrimHorizon, ShardFilter::AtLatest] {
            assert_eq!(plan(&shards, &[], filter, InitialPosition::Latest), Err(Incomplete));
        }
    }
}
