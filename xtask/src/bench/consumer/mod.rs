//! What the consumer costs and how soon it does what: each case starts a service of ours and workers, all in processes of
//! their own on this machine.

mod bench;
mod calls;
mod cost;
mod figure;
mod fleet;
mod memory;
mod moves;
mod service;

use clap::Args;

use self::bench::Bench;
use self::figure::Figure;
use super::note;

/// How the consumer is measured.
#[derive(Debug, Args)]
pub(crate) struct Consumer {
    /// One JSON object a figure, instead of a table
    #[arg(long)]
    json: bool,
    /// A case such as rss/64, or a group of them such as rss; can be given several times. Without it: all
    #[arg(long = "case", value_name = "CASE", value_parser = known)]
    cases: Vec<String>,
    /// Runs of the cases that measure CPU time; figures are medians
    #[arg(long, default_value_t = 3, value_name = "N")]
    runs: usize,
    /// Leave the KCL for Java out
    #[arg(long)]
    no_kcl: bool,
}

type Measure = fn(&Bench) -> Result<Vec<Figure>, String>;

/// Every case, in the order in which they are measured.
const CASES: &[(&str, Measure)] = &[
    ("cpu/aggregated-100B", cost::aggregated),
    ("rss/4", |bench| memory::idle(bench, 4)),
    ("rss/64", |bench| memory::idle(bench, 64)),
    ("rss/1000", |bench| memory::idle(bench, 1_000)),
    ("rss/64-busy", |bench| memory::busy(bench, 64)),
    ("dynamodb/64-idle", |bench| calls::idle(bench, 1)),
    ("dynamodb/64-busy", calls::busy),
    ("dynamodb/64-idle-4-workers", |bench| calls::idle(bench, 4)),
    ("start/first-record-new", moves::start_anew),
    ("start/first-record-existing-table", moves::start_again),
    ("start/new-worker-id-after-kill", moves::start_after_kill),
    ("failover/killed-worker", moves::failover),
    ("rebalance/join-64", moves::join),
    ("deploy/gap", moves::deploy),
];

fn known(name: &str) -> Result<String, String> {
    if CASES.iter().any(|(case, _)| belongs(case, name)) {
        return Ok(name.to_owned());
    }
    let all: Vec<_> = CASES.iter().map(|(case, _)| *case).collect();
    Err(format!("there are {}", all.join(", ")))
}

/// Whether a case is meant by a name: its own, or its group's.
fn belongs(case: &str, name: &str) -> bool {
    case.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn run(arguments: &Consumer) -> Result<(), String> {
    let bench = Bench::prepare(arguments.runs.max(1), !arguments.no_kcl)?;
    let wanted =
        |case: &str| arguments.cases.is_empty() || arguments.cases.iter().any(|name| belongs(case, name));
    for (case, measure) in CASES.iter().filter(|(case, _)| wanted(case)) {
        for figure in measure(&bench).map_err(|error| format!("{case}: {error}"))? {
            crate::run::say(&if arguments.json { figure.to_json().to_string() } else { figure.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_means_its_cases() {
        assert!(belongs("rss/64", "rss") && belongs("rss/64", "rss/64"));
        assert!(!belongs("rss/64", "rss/6") && !belongs("rss/64-busy", "rss/64"));
        assert!(known("deploy").is_ok() && known("dynamodb/64-busy").is_ok());
        assert!(known("rss/5").unwrap_err().contains("rss/4, rss/64"));
    }
}
