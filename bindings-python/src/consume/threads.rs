//! A thread for the calls of one shard: what an application keeps for a thread, such as a connection, stays with its shard.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tokio::sync::oneshot;

use super::processor::{Outcome, Prepare, raised_in};

/// A thread of Python's, for as long as this is there; a call that it is busy with is finished.
///
/// Its loop is in Python (`shardflow._handlers.serve`): a thread that is in a handler when the interpreter ends is ended there
/// and then, and that must not go through frames of Rust.
#[derive(Debug)]
pub(crate) struct ShardThread(SyncSender<Job>);

struct Job {
    prepare: Prepare,
    what: &'static str,
    tell: oneshot::Sender<Outcome>,
}

impl ShardThread {
    /// Starts one, under a name that Python's log shows. Does not wait for it, nor for the GIL.
    pub(crate) fn start(name: String) -> std::io::Result<Self> {
        // Calls of a shard never overlap.
        let (jobs, given) = mpsc::sync_channel(1);
        let start = move || {
            let started = Python::try_attach(|py| -> PyResult<()> {
                let keywords = PyDict::new(py);
                keywords.set_item("name", name)?;
                keywords.set_item("daemon", true)?;
                keywords.set_item("target", py.import("shardflow._handlers")?.getattr("serve")?)?;
                let jobs = Jobs { given: Mutex::new(given), now: Mutex::new(None) };
                keywords.set_item("args", PyTuple::new(py, [Py::new(py, jobs)?])?)?;
                py.import("threading")?
                    .getattr("Thread")?
                    .call((), Some(&keywords))?
                    .call_method0("start")?;
                Ok(())
            });
            if let Some(Err(raised)) = started {
                tracing::error!(target: "shardflow", %raised, "no thread could be started for a shard");
            }
        };
        std::thread::Builder::new().name("shardflow-starter".to_owned()).spawn(start)?;
        Ok(Self(jobs))
    }

    pub(crate) fn call(&self, prepare: Prepare, what: &'static str, tell: oneshot::Sender<Outcome>) {
        // If there is no thread any more, that is told by dropping the job.
        let _taken = self.0.try_send(Job { prepare, what, tell }).is_ok();
    }
}

/// The calls of a shard, for its thread.
#[pyclass(frozen)]
struct Jobs {
    given: Mutex<Receiver<Job>>,
    /// How to tell what becomes of the call that was given last.
    now: Mutex<Option<(&'static str, oneshot::Sender<Outcome>)>>,
}

#[pymethods]
impl Jobs {
    /// Waits for a call, without the GIL: a function and its arguments; nothing when the shard is given up.
    fn next(&self, py: Python<'_>) -> Option<(Py<PyAny>, Py<PyTuple>)> {
        loop {
            let given = || self.given.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            let Job { prepare, what, tell } = py.detach(given)?;
            match prepare(py) {
                Ok(call) => {
                    *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some((what, tell));
                    return Some(call);
                }
                Err(raised) => drop(tell.send(Err(raised_in(py, what, raised)))),
            }
        }
    }

    /// The call has returned, or raised that.
    fn done(&self, py: Python<'_>, raised: Option<Bound<'_, PyAny>>) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((what, tell)) = now else { return };
        let outcome = raised.map_or(Ok(()), |raised| Err(raised_in(py, what, PyErr::from_value(raised))));
        // Nobody waits when the shard has been given up at once.
        let _heard = tell.send(outcome).is_ok();
    }
}
