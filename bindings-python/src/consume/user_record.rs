//! Records as an application reads them.
#![expect(unsafe_code, reason = "Python asks for a buffer by a raw structure")]

use std::ffi::c_int;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, UNIX_EPOCH};

use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDateTime};
use pyo3::{PyTypeInfo, ffi};
use shardflow_core::{HashKey, KinesisRecord};

use crate::{error, record};

/// Python's `UserRecord`: a place in a batch, or a record by itself.
#[derive(Debug)]
#[pyclass(frozen, eq, module = "shardflow")]
pub(crate) struct UserRecord(Held);

#[derive(Debug)]
enum Held {
    In(shardflow_consumer::Batch, usize),
    Alone(Box<shardflow_core::UserRecord>),
}

impl UserRecord {
    /// The record of a batch at that place, which is there.
    pub(crate) fn of(batch: shardflow_consumer::Batch, place: usize) -> Self {
        Self(Held::In(batch, place))
    }

    pub(crate) fn alone(record: shardflow_core::UserRecord) -> Self {
        Self(Held::Alone(Box::new(record)))
    }

    pub(crate) fn inner(&self) -> &shardflow_core::UserRecord {
        match &self.0 {
            Held::In(batch, place) => &batch[*place],
            Held::Alone(record) => record,
        }
    }
}

impl PartialEq for UserRecord {
    fn eq(&self, other: &Self) -> bool {
        self.inner() == other.inner()
    }
}

#[pymethods]
impl UserRecord {
    #[new]
    #[pyo3(signature = (
        data, partition_key=None, *, sequence_number, sub_sequence_number=0, approximate_arrival_timestamp=None,
        explicit_hash_key=None, aggregated=false, out_of_range=false
    ))]
    #[expect(clippy::too_many_arguments, reason = "as many as it has attributes")]
    fn new(
        data: &Bound<'_, PyAny>,
        partition_key: Option<&str>,
        sequence_number: &str,
        sub_sequence_number: u64,
        approximate_arrival_timestamp: Option<&Bound<'_, PyAny>>,
        explicit_hash_key: Option<u128>,
        aggregated: bool,
        out_of_range: bool,
    ) -> PyResult<Self> {
        let arrival = approximate_arrival_timestamp
            .map(|at| -> PyResult<_> {
                let seconds: f64 = at.call_method0("timestamp")?.extract()?;
                let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                // As exact as the service: a float is a little off.
                Ok(UNIX_EPOCH
                    + Duration::from_millis(u64::try_from((since.as_micros() + 500) / 1000).unwrap_or(0)))
            })
            .transpose()?;
        let mut made = shardflow_core::UserRecord::alone(KinesisRecord {
            sequence_number: sequence_number.parse().map_err(|wrong| error::invalid(&wrong))?,
            partition_key: partition_key
                .map(|key| key.parse().map_err(|wrong| error::invalid(&wrong)))
                .transpose()?,
            data: record::bytes(data)?,
            approximate_arrival: arrival,
        });
        made.sub_sequence_number = sub_sequence_number;
        made.explicit_hash_key = explicit_hash_key.map(HashKey);
        made.aggregated = aggregated;
        made.out_of_range = out_of_range;
        Ok(Self::alone(made))
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner().data)
    }

    #[getter]
    fn partition_key(&self) -> Option<&str> {
        self.inner().partition_key.as_ref().map(|key| key.as_str())
    }

    #[getter]
    fn explicit_hash_key(&self) -> Option<u128> {
        self.inner().explicit_hash_key.map(|key| key.0)
    }

    #[getter]
    fn sequence_number(&self) -> &str {
        self.inner().sequence_number.as_str()
    }

    #[getter]
    fn sub_sequence_number(&self) -> u64 {
        self.inner().sub_sequence_number
    }

    #[getter]
    fn approximate_arrival_timestamp<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(at) = self.inner().approximate_arrival else { return Ok(None) };
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let utc = py.import("datetime")?.getattr("timezone")?.getattr("utc")?;
        PyDateTime::type_object(py).call_method1("fromtimestamp", (seconds, utc)).map(Some)
    }

    #[getter]
    fn aggregated(&self) -> bool {
        self.inner().aggregated
    }

    #[getter]
    fn out_of_range(&self) -> bool {
        self.inner().out_of_range
    }

    /// # Safety
    ///
    /// Python calls it with a structure to fill.
    unsafe fn __getbuffer__(this: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let data = &this.get().inner().data;
        let length = data.len().try_into().map_err(|_| PyBufferError::new_err("too long"))?;
        // SAFETY: the view is Python's; the data is never changed, and lives as long as the record, of which the view
        // gets a reference.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, this.as_ptr(), data.as_ptr().cast_mut().cast(), length, 1, flags)
        };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(this.py())) }
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.inner().sequence_number.as_str().hash(&mut hasher);
        self.inner().sub_sequence_number.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        let record = self.inner();
        let key = self.partition_key().map_or_else(|| "None".to_owned(), |key| format!("{key:?}"));
        format!(
            "<UserRecord {}/{} partition_key={key} of {} bytes>",
            record.sequence_number,
            record.sub_sequence_number,
            record.data.len()
        )
    }

    /// For `pickle`.
    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let record = self.inner();
        let keywords = pyo3::types::PyDict::new(py);
        keywords.set_item("sequence_number", record.sequence_number.as_str())?;
        keywords.set_item("sub_sequence_number", record.sub_sequence_number)?;
        keywords.set_item("approximate_arrival_timestamp", self.approximate_arrival_timestamp(py)?)?;
        keywords.set_item("explicit_hash_key", self.explicit_hash_key())?;
        keywords.set_item("aggregated", record.aggregated)?;
        keywords.set_item("out_of_range", record.out_of_range)?;
        let arguments = (self.data(py), self.partition_key()).into_pyobject(py)?;
        Ok((arguments.into_any(), keywords.into_any()))
    }
}
