//! How what tokio finishes gets into an asyncio loop: many outcomes by one `call_soon_threadsafe`.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::runtime;

/// A loop, and what is to be done in it.
pub(crate) struct EventLoop {
    event_loop: Py<PyAny>,
    generation: usize,
    handle: Handle,
    due: Mutex<Vec<Task>>,
}

enum Task {
    Resolve(Due),
    Call(Box<dyn FnOnce(Python<'_>) + Send>),
}

/// A future of asyncio's, and what is to be its outcome.
pub(crate) struct Due {
    future: Py<PyAny>,
    outcome: Outcome,
}

type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

thread_local! {
    /// The loop that this thread last ran: a thread mostly has one for long.
    static LAST: RefCell<Option<Arc<EventLoop>>> = const { RefCell::new(None) };
}

impl EventLoop {
    /// The loop that runs in this thread.
    pub(crate) fn running(py: Python<'_>) -> PyResult<Arc<Self>> {
        let running = py.import("asyncio")?.call_method0("get_running_loop")?;
        let generation = runtime::generation();
        let known = LAST.with_borrow(|last| {
            let same = |last: &&Arc<Self>| last.generation == generation && last.event_loop.is(&running);
            last.as_ref().filter(same).cloned()
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let handle = runtime::current().handle()?.clone();
        let new = Arc::new(Self { event_loop: running.unbind(), generation, handle, due: Mutex::default() });
        LAST.set(Some(Arc::clone(&new)));
        Ok(new)
    }

    pub(crate) fn future(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.event_loop.call_method0(py, "create_future")
    }

    /// Leaves an outcome for the loop.
    pub(crate) fn resolve(self: &Arc<Self>, due: Due) {
        self.leave(Task::Resolve(due));
    }

    /// Has the loop call something, soon; a loop that is closed drops it.
    pub(crate) fn soon(self: &Arc<Self>, call: impl FnOnce(Python<'_>) + Send + 'static) {
        self.leave(Task::Call(Box::new(call)));
    }

    /// Leaves a task for the loop, and tells it if it has not been told since it last looked.
    fn leave(self: &Arc<Self>, task: Task) {
        let mut all = self.due();
        all.push(task);
        let first = all.len() == 1;
        drop(all);
        if first {
            let this = Arc::clone(self);
            // This thread must not wait for the GIL: it may be the one that works for all producers.
            drop(self.handle.spawn_blocking(move || Python::try_attach(|py| this.call(py))));
        }
    }

    /// Asks the loop to look.
    fn call(self: &Arc<Self>, py: Python<'_>) {
        let look = Py::new(py, Look(Arc::clone(self)));
        let asked = look.and_then(|look| self.event_loop.call_method1(py, "call_soon_threadsafe", (look,)));
        // A loop that is closed has no futures any more that somebody awaits.
        if asked.is_err() {
            drop(std::mem::take(&mut *self.due()));
        }
    }

    fn due(&self) -> MutexGuard<'_, Vec<Task>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("due", &self.due().len()).finish_non_exhaustive()
    }
}

/// What the loop calls: does all that is due.
#[pyclass(frozen)]
struct Look(Arc<EventLoop>);

#[pymethods]
impl Look {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let due = std::mem::take(&mut *self.0.due());
        due.into_iter().try_for_each(|task| match task {
            Task::Resolve(due) => due.resolve(py),
            Task::Call(call) => {
                call(py);
                Ok(())
            }
        })
    }
}

impl Due {
    pub(crate) fn new(
        future: Py<PyAny>,
        outcome: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        Self { future, outcome: Box::new(outcome) }
    }

    fn resolve(self, py: Python<'_>) -> PyResult<()> {
        let future = self.future.bind(py);
        // It was cancelled meanwhile. The outcome is not taken then: a failure stays unheard, and is told.
        if future.call_method0("done")?.is_truthy()? {
            return Ok(());
        }
        match (self.outcome)(py) {
            Ok(value) => future.call_method1("set_result", (value,))?,
            Err(error) => future.call_method1("set_exception", (error.value(py),))?,
        };
        Ok(())
    }
}

/// Wakes a future of asyncio's when something in Rust is ready.
pub(crate) struct Awaited {
    event_loop: Arc<EventLoop>,
    due: Mutex<Option<Due>>,
}

impl Awaited {
    pub(crate) fn new(event_loop: Arc<EventLoop>, due: Due) -> Arc<Self> {
        Arc::new(Self { event_loop, due: Mutex::new(Some(due)) })
    }
}

impl Wake for Awaited {
    fn wake(self: Arc<Self>) {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(due) = due {
            self.event_loop.resolve(due);
        }
    }
}

/// A future of asyncio's that has what a future in Rust comes to. Cancelling the one drops the other.
pub(crate) fn spawn<F>(
    py: Python<'_>,
    work: F,
    outcome: impl FnOnce(Python<'_>, F::Output) -> PyResult<Py<PyAny>> + Send + 'static,
) -> PyResult<Py<PyAny>>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let event_loop = EventLoop::running(py)?;
    let future = event_loop.future(py)?;
    let resolved = future.clone_ref(py);
    let task = event_loop.handle.clone().spawn(async move {
        let value = work.await;
        event_loop.resolve(Due::new(resolved, move |py| outcome(py, value)));
    });
    let cancel = Py::new(py, Cancel(task.abort_handle()))?;
    future.call_method1(py, "add_done_callback", (cancel,))?;
    Ok(future)
}

/// Called when a future is done, by whatever way.
#[pyclass(frozen)]
struct Cancel(AbortHandle);

#[pymethods]
impl Cancel {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        // One that is finished does not mind.
        self.0.abort();
    }
}

/// An awaitable that is ready: awaiting it gives the loop a turn at most.
#[pyclass(frozen)]
pub(crate) struct Ready(Mutex<Option<PyResult<Py<PyAny>>>>);

impl Ready {
    pub(crate) fn new(outcome: PyResult<Py<PyAny>>) -> Self {
        Self(Mutex::new(Some(outcome)))
    }
}

#[pymethods]
impl Ready {
    fn __await__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self) -> PyResult<Option<Py<PyAny>>> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(value)) => Err(PyStopIteration::new_err((value,))),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        }
    }
}
