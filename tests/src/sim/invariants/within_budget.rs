//! What workers ask of the lease table is bounded: in calm by what `docs/leases.md` says that a fleet costs, in trouble by a
//! rate that no worker passes however much fails.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct WithinBudget {
    /// When each worker has asked lately.
    lately: Vec<VecDeque<Duration>>,
    calm: Option<Calm>,
}

#[derive(Debug)]
struct Calm {
    since: Duration,
    workers: usize,
    shards: usize,
    leases: usize,
    looks: u64,
    renewals: u64,
    others: u64,
    /// What the others were.
    what: BTreeMap<&'static str, u64>,
}

impl WithinBudget {
    /// Time over which a rate is counted.
    const WINDOW: Duration = Duration::from_secs(10);
    /// Most requests of one worker to the table in that time: with two dozen shards, each of which is renewed, checkpointed
    /// after each batch, handed over and retried.
    const MOST: usize = 1_000;
}

impl Calm {
    /// The calls of a minute, by `docs/leases.md`: each worker looks once in a second at the most; each lease is renewed
    /// 7.8 s after it was proved last, and a little sooner where answers take long; and each worker says twice that it is
    /// there, and if it leads, six times that it does. Leases that nobody needs any more are deleted once.
    fn check(&self, now: Duration) -> Result<(), String> {
        let minutes = (now - self.since).as_secs_f64() / 60.0;
        let (workers, shards) = (count(self.workers), count(self.shards));
        for (what, asked, most) in [
            ("looks", self.looks, workers * (75.0 * minutes + 3.0)),
            ("renewals", self.renewals, shards * (9.0 * minutes + 2.0)),
            ("other requests", self.others, workers * (10.0 * minutes + 4.0) + count(self.leases)),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "there are not so many")]
            if asked as f64 > most {
                return Err(format!(
                    "{asked} {what} in {minutes:.1} calm minutes, where {most:.0} are enough; others: {:?}",
                    self.what
                ));
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are not so many")]
fn count(number: usize) -> f64 {
    number as f64
}

impl Invariant for WithinBudget {
    fn see(&mut self, now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            // A KCL renews more than twice as often, and is not ours to bound.
            Seen::Calm { java: true, .. } => {}
            Seen::Calm { workers, shards, leases, .. } => {
                let (workers, shards, leases) = (*workers, *shards, *leases);
                let what = BTreeMap::new();
                self.calm = Some(Calm {
                    since: now,
                    workers,
                    shards,
                    leases,
                    looks: 0,
                    renewals: 0,
                    others: 0,
                    what,
                });
            }
            Seen::Stirred => {
                if let Some(calm) = self.calm.take() {
                    return calm.check(now);
                }
            }
            Seen::Called { worker, what, of_table: true } => {
                if let Some(calm) = &mut self.calm {
                    match *what {
                        "look" | "index" | "get" => calm.looks += 1,
                        "renew" => calm.renewals += 1,
                        // As many as the application makes.
                        "checkpoint" => {}
                        other => {
                            calm.others += 1;
                            *calm.what.entry(other).or_default() += 1;
                        }
                    }
                }
                if self.lately.len() <= *worker {
                    self.lately.resize(worker + 1, VecDeque::new());
                }
                let lately = &mut self.lately[*worker];
                while lately.pop_front_if(|at| *at + Self::WINDOW < now).is_some() {}
                lately.push_back(now);
                if lately.len() > Self::MOST {
                    return Err(format!(
                        "worker {worker} has asked the table {} times within {:?}, at last for {what}",
                        lately.len(),
                        Self::WINDOW
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
