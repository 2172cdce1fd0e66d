//! A thread for the calls of one shard: what an application keeps for a thread, such as a connection, stays with its shard.

use std::sync::mpsc::{self, Receiver, Sender};

use pyo3::prelude::*;

/// A call of Python's.
type Job = Box<dyn FnOnce(Python<'_>) + Send>;

/// A thread that Python knows, for as long as this is there; a call that it is busy with is finished.
#[derive(Debug)]
pub(crate) struct ShardThread(Sender<Job>);

impl ShardThread {
    /// Starts one, under a name that Python's log shows.
    pub(crate) fn start(name: String) -> std::io::Result<Self> {
        let (jobs, mut given) = mpsc::channel::<Job>();
        let work = move || {
            // Python is told of the thread once, not with each call.
            Python::try_attach(|py| {
                if let Err(raised) = call_it(py, &name) {
                    raised.write_unraisable(py, None);
                }
                while let Some(job) = py.detach(|| next(&mut given)) {
                    job(py);
                }
            });
        };
        std::thread::Builder::new().name("shardflow-handler".to_owned()).spawn(work)?;
        Ok(Self(jobs))
    }

    pub(crate) fn call(&self, job: impl FnOnce(Python<'_>) + Send + 'static) {
        // If the thread has ended, Python has; the job tells that by being dropped.
        let _taken = self.0.send(Box::new(job)).is_ok();
    }
}

fn next(given: &mut Receiver<Job>) -> Option<Job> {
    given.recv().ok()
}

fn call_it(py: Python<'_>, name: &str) -> PyResult<()> {
    py.import("threading")?.call_method0("current_thread")?.setattr("name", name)
}
