//! The processor in Rust that calls one in Python: on a thread of its shard's, or in an event loop.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shardflow_consumer::{Batch, Checkpointer, RecordProcessor, ShardInfo, Stop};
use tokio::sync::oneshot;

use super::threads::ShardThread;
use crate::event_loop::EventLoop;
use crate::logging;

/// Where calls are made.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// On threads, one for each shard.
    Threads,
    Thread(Arc<ShardThread>),
    Loop(Arc<EventLoop>),
}

/// What Python has raised, as text: its traceback is in the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Raised(String);

/// What becomes of a call.
pub(crate) type Outcome = Result<(), Raised>;

/// Gives what is to be called, and with what.
pub(crate) type Prepare = Box<dyn FnOnce(Python<'_>) -> PyResult<(Py<PyAny>, Py<PyTuple>)> + Send>;

impl Place {
    /// Calls Python. In an event loop, what the call gives is awaited there; to drop this cancels it.
    pub(crate) async fn call<F>(&self, prepare: F, what: &'static str) -> Outcome
    where
        F: FnOnce(Python<'_>) -> PyResult<(Py<PyAny>, Py<PyTuple>)> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        match self {
            Self::Loop(event_loop) => return in_loop(event_loop, prepare, what).await,
            Self::Thread(thread) => thread.call(Box::new(prepare), what, tell),
            Self::Threads => {
                let run = move |py: Python<'_>| {
                    let done = call(py, prepare).map(drop).map_err(|raised| raised_in(py, what, raised));
                    // Nobody waits when the shard has been given up at once.
                    let _heard = tell.send(done).is_ok();
                };
                drop(tokio::task::spawn_blocking(|| Python::try_attach(run)));
            }
        }
        told.await.unwrap_or_else(|_| Err(Raised("its thread has ended".to_owned())))
    }

    /// This, for the calls of one shard.
    fn of_shard(&self, shard: &ShardInfo) -> Self {
        match self {
            Self::Threads => match ShardThread::start(format!("shardflow-{}", shard.shard_id)) {
                Ok(thread) => Self::Thread(Arc::new(thread)),
                Err(error) => {
                    tracing::warn!(target: "shardflow", %error, "there is no thread for a shard: it uses any");
                    Self::Threads
                }
            },
            other => other.clone(),
        }
    }
}

