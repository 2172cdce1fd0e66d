//! Rust's errors as exceptions of `shardflow.errors`.

use std::fmt::Display;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use shardflow_consumer::{CheckpointError, RunError};
use shardflow_local::StartError;
use shardflow_local::kinesis::KinesisError;
use shardflow_producer::{
    Attempt, ConfigError, Fate, FlushError, Invalid, PutError, RecordError, UnknownKey,
};

use crate::record::Record;

/// Makes an exception of a class of `shardflow.errors`, with its attributes.
fn new(py: Python<'_>, class: &str, message: String, attributes: &Bound<'_, PyDict>) -> PyErr {
    let made = py
        .import("shardflow.errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call((message,), Some(attributes)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

fn plain(class: &str, message: String) -> PyErr {
    Python::attach(|py| new(py, class, message, &PyDict::new(py)))
}

/// A keyword argument that cannot be what it is.
pub(crate) fn option(name: &str, value: &Bound<'_, PyAny>, rule: &str) -> PyErr {
    let shown = value.repr().map(|repr| repr.to_string_lossy().into_owned()).unwrap_or_default();
    config(name, &shown, &format!("{name} cannot be {shown}: it takes {rule}"))
}

/// The same for what must not be shown.
pub(crate) fn option_unseen(name: &str, rule: &str) -> PyErr {
    config(name, "", &format!("{name} takes {rule}"))
}

pub(crate) fn config(option: &str, value: &str, message: &str) -> PyErr {
    Python::attach(|py| {
        let attributes = PyDict::new(py);
        let set = attributes.set_item("option", option).and_then(|()| attributes.set_item("value", value));
        match set {
            Ok(()) => new(py, "ConfigError", message.to_owned(), &attributes),
            Err(error) => error,
        }
    })
}

pub(crate) fn kpl_option(error: &ConfigError, text: &str) -> PyErr {
    config(error.key().name(), text, &error.to_string())
}

pub(crate) fn kcl_option(error: &shardflow_consumer::ConfigError, text: &str) -> PyErr {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    config(error.key().name(), text, &format!("{error}{cause}"))
}

pub(crate) fn unknown_option(name: &str, text: &str, error: &UnknownKey) -> PyErr {
    config(name, text, &error.to_string())
}

pub(crate) fn invalid(error: &Invalid) -> PyErr {
    plain("InvalidError", error.to_string())
}

pub(crate) fn forked(what: &str) -> PyErr {
    plain(
        "ForkedError",
        format!("this {what} was made before a fork and belongs to the parent: make a new one"),
    )
}

/// A wait whose time is up.
pub(crate) fn waited(what: &str) -> PyErr {
    plain("WaitTimeout", what.to_owned())
}

pub(crate) fn os(error: impl Display) -> PyErr {
    PyOSError::new_err(format!("no runtime could be started: {error}"))
}

pub(crate) fn bug(error: impl Display) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

pub(crate) fn start(error: &StartError) -> PyErr {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    PyOSError::new_err(message)
}

pub(crate) fn service(error: &KinesisError) -> PyErr {
    Python::attach(|py| {
        let attributes = PyDict::new(py);
        match attributes.set_item("code", error.code().as_str()) {
            Ok(()) => new(py, "ServiceError", error.to_string(), &attributes),
            Err(error) => error,
        }
    })
}

/// A worker could not start, or not go on.
pub(crate) fn run(error: &RunError) -> PyErr {
    let code = match error {
        RunError::Refused { code, .. } => Some(code.as_str()),
        _ => None,
    };
    Python::attach(|py| {
        let attributes = PyDict::new(py);
        match attributes.set_item("code", code) {
            Ok(()) => new(py, "ConsumerError", error.to_string(), &attributes),
            Err(error) => error,
        }
    })
}

/// A consumer is asked for what it cannot do any more.
pub(crate) fn consumer(message: &str) -> PyErr {
    plain("ConsumerError", message.to_owned())
}

/// A checkpoint was not stored.
pub(crate) fn checkpoint(error: &CheckpointError) -> PyErr {
    let class = match error {
        CheckpointError::LeaseLost => "LeaseLostError",
        _ => "CheckpointError",
    };
    let code = match error {
        CheckpointError::Store { code, .. } => Some(code.as_str()),
        _ => None,
    };
    Python::attach(|py| {
        let attributes = PyDict::new(py);
        match attributes.set_item("code", code) {
            Ok(()) => new(py, class, error.to_string(), &attributes),
            Err(error) => error,
        }
    })
}

/// A batch was done with before its checkpoint was asked for.
pub(crate) fn checkpoint_of_done() -> PyErr {
    plain(
        "CheckpointError",
        "the batch was let go by done(): the next checkpoint of its shard covers it".to_owned(),
    )
}

/// A record was not accepted.
pub(crate) fn put(py: Python<'_>, error: PutError) -> PyErr {
    let message = error.to_string();
    let attributes = PyDict::new(py);
    let class = match &error {
        PutError::Full { size, held, limit, .. } => attributes
            .set_item("size", size)
            .and_then(|()| attributes.set_item("held", held))
            .and_then(|()| attributes.set_item("limit", limit))
            .map(|()| "BufferFullError"),
        PutError::TooLarge { size, limit, .. } => attributes
            .set_item("size", size)
            .and_then(|()| attributes.set_item("limit", limit))
            .map(|()| "RecordTooLargeError"),
        // It is always given a runtime, and `PutError` may come to say more.
        _ => Ok("ClosedError"),
    };
    let class = class.and_then(|class| {
        attributes.set_item("record", Record::from(error.into_record()))?;
        Ok(class)
    });
    match class {
        Ok(class) => new(py, class, message, &attributes),
        Err(error) => error,
    }
}

/// An accepted record was not delivered, or may not have been.
pub(crate) fn record(py: Python<'_>, error: RecordError) -> PyErr {
    match record_attributes(py, &error) {
        Ok((class, attributes)) => {
            let message = error.to_string();
            match attributes.set_item("record", Record::from(error.into_record())) {
                Ok(()) => new(py, class, message, &attributes),
                Err(error) => error,
            }
        }
        Err(error) => error,
    }
}

fn record_attributes<'py>(
    py: Python<'py>,
    error: &RecordError,
) -> PyResult<(&'static str, Bound<'py, PyDict>)> {
    let attributes = PyDict::new(py);
    let attempts = error.attempts().iter().map(|attempt| attempt_object(py, attempt));
    attributes.set_item("attempts", PyList::new(py, attempts.collect::<PyResult<Vec<_>>>()?)?)?;
    attributes.set_item("may_have_been_written", error.fate() == Fate::Unknown)?;
    attributes.set_item("retryable", error.is_retryable())?;
    let code = error.attempts().last().map(|last| last.code.as_str());
    let class = match error {
        RecordError::Expired { .. } => "ExpiredError",
        RecordError::Refused { code, .. } => {
            attributes.set_item("code", code)?;
            return Ok(("RefusedError", attributes));
        }
        RecordError::Abandoned { .. } => "AbandonedError",
        _ => "RecordError",
    };
    attributes.set_item("code", code)?;
    Ok((class, attributes))
}

fn attempt_object<'py>(py: Python<'py>, attempt: &Attempt) -> PyResult<Bound<'py, PyAny>> {
    let Attempt { after, took, code, message, fate, .. } = attempt;
    let unknown = *fate == Fate::Unknown;
    py.import("shardflow.errors")?.getattr("Attempt")?.call1((
        after.as_secs_f64(),
        took.as_secs_f64(),
        code,
        message,
        unknown,
    ))
}

/// Records that a flush or close waited for were not delivered.
pub(crate) fn flush(py: Python<'_>, error: FlushError) -> PyErr {
    let failed = match error {
        FlushError::Undelivered { failed } => failed,
        _ => 0,
    };
    let attributes = PyDict::new(py);
    match attributes.set_item("failed", failed) {
        Ok(()) => new(py, "FlushError", error.to_string(), &attributes),
        Err(error) => error,
    }
}
