//! How a handler says what is done.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use shardflow_consumer::CheckpointError;
use shardflow_core::Checkpoint;

use super::{Batch, UserRecord};
use crate::{error, event_loop, runtime};

/// A checkpointer in Rust, and the process that it belongs to.
#[derive(Debug)]
struct Own {
    checkpointer: shardflow_consumer::Checkpointer,
    generation: usize,
}

impl Own {
    fn new(checkpointer: shardflow_consumer::Checkpointer) -> Self {
        Self { checkpointer, generation: runtime::generation() }
    }

    fn get(&self) -> PyResult<shardflow_consumer::Checkpointer> {
        let own = self.generation == runtime::generation();
        if own { Ok(self.checkpointer.clone()) } else { Err(error::forked("checkpointer")) }
    }
}

/// In a forked child nothing of it is touched: the last of its kind would be.
impl Drop for Own {
    fn drop(&mut self) {
        if self.generation != runtime::generation() {
            std::mem::forget(self.checkpointer.clone());
        }
    }
}

/// Python's `Checkpointer`.
#[derive(Debug)]
#[pyclass(frozen, module = "shardflow")]
pub(crate) struct Checkpointer(Own);

/// Python's `AsyncCheckpointer`.
#[derive(Debug)]
#[pyclass(frozen, module = "shardflow")]
pub(crate) struct AsyncCheckpointer(Own);

impl Checkpointer {
    pub(crate) fn new(checkpointer: shardflow_consumer::Checkpointer) -> Self {
        Self(Own::new(checkpointer))
    }
}

impl AsyncCheckpointer {
    pub(crate) fn new(checkpointer: shardflow_consumer::Checkpointer) -> Self {
        Self(Own::new(checkpointer))
    }
}

#[pymethods]
impl Checkpointer {
    #[pyo3(signature = (at=None, sub_sequence_number=None))]
    fn checkpoint(
        &self,
        py: Python<'_>,
        at: Option<&Bound<'_, PyAny>>,
        sub_sequence_number: Option<u64>,
    ) -> PyResult<()> {
        let stored = store(self.0.get()?, position(at, sub_sequence_number)?);
        match runtime::wait(py, stored, None)? {
            Some(stored) => stored.map_err(|refused| error::checkpoint(&refused)),
            None => Ok(()),
        }
    }
}

#[pymethods]
impl AsyncCheckpointer {
    #[pyo3(signature = (at=None, sub_sequence_number=None))]
    fn checkpoint(
        &self,
        py: Python<'_>,
        at: Option<&Bound<'_, PyAny>>,
        sub_sequence_number: Option<u64>,
    ) -> PyResult<Py<PyAny>> {
        let stored = store(self.0.get()?, position(at, sub_sequence_number)?);
        event_loop::spawn(py, stored, |py, stored| {
            stored.map(|()| py.None()).map_err(|refused| error::checkpoint(&refused))
        })
    }
}

/// A batch, for its end, a record, or a sequence number; nothing for all that was given.
fn position(at: Option<&Bound<'_, PyAny>>, sub: Option<u64>) -> PyResult<Option<Checkpoint>> {
    let Some(at) = at else { return Ok(None) };
    if let Ok(number) = at.cast::<PyString>() {
        let number = number.to_str()?.parse().map_err(|wrong| error::invalid(&wrong))?;
        return Ok(Some(Checkpoint::at(number, sub.unwrap_or(0))));
    }
    if sub.is_none() {
        if let Ok(record) = at.cast::<UserRecord>() {
            return Ok(Some(record.get().inner().checkpoint()));
        }
        if let Ok(batch) = at.cast::<Batch>() {
            return Ok(Some(batch.get().batch.checkpoint()));
        }
    }
    Err(PyTypeError::new_err("a checkpoint is at a Batch, a UserRecord or a sequence number"))
}

/// What is checkpointed already stays so: an older position changes nothing.
async fn store(
    checkpointer: shardflow_consumer::Checkpointer,
    at: Option<Checkpoint>,
) -> Result<(), CheckpointError> {
    let Some(at) = at else { return checkpointer.latest().await };
    match checkpointer.at(at).await {
        Err(CheckpointError::OutOfRange { asked, stored, .. }) if asked <= stored => Ok(()),
        other => other,
    }
}
