//! Who put what, who got what, and whether that is all.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shardflow_consumer::{ShardId, UserRecord};
use shardflow_producer::{Receipt, RecordError, SequenceNumber};
use tokio::sync::watch;

use crate::events::Replayed;

/// The books of one run. Cheap to clone: all clones are one.
#[derive(Clone, Debug)]
pub struct Account {
    run: Arc<str>,
    total: u64,
    books: Arc<Mutex<Books>>,
    /// How many different events have been processed.
    processed: watch::Sender<u64>,
    begun: watch::Sender<Begun>,
}

/// Who has begun a shard, and which shards have been begun.
#[derive(Clone, Debug, Default)]
struct Begun {
    workers: BTreeSet<&'static str>,
    shards: BTreeSet<ShardId>,
}

/// What is written down.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// By shard.
    pub shards: BTreeMap<ShardId, ShardBook>,
    /// By worker.
    pub workers: BTreeMap<&'static str, WorkerBook>,
    /// Events that the producer has settled as delivered.
    pub delivered: u64,
    /// Errors of those that it has not.
    pub undelivered: Vec<String>,
    /// Events that came more than once, counted each time but the first.
    pub repeats: u64,
    /// Events that came before an earlier one of their key.
    pub out_of_order: Vec<String>,
    /// What else had to happen and has not, in words.
    pub wanting: Vec<String>,
    arrived: HashSet<u64>,
    newest: BTreeMap<String, u64>,
    in_order: HashSet<u64>,
}

/// What is known of a shard.
#[derive(Clone, Debug, Default)]
pub struct ShardBook {
    /// Events put into it.
    pub put: u64,
    /// The Kinesis records that carry them.
    pub kinesis_records: BTreeSet<SequenceNumber>,
    /// Events processed.
    pub processed: u64,
    /// Who had it, in turn.
    pub workers: Vec<&'static str>,
}

/// What is known of a worker.
#[derive(Clone, Debug, Default)]
pub struct WorkerBook {
    /// Shards that it has had.
    pub shards: BTreeSet<ShardId>,
    /// Events processed.
    pub processed: u64,
    /// Of these, events that had been processed before.
    pub repeats: u64,
}

impl Account {
    /// Books for so many events of a run.
    #[must_use]
    pub fn new(run: impl Into<Arc<str>>, total: u64) -> Self {
        Self {
            run: run.into(),
            total,
            books: Arc::default(),
            processed: watch::Sender::new(0),
            begun: watch::Sender::default(),
        }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How many events there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The producer has delivered an event.
    pub fn delivered(&self, receipt: Receipt) {
        let mut books = self.lock();
        books.delivered += 1;
        let shard = books.shards.entry(receipt.shard_id).or_default();
        shard.put += 1;
        shard.kinesis_records.insert(receipt.sequence_number);
    }

    /// The producer could not deliver an event.
    pub fn undelivered(&self, error: &RecordError) {
        self.lock().undelivered.push(error.to_string());
    }

    /// A worker begins a shard.
    pub fn begun(&self, worker: &'static str, shard: &ShardId) {
        let mut books = self.lock();
        books.workers.entry(worker).or_default().shards.insert(shard.clone());
        let workers = &mut books.shards.entry(shard.clone()).or_default().workers;
        if workers.last() != Some(&worker) {
            workers.push(worker);
        }
        self.begun.send_modify(|begun| {
            begun.workers.insert(worker);
            begun.shards.insert(shard.clone());
        });
    }

    /// Waits until so many workers have begun a shard. Cancel safe.
    pub async fn shared_by(&self, workers: usize) {
        let mut begun = self.begun.subscribe();
        // The sender is this account's own, so that it cannot be gone.
        let _shared = begun.wait_for(|begun| begun.workers.len() >= workers).await.is_ok();
    }

    /// Waits until workers have begun all of these shards. Cancel safe.
    pub async fn all_begun(&self, shards: &BTreeSet<ShardId>) {
        let mut begun = self.begun.subscribe();
        // As above.
        let _begun = begun.wait_for(|begun| begun.shards.is_superset(shards)).await.is_ok();
    }

    /// Something else than the way of the events had to happen and has not.
    pub fn wanting(&self, what: impl Into<String>) {
        self.lock().wanting.push(what.into());
    }

    /// A worker processes a record.
    pub fn processed(&self, worker: &'static str, shard: &ShardId, record: &UserRecord) {
        // Whatever else lies in the stream is not ours.
        let Ok(Replayed { run, number, .. }) = serde_json::from_slice(&record.data) else { return };
        if run != &*self.run {
            return;
        }
        let mut books = self.lock();
        let books = &mut *books;
        let repeats = u64::from(!books.arrived.insert(number));
        books.repeats += repeats;
        books.shards.entry(shard.clone()).or_default().processed += 1;
        let of_worker = books.workers.entry(worker).or_default();
        of_worker.processed += 1;
        of_worker.repeats += repeats;
        // Order counts where an event first comes in a shard that its key belongs to.
        if !record.out_of_range && books.in_order.insert(number) {
            let key = record.partition_key.as_ref().map(ToString::to_string).unwrap_or_default();
            let newest = books.newest.entry(key.clone()).or_insert(number);
            if *newest > number {
                books.out_of_order.push(format!("{key}: {number} behind {newest}"));
            }
            *newest = (*newest).max(number);
        }
        self.processed.send_replace(books.arrived.len() as u64);
    }

    /// How many different events have been processed, now and later.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.processed.subscribe()
    }

