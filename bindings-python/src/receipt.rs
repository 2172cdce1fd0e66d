//! Where a record was put.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::prelude::*;
use shardflow_core::{SequenceNumber, ShardId};

use crate::error;

/// Python's `Receipt`.
#[pyclass(frozen, eq, module = "shardflow")]
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Receipt {
    shard_id: ShardId,
    sequence_number: SequenceNumber,
    sub_sequence_number: Option<u64>,
    attempts: u32,
}

impl From<shardflow_producer::Receipt> for Receipt {
    fn from(receipt: shardflow_producer::Receipt) -> Self {
        let shardflow_producer::Receipt { shard_id, sequence_number, sub_sequence_number, attempts, .. } =
            receipt;
        Self { shard_id, sequence_number, sub_sequence_number, attempts }
    }
}

#[pymethods]
impl Receipt {
    #[new]
    #[pyo3(signature = (shard_id, sequence_number, sub_sequence_number=None, attempts=1))]
    fn new(
        shard_id: &str,
        sequence_number: &str,
        sub_sequence_number: Option<u64>,
        attempts: u32,
    ) -> PyResult<Self> {
        Ok(Self {
            shard_id: shard_id.parse().map_err(|wrong| error::invalid(&wrong))?,
            sequence_number: sequence_number.parse().map_err(|wrong| error::invalid(&wrong))?,
            sub_sequence_number,
            attempts,
        })
    }

    #[getter]
    fn shard_id(&self) -> String {
        self.shard_id.to_string()
    }

    #[getter]
    fn sequence_number(&self) -> String {
        self.sequence_number.to_string()
    }

    #[getter]
    fn sub_sequence_number(&self) -> Option<u64> {
        self.sub_sequence_number
    }

    #[getter]
    fn attempts(&self) -> u32 {
        self.attempts
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.sequence_number().hash(&mut hasher);
        self.sub_sequence_number.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        let sub = self.sub_sequence_number.map_or_else(|| "None".to_owned(), |sub| sub.to_string());
        format!(
            "Receipt(shard_id='{}', sequence_number='{}', sub_sequence_number={sub}, attempts={})",
            self.shard_id, self.sequence_number, self.attempts
        )
    }

    /// For `pickle`.
    fn __getnewargs__(&self) -> (String, String, Option<u64>, u32) {
        (self.shard_id(), self.sequence_number(), self.sub_sequence_number, self.attempts)
    }
}
