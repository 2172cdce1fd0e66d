//! The aggregation format by itself, without a producer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shardflow_core::aggregation::{self, AggregateSize};

use crate::error;
use crate::record::{self, Record};

/// Python's `Aggregator`.
#[pyclass(frozen, module = "shardflow")]
#[derive(Debug)]
pub(crate) struct Aggregator(Mutex<aggregation::Aggregator>);

/// An aggregate, or the one record that it would have had: partition key, hash key, data and the number of records.
type Packed<'py> = (String, u128, Bound<'py, PyBytes>, usize);

#[pymethods]
impl Aggregator {
    #[new]
    #[pyo3(signature = (max_size=51_200))]
    fn new(max_size: u64) -> PyResult<Self> {
        let size = AggregateSize::try_from(max_size).map_err(|wrong| error::invalid(&wrong))?;
        Ok(Self(Mutex::new(aggregation::Aggregator::new(size))))
    }

    #[pyo3(signature = (data, partition_key=None, explicit_hash_key=None))]
    fn add(
        &self,
        data: &Bound<'_, PyAny>,
        partition_key: Option<&Bound<'_, PyAny>>,
        explicit_hash_key: Option<u128>,
    ) -> PyResult<bool> {
        let record = record::make(data, partition_key, explicit_hash_key)?;
        Ok(self.inner().try_push(record).is_ok())
    }

    #[getter]
    fn size(&self) -> usize {
        self.inner().size()
    }

    fn __len__(&self) -> usize {
        self.inner().len()
    }

    fn finish<'py>(&self, py: Python<'py>) -> Option<Packed<'py>> {
        let packed = self.inner().finish()?;
        let data = PyBytes::new(py, &packed.data);
        Some((packed.partition_key.to_string(), packed.explicit_hash_key.0, data, packed.records))
    }
}

impl Aggregator {
    fn inner(&self) -> MutexGuard<'_, aggregation::Aggregator> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records in an aggregate; `None` if the data is none.
#[pyfunction]
pub(crate) fn split(data: &Bound<'_, PyAny>) -> PyResult<Option<Vec<Record>>> {
    let records = aggregation::decode(&record::bytes(data)?);
    Ok(records.ok().map(|records| records.into_iter().map(|sub| sub.into_record().into()).collect()))
}

/// Whether data is an aggregate: it starts like one, and its digest is right.
#[pyfunction]
pub(crate) fn is_aggregate(data: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(aggregation::decode(&record::bytes(data)?).is_ok())
}
