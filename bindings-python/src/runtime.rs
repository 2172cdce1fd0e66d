//! One tokio runtime for each process: made when it is first needed, made anew after a fork, and emptied at exit.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

use crate::callbacks::Callbacks;
use crate::consume::Work;
use crate::core::Core;
use crate::error;

/// What the objects of one process share.
///
/// After a fork the child has none of the threads, and any lock can be held by one that is gone: it touches nothing of
/// its parent's, and begins anew.
#[derive(Debug)]
pub(crate) struct Process {
    runtime: OnceLock<Runtime>,
    pub(crate) callbacks: OnceLock<Callbacks>,
    /// One pool of connections, and the system's certificates read once.
    pub(crate) http: OnceLock<SharedHttpClient>,
    /// Producers that are not closed: what they hold is sent before the process ends.
    open: Mutex<Vec<Arc<Core>>>,
    /// Consumers that run: their leases are left to others before the process ends.
    running: Mutex<Vec<Arc<Work>>>,
    /// Whether the end of a worker of `multiprocessing` has been looked at.
    watched: OnceLock<()>,
    /// The child's.
    child: OnceLock<Box<Self>>,
}

/// How many forks lie between the process that first loaded this module and this one.
static GENERATION: AtomicUsize = AtomicUsize::new(0);

static FIRST: Process = Process::new();

pub(crate) fn generation() -> usize {
    GENERATION.load(Ordering::Relaxed)
}

/// This process's own.
pub(crate) fn current() -> &'static Process {
    (0..generation()).fold(&FIRST, |process, _| process.child.get_or_init(|| Box::new(Process::new())))
}

/// Has Python tell of forks and of the end.
pub(crate) fn watch(py: Python<'_>, module: &Bound<'_, PyModule>) -> PyResult<()> {
    let forked = wrap_pyfunction!(forked, module)?;
    let os = py.import("os")?;
    // Windows has no fork.
    if let Ok(register) = os.getattr("register_at_fork") {
        let child = PyDict::new(py);
        child.set_item("after_in_child", forked)?;
        register.call((), Some(&child))?;
    }
    let at_exit = wrap_pyfunction!(at_exit, module)?;
    py.import("atexit")?.call_method1("register", (at_exit,))?;
    Ok(())
}

/// The workers of `multiprocessing` end without `atexit` where they are forked: they have a list of their own.
fn watch_worker(py: Python<'_>) -> PyResult<()> {
    let loaded = py.import("sys")?.getattr("modules")?;
    let Ok(process) = loaded.get_item("multiprocessing.process") else { return Ok(()) };
    if process.call_method0("parent_process")?.is_none() {
        return Ok(());
    }
    let keywords = PyDict::new(py);
    keywords.set_item("exitpriority", 0)?;
    let at_exit = wrap_pyfunction!(at_exit, py)?;
    py.import("multiprocessing.util")?.call_method("Finalize", (py.None(), at_exit), Some(&keywords))?;
    Ok(())
}

#[pyfunction]
fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Stops consumers, whose handlers may put records, and sends what is still held, each within its time.
#[pyfunction]
fn at_exit(py: Python<'_>) {
    let process = current();
    let most = if interrupted(py) { INTERRUPTED } else { Duration::MAX };
    let running = std::mem::take(&mut *process.running());
    let Some(runtime) = process.runtime.get() else { return };
    py.detach(|| {
        let closed = async {
            let mut stopping = JoinSet::new();
            for work in running {
                stopping.spawn(async move { work.close(work.exit_timeout().min(most)).await });
            }
            stopping.join_all().await;
            let open = std::mem::take(&mut *process.open());
            let mut closing = JoinSet::new();
            for core in open {
                closing.spawn(async move {
                    // What is not delivered has told its ticket, or else the callback and the log.
                    let _all_delivered = core.close(core.exit_timeout.min(most)).await.is_ok();
                });
            }
            closing.join_all().await;
        };
        block_on(runtime, closed);
        if let Some(callbacks) = process.callbacks.get() {
            callbacks.drain(LAST_WORDS);
        }
    });
}

/// Whether Ctrl-C ends this process.
fn interrupted(py: Python<'_>) -> bool {
    let last = py.import("sys").and_then(|sys| sys.getattr("last_type"));
    last.is_ok_and(|class| class.is(py.get_type::<PyKeyboardInterrupt>()))
}

/// How long records may take that are still held when somebody has pressed Ctrl-C.
pub(crate) const INTERRUPTED: Duration = Duration::from_secs(3);

/// How long callbacks and log lines that are not yet told may take when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often a wait looks for signals.
const SIGNALS: Duration = Duration::from_millis(100);

/// Waits without the GIL, for as long as that: `None` when time is up. Ctrl-C ends the wait.
pub(crate) fn wait<F>(py: Python<'_>, future: F, limit: Option<Duration>) -> PyResult<Option<F::Output>>
where
    F: Future<Output: Send> + Send,
{
    let runtime = current().runtime()?;
    // A limit beyond what the clock can tell is none.
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let mut future = pin!(future);
    loop {
        let left = deadline.map_or(SIGNALS, |at| at.saturating_duration_since(Instant::now()));
        let slice = left.min(SIGNALS);
        let part = future.as_mut();
        let done = py.detach(|| block_on(runtime, async { tokio::time::timeout(slice, part).await }));
        if let Ok(done) = done {
            return Ok(Some(done));
        }
        py.check_signals()?;
        if left <= SIGNALS && deadline.is_some() {
            return Ok(None);
        }
    }
}

/// This is where a thread of Python's waits; it runs no task.
fn block_on<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    runtime.block_on(future)
}

impl Process {
    const fn new() -> Self {
        Self {
            runtime: OnceLock::new(),
            callbacks: OnceLock::new(),
            http: OnceLock::new(),
            open: Mutex::new(Vec::new()),
            running: Mutex::new(Vec::new()),
            watched: OnceLock::new(),
            child: OnceLock::new(),
        }
    }

    /// Where everything runs.
    pub(crate) fn handle(&self) -> PyResult<&Handle> {
        Ok(self.runtime()?.handle())
    }

    fn runtime(&self) -> PyResult<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.min(MOST_WORKERS))
            .thread_name("shardflow")
            .enable_all()
            .build()
            .map_err(error::os)?;
        Ok(self.runtime.get_or_init(|| runtime))
    }

    pub(crate) fn opened(&self, py: Python<'_>, core: &Arc<Core>) -> PyResult<()> {
        self.watch_once(py)?;
        self.open().push(Arc::clone(core));
        Ok(())
    }

    pub(crate) fn begun(&self, py: Python<'_>, work: &Arc<Work>) -> PyResult<()> {
        self.watch_once(py)?;
        self.running().push(Arc::clone(work));
        Ok(())
    }

    pub(crate) fn ended(&self, work: &Work) {
        self.running().retain(|running| !std::ptr::eq(&raw const **running, work));
    }

    fn running(&self) -> MutexGuard<'_, Vec<Arc<Work>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch_once(&self, py: Python<'_>) -> PyResult<()> {
        if self.watched.set(()).is_ok() { watch_worker(py) } else { Ok(()) }
    }

    pub(crate) fn closed(&self, core: &Core) {
        self.open().retain(|open| !std::ptr::eq(&raw const **open, core));
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Core>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A producer is one task, and a request mostly waits: more threads would only take turns.
const MOST_WORKERS: usize = 4;
