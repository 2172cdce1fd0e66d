//! The handle that applications hold.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shardflow_core::{Record, Stream};
use shardflow_engine::produce::Settings;
use tokio::runtime::Handle;
use tokio::sync::{TryAcquireError, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::client::Client;
use crate::driver::Driver;
use crate::inbox::Inbox;
use crate::reserve::Purse;
use crate::ticket::Unheard;
use crate::{Config, FlushError, PutError, Snapshot, Ticket};

/// Writes to one stream. Cheap to clone; clones share buffer and connections.
///
/// When the last clone is dropped, records that are not settled are given back as
/// [`RecordError::Abandoned`](crate::RecordError::Abandoned): [`Producer::close`] it first.
#[derive(Clone, Debug)]
pub struct Producer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    inbox: Arc<Inbox>,
    config: Config,
    client: Client,
    /// Started by the first put, which is where a runtime is sure to be.
    task: OnceLock<AbortOnDropHandle<()>>,
}

impl Producer {
    /// A producer for a stream. Does no I/O: the first put fetches the stream's shards.
    ///
    /// The client's credentials, region, endpoint and HTTP client are used as they are; its retries and time-outs are
    /// replaced by the producer's.
    #[must_use]
    pub fn new(client: aws_sdk_kinesis::Client, stream: Stream, config: Config) -> Self {
        let unheard = Unheard(config.on_failure.clone());
        Self(Arc::new(Inner {
            inbox: Arc::new(Inbox::new(config.buffer.reserve(), config.settings.record_bytes, unheard)),
            client: Client::new(&client, stream, &config),
            config,
            task: OnceLock::new(),
        }))
    }

    /// Accepts a record, as soon as there is room for it. The ticket tells what becomes of it; it need not be awaited.
    ///
    /// Cancel safe: a call that is dropped before it returns has not accepted the record, which is dropped with it.
    ///
    /// # Errors
    ///
    /// When the record is too large for the stream, or the producer closed. The record comes back.
    pub async fn put(&self, record: Record) -> Result<Ticket, PutError> {
        let (record, cost) = self.admit(record)?;
        match self.0.inbox.reserve.take(cost).await {
            Ok(purse) => self.accept(record, cost, purse),
            Err(_closed) => Err(PutError::Closed(record)),
        }
    }

    /// As [`Producer::put`], but does not wait for room for longer than that.
    ///
    /// Cancel safe, as [`Producer::put`].
    ///
    /// # Errors
    ///
    /// As [`Producer::put`], and [`PutError::Full`] when there was no room in time. The record comes back.
    pub async fn put_within(&self, record: Record, patience: Duration) -> Result<Ticket, PutError> {
        let (record, cost) = self.admit(record)?;
        match tokio::time::timeout(patience, self.0.inbox.reserve.take(cost)).await {
            Ok(Ok(purse)) => self.accept(record, cost, purse),
            Ok(Err(_closed)) => Err(PutError::Closed(record)),
            Err(_elapsed) => Err(self.full(record)),
        }
    }

    /// Accepts a record if there is room for it now.
    ///
    /// # Errors
    ///
    /// As [`Producer::put`], and [`PutError::Full`] when there is no room. The record comes back.
    pub fn try_put(&self, record: Record) -> Result<Ticket, PutError> {
        let (record, cost) = self.admit(record)?;
        match self.0.inbox.reserve.try_take(cost) {
            Ok(purse) => self.accept(record, cost, purse),
            Err(TryAcquireError::Closed) => Err(PutError::Closed(record)),
            Err(TryAcquireError::NoPermits) => Err(self.full(record)),
        }
    }

    fn full(&self, record: Record) -> PutError {
        let reserve = &self.0.inbox.reserve;
        PutError::Full { size: Settings::cost(&record), record, held: reserve.held(), limit: reserve.size() }
    }

