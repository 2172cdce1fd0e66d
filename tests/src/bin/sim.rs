//! Runs simulated worlds: `cargo xtask sim --seeds 1000`. See `docs/testing.md`.
#![expect(clippy::print_stdout, reason = "this is what the command is for")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use serde_json::json;
use shardflow_tests::sim::{self, Coverage, Failed, Outcome, Subject};

/// Runs simulated worlds under faults and checks every promise.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many worlds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first world's seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print what they came to as JSON
    #[arg(long)]
    json: bool,
    /// Run one world only, and print the way of what its failure is about
    #[arg(long, value_name = "SEED")]
    reproduce: Option<u64>,
    /// Print the way of this instead: a lease, or a producer's number and its key's, such as 0-7
    #[arg(long, value_name = "LEASE|KEY", requires = "reproduce", value_parser = subject)]
    about: Option<Subject>,
}

fn subject(text: &str) -> Result<Subject, String> {
    let number = |text: &str| text.parse().map_err(|error| format!("{error}"));
    if let Ok(shard) = text.parse::<shardflow_core::ShardId>()
        && text.starts_with("shardId-")
    {
        return Ok(Subject::Lease((&shard).into()));
    }
    let (producer, key) = text.split_once('-').ok_or("it is a shard's id, or two numbers as in 0-7")?;
    Ok(Subject::Key(number(producer)?, number(key)?))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.reproduce {
        Some(seed) => reproduce(seed, arguments.about),
        None => all(&arguments),
    }
}

fn reproduce(seed: u64, about: Option<Subject>) -> ExitCode {
    let first = sim::run(seed);
    let found = first.as_ref().err().and_then(|failed| failed.broken.subject.clone());
    if let Some(about) = about.or(found) {
        println!("The way of {about}:");
        for line in sim::run_traced(seed, about).1 {
            println!("{line}");
        }
    }
    match first {
        Ok(outcome) => {
            println!(
                "Seed {seed} holds every promise, after {} steps and {:?}.",
                outcome.steps, outcome.time
            );
            ExitCode::SUCCESS
        }
        Err(failed) => {
            println!("{}", line(&failed));
            ExitCode::FAILURE
        }
    }
}

fn line(Failed { seed, at, broken, .. }: &Failed) -> String {
    format!("seed {seed} at {at:?}: {broken}\n  cargo xtask sim --reproduce {seed}")
}

/// What all worlds came to.
#[derive(Default)]
struct Sum {
    good: u64,
    all: Outcome,
    failed: Vec<Failed>,
}

impl Sum {
    fn add(&mut self, lived: Result<Outcome, Failed>) {
        match lived {
            Ok(outcome) => {
                self.good += 1;
                let all = &mut self.all;
                all.put += outcome.put;
                all.delivered += outcome.delivered;
                all.repeated += outcome.repeated;
                all.losses += outcome.losses;
                all.shards += outcome.shards;
                all.steps += outcome.steps;
                all.time += outcome.time;
                all.coverage.add(&outcome.coverage);
                // The same in whichever order they come.
                all.fingerprint = all.fingerprint.wrapping_add(outcome.fingerprint);
            }
            Err(failed) => self.failed.push(failed),
        }
    }
}

fn all(arguments: &Arguments) -> ExitCode {
    let (first, end) = (arguments.from, arguments.from.saturating_add(arguments.seeds));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let lived = sim::run(seed);
                    if let (Err(failed), false) = (&lived, arguments.json) {
                        println!("{}", line(failed));
                    }
                    if let Ok(mut sum) = sum.lock() {
                        sum.add(lived);
                    }
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap_or_default();
    sum.failed.sort_by_key(|failed| failed.seed);
    let took = began.elapsed().as_secs_f64();
    if arguments.json {
        println!("{:#}", as_json(&sum, took, cores));
    } else {
        print_tables(&sum.all.coverage);
        print_sum(&sum, took, cores);
    }
    if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_tables(coverage: &Coverage) {
    for (title, faults, situations) in Coverage::tables() {
        println!("{title}:");
        let first = faults.iter().map(|fault| fault.len()).max().unwrap_or_default();
        let head: Vec<_> = situations.iter().map(|s| format!("{s:>8}")).collect();
        println!("  {:first$}  {}", "", head.join("  "));
        for fault in faults {
            let counts = situations.iter().map(|situation| {
                let width = situation.len().max(8);
                format!("{:>width$}", coverage.count(fault, situation))
            });
            println!("  {fault:first$}  {}", counts.collect::<Vec<_>>().join("  "));
        }
        println!();
    }
    let never: Vec<_> = coverage.never().into_iter().map(|(fault, met)| format!("{fault} × {met}")).collect();
    if !never.is_empty() {
        println!("Never met: {}.\n", never.join(", "));
    }
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn print_sum(sum: &Sum, took: f64, cores: usize) {
    let Sum { good, all, failed } = sum;
    let hours = all.time.as_secs_f64() / 3600.0;
    println!(
        "{good} worlds held, {} broke a promise: {} records put, {} delivered, {} processed again, {} leases lost, {} shards, {} \
         steps.\n{:.1} worlds a second; {hours:.1} simulated fleet-hours, {:.2} in a second of one core. Fingerprint {:016x}.",
        failed.len(),
        all.put,
        all.delivered,
        all.repeated,
        all.losses,
        all.shards,
        all.steps,
        *good as f64 / took,
        hours / took / cores as f64,
        all.fingerprint,
    );
    for failed in failed {
        println!("{}", line(failed));
    }
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn as_json(sum: &Sum, took: f64, cores: usize) -> serde_json::Value {
    let Sum { good, all, failed } = sum;
    let hours = all.time.as_secs_f64() / 3600.0;
    let tables = Coverage::tables().into_iter().flat_map(|(_, faults, situations)| {
        faults.into_iter().flat_map(move |fault| situations.clone().into_iter().map(move |met| (fault, met)))
    });
    let pairs = tables
        .map(|(fault, met)| json!({ "fault": fault, "met": met, "times": all.coverage.count(fault, met) }));
    json!({
        "held": good,
        "broke": failed.iter().map(|failed| json!({
            "seed": failed.seed,
            "seconds": failed.at.as_secs_f64(),
            "promise": failed.broken.promise,
            "what": failed.broken.what,
            "reproduce": format!("cargo xtask sim --reproduce {}", failed.seed),
        })).collect::<Vec<_>>(),
        "put": all.put,
        "delivered": all.delivered,
        "processed_again": all.repeated,
        "leases_lost": all.losses,
        "steps": all.steps,
        "seconds": took,
        "worlds_per_second": *good as f64 / took,
        "fleet_hours": hours,
        "fleet_hours_per_core_second": hours / took / cores as f64,
        "fingerprint": format!("{:016x}", all.fingerprint),
        "coverage": pairs.collect::<Vec<_>>(),
    })
}
