//! Which worker gets which lease, by count.

use std::collections::{BTreeMap, BTreeSet};

use shardflow_core::{LeaseKey, WorkerId};

/// A lease that is to be read now, as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load<'a> {
    pub(crate) key: &'a LeaseKey,
    /// Who has it, or is about to get it; nobody if it is free.
    pub(crate) owner: Option<&'a WorkerId>,
    /// Whether it could be asked of its owner: it is not on its way already.
    pub(crate) settled: bool,
    /// Whether it was read until its worker died: whoever gets it is to go on at once.
    pub(crate) urgent: bool,
    /// KiB a second that it brings, if that was measured.
    pub(crate) throughput: Option<f64>,
}

/// A worker that may be given leases.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Candidate<'a> {
    pub(crate) worker: &'a WorkerId,
    /// Whether it finds what it is given within seconds. A KCL for Java looks every ten.
    pub(crate) quick: bool,
}

/// What is to be done about one lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    /// Nobody has it: this worker is to.
    Give { key: LeaseKey, to: WorkerId },
    /// A worker has more than its share, another one less.
    Move { key: LeaseKey, from: WorkerId, to: WorkerId },
}

/// Gives free leases to whoever has least, then evens out what is left: in the end two workers differ by one at most.
///
/// A fleet that is even is left alone, so nothing moves while nobody comes or goes. Leases of workers that are not live,
/// and yet are kept, count for nobody. Nobody is given more than `most`. A dead worker's leases go to quick workers as long
/// as one of these has room.
pub(crate) fn by_count<'a>(
    leases: impl IntoIterator<Item = Load<'a>>,
    live: impl IntoIterator<Item = Candidate<'a>>,
    most: usize,
) -> Vec<Decision> {
    let live: Vec<_> = live.into_iter().collect();
    let quick: BTreeSet<_> = live.iter().filter(|c| c.quick).map(|c| c.worker).collect();
    let mut workers: Workers<'a> = live.iter().map(|c| (c.worker, Vec::new())).collect();
    let mut free = Vec::new();
    for lease in leases {
        match lease.owner {
            None => free.push(lease),
            Some(owner) => {
                if let Some(leases) = workers.get_mut(owner) {
                    leases.push(lease);
                }
            }
        }
    }
    let mut decisions = Vec::new();
    for lease in free {
        let has_room = |workers: &Workers<'_>, worker: &WorkerId| workers[worker].len() < most;
        let hurry = lease.urgent && quick.iter().any(|worker| has_room(&workers, worker));
        let fits = |worker: &WorkerId| !hurry || quick.contains(worker);
        let Some((to, leases)) = emptiest(&mut workers, fits).filter(|(_, leases)| leases.len() < most)
        else {
            break;
        };
        decisions.push(Decision::Give { key: lease.key.clone(), to: to.clone() });
        // It is on its way: not to be asked for at once.
        leases.push(Load { owner: Some(to), settled: false, ..lease });
    }
    while let Some(decision) = even_out(&mut workers, most) {
        decisions.push(decision);
    }
    decisions
}

type Workers<'a> = BTreeMap<&'a WorkerId, Vec<Load<'a>>>;

fn emptiest<'w, 'a>(
    workers: &'w mut Workers<'a>,
    fits: impl Fn(&WorkerId) -> bool,
) -> Option<(&'a WorkerId, &'w mut Vec<Load<'a>>)> {
    let fitting = workers.iter_mut().map(|(worker, leases)| (*worker, leases)).filter(|(w, _)| fits(w));
    fitting.min_by_key(|(_, leases)| leases.len())
}

