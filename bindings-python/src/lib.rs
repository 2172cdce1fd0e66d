//! The extension module behind the Python package `shardflow`: it translates, and decides nothing.
//!
//! Python's side is `python/shardflow/_native.pyi`, which has the documentation of everything here that an application
//! sees. What the modules share:
//!
//! - `runtime`: one tokio runtime for each process, waiting without the GIL, forks, and what happens at exit;
//! - `event_loop`: how what tokio finishes gets into an asyncio loop;
//! - `callbacks` and `logging`: the one thread that calls Python for what nobody waits for;
//! - `aws`: region, endpoint and credentials, from the environment or from a session of boto3;
//! - `keywords`: keyword arguments, with their units;
//! - `error`: the exceptions of `shardflow.errors`.
//!
//! `consume` is the consumer; what reads better in Python of it is in `python/shardflow/_consumer.py`.

mod aggregation;
mod async_producer;
mod aws;
mod callbacks;
mod config;
mod consume;
mod core;
mod error;
mod event_loop;
mod keywords;
mod local;
mod logging;
mod producer;
mod receipt;
mod record;
mod runtime;
mod slot;
mod stats;
mod ticket;
mod tickets;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult, Python, logging, runtime};

    #[pymodule_export]
    use super::aggregation::{Aggregator, is_aggregate, split};
    #[pymodule_export]
    use super::async_producer::{AsyncProducer, Put};
    #[pymodule_export]
    use super::consume::{
        AsyncCheckpointer, AsyncDelivery, Batch, BatchRecords, Checkpointer, Delivery, ShardInfo, UserRecord,
        Worker,
    };
    #[pymodule_export]
    use super::local::Service;
    #[pymodule_export]
    use super::producer::Producer;
    #[pymodule_export]
    use super::receipt::Receipt;
    #[pymodule_export]
    use super::record::Record;
    #[pymodule_export]
    use super::ticket::Ticket;
    #[pymodule_export]
    use super::tickets::Tickets;

    #[pymodule_init]
    fn init(py: Python<'_>, module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        logging::install();
        runtime::watch(py, module)
    }
}
