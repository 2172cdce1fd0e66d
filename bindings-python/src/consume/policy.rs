//! What becomes of records that a handler fails at.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shardflow_consumer::{DeadLetter, ErrorPolicy};

use super::UserRecord;
use super::processor::{Place, Raised};
use crate::error;

/// Attempts, what comes then, where dead letters go, waits and rest in seconds: the fields of Python's `Retry`.
#[derive(Debug, FromPyObject)]
pub(crate) struct Policy {
    #[pyo3(item(0))]
    attempts: Option<u32>,
    #[pyo3(item(1))]
    then: String,
    #[pyo3(item(2))]
    sink: Option<Py<PyAny>>,
    #[pyo3(item(3))]
    least: f64,
    #[pyo3(item(4))]
    most: f64,
    #[pyo3(item(5))]
    rest: f64,
}

impl Policy {
    /// Dead letters are told where handlers are called.
    pub(crate) fn policy(self, place: &Place) -> PyResult<ErrorPolicy> {
        let seconds = |name: &str, number: f64| {
            let wrong =
                |_| error::config(name, &number.to_string(), &format!("{name} takes seconds, 0 or more"));
            Duration::try_from_secs_f64(number).map_err(wrong)
        };
        let policy = match (self.attempts, self.then.as_str(), self.sink) {
            (None, ..) => ErrorPolicy::retry(),
            (Some(attempts), "skip", _) => ErrorPolicy::skip_after(attempts),
            (Some(attempts), "dead_letter", Some(sink)) => {
                let (sink, place) = (Arc::new(sink), place.clone());
                ErrorPolicy::dead_letter_after(attempts, move |letter| {
                    send(place.clone(), Arc::clone(&sink), letter)
                })
            }
            (Some(attempts), ..) => ErrorPolicy::stop_shard_after(attempts),
        };
        let backoff = (seconds("backoff", self.least)?, seconds("backoff", self.most)?);
        Ok(policy.backoff(backoff.0, backoff.1).rest(seconds("rest", self.rest)?))
    }
}

async fn send(place: Place, sink: Arc<Py<PyAny>>, letter: DeadLetter) -> Result<(), Raised> {
    let prepare = move |py: Python<'_>| {
        let DeadLetter { stream, shard_id, record, error, .. } = letter;
        let class = py.import("shardflow")?.getattr("DeadLetter")?;
        let record = UserRecord::alone(record);
        let letter = class.call1((stream.to_string(), shard_id.as_str(), record, error))?;
        Ok((sink.clone_ref(py), PyTuple::new(py, [letter])?.unbind()))
    };
    place.call(prepare, "the function for dead letters has raised").await
}
