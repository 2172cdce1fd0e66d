//! The worker as `shardflow.Consumer` and `shardflow.AsyncConsumer` use it: each call for threads and for asyncio.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use shardflow_consumer::{RunError, ShardInfo};

use super::delivery::InHand;
use super::policy::Policy;
use super::processor::Place;
use super::settings::Settings;
use super::{AsyncDelivery, Batch, Delivery, Work, health};
use crate::event_loop::{self, EventLoop, Ready};
use crate::{error, keywords, logging, runtime};

/// What the consumers of Python are made of.
#[derive(Debug)]
#[pyclass(frozen, module = "shardflow._native", weakref)]
pub(crate) struct Worker(Arc<Work>);

/// What a loop gets.
type Next = Option<Result<(shardflow_consumer::Batch, ShardInfo, Arc<InHand>), RunError>>;

#[pymethods]
impl Worker {
    #[new]
    #[pyo3(signature = (streams, app, keywords))]
    fn new(
        py: Python<'_>,
        streams: &Bound<'_, PyAny>,
        app: &str,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        logging::refresh(py)?;
        Ok(Self(Work::new(Settings::read(py, streams, app, keywords)?)))
    }

    #[getter]
    fn streams(&self) -> Vec<String> {
        self.0.settings.source.names()
    }

    #[getter]
    fn app(&self) -> &str {
        &self.0.settings.application
    }

    #[getter]
    fn checkpoint_on_next(&self) -> bool {
        self.0.settings.checkpoint_on_next
    }

    /// In seconds.
    #[getter]
    fn exit_timeout(&self) -> f64 {
        self.0.exit_timeout().as_secs_f64()
    }

    /// What comes after a batch; that one is checkpointed first, where that is the mode. Nothing at the end.
    #[pyo3(signature = (last))]
    fn next(&self, py: Python<'_>, last: Option<&Bound<'_, Delivery>>) -> PyResult<Option<Py<Delivery>>> {
        self.on_next(last.map(|last| &last.get().0))?;
        let Some(batches) = self.0.batches(py)? else { return Ok(None) };
        let next = runtime::wait(py, self.0.next(batches), None)?.flatten();
        let Some((batch, shard, in_hand)) = told(next)? else { return Ok(None) };
        let parts = PyClassInitializer::from(Batch::new(batch, &shard)).add_subclass(Delivery(in_hand));
        Py::new(py, parts).map(Some)
    }

    #[pyo3(signature = (last))]
    fn next_async(&self, py: Python<'_>, last: Option<&Bound<'_, AsyncDelivery>>) -> PyResult<Py<PyAny>> {
        self.on_next(last.map(|last| &last.get().0))?;
        let Some(batches) = self.0.batches(py)? else {
            return Ok(Py::new(py, Ready::new(Ok(py.None())))?.into_any());
        };
        let work = Arc::clone(&self.0);
        event_loop::spawn(py, async move { work.next(batches).await }, |py, next| {
            let Some((batch, shard, in_hand)) = told(next)? else { return Ok(py.None()) };
            let parts =
                PyClassInitializer::from(Batch::new(batch, &shard)).add_subclass(AsyncDelivery(in_hand));
            Ok(Py::new(py, parts)?.into_any())
        })
    }

    /// Starts handlers: on threads of their shards', or in the loop that runs here.
    fn run(&self, py: Python<'_>, factory: Py<PyAny>, policy: Policy, in_loop: bool) -> PyResult<()> {
        logging::refresh(py)?;
        let place = if in_loop { Place::Loop(EventLoop::running(py)?) } else { Place::Threads };
        self.0.run(py, factory, policy.policy(&place)?, place)
    }

    /// Until handlers have come to their end.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        self.0.own()?;
        match runtime::wait(py, self.0.ended(), None)? {
            Some(ended) => ended.map_err(|error| error::run(&error)),
            None => Ok(()),
        }
    }

    fn wait_async(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.own()?;
        let work = Arc::clone(&self.0);
        event_loop::spawn(py, async move { work.ended().await }, |py, ended| {
            ended.map(|()| py.None()).map_err(|error| error::run(&error))
        })
    }

    fn stop(&self) -> PyResult<()> {
        self.0.own()?;
        self.0.stop();
        Ok(())
    }

    /// The same, with an end to it.
    fn stop_within(&self, timeout: f64) -> PyResult<()> {
        self.0.own()?;
        self.0.stop_within(keywords::limit(Some(timeout))?);
        Ok(())
    }

    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.0.own()?;
        let patience = keywords::limit(timeout)?.unwrap_or(Duration::MAX);
        runtime::wait(py, self.0.close(patience), None).map(drop)
    }

    fn close_async(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        self.0.own()?;
        let patience = keywords::limit(timeout)?.unwrap_or(Duration::MAX);
        let work = Arc::clone(&self.0);
        event_loop::spawn(py, async move { work.close(patience).await }, |py, ()| Ok(py.None()))
    }

    fn health(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.own()?;
        health::object(py, self.0.health().as_ref())
    }
}

impl Worker {
    /// Who asks for the next one has processed the last one.
    fn on_next(&self, last: Option<&Arc<InHand>>) -> PyResult<()> {
        match last.filter(|_| self.0.settings.checkpoint_on_next) {
            Some(last) => last.ask(),
            None => Ok(()),
        }
    }
}

fn told(next: Next) -> PyResult<Option<(shardflow_consumer::Batch, ShardInfo, Arc<InHand>)>> {
    next.transpose().map_err(|error| error::run(&error))
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.let_go();
    }
}
