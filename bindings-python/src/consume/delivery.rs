//! Batches of a loop, which are acknowledged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use shardflow_consumer::CheckpointError;
use tokio::sync::watch;

use super::Batch;
use crate::{error, event_loop, runtime};

/// A batch that is in an application's hand until it is acknowledged.
#[derive(Debug)]
pub(crate) struct InHand {
    place: Mutex<Place>,
    /// What became of its checkpoint, for all who ask.
    stored: watch::Sender<Option<Result<(), CheckpointError>>>,
    generation: usize,
}

#[derive(Debug)]
enum Place {
    InHand(shardflow_consumer::Delivery),
    /// Its checkpoint was asked for.
    Asked,
    /// It is done without a checkpoint.
    Done,
    /// The consumer has ended before it was acknowledged.
    GivenBack,
}

/// Why there is no checkpoint.
#[derive(Debug)]
pub(crate) enum NotStored {
    Refused(CheckpointError),
    Done,
}

impl InHand {
    pub(crate) fn new(delivery: shardflow_consumer::Delivery) -> Arc<Self> {
        let (stored, generation) = (watch::Sender::new(None), runtime::generation());
        Arc::new(Self { place: Mutex::new(Place::InHand(delivery)), stored, generation })
    }

    /// Whether its shard waits for it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.place(), Place::InHand(_))
    }

    /// The batch is not processed: it comes again.
    pub(crate) fn give_back(&self) {
        drop(self.take(Place::GivenBack));
    }

    /// Asks for the checkpoint, which is carried out whether anybody waits for it or not. A second one has the same outcome.
    pub(crate) fn ask(self: &Arc<Self>) -> PyResult<()> {
        if let Some(delivery) = self.take(Place::Asked) {
            let this = Arc::clone(self);
            let asked = async move {
                let stored = delivery.checkpoint().await;
                this.stored.send_replace(Some(stored));
            };
            drop(runtime::current().handle()?.spawn(asked));
        }
        Ok(())
    }

    async fn checkpoint(self: Arc<Self>) -> Result<(), NotStored> {
        match *self.place() {
            Place::Done => return Err(NotStored::Done),
            Place::GivenBack => return Err(NotStored::Refused(CheckpointError::LeaseLost)),
            Place::InHand(_) | Place::Asked => {}
        }
        let mut stored = self.stored.subscribe();
        let known = stored.wait_for(Option::is_some).await;
        let known = known.ok().and_then(|known| known.clone());
        known.unwrap_or(Err(CheckpointError::LeaseLost)).map_err(NotStored::Refused)
    }

    fn done(&self) {
        if let Some(delivery) = self.take(Place::Done) {
            delivery.done();
        }
    }

    /// The first one counts.
    fn take(&self, becomes: Place) -> Option<shardflow_consumer::Delivery> {
        let mut place = self.place();
        match std::mem::replace(&mut *place, becomes) {
            Place::InHand(delivery) => Some(delivery),
            before => {
                *place = before;
                None
            }
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> PyResult<()> {
        if self.generation == runtime::generation() { Ok(()) } else { Err(error::forked("batch")) }
    }
}

fn not_stored(why: &NotStored) -> PyErr {
    match why {
        NotStored::Refused(refused) => error::checkpoint(refused),
        NotStored::Done => error::checkpoint_of_done(),
    }
}

/// In a forked child nothing of it is touched.
impl Drop for InHand {
    fn drop(&mut self) {
        if self.own().is_err() {
            let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(std::mem::replace(place, Place::GivenBack));
        }
    }
}

/// Python's `Delivery`.
#[derive(Debug)]
#[pyclass(frozen, extends = Batch, module = "shardflow")]
pub(crate) struct Delivery(pub(super) Arc<InHand>);

/// Python's `AsyncDelivery`.
#[derive(Debug)]
#[pyclass(frozen, extends = Batch, module = "shardflow")]
pub(crate) struct AsyncDelivery(pub(super) Arc<InHand>);

#[pymethods]
impl Delivery {
    fn checkpoint(&self, py: Python<'_>) -> PyResult<()> {
        self.0.own()?;
        self.0.ask()?;
        match runtime::wait(py, Arc::clone(&self.0).checkpoint(), None)? {
            Some(stored) => stored.map_err(|why| not_stored(&why)),
            None => Ok(()),
        }
    }

    fn done(&self) -> PyResult<()> {
        self.0.own()?;
        self.0.done();
        Ok(())
    }
}

#[pymethods]
impl AsyncDelivery {
    fn checkpoint(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.own()?;
        self.0.ask()?;
        event_loop::spawn(py, Arc::clone(&self.0).checkpoint(), |py, stored| {
            stored.map(|()| py.None()).map_err(|why| not_stored(&why))
        })
    }

    fn done(&self) -> PyResult<()> {
        self.0.own()?;
        self.0.done();
        Ok(())
    }
}
