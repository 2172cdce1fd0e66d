//! Workers in processes of their own, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::bench::{Bench, Running};
use super::service::Service;
use crate::run::lines;

/// Workers of one application on one stream.
pub(super) struct Fleet<'a> {
    bench: &'a Bench,
    pub(super) service: Service,
    shards: u32,
    workers: Vec<Running>,
    feeds: Vec<Running>,
    tell: SyncSender<Said>,
    told: Receiver<Said>,
    pub(super) account: Account,
}

/// A line of a worker.
struct Said {
    worker: usize,
    at: Instant,
    line: String,
}

/// What became of the shards, as workers told.
#[derive(Default)]
pub(super) struct Account {
    /// The shards that each worker has.
    pub(super) held: BTreeMap<usize, BTreeSet<String>>,
    /// The newest batch of each shard, and by whom it was read.
    pub(super) newest: BTreeMap<String, (usize, Instant)>,
    /// The longest time without records of any shard, since it was last set to none.
    pub(super) gap: Duration,
    seen: BTreeMap<String, BTreeSet<u64>>,
    /// Records that came once more.
    pub(super) repeats: u64,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(bench: &'a Bench, shards: u32) -> Result<Self, String> {
        let service = Service::start(shards, &[])?;
        let (tell, told) = sync_channel(1 << 16);
        let (workers, feeds, account) = (Vec::new(), Vec::new(), Account::default());
        Ok(Self { bench, service, shards, workers, feeds, tell, told, account })
    }

    /// Starts one more worker. Gives its number, and when that was.
    pub(super) fn join(&mut self) -> Result<(usize, Instant), String> {
        let (number, start) = (self.workers.len(), Instant::now());
        let name = format!("worker-{number}");
        let words = [
            "work",
            "--endpoint",
            &self.service.endpoint,
            "--stream",
            "bench",
            "--table",
            "leases",
            "--tell",
        ];
        let mut worker = Running::start(self.bench.consumer(&words).args(["--name", &name]))?;
        let output = lines(&mut worker.child);
        let tell = self.tell.clone();
        std::thread::spawn(move || {
            for line in output {
                // When the fleet is gone, nobody listens any more.
                if tell.send(Said { worker: number, at: Instant::now(), line }).is_err() {
                    return;
                }
            }
        });
        self.workers.push(worker);
        self.account.held.insert(number, BTreeSet::new());
        Ok((number, start))
    }

    /// A record into each shard every so many milliseconds from now on.
    pub(super) fn feed(&mut self, every: u32, size: u32) -> Result<(), String> {
        let (shards, every, size) = (self.shards.to_string(), every.to_string(), size.to_string());
        let words = ["feed", "--endpoint", &self.service.endpoint, "--stream", "bench", "--shards", &shards];
        let mut feed =
            Running::start(self.bench.consumer(&words).args(["--every", &every, "--size", &size]))?;
        lines(&mut feed.child).next().ok_or("the feed does not start")?;
        self.feeds.push(feed);
        Ok(())
    }

    pub(super) fn process(&self, worker: usize) -> u32 {
        self.workers[worker].child.id()
    }

    pub(super) fn kill(&mut self, worker: usize) -> Instant {
        self.workers[worker].kill();
        self.account.held.remove(&worker);
        Instant::now()
    }

    /// Tells a worker to stop gracefully.
    pub(super) fn stop(&mut self, worker: usize) {
        self.workers[worker].end();
    }

    /// Waits until a worker that was told to stop has done so.
    pub(super) fn stopped(&mut self, worker: usize) -> Result<(), String> {
        self.workers[worker].ended(Duration::from_secs(60))?;
        self.account.held.remove(&worker);
        Ok(())
    }

    /// Waits until all shards are held, and each worker has as many as the others or one more.
    pub(super) fn balance(&mut self) -> Result<Instant, String> {
        let shards = self.shards as usize;
        self.until(Duration::from_secs(90), |account| account.is_even(shards))
    }

    /// Listens until the account is as it should be. Gives when it came to be so.
    pub(super) fn until(
        &mut self,
        within: Duration,
        good: impl Fn(&Account) -> bool,
    ) -> Result<Instant, String> {
        let end = Instant::now() + within;
        let mut at = Instant::now();
        while !good(&self.account) {
            at = self.next(end).ok_or_else(|| format!("not within {within:?}: {}", self.account.tell()))?;
        }
        Ok(at)
    }

    /// Listens for a while.
    pub(super) fn listen(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while self.next(end).is_some() {}
    }

    /// Takes the next line into the account. Gives when it was said.
    fn next(&mut self, end: Instant) -> Option<Instant> {
        match self.told.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Said { worker, at, line }) => {
                self.account.take(worker, at, &line);
                Some(at)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

impl Account {
    fn take(&mut self, worker: usize, at: Instant, line: &str) {
        let mut words = line.split(' ');
        let (Some(what), Some(shard)) = (words.next(), words.next()) else { return };
        match what {
            "began" => {
                // A worker that was killed may have left lines.
                if let Some(held) = self.held.get_mut(&worker) {
                    held.insert(shard.to_owned());
                }
            }
            "stopped" => {
                if let Some(held) = self.held.get_mut(&worker) {
                    held.remove(shard);
                }
            }
            "batch" => {
                let before = self.newest.insert(shard.to_owned(), (worker, at));
                if let Some((_, before)) = before {
                    self.gap = self.gap.max(at.saturating_duration_since(before));
                }
                let seen = self.seen.entry(shard.to_owned()).or_default();
                for number in words.filter_map(|word| word.parse().ok()) {
                    self.repeats += u64::from(!seen.insert(number));
                }
            }
            _ => {}
        }
    }

    fn is_even(&self, shards: usize) -> bool {
        let counts = || self.held.values().map(BTreeSet::len);
        let spread = counts().max().unwrap_or(0) - counts().min().unwrap_or(0);
        counts().sum::<usize>() == shards && spread <= 1
    }

    fn tell(&self) -> String {
        let held: Vec<_> =
            self.held.iter().map(|(worker, held)| format!("{worker} has {}", held.len())).collect();
        held.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_into_the_account() {
        let mut account = Account {
            held: BTreeMap::from([(0, BTreeSet::new()), (1, BTreeSet::new())]),
            ..Account::default()
        };
        let start = Instant::now();
        for (worker, line) in [(0, "began a"), (0, "began b"), (1, "began c"), (2, "began b")] {
            account.take(worker, start, line);
        }
        assert!(account.is_even(3) && !account.is_even(4));
        account.take(0, start, "stopped a Handoff");
        account.take(1, start, "began a");
        assert_eq!(account.held[&1].len(), 2);
        account.take(0, start, "batch b 0000000001 0000000002");
        account.take(1, start + Duration::from_secs(2), "batch b 0000000002 0000000003");
        assert_eq!((account.repeats, account.gap), (1, Duration::from_secs(2)));
    }
}
