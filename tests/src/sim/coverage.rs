//! Which faults have met which situations, and how often.

use std::collections::BTreeMap;

/// Faults of single requests.
pub(super) const LOST: &str = "request lost";
pub(super) const UNHEARD: &str = "answer lost";
pub(super) const LATE: &str = "late";
pub(super) const REFUSED: &str = "throttled";
pub(super) const INTERNAL: &str = "failed inside";
pub(super) const STALE: &str = "as it was";
pub(super) const UNKNOWN: &str = "shard unheard of";
pub(super) const CUT_SHORT: &str = "cut short";
pub(super) const CUT_OFF: &str = "worker cut off";

const REQUEST_FAULTS: &[&str] = &[LOST, UNHEARD, LATE, REFUSED, INTERNAL, CUT_OFF];

/// What was asked for when it struck.
const LEASE_CALLS: &[&str] = &[
    "look",
    "index",
    "get",
    "create",
    "renew",
    "checkpoint",
    "take",
    "start handoff",
    "assign",
    "evict",
    "children",
    "delete",
    "report",
    "forget",
    "lock",
    "claim",
    "list shards",
];
const READ_CALLS: &[&str] = &["iterator", "get records", "consumer", "subscribe", "receive", "list children"];
const PUT_CALLS: &[&str] = &["put", "describe", "shard map"];

/// Counts of pairs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Coverage(BTreeMap<(&'static str, &'static str), u64>);

impl Coverage {
    /// A fault has met a situation.
    pub(super) fn hit(&mut self, fault: &'static str, situation: &'static str) {
        *self.0.entry((fault, situation)).or_default() += 1;
    }

    /// Adds another world's.
    pub fn add(&mut self, other: &Self) {
        for (pair, count) in &other.0 {
            *self.0.entry(*pair).or_default() += count;
        }
    }

    /// How often a fault has met a situation.
    #[must_use]
    pub fn count(&self, fault: &str, situation: &str) -> u64 {
        let found = self.0.iter().find(|((f, s), _)| *f == fault && *s == situation);
        found.map_or(0, |(_, count)| *count)
    }

    /// All pairs that can be met, in groups: a title, the faults, and the situations.
    #[must_use]
    pub fn tables() -> Vec<(&'static str, Vec<&'static str>, Vec<&'static str>)> {
        let requests: Vec<_> = REQUEST_FAULTS.to_vec();
        let uncut = requests.iter().copied().filter(|fault| *fault != CUT_OFF).collect();
        vec![
            ("Faults of requests to the lease table, by request", requests.clone(), LEASE_CALLS.to_vec()),
            ("Faults of reads, by request", requests, READ_CALLS.to_vec()),
            ("Faults of a producer's requests, by request", uncut, PUT_CALLS.to_vec()),
            ("Rows as they were a while ago, by request", vec![STALE], vec!["look", "index"]),
            (
                "Answers of the stream that mislead, by request",
                vec![UNKNOWN],
                vec!["iterator", "get records", "subscribe"],
            ),
            ("Answers of the stream that end too soon, by request", vec![CUT_SHORT], vec!["get records"]),
            (
                "Troubles, by what the fleet is about",
                super::script::Trouble::ALL.iter().map(|trouble| trouble.name()).collect(),
                super::script::SITUATIONS.to_vec(),
            ),
        ]
    }

    /// Pairs that were not met.
    #[must_use]
    pub fn never(&self) -> Vec<(&'static str, &'static str)> {
        let tables = Self::tables().into_iter();
        let pairs = tables.flat_map(|(_, faults, situations)| {
            faults.into_iter().flat_map(move |fault| situations.clone().into_iter().map(move |s| (fault, s)))
        });
        pairs.filter(|(fault, situation)| self.count(fault, situation) == 0).collect()
    }
}
