//! The thread that calls Python for what nobody waits for: failures that no ticket took, and lines of the log.
//!
//! The threads that find these must not wait for the GIL, nor for an application's code.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use shardflow_producer::RecordError;

use crate::logging::{self, Line};
use crate::{error, runtime};

/// Something to tell Python.
#[derive(Debug)]
pub(crate) enum Word {
    Line(Line),
    Failure { call: Arc<Py<PyAny>>, error: Box<RecordError> },
}

/// Words that wait to be told, and the thread that tells them.
#[derive(Clone, Debug)]
pub(crate) struct Callbacks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    words: Mutex<Words>,
    /// Something has come, or all has been told.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Words {
    waiting: VecDeque<Word>,
    lines: usize,
    /// Lines that there was no room for.
    dropped: usize,
    /// Some are being told.
    telling: bool,
}

impl Callbacks {
    /// Lines that may wait; more are counted and dropped. Failures are all kept: each is a record of an application.
    const LINES: usize = 10_000;

    /// This process's, whose thread is started if need be.
    pub(crate) fn here() -> Self {
        let start = || {
            let callbacks = Self(Arc::default());
            let teller = callbacks.clone();
            let started = std::thread::Builder::new()
                .name("shardflow-callbacks".to_owned())
                .spawn(move || teller.run());
            // Without a thread nothing is told; the runtime, which needs threads too, says so.
            let _runs = started.is_ok();
            callbacks
        };
        runtime::current().callbacks.get_or_init(start).clone()
    }

    pub(crate) fn tell(&self, word: Word) {
        let mut words = self.lock();
        if let Word::Line(_) = word {
            if words.lines >= Self::LINES {
                words.dropped += 1;
                return;
            }
            words.lines += 1;
        }
        words.waiting.push_back(word);
        drop(words);
        self.0.changed.notify_all();
    }

    /// Waits until all has been told, or for as long as that.
    pub(crate) fn drain(&self, limit: Duration) {
        let busy = |words: &mut Words| words.telling || !words.waiting.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.lock(), limit, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn run(&self) {
        loop {
            let (words, dropped) = self.next();
            // Python is gone: there is nobody to tell.
            if Python::try_attach(|py| tell_all(py, words, dropped)).is_none() {
                return;
            }
            self.lock().telling = false;
            self.0.changed.notify_all();
        }
    }

    /// Waits for words and takes all there are.
    fn next(&self) -> (VecDeque<Word>, usize) {
        let nothing = |words: &mut Words| words.waiting.is_empty();
        let words = self.0.changed.wait_while(self.lock(), nothing);
        let mut words = words.unwrap_or_else(PoisonError::into_inner);
        words.telling = true;
        words.lines = 0;
        (std::mem::take(&mut words.waiting), std::mem::take(&mut words.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, Words> {
        self.0.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell_all(py: Python<'_>, words: VecDeque<Word>, dropped: usize) {
    for word in words {
        match word {
            Word::Line(line) => logging::write(py, &line),
            Word::Failure { call, error } => {
                let exception = error::record(py, *error);
                if let Err(raised) = call.call1(py, (exception.value(py),)) {
                    logging::write_raised(py, "on_failure has raised", raised);
                }
            }
        }
    }
    if dropped > 0 {
        logging::write(py, &Line::dropped(dropped));
    }
}
