//! Runs simulated worlds: `cargo run -p shardflow-tests --bin sim -- --seeds 1000`.
#![expect(clippy::print_stdout, reason = "this is what the command is for")]

use std::process::ExitCode;

use clap::Parser;
use shardflow_tests::sim;

/// Runs simulated worlds under faults and checks every promise.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many worlds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first world's seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run one world only
    #[arg(long, value_name = "SEED")]
    reproduce: Option<u64>,
    /// Print the way of one key's records, such as 0-7: the producer's number and the key's
    #[arg(long, value_name = "KEY", requires = "reproduce", value_parser = key)]
    key: Option<(u16, u16)>,
}

fn key(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| text.parse().map_err(|error| format!("{error}"));
    let (producer, key) = text.split_once('-').ok_or("it is two numbers, as in 0-7")?;
    Ok((number(producer)?, number(key)?))
}

fn main() -> ExitCode {
    let Arguments { seeds, from, reproduce, key } = Arguments::parse();
    let (first, count) = reproduce.map_or((from, seeds), |seed| (seed, 1));
    let worlds = first..first.saturating_add(count);
    let (mut good, mut bad, mut all) = (0_u64, 0_u64, sim::Outcome::default());
    for seed in worlds {
        match sim::run_traced(seed, key) {
            Ok(outcome) => {
                good += 1;
                all.put += outcome.put;
                all.delivered += outcome.delivered;
                all.repeated += outcome.repeated;
                all.losses += outcome.losses;
                all.shards += outcome.shards;
                all.steps += outcome.steps;
                all.time += outcome.time;
            }
            Err(broken) => {
                bad += 1;
                println!("{broken}\n  --reproduce {seed}");
            }
        }
    }
    println!(
        "{good} worlds held, {bad} broke a promise: {} records put, {} delivered, {} processed again, {} leases lost, \
         {} shards, {} steps, {:.1} simulated hours",
        all.put,
        all.delivered,
        all.repeated,
        all.losses,
        all.shards,
        all.steps,
        all.time.as_secs_f64() / 3600.0
    );
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
