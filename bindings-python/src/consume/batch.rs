//! Batches, as sequences of records that become objects when they are asked for.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySlice};

use super::UserRecord;

/// Python's `Batch`.
#[derive(Debug)]
#[pyclass(frozen, subclass, sequence, module = "shardflow")]
pub(crate) struct Batch {
    pub(super) batch: shardflow_consumer::Batch,
    stream: String,
    shard_id: String,
}

impl Batch {
    pub(crate) fn new(batch: shardflow_consumer::Batch, shard: &shardflow_consumer::ShardInfo) -> Self {
        Self { batch, stream: shard.stream.to_string(), shard_id: shard.shard_id.to_string() }
    }
}

#[pymethods]
impl Batch {
    #[getter]
    fn stream(&self) -> &str {
        &self.stream
    }

    #[getter]
    fn shard_id(&self) -> &str {
        &self.shard_id
    }

    #[getter]
    fn millis_behind_latest(&self) -> u64 {
        u64::try_from(self.batch.behind_latest().as_millis()).unwrap_or(u64::MAX)
    }

    /// No object for any of them but its bytes.
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.batch.iter().map(|record| PyBytes::new(py, &record.data)))
    }

    fn __len__(&self) -> usize {
        self.batch.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let length = self.batch.len();
        if let Ok(slice) = index.cast::<PySlice>() {
            let list = PyList::empty(py);
            let indices = slice.indices(length.try_into().unwrap_or(isize::MAX))?;
            let mut at = indices.start;
            for _ in 0..indices.slicelength {
                list.append(UserRecord::of(self.batch.clone(), usize::try_from(at).unwrap_or(0)))?;
                at += indices.step;
            }
            return Ok(list.into_any());
        }
        let index: isize = index.extract()?;
        let place = if index < 0 { length.checked_add_signed(index) } else { usize::try_from(index).ok() };
        match place.filter(|place| *place < length) {
            Some(place) => Ok(Bound::new(py, UserRecord::of(self.batch.clone(), place))?.into_any()),
            None => Err(PyIndexError::new_err(format!("there are {length} records"))),
        }
    }

    fn __iter__(&self) -> BatchRecords {
        BatchRecords { batch: self.batch.clone(), next: AtomicUsize::new(0) }
    }

    fn __repr__(&self) -> String {
        format!("<Batch of {} records of {} of {:?}>", self.batch.len(), self.shard_id, self.stream)
    }
}

/// Goes through a batch.
#[derive(Debug)]
#[pyclass(frozen, module = "shardflow._native")]
pub(crate) struct BatchRecords {
    batch: shardflow_consumer::Batch,
    next: AtomicUsize,
}

#[pymethods]
impl BatchRecords {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self) -> Option<UserRecord> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        (place < self.batch.len()).then(|| UserRecord::of(self.batch.clone(), place))
    }
}
