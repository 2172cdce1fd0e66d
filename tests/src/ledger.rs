//! A handler that writes down everything it is given.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use shardflow_consumer::{Batch, Checkpointer, RecordProcessor, ShardId, ShardInfo, Stop, Stream};

/// What the handlers of a test have seen, in the order in which they saw it.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Vec<Line>>>);

/// One thing that a handler was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// The worker, by the name that the test gave it.
    pub worker: &'static str,
    /// The stream, as it was given.
    pub stream: Stream,
    /// The shard.
    pub shard: ShardId,
    /// What.
    pub what: What,
}

/// What a handler can be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// It gets a shard.
    Began,
    /// It gets a record.
    Record {
        /// Its key.
        key: String,
        /// Its data as text.
        data: String,
    },
    /// It will get no more.
    Stopped(Stop),
}

impl Ledger {
    fn write(&self, worker: &'static str, stream: &Stream, shard: &ShardId, what: What) {
        let line = Line { worker, stream: stream.clone(), shard: shard.clone(), what };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// All lines.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The data of all records, in the order in which they came.
    #[must_use]
    pub fn records(&self) -> Vec<String> {
        let data = |line: Line| match line.what {
            What::Record { data, .. } => Some(data),
            What::Began | What::Stopped(_) => None,
        };
        self.lines().into_iter().filter_map(data).collect()
    }

    /// How often each record came.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for data in self.records() {
            *counts.entry(data).or_default() += 1;
        }
        counts
    }

    /// Why shards were given up, by worker.
    #[must_use]
    pub fn stops(&self, worker: &str) -> Vec<Stop> {
        let stop = |line: Line| match line.what {
            What::Stopped(stop) if line.worker == worker => Some(stop),
            _ => None,
        };
        self.lines().into_iter().filter_map(stop).collect()
    }

    /// Makes handlers that write into it and checkpoint every batch.
    pub fn writer(&self, worker: &'static str) -> impl Fn(&ShardInfo) -> Writer + Send + Sync + 'static {
        let ledger = self.clone();
        move |shard| Writer {
            ledger: ledger.clone(),
            worker,
            stream: shard.stream.clone(),
            shard: shard.shard_id.clone(),
        }
    }
}

/// Writes down what it gets, and checkpoints it.
#[derive(Debug)]
pub struct Writer {
    ledger: Ledger,
    worker: &'static str,
    stream: Stream,
    shard: ShardId,
}

impl Writer {
    /// Writes down records of its shard.
    pub fn note(&self, batch: &Batch) {
        for record in batch {
            let key = record.partition_key.as_ref().map(ToString::to_string).unwrap_or_default();
            let data = String::from_utf8_lossy(&record.data).into_owned();
            self.ledger.write(self.worker, &self.stream, &self.shard, What::Record { key, data });
        }
    }
}

impl RecordProcessor for Writer {
    type Error = Infallible;

    async fn initialize(&mut self, _shard: &ShardInfo) -> Result<(), Infallible> {
        self.ledger.write(self.worker, &self.stream, &self.shard, What::Began);
        Ok(())
    }

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), Infallible> {
        self.note(batch);
        // A lease that is lost is told by `stopping`; what was not stored comes again, and the test counts it.
        drop(checkpointer.batch(batch).await);
        Ok(())
    }

    async fn stopping(&mut self, why: Stop, _checkpointer: &Checkpointer) -> Result<(), Infallible> {
        self.ledger.write(self.worker, &self.stream, &self.shard, What::Stopped(why));
        Ok(())
    }
}
