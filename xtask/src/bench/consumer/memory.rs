//! Resident memory of a worker.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::bench::{Bench, Running};
use super::figure::Figure;
use super::fleet::Fleet;
use super::service::Service;
use crate::run::lines;

/// Time until what the start took is given back.
const SETTLES: Duration = Duration::from_secs(15);

pub(super) fn idle(bench: &Bench, shards: u32) -> Result<Vec<Figure>, String> {
    let figure = measure(&mut Fleet::new(bench, shards)?, format!("rss/{shards}"))?;
    if shards != 64 {
        return Ok(vec![figure]);
    }
    Ok([figure.at_most(40.0)].into_iter().chain(of_java(bench, shards)?).collect())
}

/// The same of the KCL for Java, if it is there. A new application of it takes minutes until it has all leases.
fn of_java(bench: &Bench, shards: u32) -> Result<Option<Figure>, String> {
    const STARTS: Duration = Duration::from_secs(300);
    let service = Service::start(shards, &[])?;
    let words = ["--endpoint", &service.endpoint, "--stream", "bench", "--application", "java"];
    let Some(mut command) = bench.kcl(&words) else { return Ok(None) };
    let mut running = Running::start(&mut command)?;
    let (tell, told) = sync_channel(shards as usize);
    let output = lines(&mut running.child).filter(|line| line.starts_with("began "));
    // It ends with the process.
    std::thread::spawn(move || output.map(|line| tell.send(line)).all(|sent| sent.is_ok()));
    let end = Instant::now() + STARTS;
    for held in 0..shards {
        let begun = told.recv_timeout(end.saturating_duration_since(Instant::now()));
        begun.map_err(|_| format!("the KCL for Java has {held} of {shards} leases after {STARTS:?}"))?;
    }
    // Nothing more comes.
    let _silence = told.recv_timeout(SETTLES).is_err();
    resident(running.child.id(), format!("rss/{shards}/kcl-java")).map(Some)
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
    resident(fleet.process(worker), case)
}

fn resident(process: u32, case: String) -> Result<Figure, String> {
    let path = format!("/proc/{process}/status");
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