fn call<F>(py: Python<'_>, prepare: F) -> PyResult<Py<PyAny>>
where
    F: FnOnce(Python<'_>) -> PyResult<(Py<PyAny>, Py<PyTuple>)>,
{
    let (function, arguments) = prepare(py)?;
    function.call1(py, arguments)
}

/// Calls something in an event loop and awaits it there. If it is dropped, what runs there is cancelled.
async fn in_loop<F>(event_loop: &Arc<EventLoop>, prepare: F, what: &'static str) -> Outcome
where
    F: FnOnce(Python<'_>) -> PyResult<(Py<PyAny>, Py<PyTuple>)> + Send + 'static,
{
    let (tell, told) = oneshot::channel();
    let mut running = Running { event_loop: Arc::clone(event_loop), task: Arc::default(), is_over: false };
    let task = Arc::clone(&running.task);
    event_loop.soon(move |py| {
        // The shard has been given up meanwhile.
        if tell.is_closed() {
            return;
        }
        let done = Done { tell: Mutex::new(Some(tell)), what };
        match call(py, prepare).and_then(|called| begin(py, &called, &task)) {
            Ok(None) => done.tell(Ok(())),
            Ok(Some(begun)) => {
                if let Err(error) =
                    Py::new(py, done).and_then(|done| begun.call_method1("add_done_callback", (done,)))
                {
                    error.write_unraisable(py, None);
                }
            }
            Err(raised) => done.tell(Err(raised_in(py, what, raised))),
        }
    });
    let outcome = told.await.unwrap_or_else(|_| Err(Raised("the event loop has ended".to_owned())));
    running.is_over = true;
    outcome
}

/// Makes a task of what a handler has given, if it is to be awaited.
fn begin<'py>(
    py: Python<'py>,
    called: &Py<PyAny>,
    task: &OnceLock<Py<PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let called = called.bind(py);
    if !py.import("inspect")?.call_method1("isawaitable", (called,))?.is_truthy()? {
        return Ok(None);
    }
    let begun = py.import("asyncio")?.call_method1("ensure_future", (called,))?;
    // Loops keep no tasks alive.
    let _first = task.set(begun.clone().unbind()).is_ok();
    Ok(Some(begun))
}

/// A handler's task in an event loop.
struct Running {
    event_loop: Arc<EventLoop>,
    task: Arc<OnceLock<Py<PyAny>>>,
    is_over: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let task = Arc::clone(&self.task);
        self.event_loop.soon(move |py| {
            if let Some(task) = task.get()
                && let Err(error) = task.call_method0(py, "cancel")
            {
                error.write_unraisable(py, None);
            }
        });
    }
}

/// Called when a handler's task is done.
#[pyclass(frozen)]
struct Done {
    tell: Mutex<Option<oneshot::Sender<Outcome>>>,
    what: &'static str,
}

#[pymethods]
impl Done {
    fn __call__(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = task.py();
        let outcome = if task.call_method0("cancelled")?.is_truthy()? {
            Err(Raised("it was cancelled".to_owned()))
        } else {
            let raised = task.call_method0("exception")?;
            if raised.is_none() { Ok(()) } else { Err(raised_in(py, self.what, PyErr::from_value(raised))) }
        };
        self.tell(outcome);
        Ok(())
    }
}

impl Done {
    fn tell(&self, outcome: Outcome) {
        let tell = self.tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody waits when the shard has been given up at once.
        let _heard = tell.is_some_and(|tell| tell.send(outcome).is_ok());
    }
}

/// Puts what was raised into the log, with its traceback.
pub(super) fn raised_in(py: Python<'_>, what: &str, raised: PyErr) -> Raised {
    let text = raised.to_string();
    logging::write_raised(py, what, raised);
    Raised(text)
}

/// One shard's. What it calls has the methods `initialize`, `process` and `stopping`: `shardflow._handlers`.
#[derive(Debug)]
pub(crate) struct Processor {
    place: Place,
    shard: ShardInfo,
    factory: Arc<Py<PyAny>>,
    made: Arc<OnceLock<Py<PyAny>>>,
}

impl Processor {
    pub(crate) fn new(shard: &ShardInfo, place: &Place, factory: &Arc<Py<PyAny>>) -> Self {
        let (place, factory) = (place.of_shard(shard), Arc::clone(factory));
        Self { place, shard: shard.clone(), factory, made: Arc::default() }
    }

    /// Calls a method of what was made for this shard.
    async fn call<F>(&self, method: &'static str, arguments: F, what: &'static str) -> Outcome
    where
        F: FnOnce(Python<'_>) -> PyResult<Py<PyTuple>> + Send + 'static,
    {
        let (factory, made) = (Arc::clone(&self.factory), Arc::clone(&self.made));
        let shard = super::ShardInfo::from(&self.shard);
        let prepare = move |py: Python<'_>| {
            let processor = match made.get() {
                Some(made) => made.clone_ref(py),
                None => {
                    let new = factory.call1(py, (shard,))?;
                    made.get_or_init(|| new).clone_ref(py)
                }
            };
            Ok((processor.getattr(py, method)?, arguments(py)?))
        };
        self.place.call(prepare, what).await
    }

    fn checkpointer(
        &self,
        checkpointer: &Checkpointer,
    ) -> impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + use<> {
        let (checkpointer, is_async) = (checkpointer.clone(), matches!(self.place, Place::Loop(_)));
        move |py| {
            Ok(if is_async {
                Py::new(py, super::AsyncCheckpointer::new(checkpointer))?.into_any()
            } else {
                Py::new(py, super::Checkpointer::new(checkpointer))?.into_any()
            })
        }
    }
}

impl RecordProcessor for Processor {
    type Error = Raised;

    async fn initialize(&mut self, _shard: &ShardInfo) -> Outcome {
        let arguments = |py: Python<'_>| Ok(PyTuple::empty(py).unbind());
        self.call("initialize", arguments, "a handler could not begin").await
    }

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Outcome {
        let batch = super::Batch::new(batch.clone(), &self.shard);
        let checkpointer = self.checkpointer(checkpointer);
        let arguments = |py: Python<'_>| Ok((batch, checkpointer(py)?).into_pyobject(py)?.unbind());
        self.call("process", arguments, "a handler has raised").await
    }

    async fn stopping(&mut self, why: Stop, checkpointer: &Checkpointer) -> Outcome {
        let why = match why {
            Stop::ShardEnd => "shard_end",
            Stop::Handoff => "handoff",
            Stop::LeaseLost => "lease_lost",
            _ => "shutdown",
        };
        let checkpointer = self.checkpointer(checkpointer);
        let arguments = move |py: Python<'_>| Ok((why, checkpointer(py)?).into_pyobject(py)?.unbind());
        self.call("stopping", arguments, "a handler has raised at its end").await
    }
}
