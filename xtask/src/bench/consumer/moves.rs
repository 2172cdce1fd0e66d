//! How soon shards are read: after a start, after a worker's death, and while the fleet changes.

use std::time::{Duration, Instant};

use super::bench::Bench;
use super::figure::Figure;
use super::fleet::{Account, Fleet};
use super::note;

const SHARDS: u32 = 4;
/// The default.
const FAILOVER: f64 = 10.0;
const PATIENCE: Duration = Duration::from_secs(60);

/// A new application.
pub(super) fn start_anew(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut fleet = Fleet::new(bench, SHARDS)?;
    fleet.feed(200, 100)?;
    let (worker, start) = fleet.join()?;
    let first = fleet.until(PATIENCE, |account| shards_of(account, worker, start) > 0)?;
    let all = fleet.until(PATIENCE, |account| shards_of(account, worker, start) == SHARDS as usize)?;
    Ok(vec![
        figure("start/first-record-new", first - start).at_most(1.0).with("all_shards", seconds(all - start)),
    ])
}

/// An application whose last worker stopped in good order.
pub(super) fn start_again(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut fleet = Fleet::new(bench, SHARDS)?;
    fleet.feed(200, 100)?;
    let (former, start) = fleet.join()?;
    fleet.until(PATIENCE, |account| shards_of(account, former, start) == SHARDS as usize)?;
    fleet.stop(former);
    fleet.stopped(former)?;
    let (worker, start) = fleet.join()?;
    let first = fleet.until(PATIENCE, |account| shards_of(account, worker, start) > 0)?;
    let all = fleet.until(PATIENCE, |account| shards_of(account, worker, start) == SHARDS as usize)?;
    let figure = figure("start/first-record-existing-table", first - start);
    Ok(vec![figure.at_most(1.0).with("all_shards", seconds(all - start))])
}

/// An application whose only worker was killed, and comes back under another name.
pub(super) fn start_after_kill(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut fleet = Fleet::new(bench, SHARDS)?;
    fleet.feed(200, 100)?;
    let (former, start) = fleet.join()?;
    fleet.until(PATIENCE, |account| shards_of(account, former, start) == SHARDS as usize)?;
    fleet.listen(Duration::from_secs(2));
    fleet.kill(former);
    let (worker, start) = fleet.join()?;
    let first = fleet.until(PATIENCE, |account| shards_of(account, worker, start) > 0)?;
    let all = fleet.until(PATIENCE, |account| shards_of(account, worker, start) == SHARDS as usize)?;
    let figure = figure("start/new-worker-id-after-kill", first - start);
    Ok(vec![figure.at_most(FAILOVER + 5.0).with("all_shards", seconds(all - start))])
}

/// One of two workers is killed: the second to come, which follows, and the first, which leads.
pub(super) fn failover(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    for (victim, name) in [(1, "follower"), (0, "leader")] {
        let mut fleet = Fleet::new(bench, SHARDS)?;
        fleet.feed(200, 100)?;
        fleet.join()?;
        fleet.balance()?;
        fleet.join()?;
        fleet.balance()?;
        fleet.listen(Duration::from_secs(5));
        let lost: Vec<_> = fleet.account.held[&victim].iter().cloned().collect();
        let killed = fleet.kill(victim);
        let read = |account: &Account| {
            let newest = lost.iter().filter_map(|shard| account.newest.get(shard));
            newest.filter(|(by, at)| *by != victim && *at > killed).count()
        };
        let first = fleet.until(PATIENCE, |account| read(account) > 0)?;
        let all = fleet.until(PATIENCE, |account| read(account) == lost.len())?;
        note(&format!("failover/killed-worker: {} shards of the {name}", lost.len()));
        let figure = figure(&format!("failover/killed-worker/{name}"), all - killed).at_most(FAILOVER + 5.0);
        figures.push(figure.with("first_shard", seconds(first - killed)).with("shards", lost.len()));
    }
    Ok(figures)
}

/// A second worker joins one that has 64 leases, while records flow.
pub(super) fn join(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut fleet = Fleet::new(bench, 64)?;
    fleet.feed(1_000, 100)?;
    fleet.join()?;
    fleet.balance()?;
    fleet.listen(Duration::from_secs(5));
    let (_, start) = fleet.join()?;
    let even = fleet.balance()?;
    fleet.listen(Duration::from_secs(10));
    let repeats = fleet.account.repeats;
    // Still so afterwards: at rest.
    let again = fleet.balance()?;
    let rests = again <= even + Duration::from_secs(11);
    let figure = figure("rebalance/join-64", even - start).at_most(15.0);
    Ok(vec![figure.with("repeats", repeats).with("at_rest_10_s_later", rests)])
}

/// A worker is replaced while records flow: the new one comes, has its share, and the old one is stopped.
pub(super) fn deploy(bench: &Bench) -> Result<Vec<Figure>, String> {
    const SHARDS: u32 = 64;
    let mut fleet = Fleet::new(bench, SHARDS)?;
    fleet.feed(100, 100)?;
    let (old, _) = fleet.join()?;
    fleet.balance()?;
    fleet.listen(Duration::from_secs(10));
    let at_start = std::mem::take(&mut fleet.account.repeats);
    let quiet = {
        fleet.account.gap = Duration::ZERO;
        fleet.listen(Duration::from_secs(5));
        std::mem::take(&mut fleet.account.gap)
    };
    let (new, start) = fleet.join()?;
    fleet.balance()?;
    let joined = std::mem::take(&mut fleet.account.gap);
    fleet.stop(old);
    fleet.until(PATIENCE, |account| account.held[&new].len() == SHARDS as usize)?;
    fleet.stopped(old)?;
    // Each shard is read once more, which ends its gap.
    let all = Instant::now();
    fleet.until(PATIENCE, |account| account.newest.values().all(|(by, at)| *by == new && *at > all))?;
    let left = fleet.account.gap;
    Ok(vec![
        figure("deploy/gap", joined.max(left))
            .at_most(2.0)
            .with("on_join", seconds(joined))
            .with("on_stop", seconds(left))
            .with("before", seconds(quiet))
            .with("took", seconds(start.elapsed())),
        Figure::new("deploy/repeats", fleet.account.repeats as f64, "records")
            .at_most(0.0)
            .with("at_start", at_start),
    ])
}

/// Shards of which a worker has read records since then.
fn shards_of(account: &Account, worker: usize, since: Instant) -> usize {
    account.newest.values().filter(|(by, at)| *by == worker && *at > since).count()
}

fn figure(case: &str, time: Duration) -> Figure {
    Figure::new(case, seconds(time), "s")
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
