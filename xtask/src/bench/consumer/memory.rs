//! Resident memory of a worker.

use std::time::Duration;

use super::bench::Bench;
use super::figure::Figure;
use super::fleet::Fleet;

/// Time until what the start took is given back.
const SETTLES: Duration = Duration::from_secs(15);

pub(super) fn idle(bench: &Bench, shards: u32) -> Result<Vec<Figure>, String> {
    let figure = measure(&mut Fleet::new(bench, shards)?, format!("rss/{shards}"))?;
    Ok(vec![if shards == 64 { figure.at_most(40.0) } else { figure }])
}

/// Ten records of 1,000 bytes a second for each shard.
pub(super) fn busy(bench: &Bench, shards: u32) -> Result<Vec<Figure>, String> {
    let mut fleet = Fleet::new(bench, shards)?;
    fleet.feed(100, 1_000)?;
    Ok(vec![measure(&mut fleet, format!("rss/{shards}-busy"))?])
}

fn measure(fleet: &mut Fleet<'_>, case: String) -> Result<Figure, String> {
    let (worker, _) = fleet.join()?;
    fleet.balance()?;
    fleet.listen(SETTLES);
    let path = format!("/proc/{}/status", fleet.process(worker));
    let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let number = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let kibibytes = |name| number(name).ok_or_else(|| format!("{path} has no {name}"));
    Ok(Figure::new(case, kibibytes("VmRSS:")? / 1024.0, "MiB")
        .with("peak", kibibytes("VmHWM:")? / 1024.0)
        .with("threads", number("Threads:").unwrap_or(f64::NAN)))
}
