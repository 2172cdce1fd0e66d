//! How a producer stands, as the data classes of `shardflow.statistics`.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shardflow_producer::Snapshot;

/// How long a producer may take to say how it stands: far more than it does unless its runtime is blocked.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn object(py: Python<'_>, snapshot: &Snapshot) -> PyResult<Py<PyAny>> {
    let module = py.import("shardflow.statistics")?;
    let class = module.getattr("ShardStats")?;
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let shards = snapshot.shards.iter().map(|shard| {
        class.call1((
            shard.shard_id.as_ref().map(ToString::to_string),
            shard.buffered_records,
            shard.share_used,
            shard.share_allowed,
            shard.throttled,
            seconds(shard.held_back_for),
        ))
    });
    let shards = PyTuple::new(py, shards.collect::<PyResult<Vec<_>>>()?)?;
    let stats = module.getattr("Stats")?.call1((
        snapshot.buffered_bytes,
        snapshot.buffered_records,
        seconds(snapshot.oldest),
        snapshot.requests_in_flight,
        shards,
    ))?;
    Ok(stats.unbind())
}
