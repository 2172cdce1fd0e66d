//! The shard that records are from, or that a handler is made for.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shardflow_core::PendingCheckpoint;

/// Python's `ShardInfo`.
#[derive(Debug)]
#[pyclass(frozen, module = "shardflow")]
pub(crate) struct ShardInfo(shardflow_consumer::ShardInfo);

impl From<&shardflow_consumer::ShardInfo> for ShardInfo {
    fn from(shard: &shardflow_consumer::ShardInfo) -> Self {
        Self(shard.clone())
    }
}

#[pymethods]
impl ShardInfo {
    #[getter]
    fn stream(&self) -> String {
        self.0.stream.to_string()
    }

    #[getter]
    fn stream_identifier(&self) -> Option<String> {
        self.0.stream_identifier.as_ref().map(ToString::to_string)
    }

    #[getter]
    fn shard_id(&self) -> &str {
        self.0.shard_id.as_str()
    }

    #[getter]
    fn sequence_number(&self) -> &str {
        self.0.checkpoint.as_str()
    }

    #[getter]
    fn sub_sequence_number(&self) -> u64 {
        self.0.checkpoint.sub_sequence_number()
    }

    #[getter]
    fn hash_keys(&self) -> Option<(u128, u128)> {
        self.0.hash_key_range.as_ref().map(|range| (range.start().0, range.end().0))
    }

    #[getter]
    fn pending<'py>(&self, py: Python<'py>) -> Option<(&str, u64, Option<Bound<'py, PyBytes>>)> {
        let PendingCheckpoint { checkpoint, state, .. } = self.0.pending.as_ref()?;
        let state = state.as_ref().map(|state| PyBytes::new(py, state));
        Some((checkpoint.as_str(), checkpoint.sub_sequence_number(), state))
    }

    fn __repr__(&self) -> String {
        format!("<ShardInfo {} of {:?} at {}>", self.shard_id(), self.stream(), self.0.checkpoint)
    }
}
