//! Who works, as one worker sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_core::{Member, WorkerId};

use crate::Moment;

/// The workers that have said that they are there.
///
/// A KCL leader compares the time in a row with its own clock. Here a row that changes proves that its worker lives; the
/// clocks are compared only for a row that was never seen to change. And a worker that lets a lease expire counts as gone
/// until it shows some sign of life after that, however fresh its row is: it would be given back the leases it lost.
#[derive(Debug, Default)]
pub(crate) struct Members(BTreeMap<WorkerId, Seen>);

#[derive(Debug)]
struct Seen {
    row: Member,
    /// When it last gave a sign of life; nothing if it never did.
    alive_at: Option<Moment>,
    /// When it was last seen to let a lease expire.
    failed_at: Option<Moment>,
}

impl Members {
    /// Twice the 30 s in which a KCL worker writes its row: the KCL's limit.
    pub(crate) const SILENT: Duration = Duration::from_secs(60);
    /// How old a row must be to be deleted. The KCL's `staleWorkerMetricsEntryCleanupDuration`.
    const STALE: Duration = Duration::from_secs(24 * 60 * 60);

    /// What a look at the table showed, at a time by the wall in seconds. Gives whose clock is how many seconds ahead.
    pub(crate) fn look(&mut self, now: Moment, wall: u64, rows: Vec<Member>) -> Vec<(WorkerId, i64)> {
        let mut before = std::mem::take(&mut self.0);
        let mut clocks = Vec::new();
        for row in rows {
            let seen = match before.remove(&row.worker) {
                Some(seen) if seen.row.updated == row.updated => Seen { row, ..seen },
                Some(seen) => {
                    clocks.push((row.worker.clone(), row.updated.cast_signed() - wall.cast_signed()));
                    Seen { row, alive_at: Some(now), ..seen }
                }
                None => {
                    let fresh = row.updated.abs_diff(wall) < Self::SILENT.as_secs();
                    Seen { alive_at: fresh.then_some(now), failed_at: None, row }
                }
            };
            self.0.insert(seen.row.worker.clone(), seen);
        }
        clocks
    }

    /// It was seen to renew a lease.
    pub(crate) fn renewed(&mut self, now: Moment, worker: &WorkerId) {
        if let Some(seen) = self.0.get_mut(worker) {
            seen.alive_at = Some(now);
        }
    }

    /// It has let a lease expire.
    pub(crate) fn failed(&mut self, now: Moment, worker: &WorkerId) {
        if let Some(seen) = self.0.get_mut(worker).filter(|_| !bug!(LeasesForTheDead)) {
            seen.failed_at = Some(now);
        }
    }

    /// Those that may be given leases.
    pub(crate) fn live(&self, now: Moment) -> impl Iterator<Item = &Member> {
        self.0.values().filter(move |seen| seen.is_live(now)).map(|seen| &seen.row)
    }

    /// Whether it has a row, fresh or not.
    pub(crate) fn has(&self, worker: &WorkerId) -> bool {
        self.0.contains_key(worker)
    }

    /// Its row.
    pub(crate) fn get(&self, worker: &WorkerId) -> Option<&Member> {
        self.0.get(worker).map(|seen| &seen.row)
    }

    /// Rows that are so old that nobody will miss them.
    pub(crate) fn stale(&self, now: Moment, wall: u64) -> impl Iterator<Item = &Member> {
        let old = move |seen: &&Seen| wall.saturating_sub(seen.row.updated) > Self::STALE.as_secs();
        self.0.values().filter(old).filter(move |seen| !seen.is_live(now)).map(|seen| &seen.row)
    }
}

impl Seen {
    fn is_live(&self, now: Moment) -> bool {
        let silent = |at: Moment| now.since(at) >= Members::SILENT;
        self.alive_at.is_some_and(|at| !silent(at) && self.failed_at.is_none_or(|failed| failed < at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: u64 = 1_795_417_347;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(1_000 + seconds))
    }

    fn rows(rows: &[(&str, u64)]) -> Vec<Member> {
        rows.iter().map(|(name, updated)| Member::new(name.parse().unwrap(), *updated)).collect()
    }

    fn live(members: &Members, now: Moment) -> Vec<&str> {
        members.live(now).map(|member| member.worker.as_str()).collect()
    }

    #[test]
    fn a_row_that_changes_is_alive_whatever_its_clock_says() {
        let mut members = Members::default();
        let skewed = WALL - 500;
        assert_eq!(members.look(at(0), WALL, rows(&[("a", WALL - 10), ("b", skewed)])), []);
        assert_eq!(live(&members, at(0)), ["a"], "an old row may be a dead worker's");
        let clocks = members.look(at(30), WALL + 30, rows(&[("a", WALL - 10), ("b", skewed + 30)]));
        assert_eq!(clocks, [("b".parse().unwrap(), -500)]);
        assert_eq!(live(&members, at(30)), ["a", "b"]);
        members.look(at(60), WALL + 60, rows(&[("a", WALL - 10), ("b", skewed + 60)]));
        assert_eq!(live(&members, at(60)), ["b"], "it has not changed for a minute");
        members.look(at(61), WALL + 61, rows(&[]));
        assert_eq!(live(&members, at(61)), [""; 0]);
    }

    #[test]
    fn who_lets_a_lease_expire_is_gone_until_it_gives_a_sign_of_life() {
        let mut members = Members::default();
        members.look(at(0), WALL, rows(&[("a", WALL)]));
        let a = "a".parse().unwrap();
        members.failed(at(10), &a);
        assert_eq!(live(&members, at(10)), [""; 0]);
        members.look(at(12), WALL + 12, rows(&[("a", WALL + 11)]));
        assert_eq!(live(&members, at(12)), ["a"]);
        members.failed(at(13), &a);
        members.renewed(at(14), &a);
        assert_eq!(live(&members, at(14)), ["a"]);
    }

    #[test]
    fn rows_of_a_day_ago_are_stale_unless_they_change() {
        let mut members = Members::default();
        let day = 24 * 60 * 60;
        members.look(at(0), WALL, rows(&[("a", WALL - day - 1), ("b", WALL - day)]));
        assert_eq!(members.stale(at(0), WALL).map(|m| m.worker.as_str()).collect::<Vec<_>>(), ["a"]);
        members.look(at(1), WALL, rows(&[("a", WALL - day)]));
        assert_eq!(members.stale(at(1), WALL + 9).count(), 0, "a clock that is a day behind");
    }
}
