//! The producer for asyncio: the same calls, and what waits can be awaited.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use shardflow_producer::PutError;

use crate::config::Settings;
use crate::core::{self, Core};
use crate::event_loop::{self, Ready};
use crate::producer::{finish_many, patience};
use crate::ticket::Ticket;
use crate::{error, keywords, logging, record, stats};

/// Python's `AsyncProducer`.
#[pyclass(frozen, module = "shardflow", weakref)]
#[derive(Debug)]
pub(crate) struct AsyncProducer {
    core: Arc<Core>,
    turns: Turns,
}

#[pymethods]
impl AsyncProducer {
    #[new]
    #[pyo3(signature = (stream, **keywords))]
    fn new(py: Python<'_>, stream: &str, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        logging::refresh(py)?;
        let core = Core::new(py, Settings::read(py, stream, keywords)?)?;
        Ok(Self { core, turns: Turns::new() })
    }

    #[getter]
    fn stream(&self) -> &str {
        &self.core.stream
    }

    #[getter]
    fn buffered_bytes(&self) -> PyResult<usize> {
        Ok(self.core.producer()?.buffered_bytes())
    }

    #[pyo3(signature = (data, key=None, *, explicit_hash_key=None))]
    fn put(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        explicit_hash_key: Option<u128>,
    ) -> PyResult<Py<PyAny>> {
        match self.core.try_put(record::make(data, key, explicit_hash_key)?)? {
            Ok(ticket) => Ok(Py::new(py, Put::new(py, ticket, self.turns.is_due())?)?.into_any()),
            Err(PutError::Full { record, .. }) => {
                let producer = self.core.producer()?.clone();
                event_loop::spawn(py, async move { producer.put(record).await }, |py, put| match put {
                    Ok(ticket) => Ok(Py::new(py, Ticket::new(ticket))?.into_any()),
                    Err(refused) => Err(error::put(py, refused)),
                })
            }
            Err(refused) => Err(error::put(py, refused)),
        }
    }

    fn put_many(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let mut tickets = Vec::with_capacity(records.len().unwrap_or_default());
        let mut waiting = Vec::new();
        let put = records.try_iter()?.try_for_each(|item| {
            let record = record::of_item(&item?)?;
            // Once there is no room, all wait in a row.
            if !waiting.is_empty() {
                waiting.push(record);
                return Ok(());
            }
            match self.core.try_put(record)? {
                Ok(ticket) => tickets.push(ticket),
                Err(PutError::Full { record, .. }) => waiting.push(record),
                Err(refused) => return Err(error::put(py, refused)),
            }
            Ok(())
        });
        if waiting.is_empty() || put.is_err() {
            let put = finish_many(py, put, tickets)?;
            return Ok(Py::new(py, Ready::new(Ok(Py::new(py, put)?.into_any())))?.into_any());
        }
        let producer = self.core.producer()?.clone();
        let work = async move {
            for record in waiting {
                match producer.put(record).await {
                    Ok(ticket) => tickets.push(ticket),
                    Err(refused) => return (tickets, Some(refused)),
                }
            }
            (tickets, None)
        };
        event_loop::spawn(py, work, |py, (tickets, refused): (_, Option<PutError>)| {
            let put = refused.map_or(Ok(()), |refused| Err(error::put(py, refused)));
            Ok(Py::new(py, finish_many(py, put, tickets)?)?.into_any())
        })
    }

    #[pyo3(signature = (data, key=None, *, explicit_hash_key=None))]
    fn send(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        explicit_hash_key: Option<u128>,
    ) -> PyResult<Py<PyAny>> {
        let record = record::make(data, key, explicit_hash_key)?;
        let sent = core::send(self.core.producer()?.clone(), record);
        event_loop::spawn(py, sent, |py, outcome| Ok(Py::new(py, core::sent(py, outcome)?)?.into_any()))
    }

    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        logging::refresh(py)?;
        let limit = keywords::limit(timeout)?.unwrap_or(Duration::MAX);
        let producer = self.core.producer()?.clone();
        let flushed = async move { tokio::time::timeout(limit, producer.flush()).await };
        event_loop::spawn(py, flushed, |py, flushed| match flushed {
            Ok(flushed) => flushed.map(|()| py.None()).map_err(|undelivered| error::flush(py, undelivered)),
            Err(_elapsed) => {
                Err(error::waited("not all records are settled yet; they are still on their way"))
            }
        })
    }

    #[pyo3(signature = (timeout=30.0))]
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        self.core.producer()?;
        let patience = keywords::limit(timeout)?.unwrap_or(Duration::MAX);
        let core = Arc::clone(&self.core);
        event_loop::spawn(py, async move { core.close(patience).await }, |py, closed| {
            closed.map(|()| py.None()).map_err(|undelivered| error::flush(py, undelivered))
        })
    }

    fn stats(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let producer = self.core.producer()?.clone();
        event_loop::spawn(py, async move { producer.snapshot().await }, |py, snapshot| {
            stats::object(py, &snapshot)
        })
    }

    fn __aenter__(this: Py<Self>, py: Python<'_>) -> PyResult<Py<Ready>> {
        Py::new(py, Ready::new(Ok(this.into_any())))
    }

    #[pyo3(signature = (kind=None, _raised=None, _traceback=None, /))]
    fn __aexit__(
        &self,
        py: Python<'_>,
        kind: Option<&Bound<'_, PyAny>>,
        _raised: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        self.core.producer()?;
        let patience = Duration::from_secs_f64(patience(&self.core, kind)?);
        let goes_on = kind.is_some();
        let core = Arc::clone(&self.core);
        let left = async move {
            let closed = core.close(patience).await;
            core.left(goes_on, closed)
        };
        event_loop::spawn(py, left, |py, left| {
            left.map(|()| py.None()).map_err(|undelivered| error::flush(py, undelivered))
        })
    }

    fn __repr__(&self) -> String {
        format!("<AsyncProducer of stream {:?}>", self.core.stream)
    }
}

impl Drop for AsyncProducer {
    fn drop(&mut self) {
        self.core.let_go();
    }
}

/// When a loop of puts gives the event loop its turn: else one that always finds room would never let anything else run.
#[derive(Debug)]
struct Turns {
    since: Instant,
    /// Microseconds at which the next turn is due.
    next: AtomicU64,
}

impl Turns {
    const APART: u64 = 1_000;

    fn new() -> Self {
        Self { since: Instant::now(), next: AtomicU64::new(Self::APART) }
    }

    fn is_due(&self) -> bool {
        let now = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let due = now >= self.next.load(Ordering::Relaxed);
        if due {
            self.next.store(now.saturating_add(Self::APART), Ordering::Relaxed);
        }
        due
    }
}

/// What `put` gives when there is room: awaiting it gives the ticket, with a turn of the loop before it if one is due.
#[pyclass(frozen, module = "shardflow._native")]
#[derive(Debug)]
pub(crate) struct Put(Mutex<(Option<Py<Ticket>>, bool)>);

impl Put {
    fn new(py: Python<'_>, ticket: shardflow_producer::Ticket, turn: bool) -> PyResult<Self> {
        Ok(Self(Mutex::new((Some(Py::new(py, Ticket::new(ticket))?), turn))))
    }
}

#[pymethods]
impl Put {
    fn __await__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ticket, turn) = &mut *left;
        // To yield nothing is asyncio's way to ask for a turn.
        if std::mem::take(turn) {
            return Ok(py.None());
        }
        match ticket.take() {
            Some(ticket) => Err(PyStopIteration::new_err((ticket,))),
            None => Err(error::bug("a put is awaited once")),
        }
    }
}
