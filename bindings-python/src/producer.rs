//! The producer for threads and scripts.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use shardflow_producer::PutError;

use crate::config::Settings;
use crate::core::{self, Core};
use crate::receipt::Receipt;
use crate::ticket::Ticket;
use crate::tickets::Tickets;
use crate::{error, keywords, logging, record, runtime, stats};

/// Python's `Producer`.
#[pyclass(frozen, module = "shardflow", weakref)]
#[derive(Debug)]
pub(crate) struct Producer(Arc<Core>);

#[pymethods]
impl Producer {
    #[new]
    #[pyo3(signature = (stream, **keywords))]
    fn new(py: Python<'_>, stream: &str, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        logging::refresh(py)?;
        Ok(Self(Core::new(py, Settings::read(py, stream, keywords)?)?))
    }

    #[getter]
    fn stream(&self) -> &str {
        &self.0.stream
    }

    #[getter]
    fn buffered_bytes(&self) -> PyResult<usize> {
        Ok(self.0.producer()?.buffered_bytes())
    }

    #[pyo3(signature = (data, key=None, *, explicit_hash_key=None, timeout=None))]
    fn put(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        explicit_hash_key: Option<u128>,
        timeout: Option<f64>,
    ) -> PyResult<Ticket> {
        let record = record::make(data, key, explicit_hash_key)?;
        self.accept(py, record, timeout).map(Ticket::new)
    }

    #[pyo3(signature = (records, *, timeout=None))]
    fn put_many(
        &self,
        py: Python<'_>,
        records: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Tickets> {
        let mut tickets = Vec::with_capacity(records.len().unwrap_or_default());
        let put = records.try_iter()?.try_for_each(|item| {
            tickets.push(self.accept(py, record::of_item(&item?)?, timeout)?);
            Ok(())
        });
        finish_many(py, put, tickets)
    }

    #[pyo3(signature = (data, key=None, *, explicit_hash_key=None, timeout=None))]
    fn send(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        explicit_hash_key: Option<u128>,
        timeout: Option<f64>,
    ) -> PyResult<Receipt> {
        let record = record::make(data, key, explicit_hash_key)?;
        let sent = core::send(self.0.producer()?.clone(), record);
        match runtime::wait(py, sent, keywords::limit(timeout)?)? {
            None => Err(error::waited("the record is not settled yet")),
            Some(outcome) => core::sent(py, outcome),
        }
    }

    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        logging::refresh(py)?;
        let flushed = self.0.producer()?.flush();
        match runtime::wait(py, flushed, keywords::limit(timeout)?)? {
            None => Err(error::waited("not all records are settled yet; they are still on their way")),
            Some(flushed) => flushed.map_err(|undelivered| error::flush(py, undelivered)),
        }
    }

    #[pyo3(signature = (timeout=30.0))]
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.0.producer()?;
        let patience = keywords::limit(timeout)?.unwrap_or(Duration::MAX);
        match runtime::wait(py, self.0.close(patience), None)? {
            Some(closed) => closed.map_err(|undelivered| error::flush(py, undelivered)),
            None => Ok(()),
        }
    }

    fn stats(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match runtime::wait(py, self.0.producer()?.snapshot(), Some(stats::PATIENCE))? {
            Some(snapshot) => stats::object(py, &snapshot),
            None => Err(error::waited("the producer does not answer")),
        }
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (kind=None, _raised=None, _traceback=None, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<&Bound<'_, PyAny>>,
        _raised: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.0.producer()?;
        let patience = Duration::from_secs_f64(patience(&self.0, kind)?);
        match runtime::wait(py, self.0.close(patience), None)? {
            Some(closed) => {
                self.0.left(kind.is_some(), closed).map_err(|undelivered| error::flush(py, undelivered))
            }
            None => Ok(()),
        }
    }

    fn __repr__(&self) -> String {
        format!("<Producer of stream {:?}>", self.0.stream)
    }
}

impl Producer {
    /// Accepts a record, and waits for room without the GIL.
    fn accept(
        &self,
        py: Python<'_>,
        record: shardflow_core::Record,
        timeout: Option<f64>,
    ) -> PyResult<shardflow_producer::Ticket> {
        let full = match self.0.try_put(record)? {
            Ok(ticket) => return Ok(ticket),
            Err(full @ PutError::Full { .. }) => full,
            Err(refused) => return Err(error::put(py, refused)),
        };
        let limit = keywords::limit(timeout)?;
        let put = self.0.producer()?.put(full.clone().into_record());
        match runtime::wait(py, put, limit)? {
            Some(put) => put.map_err(|refused| error::put(py, refused)),
            None => Err(error::put(py, full)),
        }
    }
}

/// How long leaving a `with` block waits, given the class of what it is left by, in seconds. Who presses Ctrl-C or
/// cancels a task waits for less.
pub(crate) fn patience(core: &Core, raised: Option<&Bound<'_, PyAny>>) -> PyResult<f64> {
    let mut limit = core.exit_timeout;
    if let Some(class) = raised.and_then(|class| class.cast::<PyType>().ok()) {
        let cancelled = class.py().import("asyncio")?.getattr("CancelledError")?;
        if class.is_subclass_of::<PyKeyboardInterrupt>()? || class.is_subclass(&cancelled)? {
            limit = limit.min(runtime::INTERRUPTED);
        }
    }
    Ok(limit.as_secs_f64())
}

/// The tickets of a batch. If it has ended early, what was accepted before goes with the error.
pub(crate) fn finish_many(
    py: Python<'_>,
    put: PyResult<()>,
    tickets: Vec<shardflow_producer::Ticket>,
) -> PyResult<Tickets> {
    let tickets = Tickets::new(tickets);
    match put {
        Ok(()) => Ok(tickets),
        Err(error) => {
            // Not every exception takes attributes; what it says is more important.
            let _told = error.value(py).setattr("accepted", Py::new(py, tickets)?).is_ok();
            Err(error)
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.0.let_go();
    }
}