    /// Waits until a part of all events has been processed. Cancel safe.
    pub async fn reaches(&self, part: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a count that is far below 2^52"
        )]
        let enough = (self.total as f64 * part).ceil() as u64;
        let mut progress = self.progress();
        // The sender is this account's own, so that it cannot be gone.
        let _reached = progress.wait_for(|processed| *processed >= enough).await.is_ok();
    }

    /// The books as they are.
    #[must_use]
    pub fn books(&self) -> Books {
        self.lock().clone()
    }

    /// Whether every event has come, in order, and all else has happened that had to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let books = self.lock();
        let missing = (0..self.total).filter(|number| !books.arrived.contains(number)).collect();
        Verdict {
            total: self.total,
            missing,
            undelivered: books.undelivered.clone(),
            out_of_order: books.out_of_order.clone(),
            wanting: books.wanting.clone(),
            repeats: books.repeats,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        // Counters; a panic of a handler leaves none half written.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the books come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    total: u64,
    missing: Vec<u64>,
    undelivered: Vec<String>,
    out_of_order: Vec<String>,
    wanting: Vec<String>,
    repeats: u64,
}

impl Verdict {
    /// Whether nothing is missing and everything came in order; and whether it was shown what was to be shown.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.missing.is_empty()
            && self.undelivered.is_empty()
            && self.out_of_order.is_empty()
            && self.wanting.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, missing, undelivered, out_of_order, wanting, repeats } = self;
        if self.is_good() {
            write!(
                f,
                "Verified: all {total} events arrived, in order per key; {repeats} came more than once."
            )
        } else {
            let (lost, failed, jumped) = (missing.len(), undelivered.len(), out_of_order.len());
            writeln!(
                f,
                "NOT verified: of {total} events {lost} are missing, {failed} were given back undelivered,"
            )?;
            write!(f, "{jumped} came out of order; {repeats} came more than once.")?;
            let first = [missing.first().map(ToString::to_string)];
            let examples = first.into_iter().flatten().chain(undelivered.first().cloned());
            for example in examples.chain(out_of_order.first().cloned()) {
                write!(f, "\n  for example {example}")?;
            }
            for what in wanting {
                write!(f, "\n  {what}")?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;
    use std::time::SystemTime;

    /// A record of the first event, as if it were another one by number.
    fn record(run: &str, number: u64) -> UserRecord {
        let event = &events::all().unwrap()[0];
        UserRecord::alone(shardflow_core::KinesisRecord {
            sequence_number: number.to_string().parse().unwrap(),
            partition_key: Some(event.cell.parse().unwrap()),
            data: event.replayed(run, number).unwrap().into(),
            approximate_arrival: Some(SystemTime::UNIX_EPOCH),
        })
    }

    fn account(numbers: &[u64]) -> Account {
        let account = Account::new("r", 3);
        for &number in numbers {
            account.processed("w", &"shardId-000000000000".parse().unwrap(), &record("r", number));
        }
        account
    }

    #[test]
    fn what_arrived_in_order_is_good_however_often() {
        let verdict = account(&[0, 1, 0, 1, 2]).verdict();
        assert!(verdict.is_good());
        assert_eq!(
            verdict.to_string(),
            "Verified: all 3 events arrived, in order per key; 2 came more than once."
        );
    }

    #[test]
    fn what_is_missing_or_out_of_order_is_not() {
        let verdict = account(&[0, 2, 1]).verdict();
        assert!(!verdict.is_good() && verdict.to_string().contains("1 came out of order"), "{verdict}");
        let verdict = account(&[0, 2]).verdict();
        assert!(!verdict.is_good() && verdict.to_string().contains("1 are missing"), "{verdict}");
    }

    #[test]
    fn a_run_that_did_not_show_everything_is_not_good() {
        let account = account(&[0, 1, 2]);
        account.wanting("worker-2 had no shard.");
        let verdict = account.verdict();
        assert!(!verdict.is_good());
        assert!(verdict.to_string().ends_with("\n  worker-2 had no shard."), "{verdict}");
    }

    #[tokio::test]
    async fn workers_and_shards_that_have_begun_are_waited_for() {
        let account = Account::new("r", 3);
        let [first, second]: [ShardId; 2] =
            ["shardId-000000000001", "shardId-000000000002"].map(|id| id.parse().unwrap());
        let both = BTreeSet::from([first.clone(), second.clone()]);
        account.begun("worker-1", &first);
        let (shared, begun) = (account.shared_by(2), account.all_begun(&both));
        let wait = async { tokio::join!(shared, begun) };
        let begin = async { account.begun("worker-2", &second) };
        tokio::join!(biased; wait, begin);
    }

    #[test]
    fn a_copy_out_of_its_shards_range_says_nothing_of_order() {
        let account = account(&[0]);
        let mut copy = record("r", 2);
        copy.out_of_range = true;
        let shard = "shardId-000000000001".parse().unwrap();
        account.processed("w", &shard, &copy);
        account.processed("w", &shard, &record("r", 1));
        account.processed("w", &shard, &record("r", 2));
        assert!(account.verdict().is_good(), "{}", account.verdict());
    }

    #[test]
    fn records_of_others_do_not_count() {
        let account = account(&[]);
        account.processed("w", &"shardId-000000000000".parse().unwrap(), &record("other", 0));
        assert!(account.books().workers.is_empty());
    }
}
