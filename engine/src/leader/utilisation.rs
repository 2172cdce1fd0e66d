//! Which worker gets which lease, by how busy workers are and how much leases bring.

use std::collections::{BTreeMap, BTreeSet};

use shardflow_core::{LeaseKey, Member, WorkerId};

use super::Candidate;
use super::assign::{Decision, Load, by_count};

/// How a leader weighs workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighing {
    /// How much busier than the average, in per cent of it, a worker must be to give leases away. The KCL's
    /// `reBalanceThresholdPercentage`.
    pub threshold: f64,
    /// How much of what a worker has too much it gives away at once, in per cent. The KCL's `dampeningPercentage`.
    pub dampening: f64,
    /// How much busier than the average, in points of utilisation, it must be in any case. A KCL has no such floor: where
    /// everybody idles at two per cent it moves leases for ever.
    pub floor: f64,
}

impl Default for Weighing {
    fn default() -> Self {
        Self { threshold: 10.0, dampening: 60.0, floor: 5.0 }
    }
}

/// Gives free leases to whoever is least busy, and asks the busiest for some if they may be `balanced` now.
///
/// A worker's utilisation is the metric that all live workers report, the one that differs most if there are several; if
/// there is none, it is what its leases bring, where the average worker is at 100. Where nothing brings anything it is
/// their number: a KCL divides by zero there, and leaves all leases to two workers.
///
/// A lease that has changed hands lately (not `settled`) is not asked for again, so nothing goes to and fro.
pub(crate) fn by_utilisation<'a>(
    leases: impl IntoIterator<Item = Load<'a>>,
    live: impl IntoIterator<Item = Candidate<'a>>,
    members: impl Fn(&WorkerId) -> Option<&'a Member>,
    most: usize,
    weighing: Weighing,
    balance: bool,
) -> Vec<Decision> {
    let leases: Vec<_> = leases.into_iter().collect();
    let live: Vec<_> = live.into_iter().collect();
    let known: Vec<f64> = leases.iter().filter_map(|lease| lease.throughput).collect();
    let total: f64 = known.iter().sum();
    if total <= 0.0 || live.is_empty() {
        return by_count(leases, live, most);
    }
    // What was never measured brings what the others bring.
    #[expect(clippy::cast_precision_loss, reason = "there are fewer leases than a float has digits")]
    let average = total / known.len() as f64;
    let mut fleet = Fleet::new(&leases, &live, members, average);
    let mut decisions = fleet.give_free(&leases, most);
    if balance && decisions.is_empty() {
        decisions = fleet.even_out(most, weighing);
    }
    decisions
}

/// The live workers, as they will be once everything is carried out that was decided.
struct Fleet<'a> {
    workers: BTreeMap<&'a WorkerId, Worker<'a>>,
    /// Their mean utilisation.
    mean: f64,
    /// What one unit of throughput adds to the utilisation of whoever gets it.
    weight: f64,
    average: f64,
}

struct Worker<'a> {
    quick: bool,
    utilisation: f64,
    /// The most that it accepts.
    limit: f64,
    leases: Vec<(&'a LeaseKey, f64, bool)>,
}

