//! The handle of an accepted record: light, since a program can hold a million of them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use pyo3::prelude::*;

use crate::event_loop::{Awaited, Due, EventLoop, Ready};
use crate::receipt::Receipt;
use crate::slot::Slot;
use crate::{error, keywords, runtime};

/// Python's `Ticket`.
#[pyclass(frozen, module = "shardflow")]
#[derive(Debug)]
pub(crate) struct Ticket {
    place: Place,
    generation: usize,
}

/// Where the outcome is.
#[derive(Debug)]
enum Place {
    Own(Slot),
    /// One of many that were put together.
    Among(Arc<[Slot]>, usize),
}

impl Ticket {
    pub(crate) fn new(ticket: shardflow_producer::Ticket) -> Self {
        Self { place: Place::Own(Slot::new(ticket)), generation: runtime::generation() }
    }

    pub(crate) fn among(all: Arc<[Slot]>, index: usize, generation: usize) -> Self {
        Self { place: Place::Among(all, index), generation }
    }

    fn slot(&self) -> PyResult<&Slot> {
        if self.generation != runtime::generation() {
            return Err(error::forked("ticket"));
        }
        Ok(match &self.place {
            Place::Own(slot) => slot,
            Place::Among(all, index) => &all[*index],
        })
    }

    fn outcome(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let outcome = self.slot()?.outcome(py);
        let receipt =
            outcome.unwrap_or_else(|| Err(error::bug("a record was woken for and is not settled")))?;
        Ok(Py::new(py, receipt)?.into_any())
    }
}

#[pymethods]
impl Ticket {
    fn done(&self) -> PyResult<bool> {
        Ok(self.slot()?.is_settled())
    }

    #[pyo3(signature = (timeout=None))]
    fn result(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Receipt> {
        let slot = self.slot()?;
        if let Some(outcome) = slot.outcome(py) {
            return outcome;
        }
        let limit = keywords::limit(timeout)?;
        let settled = poll_fn(|context| slot.poll_settled(context.waker()));
        if runtime::wait(py, settled, limit)?.is_none() {
            return Err(error::waited("the record is not settled yet"));
        }
        slot.outcome(py).unwrap_or_else(|| Err(error::bug("a record was woken for and is not settled")))
    }

    fn __await__(this: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = this.py();
        let ticket = this.get();
        let slot = ticket.slot()?;
        if slot.is_settled() {
            return Ok(Py::new(py, Ready::new(ticket.outcome(py)))?.into_any());
        }
        let event_loop = EventLoop::running(py)?;
        let future = event_loop.future(py)?;
        let asked = this.clone().unbind();
        let due = Due::new(future.clone_ref(py), move |py| asked.get().outcome(py));
        let awaited = Awaited::new(event_loop, due);
        let waker = Waker::from(Arc::clone(&awaited));
        if let Poll::Ready(()) = slot.poll_settled(&waker) {
            waker.wake();
        }
        future.call_method0(py, "__await__")
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("<Ticket {}>", if self.done()? { "settled" } else { "open" }))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.generation != runtime::generation()
            && let Place::Own(slot) = &mut self.place
        {
            slot.abandon();
        }
    }
}
