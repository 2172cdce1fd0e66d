//! What becomes of one record, for all who wait for it in Python's threads and loops.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::prelude::*;
use shardflow_producer::{RecordError, Ticket};

use crate::error;
use crate::receipt::Receipt;

/// A ticket, and then its outcome. It is taken from the ticket only when Python asks for it.
///
/// Nothing of Python's is called under the lock: whoever waited for the lock would hold the GIL.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    /// Nobody has asked for the outcome. Who waits for it is in the set.
    Open(Ticket, Option<Arc<Waiting>>),
    Asked(Result<shardflow_producer::Receipt, Box<RecordError>>),
    /// It was left to a process that is no more.
    Abandoned,
}

impl Slot {
    pub(crate) fn new(ticket: Ticket) -> Self {
        Self(Mutex::new(State::Open(ticket, None)))
    }

    pub(crate) fn is_settled(&self) -> bool {
        match &*self.state() {
            State::Open(ticket, _) => ticket.is_settled(),
            State::Asked(_) | State::Abandoned => true,
        }
    }

    /// Whether it is settled; if not, the waker is woken when it is.
    pub(crate) fn poll_settled(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.state();
        let State::Open(ticket, waiting) = &mut *state else { return Poll::Ready(()) };
        // Most are settled when they are asked for.
        if ticket.is_settled() {
            return Poll::Ready(());
        }
        let waiting = waiting.get_or_insert_default();
        waiting.add(waker);
        let all = Waker::from(Arc::clone(waiting));
        ticket.poll_settled(&mut Context::from_waker(&all))
    }

    /// Its outcome, which counts as heard from now on; `None` while it is open.
    pub(crate) fn outcome(&self, py: Python<'_>) -> Option<PyResult<Receipt>> {
        let outcome = self.ask()?;
        Some(outcome.map(Receipt::from).map_err(|failure| error::record(py, *failure)))
    }

    fn ask(&self) -> Option<Result<shardflow_producer::Receipt, Box<RecordError>>> {
        let mut state = self.state();
        if let State::Open(ticket, _) = &mut *state {
            if !ticket.is_settled() {
                return None;
            }
            let Poll::Ready(outcome) = Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop())) else {
                return None;
            };
            *state = State::Asked(outcome.map_err(Box::new));
        }
        match &*state {
            State::Asked(outcome) => Some(outcome.clone()),
            State::Open(..) | State::Abandoned => None,
        }
    }

    /// Forgets the ticket without touching it: in a forked child its locks can be held by threads that are gone.
    pub(crate) fn abandon(&mut self) {
        let state = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(std::mem::replace(state, State::Abandoned));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All who wait for one record: a ticket itself wakes one.
#[derive(Debug, Default)]
struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    fn add(&self, waker: &Waker) {
        let mut wakers = self.wakers();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.wakers());
        wakers.into_iter().for_each(Waker::wake);
    }
}