impl<'a> Fleet<'a> {
    fn new(
        leases: &[Load<'a>],
        live: &[Candidate<'a>],
        members: impl Fn(&WorkerId) -> Option<&'a Member>,
        average: f64,
    ) -> Self {
        let mut workers: BTreeMap<&WorkerId, Worker<'a>> = live
            .iter()
            .map(|c| {
                (c.worker, Worker { quick: c.quick, utilisation: 0.0, limit: f64::MAX, leases: Vec::new() })
            })
            .collect();
        for lease in leases {
            if let Some(worker) = lease.owner.and_then(|owner| workers.get_mut(owner)) {
                worker.leases.push((lease.key, lease.throughput.unwrap_or(average), lease.settled));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "there are fewer workers than a float has digits")]
        let count = workers.len() as f64;
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let share = (average * leases.len() as f64 / count).max(f64::MIN_POSITIVE);
        match common_metric(live, &members) {
            Some(metric) => {
                for (worker, state) in &mut workers {
                    if let Some((value, limit)) = members(worker).and_then(|member| lately(member, &metric)) {
                        (state.utilisation, state.limit) = (value, limit);
                    }
                }
            }
            None => {
                for state in workers.values_mut() {
                    state.utilisation = 100.0 * state.brings() / share;
                }
            }
        }
        let mean = workers.values().map(|worker| worker.utilisation).sum::<f64>() / count;
        Self { workers, mean, weight: mean / share, average }
    }

    /// Free leases go to whoever has most room below the mean.
    fn give_free(&mut self, leases: &[Load<'a>], most: usize) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for lease in leases.iter().filter(|lease| lease.owner.is_none()) {
            let brings = lease.throughput.unwrap_or(self.average);
            let room = |worker: &Worker<'_>| worker.leases.len() < most;
            let hurry = lease.urgent && self.workers.values().any(|worker| worker.quick && room(worker));
            let fitting = self.workers.iter_mut().filter(|(_, w)| room(w) && (!hurry || w.quick));
            let least = fitting.min_by(|(_, a), (_, b)| {
                a.utilisation.total_cmp(&b.utilisation).then(a.leases.len().cmp(&b.leases.len()))
            });
            let Some((to, worker)) = least else { break };
            worker.utilisation += brings * self.weight;
            worker.leases.push((lease.key, brings, false));
            decisions.push(Decision::Give { key: lease.key.clone(), to: (*to).clone() });
        }
        decisions
    }

    /// The busiest give some of what they have too much to those that stay below the mean with it.
    fn even_out(&mut self, most: usize, weighing: Weighing) -> Vec<Decision> {
        let Weighing { threshold, dampening, floor } = weighing;
        let (mean, weight) = (self.mean, self.weight);
        let over = |worker: &Worker<'_>| {
            let far = worker.utilisation > mean * (1.0 + threshold / 100.0);
            far && worker.utilisation - mean > floor || worker.utilisation > worker.limit
        };
        let mut donors: Vec<_> =
            self.workers.iter().filter(|(_, w)| over(w)).map(|(id, w)| (*id, w.utilisation)).collect();
        donors.sort_by(|a, b| b.1.total_cmp(&a.1));
        let names: BTreeSet<_> = donors.iter().map(|(id, _)| *id).collect();
        let mut decisions = Vec::new();
        for (from, utilisation) in donors {
            let donor = &self.workers[from];
            let excess = donor.brings() * (utilisation - mean) / utilisation;
            let mut movable: Vec<_> =
                donor.leases.iter().filter(|(_, _, settled)| *settled).copied().collect();
            movable.sort_by(|a, b| b.1.total_cmp(&a.1));
            // The smallest lease at least, if it is no more than what is too much.
            let smallest = movable.last().map_or(0.0, |(_, brings, _)| *brings);
            let mut left = excess * dampening / 100.0;
            if smallest <= excess {
                left = left.max(smallest);
            }
            for (key, brings, _) in movable {
                let adds = brings * weight;
                if brings <= 0.0 || brings > left {
                    continue;
                }
                let fits = |worker: &Worker<'_>| {
                    let then = worker.utilisation + adds;
                    worker.leases.len() < most && then <= mean && then <= worker.limit
                };
                let takers =
                    self.workers.iter_mut().filter(|(id, worker)| !names.contains(*id) && fits(worker));
                let Some((to, taker)) =
                    takers.min_by(|(_, a), (_, b)| a.utilisation.total_cmp(&b.utilisation))
                else {
                    continue;
                };
                taker.utilisation += adds;
                taker.leases.push((key, brings, false));
                let to = (*to).clone();
                if let Some(donor) = self.workers.get_mut(from) {
                    donor.utilisation -= adds;
                    donor.leases.retain(|(other, _, _)| *other != key);
                }
                left -= brings;
                decisions.push(Decision::Move { key: key.clone(), from: from.clone(), to });
            }
        }
        decisions
    }
}

impl Worker<'_> {
    fn brings(&self) -> f64 {
        self.leases.iter().map(|(_, brings, _)| brings).sum()
    }
}

/// The metric that every worker reports; of several, the one whose greatest value lies furthest above its mean.
fn common_metric<'a>(
    live: &[Candidate<'a>],
    members: &impl Fn(&WorkerId) -> Option<&'a Member>,
) -> Option<String> {
    let first = members(live.first()?.worker)?;
    let spread = |metric: &str| -> Option<f64> {
        let values: Option<Vec<_>> =
            live.iter().map(|c| Some(lately(members(c.worker)?, metric)?.0)).collect();
        let values = values?;
        #[expect(clippy::cast_precision_loss, reason = "there are fewer workers than a float has digits")]
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Some(values.iter().copied().fold(0.0, f64::max) - mean)
    };
    let shared = first.metrics.keys().filter_map(|metric| Some((metric, spread(metric)?)));
    shared.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(metric, _)| metric.clone())
}

