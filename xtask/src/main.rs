//! The project's own commands: `cargo xtask test` runs everything that CI runs, `cargo xtask sim` runs worlds,
//! `cargo xtask known-bugs` puts bugs back for them to find, `cargo xtask bench` measures.
#![forbid(unsafe_code)]

mod bench;
mod report;
mod run;
mod steps;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The commands behind README and CI")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks format, lints, documentation and purity, and runs all tests
    Test {
        /// Fail where an optional tool is missing, instead of leaving its step out
        #[arg(long)]
        require_all: bool,
        /// Run only the steps whose name contains this
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Runs simulated worlds under faults and checks every promise: see docs/testing.md
    Sim {
        /// What the simulator is told: `--seeds N`, `--from S`, `--json`, `--reproduce SEED`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Puts bugs of other libraries back into the engine, one at a time, until a world breaks a promise: takes minutes
    KnownBugs,
    /// Measures Shardflow beside what it replaces
    Bench {
        #[command(subcommand)]
        subject: bench::Subject,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Test { require_all, only } => steps::test(require_all, only.as_deref()),
        Command::Sim { arguments } => steps::sim(&arguments),
        Command::KnownBugs => steps::known_bugs(),
        Command::Bench { subject } => bench::run(&subject),
    }
}
