//! What the two producers of Python have in common: the producer in Rust, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use shardflow_producer::{FlushError, PutError, Record, RecordError, Ticket};

use crate::config::Settings;
use crate::receipt::Receipt;
use crate::{error, runtime};

/// A producer in Rust, and the process that it belongs to.
#[derive(Debug)]
pub(crate) struct Core {
    /// Absent only while it is dropped.
    producer: Option<shardflow_producer::Producer>,
    generation: usize,
    pub(crate) exit_timeout: Duration,
    lost: Arc<AtomicU64>,
    pub(crate) stream: String,
}

/// What becomes of a record: refused at once, or settled.
type Outcome = Result<Result<shardflow_producer::Receipt, RecordError>, PutError>;

/// Puts a record, and waits until it is settled.
pub(crate) async fn send(producer: shardflow_producer::Producer, record: Record) -> Outcome {
    Ok(producer.put(record).await?.await)
}

/// The same for Python.
pub(crate) fn sent(py: Python<'_>, outcome: Outcome) -> PyResult<Receipt> {
    match outcome {
        Ok(Ok(receipt)) => Ok(receipt.into()),
        Ok(Err(failure)) => Err(error::record(py, failure)),
        Err(refused) => Err(error::put(py, refused)),
    }
}

impl Core {
    pub(crate) fn new(py: Python<'_>, settings: Settings) -> PyResult<Arc<Self>> {
        let Settings { client, stream, config, exit_timeout, lost } = settings;
        let name = stream.to_string();
        let producer = shardflow_producer::Producer::new(client, stream, config);
        let generation = runtime::generation();
        let core = Arc::new(Self { producer: Some(producer), generation, exit_timeout, lost, stream: name });
        runtime::current().opened(py, &core)?;
        Ok(core)
    }

    /// The producer, in the process that made it.
    pub(crate) fn producer(&self) -> PyResult<&shardflow_producer::Producer> {
        self.own()?;
        Ok(self.inner())
    }

    fn own(&self) -> PyResult<()> {
        if self.generation == runtime::generation() { Ok(()) } else { Err(error::forked("producer")) }
    }

    fn inner(&self) -> &shardflow_producer::Producer {
        self.producer.as_ref().expect("it is taken only when this is dropped")
    }

    /// Accepts a record if there is room for it now.
    pub(crate) fn try_put(&self, record: Record) -> PyResult<Result<Ticket, PutError>> {
        let producer = self.producer()?;
        match producer.try_put(record) {
            // The first one: it starts the task.
            Err(PutError::NoRuntime(record)) => {
                let _within = runtime::current().handle()?.enter();
                Ok(producer.try_put(record))
            }
            put => Ok(put),
        }
    }

    /// Closes it; when this returns, everything is settled.
    pub(crate) async fn close(&self, patience: Duration) -> Result<(), FlushError> {
        let closed = self.inner().close(patience).await;
        runtime::current().closed(self);
        closed
    }

    /// What leaving a `with` block by an exception, or not, makes of a close. What was raised goes on; else it is told that
    /// records were lost, unless somebody has heard of each: its ticket's holder or `on_failure`.
    pub(crate) fn left(&self, raised: bool, closed: Result<(), FlushError>) -> Result<(), FlushError> {
        if raised || self.lost.load(Ordering::Relaxed) == 0 { Ok(()) } else { closed }
    }

    /// Its last handle in Python is gone: what it holds is sent all the same.
    pub(crate) fn let_go(self: &Arc<Self>) {
        if self.own().is_err() {
            return;
        }
        let core = Arc::clone(self);
        if let Ok(handle) = runtime::current().handle() {
            handle.spawn(async move {
                // What is not delivered has told its ticket, or else the callback and the log.
                let _all_delivered = core.close(core.exit_timeout).await.is_ok();
            });
        }
    }
}

/// In a forked child its locks can be held by threads that are gone: it is left as it is.
impl Drop for Core {
    fn drop(&mut self) {
        if self.own().is_err() {
            std::mem::forget(self.producer.take());
        }
    }
}
