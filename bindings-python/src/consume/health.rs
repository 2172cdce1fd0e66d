//! How a worker stands, as the data classes of `shardflow.health`.

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shardflow_consumer::{Health, ShardHealth, WorkerState};

pub(crate) fn object(py: Python<'_>, health: Option<&Health>) -> PyResult<Py<PyAny>> {
    let class = py.import("shardflow.health")?.getattr("Health")?;
    let Some(health) = health else { return Ok(class.call0()?.unbind()) };
    let state = match &health.state {
        WorkerState::Starting => "starting",
        WorkerState::Running => "running",
        WorkerState::Stopping => "stopping",
        _ => "stopped",
    };
    let problems = health.problems().iter().map(ToString::to_string).collect::<Vec<_>>();
    let shards = health.shards.iter().map(|shard| shard_object(py, shard));
    let made = class.call1((
        health.worker_id.as_str(),
        state,
        PyTuple::new(py, problems)?,
        health.leads,
        health.leases,
        health.seen.map(|ago| ago.as_secs_f64()),
        health.trouble.as_ref().map(|trouble| trouble.error.clone()),
        PyTuple::new(py, shards.collect::<PyResult<Vec<_>>>()?)?,
    ))?;
    Ok(made.unbind())
}

fn shard_object<'py>(py: Python<'py>, shard: &ShardHealth) -> PyResult<Bound<'py, PyAny>> {
    let behind = shard.behind.map(|behind| u64::try_from(behind.by.as_millis()).unwrap_or(u64::MAX));
    py.import("shardflow.health")?.getattr("ShardHealth")?.call1((
        shard.shard_id.as_str(),
        shard.stream.as_ref().map(ToString::to_string),
        shard.checkpoint.as_str(),
        shard.checkpoint.sub_sequence_number(),
        behind,
        shard.progress.as_secs_f64(),
        shard.waits_for.to_string(),
        shard.handler_failures,
        shard.read_failures,
        shard.error.clone(),
    ))
}
