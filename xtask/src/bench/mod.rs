//! `cargo xtask bench`: what Shardflow costs beside what it replaces.

mod case;
mod consumer;
mod measure;
mod programs;
mod report;
mod sink;
mod svg;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::case::Case;
pub(crate) use self::consumer::Consumer;
use self::measure::{Bench, Window};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Subject {
    /// The producer beside the KPL for Java, and beside the least that their work costs
    ///
    /// All of them send to a service of ours on this machine that keeps nothing. Costs are CPU time, which other load on
    /// the machine disturbs far less than throughput; still, measure on a quiet one. It takes some ten minutes.
    Producer(Producer),
    /// The consumer: its CPU time, memory and calls, and how soon shards are read after starts, crashes and deploys
    ///
    /// It reads from a service of ours on this machine, and each worker is a process. It takes some eight minutes.
    Consumer(Consumer),
}

/// How the producer is measured.
#[derive(Debug, Args)]
pub(crate) struct Producer {
    /// One JSON object a case, instead of a table
    #[arg(long)]
    json: bool,
    /// Runs of each program in each case; numbers are medians
    #[arg(long, default_value_t = 3, value_name = "N")]
    runs: usize,
    /// Seconds that a run is measured, after its warm-up
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Records that a run measures, instead of seconds
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    records: u64,
    /// A case such as 100B/16 (record size / shards), or one of: floor, threads, shards, metrics, linger; can be given several
    /// times. Without it: 100 and 1024 bytes, each with 1, 16 and 64 shards, and all of these
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Case>,
    /// Leave the KPL out
    #[arg(long)]
    no_kpl: bool,
    /// Also draw a chart
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Measures, and prints what came of it.
pub(crate) fn run(subject: &Subject) -> ExitCode {
    let measured = match subject {
        Subject::Producer(arguments) => producer(arguments),
        Subject::Consumer(arguments) => consumer::run(arguments),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn producer(arguments: &Producer) -> Result<(), String> {
    let cases = if arguments.cases.is_empty() { Case::usual() } else { arguments.cases.clone() };
    let window = Window { seconds: arguments.seconds, records: arguments.records };
    let bench = Bench::prepare(arguments.runs.max(1), window, !arguments.no_kpl)?;
    let mut measured = Vec::new();
    for case in &cases {
        for result in bench.measure(case)? {
            if arguments.json {
                crate::run::say(&result.to_json().to_string());
            }
            measured.push(result);
        }
    }
    if !arguments.json {
        crate::run::say(&report::table(&measured));
    }
    if let Some(file) = &arguments.svg {
        std::fs::write(file, svg::chart(&measured))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// Tells a person something while standard output is for results.
#[expect(clippy::print_stderr, reason = "progress of minutes is what a person wants to see")]
fn note(text: &str) {
    eprintln!("{text}");
}
