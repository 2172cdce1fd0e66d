//! An application as tests run it: a stream, a lease table and workers in one process.

use std::time::Duration;

use shardflow_consumer::{
    Config, Consumer, DynamoDbLeases, LeaseRow, LeaseStore, LeaseThread, ShardId, StoreError, Streams,
    Worker, WorkerId,
};
use shardflow_core::Record;
use shardflow_local::{Config as LocalConfig, Local};
use tokio::time::{Instant, sleep};

use crate::clients::Place;
use crate::ledger::Ledger;

/// The stream `orders`, the lease table `billing`, and what its workers are given.
#[derive(Debug)]
pub struct Application {
    /// The service.
    pub local: Local,
    /// What the handlers of [`Application::worker`] have seen.
    pub ledger: Ledger,
}

impl Application {
    /// A stream of so many shards.
    ///
    /// # Panics
    ///
    /// When the service cannot start.
    #[must_use]
    pub fn new(shards: u32) -> Self {
        let local = Local::new(LocalConfig::default()).expect("a service starts");
        local.create_stream("orders", shards).expect("a stream is made");
        Self { local, ledger: Ledger::default() }
    }

    /// Its consumer, with the leases on the caller's clock.
    #[must_use]
    pub fn consumer(&self, config: Config) -> Consumer {
        self.consumer_with(self.leases(), config)
    }

    /// Its consumer with leases kept elsewhere.
    ///
    /// # Panics
    ///
    /// Never: the stream's name is one.
    #[must_use]
    pub fn consumer_with(&self, store: impl LeaseStore, config: Config) -> Consumer {
        let stream = "orders".parse().expect("a stream's name");
        let kinesis = Place::inside(&self.local).kinesis();
        Consumer::new(kinesis, store, stream, config.lease_thread(LeaseThread::Caller))
    }

    /// Starts a worker of that name on several streams, with the same leases, which writes into the ledger.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn worker_of(&self, streams: &Streams, name: &'static str, config: Config) -> Worker {
        let id: WorkerId = name.parse().expect("a worker's name");
        let config = config.worker_id(id).lease_thread(LeaseThread::Caller);
        let kinesis = Place::inside(&self.local).kinesis();
        let consumer = Consumer::streams(kinesis, self.leases(), streams.clone(), config);
        consumer.run(self.ledger.writer(name)).expect("a worker starts")
    }

    /// The lease table.
    ///
    /// # Panics
    ///
    /// Never: the table's name is one.
    #[must_use]
    pub fn leases(&self) -> DynamoDbLeases {
        DynamoDbLeases::new(Place::inside(&self.local).dynamodb(), "billing".parse().expect("a table's name"))
    }

    /// Starts a worker of that name which writes into the ledger.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn worker(&self, name: &'static str, config: Config) -> Worker {
        let id: WorkerId = name.parse().expect("a worker's name");
        let consumer = self.consumer(config.worker_id(id));
        consumer.run(self.ledger.writer(name)).expect("a worker starts")
    }

    /// Writes records whose data is their number in decimal, to the shards of 100 keys.
    ///
    /// # Panics
    ///
    /// When the service refuses one.
    pub fn put(&self, numbers: std::ops::Range<usize>) {
        self.put_to("orders", numbers);
    }

    /// The same, to another stream.
    ///
    /// # Panics
    ///
    /// When the service refuses one.
    pub fn put_to(&self, stream: &str, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let record = Record::new(format!("key-{}", number % 100), number.to_string()).expect("a record");
            self.local.put(stream, &record).expect("the record is taken");
        }
    }

    /// Waits until the ledger holds that many different records, for ten minutes at most.
    pub async fn processed(&self, count: usize) {
        until(|| self.ledger.counts().len() >= count).await;
    }

    /// The rows of the lease table, by shard; none before a worker has made it.
    ///
    /// # Panics
    ///
    /// When the table cannot be read.
    pub async fn rows(&self) -> Vec<LeaseRow> {
        let mut rows = match self.leases().view().await {
            Err(StoreError::Refused { code, .. }) if code == "ResourceNotFoundException" => Vec::new(),
            view => view.expect("the table can be read").leases,
        };
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// How many leases a worker has.
    pub async fn owned(&self, name: &str) -> usize {
        self.rows()
            .await
            .iter()
            .filter(|row| row.holder().is_some_and(|holder| holder.as_str() == name))
            .count()
    }

    /// Waits until each of these workers has that many leases.
    ///
    /// # Panics
    ///
    /// After ten minutes.
    pub async fn shared(&self, shares: &[(&str, usize)]) {
        let before = Instant::now();
        loop {
            let mut even = true;
            for &(worker, leases) in shares {
                even &= self.owned(worker).await == leases;
            }
            if even {
                return;
            }
            assert!(
                before.elapsed() < Duration::from_secs(600),
                "not shared as {shares:?}: {:?}",
                self.rows().await
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The id of a shard by its number.
///
/// # Panics
///
/// Never: it is one.
#[must_use]
pub fn shard(number: u32) -> ShardId {
    format!("shardId-{number:012}").parse().expect("a shard's id")
}

/// Waits until something holds.
///
/// # Panics
///
/// After ten minutes.
pub async fn until(holds: impl Fn() -> bool) {
    let before = Instant::now();
    while !holds() {
        assert!(before.elapsed() < Duration::from_secs(600), "it has not come to hold in ten minutes");
        sleep(Duration::from_millis(50)).await;
    }
}
