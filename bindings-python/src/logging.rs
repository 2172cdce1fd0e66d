//! Events of `tracing` as records of Python's `logging`, under the logger that is called as their module.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::callbacks::{Callbacks, Word};

/// One event, as text.
#[derive(Debug)]
pub(crate) struct Line {
    target: Cow<'static, str>,
    level: u8,
    file: &'static str,
    line: u32,
    message: String,
}

impl Line {
    pub(crate) fn dropped(count: usize) -> Self {
        Self {
            target: Cow::Borrowed("shardflow"),
            level: WARNING,
            file: file!(),
            line: line!(),
            message: format!("{count} log records were dropped: they came faster than they were handled"),
        }
    }
}

const WARNING: u8 = 30;

/// What Python's loggers let through when they were last asked: ours, and those of the libraries that we use.
static OURS: AtomicU8 = AtomicU8::new(WARNING);
static OTHERS: AtomicU8 = AtomicU8::new(WARNING);

/// Takes the place of this process's subscriber, which nothing else in an extension module could.
pub(crate) fn install() {
    // If there is one already, whoever loaded this module twice has it.
    let _first = tracing::subscriber::set_global_default(Bridge).is_ok();
}

/// Looks at the levels of Python's loggers, so that what they would drop costs nothing.
pub(crate) fn refresh(py: Python<'_>) -> PyResult<()> {
    let logging = py.import("logging")?;
    let level = |name: Option<&str>| -> PyResult<u8> {
        let logger = logging.call_method1("getLogger", PyTuple::new(py, name)?)?;
        let level: i64 = logger.call_method0("getEffectiveLevel")?.extract()?;
        Ok(u8::try_from(level.max(0)).unwrap_or(u8::MAX))
    };
    let mut ours = level(Some("shardflow"))?;
    let names: Vec<String> = logging
        .getattr("root")?
        .getattr("manager")?
        .getattr("loggerDict")?
        .call_method0("keys")?
        .try_iter()?
        .map(|name| name?.extract())
        .collect::<PyResult<_>>()?;
    for name in names.iter().filter(|name| name.starts_with("shardflow.")) {
        ours = ours.min(level(Some(name))?);
    }
    let others = level(None)?;
    let changed = OURS.swap(ours, Ordering::Relaxed) != ours;
    if OTHERS.swap(others, Ordering::Relaxed) != others || changed {
        tracing::callsite::rebuild_interest_cache();
    }
    Ok(())
}

/// Hands a line to the logger that it is for.
pub(crate) fn write(py: Python<'_>, line: &Line) {
    let handled = || -> PyResult<()> {
        let logger = py.import("logging")?.call_method1("getLogger", (&*line.target,))?;
        if logger.call_method1("isEnabledFor", (line.level,))?.is_truthy()? {
            let none = py.None();
            let (file, message) = (line.file, &line.message);
            let fields = (&*line.target, line.level, file, line.line, message, PyTuple::empty(py), none);
            let record = logger.call_method1("makeRecord", fields)?;
            logger.call_method1("handle", (record,))?;
        }
        Ok(())
    };
    if let Err(raised) = handled() {
        raised.write_unraisable(py, None);
    }
}

/// Tells of an exception that an application's own code has raised where nobody can catch it.
pub(crate) fn write_raised(py: Python<'_>, what: &str, raised: PyErr) {
    let handled = move || -> PyResult<()> {
        let logger = py.import("logging")?.call_method1("getLogger", ("shardflow",))?;
        let keywords = PyDict::new(py);
        // With the traceback, which the value alone does not have.
        keywords.set_item("exc_info", raised.into_value(py))?;
        logger.call_method("error", (what,), Some(&keywords))?;
        Ok(())
    };
    if let Err(other) = handled() {
        other.write_unraisable(py, None);
    }
}

struct Bridge;

impl Subscriber for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let least = if metadata.target().starts_with("shardflow") { &OURS } else { &OTHERS };
        metadata.is_event() && level(metadata.level()) >= least.load(Ordering::Relaxed)
    }

    // Spans are for tracing: `logging` has no such thing.
    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        let line = Line {
            target: logger(metadata.target()),
            level: level(metadata.level()),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            message: text.message + &text.fields,
        };
        Callbacks::here().tell(Word::Line(line));
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

/// `shardflow_producer::ticket` is `shardflow.producer.ticket` to Python.
fn logger(target: &str) -> Cow<'static, str> {
    let target = target.replace("::", ".");
    match target.strip_prefix("shardflow_") {
        Some(ours) => format!("shardflow.{ours}").into(),
        None => target.into(),
    }
}

/// The number that `logging` has for a level.
fn level(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 40,
        Level::WARN => WARNING,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// The message of an event, and its fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            // A field of that name comes behind the event's own.
            "message" if self.message.is_empty() => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        written.expect("text can always be longer");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" if self.message.is_empty() => self.message.push_str(value),
            _ => self.record_debug(field, &value),
        }
    }
}
