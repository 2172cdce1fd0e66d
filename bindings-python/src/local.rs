//! The embedded service: Kinesis, DynamoDB and a CloudWatch sink behind a loopback port of this process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use shardflow_core::{HashKey, ShardId};
use shardflow_local::kinesis::KinesisError;
use shardflow_local::{Config, Limits, Listen, Local, Server};

use crate::record::Record;
use crate::{error, logging, runtime};

/// What `shardflow.LocalKinesis` is made of.
#[pyclass(frozen, module = "shardflow._native")]
#[derive(Debug)]
pub(crate) struct Service {
    local: Local,
    server: Mutex<Option<Server>>,
    #[pyo3(get)]
    endpoint_url: String,
    generation: usize,
}

/// A record as it was put, where it lies: shard, sequence number, place within its aggregate, the record.
type Stored = (String, String, u64, Record);

#[pymethods]
impl Service {
    #[new]
    #[pyo3(signature = (region, port, limits))]
    fn new(py: Python<'_>, region: &str, port: u16, limits: bool) -> PyResult<Self> {
        logging::refresh(py)?;
        let limits = if limits { Limits::default() } else { Limits::unthrottled() };
        let config = Config::default().region(region).transition(Duration::ZERO).limits(limits);
        let started = async move {
            let local = Local::new(config)?;
            let server = local.serve(Listen::default().port(port)).await?;
            Ok((local, server))
        };
        let (local, server) = runtime::wait(py, started, None)?
            .ok_or_else(|| error::bug("a wait without limit has an end"))?
            .map_err(|wrong| error::start(&wrong))?;
        let endpoint_url = server.endpoint().to_owned();
        let generation = runtime::generation();
        Ok(Self { local, server: Mutex::new(Some(server)), endpoint_url, generation })
    }

    #[pyo3(signature = (name, shards))]
    fn create_stream(&self, name: &str, shards: u32) -> PyResult<String> {
        Ok(told(self.own()?.create_stream(name, shards))?.to_string())
    }

    #[pyo3(signature = (stream, shard, at))]
    fn split(&self, stream: &str, shard: &Bound<'_, PyAny>, at: Option<u128>) -> PyResult<Vec<String>> {
        let children = told(self.own()?.split(stream, &shard_id(shard)?, at.map(HashKey)))?;
        Ok(children.iter().map(ToString::to_string).collect())
    }

    fn merge(&self, stream: &str, one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyResult<String> {
        Ok(told(self.own()?.merge(stream, &shard_id(one)?, &shard_id(other)?))?.to_string())
    }

    fn resize(&self, stream: &str, shards: u32) -> PyResult<()> {
        told(self.own()?.resize(stream, shards))
    }

    /// Id, first and last hash key, and whether it takes records.
    fn shards(&self, stream: &str) -> PyResult<Vec<(String, u128, u128, bool)>> {
        let shards = told(self.own()?.shards(stream))?;
        let told = shards.into_iter().map(|shard| {
            let range = shard.hash_key_range;
            (shard.id.to_string(), range.start().0, range.end().0, shard.is_open())
        });
        Ok(told.collect())
    }

    fn put(&self, stream: &str, record: &Bound<'_, Record>) -> PyResult<(String, String)> {
        let (shard, sequence_number) = told(self.own()?.put(stream, record.get().inner()))?;
        Ok((shard.to_string(), sequence_number.to_string()))
    }

    fn records(&self, stream: &str) -> PyResult<Vec<Stored>> {
        let shards = told(self.own()?.records(stream))?;
        let mut stored = Vec::new();
        for held in &shards {
            for user in held.user_records() {
                let record = match user.partition_key {
                    None => shardflow_core::Record::keyless(user.data),
                    Some(key) => {
                        let record = shardflow_core::Record::new(key, user.data)
                            .map_err(|wrong| error::invalid(&wrong))?;
                        match user.explicit_hash_key {
                            Some(hash_key) => record.explicit_hash_key(hash_key),
                            None => record,
                        }
                    }
                };
                let place = (held.shard.id.to_string(), user.sequence_number.to_string());
                stored.push((place.0, place.1, user.sub_sequence_number, record.into()));
            }
        }
        Ok(stored)
    }

    /// How many Kinesis records a stream holds; aggregates count once.
    fn kinesis_records(&self, stream: &str) -> PyResult<usize> {
        Ok(told(self.own()?.records(stream))?.iter().map(|held| held.records.len()).sum())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.own()?;
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        match server {
            Some(server) => runtime::wait(py, server.shutdown(), Some(Duration::from_secs(5))).map(drop),
            None => Ok(()),
        }
    }
}

impl Service {
    fn own(&self) -> PyResult<&Local> {
        if self.generation == runtime::generation() { Ok(&self.local) } else { Err(error::forked("service")) }
    }
}

/// In a forked child nothing of it is touched.
impl Drop for Service {
    fn drop(&mut self) {
        if self.generation != runtime::generation() {
            let server = self.server.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(server.take());
            std::mem::forget(self.local.clone());
        }
    }
}

fn told<T>(result: Result<T, KinesisError>) -> PyResult<T> {
    result.map_err(|refused| error::service(&refused))
}

/// A shard by its name, or by its number.
fn shard_id(shard: &Bound<'_, PyAny>) -> PyResult<ShardId> {
    if let Ok(name) = shard.cast::<PyString>() {
        return name.to_str()?.parse().map_err(|wrong| error::invalid(&wrong));
    }
    match shard.extract() {
        Ok(number) => Ok(ShardId::numbered(number)),
        Err(_) => Err(PyTypeError::new_err("a shard is its name or its number")),
    }
}