/// Moves one lease from who has most to who has least, if that makes them more alike.
fn even_out<'a>(workers: &mut Workers<'a>, most: usize) -> Option<Decision> {
    let (to, least) = emptiest(workers, |_| true).map(|(worker, leases)| (worker, leases.len()))?;
    let fuller = |(_, leases): &(&&'a WorkerId, &mut Vec<Load<'a>>)| {
        leases.len() > least + usize::from(!bug!(LeasePingPong)) && leases.iter().any(|lease| lease.settled)
    };
    let fullest = workers.iter_mut().filter(fuller).max_by_key(|(_, leases)| leases.len());
    let (from, leases) = fullest.filter(|_| least < most)?;
    let from = *from;
    let place = leases.iter().rposition(|lease| lease.settled)?;
    let lease = leases.remove(place);
    let decision = Decision::Move { key: lease.key.clone(), from: from.clone(), to: to.clone() };
    workers.get_mut(to)?.push(Load { owner: Some(to), settled: false, ..lease });
    Some(decision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardflow_core::ShardId;

    /// Leases 0, 1, 2, …: `owner`, `owner>` if it is on its way there, `-` for nobody.
    fn decided(leases: &str, live: &str, most: usize) -> Vec<String> {
        let keys: Vec<_> = (0..99).map(|n| LeaseKey::from(&ShardId::numbered(n))).collect();
        let owners: Vec<Option<WorkerId>> =
            leases.split_whitespace().map(|owner| owner.trim_end_matches('>').parse().ok()).collect();
        let loads = leases.split_whitespace().zip(&owners).zip(&keys).map(|((text, owner), key)| Load {
            key,
            owner: owner.as_ref().filter(|_| text != "-"),
            settled: !text.ends_with('>'),
            urgent: text == "-",
            throughput: None,
        });
        let live: Vec<WorkerId> = live.split_whitespace().map(|name| name.parse().unwrap()).collect();
        let number = |key: &LeaseKey| keys.iter().position(|k| k == key).unwrap();
        let text = |decision| match decision {
            Decision::Give { key, to } => format!("{}>{to}", number(&key)),
            Decision::Move { key, from, to } => format!("{from}:{}>{to}", number(&key)),
        };
        let live =
            live.iter().map(|worker| Candidate { worker, quick: !worker.as_str().starts_with("java") });
        by_count(loads, live, most).into_iter().map(text).collect()
    }

    #[test]
    fn free_leases_go_to_whoever_has_least() {
        for (leases, live, expected) in [
            ("- - -", "a", vec!["0>a", "1>a", "2>a"]),
            ("- - - -", "a b", vec!["0>a", "1>b", "2>a", "3>b"]),
            ("a a - b -", "a b", vec!["2>b", "4>a"]),
            ("- -", "", vec![]),
            ("- gone", "a", vec!["0>a"]),
        ] {
            assert_eq!(decided(leases, live, 99), expected, "{leases} among {live}");
        }
    }

    #[test]
    fn an_even_fleet_is_left_alone() {
        for (leases, live) in [
            ("a b", "a b"),
            ("a a b", "a b"),
            ("a", "a b c"),
            ("a a b b c", "a b c"),
            ("a> b", "a b"),
            ("", "a"),
        ] {
            assert_eq!(decided(leases, live, 99), [""; 0], "{leases} among {live}");
        }
    }

    #[test]
    fn a_worker_that_joins_gets_its_share_and_no_more() {
        assert_eq!(decided("a a a a", "a b", 99), ["a:3>b", "a:2>b"]);
        assert_eq!(decided("a a a b b b", "a b c", 99).len(), 2);
        assert_eq!(decided("a a a b> b>", "a b", 99), [""; 0], "two of them are on their way");
        assert_eq!(decided("a> a> a> a>", "a b", 99), [""; 0], "nothing can be asked for twice");
    }

    #[test]
    fn nobody_is_given_more_than_it_may_have() {
        assert_eq!(decided("- - - a", "a b", 2), ["0>b", "1>a", "2>b"]);
        assert_eq!(decided("- - - -", "a", 2), ["0>a", "1>a"]);
        assert_eq!(decided("a a a a a", "a b", 1), ["a:4>b"]);
    }

    #[test]
    fn what_a_dead_worker_had_goes_to_quick_workers_first() {
        assert_eq!(decided("a a - java -", "a java", 99), ["2>a", "4>a", "a:1>java"]);
        assert_eq!(decided("- -", "java", 99), ["0>java", "1>java"]);
        assert_eq!(decided("a a - -", "a java", 2), ["2>java", "3>java"], "no quick one has room");
    }

    #[test]
    fn sixty_four_leases_are_even_among_any_number_after_one_round() {
        for workers in 1..=20_usize {
            let names: Vec<_> = (0..workers).map(|n| format!("w{n}")).collect();
            let decisions = decided(&"w0 ".repeat(64), &names.join(" "), 99);
            let mut counts = BTreeMap::from_iter(names.iter().map(|name| (name.as_str(), 0)));
            *counts.get_mut("w0").unwrap() = 64;
            for decision in &decisions {
                *counts.get_mut("w0").unwrap() -= 1;
                *counts.get_mut(decision.split_once('>').unwrap().1).unwrap() += 1;
            }
            let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
        }
    }
}
