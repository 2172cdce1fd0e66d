//! The handle of records that were put together: no object for any of them unless it is asked for.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::event_loop;
use crate::slot::Slot;
use crate::ticket::Ticket;
use crate::{error, keywords, runtime};

/// Python's `Tickets`.
#[pyclass(frozen, sequence, module = "shardflow")]
#[derive(Debug)]
pub(crate) struct Tickets {
    /// Absent only while it is dropped.
    slots: Option<Arc<[Slot]>>,
    generation: usize,
}

impl Tickets {
    pub(crate) fn new(tickets: Vec<shardflow_producer::Ticket>) -> Self {
        let slots = tickets.into_iter().map(Slot::new).collect();
        Self { slots: Some(slots), generation: runtime::generation() }
    }

    fn slots(&self) -> PyResult<&Arc<[Slot]>> {
        let own = self.generation == runtime::generation();
        self.slots.as_ref().filter(|_| own).ok_or_else(|| error::forked("batch of tickets"))
    }

    /// Until all are settled.
    fn settled(&self) -> PyResult<impl Future<Output = ()> + Send + use<>> {
        let slots = Arc::clone(self.slots()?);
        let mut next = 0;
        Ok(poll_fn(move |context| {
            while let Some(slot) = slots.get(next) {
                match slot.poll_settled(context.waker()) {
                    Poll::Ready(()) => next += 1,
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(())
        }))
    }

    /// All receipts, or the first failure. Others stay unheard until they are asked for.
    fn receipts(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        let receipts = PyList::empty(py);
        for slot in self.slots()?.iter() {
            let outcome = slot.outcome(py);
            receipts.append(outcome.unwrap_or_else(|| Err(error::bug("not all records are settled")))?)?;
        }
        Ok(receipts.unbind())
    }
}

#[pymethods]
impl Tickets {
    fn __len__(&self) -> PyResult<usize> {
        Ok(self.slots()?.len())
    }

    fn __getitem__(&self, index: isize) -> PyResult<Ticket> {
        let slots = self.slots()?;
        let place =
            if index < 0 { slots.len().checked_add_signed(index) } else { usize::try_from(index).ok() };
        match place {
            Some(place) if place < slots.len() => {
                Ok(Ticket::among(Arc::clone(slots), place, self.generation))
            }
            _ => Err(PyIndexError::new_err(format!("there are {} tickets", slots.len()))),
        }
    }

    fn done(&self) -> PyResult<bool> {
        Ok(self.slots()?.iter().all(Slot::is_settled))
    }

    #[pyo3(signature = (timeout=None))]
    fn result(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyList>> {
        let limit = keywords::limit(timeout)?;
        if !self.done()? && runtime::wait(py, self.settled()?, limit)?.is_none() {
            return Err(error::waited("not all records are settled yet"));
        }
        self.receipts(py)
    }

    fn outcomes(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        let outcomes = PyList::empty(py);
        for slot in self.slots()?.iter() {
            match slot.outcome(py) {
                Some(Ok(receipt)) => outcomes.append(receipt)?,
                Some(Err(error)) => outcomes.append(error.value(py))?,
                None => outcomes.append(py.None())?,
            }
        }
        Ok(outcomes.unbind())
    }

    fn __await__(this: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = this.py();
        let asked = this.clone().unbind();
        let future = event_loop::spawn(py, this.get().settled()?, move |py, ()| {
            Ok(asked.get().receipts(py)?.into_any())
        })?;
        future.call_method0(py, "__await__")
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("<Tickets of {} records>", self.slots()?.len()))
    }
}

impl Drop for Tickets {
    fn drop(&mut self) {
        if self.generation != runtime::generation() {
            std::mem::forget(self.slots.take());
        }
    }
}