/// The average of a metric's samples, newer ones weighing more, and the most that is acceptable. Samples that could not be
/// taken do not count. The KCL's `workerMetricsEMAAlpha` is 0.5 as well.
fn lately(member: &Member, metric: &str) -> Option<(f64, f64)> {
    let metric = member.metrics.get(metric)?;
    let taken = metric.samples.iter().copied().filter(|sample| *sample >= 0.0);
    let value = taken.reduce(|before, sample| (before + sample) / 2.0)?;
    Some((value, metric.limit.filter(|limit| *limit > 0.0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardflow_core::{ShardId, Utilisation};

    /// Leases 0, 1, 2, …: `owner=throughput`, `owner=throughput!` if it has just come there, `-=throughput` if it is free.
    fn decided(leases: &str, workers: &[(&str, Option<f64>)], balance: bool) -> Vec<String> {
        let keys: Vec<_> = (0..99).map(|n| LeaseKey::from(&ShardId::numbered(n))).collect();
        let parsed: Vec<(Option<WorkerId>, f64, bool)> = leases
            .split_whitespace()
            .map(|text| {
                let (owner, brings) = text.split_once('=').unwrap();
                let owner = (owner != "-").then(|| owner.parse().unwrap());
                (owner, brings.trim_end_matches('!').parse().unwrap(), !brings.ends_with('!'))
            })
            .collect();
        let loads = parsed.iter().zip(&keys).map(|((owner, brings, settled), key)| Load {
            key,
            owner: owner.as_ref(),
            settled: *settled,
            urgent: false,
            throughput: Some(*brings),
        });
        let members: BTreeMap<WorkerId, Member> = workers
            .iter()
            .map(|(name, cpu)| {
                let mut member = Member::new(name.parse().unwrap(), 1);
                if let Some(cpu) = cpu {
                    let samples = Utilisation::new(vec![-1.0, *cpu, *cpu], Some(80.0));
                    member.metrics.insert("C".into(), samples);
                }
                (member.worker.clone(), member)
            })
            .collect();
        let live = members.keys().map(|worker| Candidate { worker, quick: true });
        let decisions = by_utilisation(loads, live, |id| members.get(id), 99, Weighing::default(), balance);
        let number = |key: &LeaseKey| keys.iter().position(|k| k == key).unwrap();
        let text = |decision| match decision {
            Decision::Give { key, to } => format!("{}>{to}", number(&key)),
            Decision::Move { key, from, to } => format!("{from}:{}>{to}", number(&key)),
        };
        decisions.into_iter().map(text).collect()
    }

    #[test]
    fn free_leases_go_to_whoever_is_least_busy() {
        assert_eq!(decided("a=50 b=10 -=10 -=30", &[("a", None), ("b", None)], false), ["2>b", "3>b"]);
        let busy = [("a", Some(20.0)), ("b", Some(60.0))];
        assert_eq!(decided("a=10 b=10 -=10", &busy, false), ["2>a"], "by what it says of itself");
    }

    #[test]
    fn where_nothing_brings_anything_leases_are_counted() {
        let workers = [("a", None), ("b", None), ("c", None), ("d", None), ("e", None)];
        let free = "-=0 ".repeat(10);
        let given = decided(&free, &workers, true);
        for worker in ["a", "b", "c", "d", "e"] {
            assert_eq!(given.iter().filter(|text| text.ends_with(worker)).count(), 2, "{given:?}");
        }
    }

    #[test]
    fn the_busiest_gives_away_most_of_what_it_has_too_much_and_no_more() {
        let workers = [("a", None), ("b", None)];
        assert_eq!(decided("a=10 a=10 a=10 a=10 b=10", &workers, true), ["a:0>b"]);
        assert_eq!(decided("a=10 a=10 a=10 a=10 b=10", &workers, false), [""; 0], "not its time");
        assert_eq!(decided("a=40 b=10", &workers, true), [""; 0], "one lease cannot be parted");
        assert_eq!(decided("a=10! a=10! a=10! a=10! b=10", &workers, true), [""; 0], "they came just now");
    }

    #[test]
    fn a_difference_that_is_noise_moves_nothing() {
        let leases = "a=10 a=10 a=10 b=10 b=10 b=10";
        assert_eq!(
            decided(leases, &[("a", Some(3.0)), ("b", Some(1.0))], true),
            [""; 0],
            "two points of CPU"
        );
        assert_eq!(decided(leases, &[("a", Some(52.0)), ("b", Some(48.0))], true), [""; 0], "less than 10 %");
        assert_eq!(decided(leases, &[("a", Some(70.0)), ("b", Some(20.0))], true).len(), 1);
    }

    #[test]
    fn a_fleet_comes_to_rest() {
        // Carried out with the utilisation that follows, again and again.
        let mut owners = ["a"; 12];
        let brings = [9.0, 8.0, 7.0, 7.0, 6.0, 5.0, 5.0, 4.0, 3.0, 3.0, 2.0, 1.0];
        let mut moves = Vec::new();
        for _ in 0..20 {
            let leases: Vec<_> = owners.iter().zip(brings).map(|(o, b)| format!("{o}={b}")).collect();
            let decisions = decided(&leases.join(" "), &[("a", None), ("b", None), ("c", None)], true);
            moves.push(decisions.len());
            for decision in decisions {
                let (lease, to) = decision.split_once(':').unwrap().1.split_once('>').unwrap();
                owners[lease.parse::<usize>().unwrap()] =
                    ["a", "b", "c"].into_iter().find(|w| *w == to).unwrap();
            }
        }
        assert_eq!(moves.iter().rev().take(14).sum::<usize>(), 0, "{moves:?}");
        let load =
            |worker| owners.iter().zip(brings).filter(|(o, _)| **o == worker).map(|(_, b)| b).sum::<f64>();
        for worker in ["a", "b", "c"] {
            assert!((15.0..=25.0).contains(&load(worker)), "{owners:?}");
        }
    }
}