    /// Sends what is buffered without waiting for company, and returns when every record accepted before the call is
    /// settled. With nothing to settle it returns at once.
    ///
    /// Cancel safe: dropping the call only stops the waiting.
    ///
    /// # Errors
    ///
    /// When some of them were not delivered. Each has told its ticket.
    pub async fn flush(&self) -> Result<(), FlushError> {
        if self.0.task.get().is_none() {
            return Ok(());
        }
        flushed(self.0.inbox.flush()).await
    }

    /// Accepts no more records, for all clones, flushes, and after `patience` gives everything back that is not settled.
    ///
    /// Cancel safe: dropping the call leaves the producer closed, with its records on their way.
    ///
    /// # Errors
    ///
    /// When some records were not delivered. Each has told its ticket.
    pub async fn close(&self, patience: Duration) -> Result<(), FlushError> {
        let inbox = &self.0.inbox;
        inbox.reserve.close();
        if self.0.task.get().is_none() {
            return Ok(());
        }
        let mut settled = inbox.flush();
        match tokio::time::timeout(patience, &mut settled).await {
            Ok(done) => verdict(done),
            Err(_elapsed) => {
                inbox.abandon();
                flushed(settled).await
            }
        }
    }

    /// Bytes of the buffer that are in use by this producer; see [`Config::max_buffered_bytes`].
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.0.inbox.reserve.held()
    }

    /// How things stand: what is held, how old it is, and which shards are slow. Empty before the first put and after the
    /// producer has ended.
    ///
    /// The producer's task answers, so a runtime that is blocked does not: give it a time-out in a health check. It costs
    /// a look at each shard and each Kinesis record that is held.
    ///
    /// Cancel safe: dropping the call only stops the waiting.
    pub async fn snapshot(&self) -> Snapshot {
        if self.0.task.get().is_none() {
            return Snapshot::default();
        }
        self.0.inbox.snapshot().await.unwrap_or_default()
    }

    /// What can be said of a record before there is room for it.
    fn admit(&self, record: Record) -> Result<(Record, u32), PutError> {
        let size = record.size();
        let cost = Settings::cost(&record);
        let Inbox { reserve, record_bytes, .. } = &*self.0.inbox;
        let limit = record_bytes.load(Ordering::Relaxed);
        if size > limit {
            return Err(PutError::TooLarge { record, size, limit });
        }
        match u32::try_from(cost) {
            Ok(permits) if cost <= reserve.most() => Ok((record, permits)),
            _ => Err(PutError::TooLarge { record, size, limit: Settings::largest(reserve.most()) }),
        }
    }

    /// Takes a record for which there is room.
    fn accept(&self, record: Record, cost: u32, purse: Purse) -> Result<Ticket, PutError> {
        let Inner { inbox, .. } = &*self.0;
        if !self.start() {
            inbox.reserve.give_back(purse, cost as usize);
            return Err(PutError::NoRuntime(record));
        }
        inbox.put(record, cost, purse).map_err(|record| {
            inbox.reserve.give_back(purse, cost as usize);
            PutError::Closed(record)
        })
    }

    /// Starts the task, if it has not been. Without a runtime there is none to start it on.
    fn start(&self) -> bool {
        let Inner { inbox, config, client, task } = &*self.0;
        if task.get().is_some() {
            return true;
        }
        let Ok(runtime) = Handle::try_current() else { return false };
        task.get_or_init(|| {
            let driver = Driver::new(Arc::clone(inbox), config, client.clone());
            AbortOnDropHandle::new(runtime.spawn(driver.run()))
        });
        true
    }
}

async fn flushed(done: oneshot::Receiver<u64>) -> Result<(), FlushError> {
    verdict(done.await)
}

fn verdict(failed: Result<u64, oneshot::error::RecvError>) -> Result<(), FlushError> {
    match failed {
        // The task has ended with its runtime, and has given everything back.
        Ok(0) | Err(_) => Ok(()),
        Ok(failed) => Err(FlushError::Undelivered { failed }),
    }
}
