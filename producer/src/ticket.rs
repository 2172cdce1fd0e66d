//! What an application holds of a record that was accepted.

use std::fmt;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use shardflow_core::{SequenceNumber, ShardId};

use crate::RecordError;
use crate::config::OnFailure;

/// The handle of an accepted record: a future of what becomes of it.
///
/// Dropping it changes nothing: the record is delivered all the same, and a failure that it was not asked for goes to
/// [`Config::on_failure`](crate::Config::on_failure) or the log. Polling it is cancel safe.
#[must_use = "await it for the outcome, or drop it explicitly"]
pub struct Ticket {
    block: Arc<Block>,
    place: usize,
    taken: bool,
}

pub(crate) type Settled = Result<Receipt, Box<RecordError>>;

/// Where the outcomes of some records in a row are left: one allocation for all of them.
#[derive(Debug)]
struct Block {
    places: [Line; Self::PLACES],
    unheard: Unheard,
}

/// A place has a cache line for itself: records that are settled together have put theirs everywhere.
#[derive(Debug)]
#[repr(align(64))]
struct Line(Mutex<Place>);

#[derive(Debug)]
enum Place {
    /// Not settled; with whom to wake.
    Open(Option<Waker>),
    Settled(Settled),
    /// Nobody asks for it any more.
    Left,
    /// The task has ended without settling it.
    Lost,
}

impl Block {
    const PLACES: usize = 64;

    fn place(&self, place: usize) -> MutexGuard<'_, Place> {
        // Nothing panics while it holds the lock; and if it did, the place would still be whole.
        self.places[place].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out tickets.
#[derive(Debug)]
pub(crate) struct Tickets {
    block: Arc<Block>,
    next: usize,
}

impl Tickets {
    pub(crate) fn new(unheard: Unheard) -> Self {
        Self { block: Self::block(unheard), next: 0 }
    }

    fn block(unheard: Unheard) -> Arc<Block> {
        Arc::new(Block { places: [const { Line(Mutex::new(Place::Open(None))) }; Block::PLACES], unheard })
    }

    /// A new ticket, and the other end of it.
    pub(crate) fn issue(&mut self) -> (Ticket, Settle) {
        if self.next == Block::PLACES {
            *self = Self::new(self.block.unheard.clone());
        }
        let place = self.next;
        self.next += 1;
        let ticket = Ticket { block: Arc::clone(&self.block), place, taken: false };
        (ticket, Settle { block: Some(Arc::clone(&self.block)), place })
    }
}

/// The end of a ticket that settles it.
#[derive(Debug)]
pub(crate) struct Settle {
    /// None once it is settled.
    block: Option<Arc<Block>>,
    place: usize,
}

impl Settle {
    /// Begins to fetch what settling will touch. A lock waits for its cache line; reads of many lines go on at once.
    pub(crate) fn fetch(&self) {
        if let Some(block) = &self.block {
            black_box((Arc::strong_count(block), block.places[self.place].0.is_poisoned()));
        }
    }

    pub(crate) fn settle(mut self, settled: Settled) {
        self.leave(Place::Settled(settled));
    }

    fn leave(&mut self, after: Place) {
        let Some(block) = self.block.take() else { return };
        let mut place = block.place(self.place);
        match &mut *place {
            Place::Open(waker) => {
                let waker = waker.take();
                *place = after;
                drop(place);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Place::Left | Place::Settled(_) | Place::Lost => {
                drop(place);
                if let Place::Settled(Err(error)) = after {
                    block.unheard.tell(*error);
                }
            }
        }
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        self.leave(Place::Lost);
    }
}

impl Future for Ticket {
    type Output = Result<Receipt, RecordError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut place = self.block.place(self.place);
        if let Place::Open(waker) = &mut *place {
            match waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => *waker = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        let left = std::mem::replace(&mut *place, Place::Left);
        drop(place);
        self.taken = true;
        match left {
            Place::Settled(settled) => Poll::Ready(settled.map_err(|error| *error)),
            Place::Open(_) | Place::Left | Place::Lost => {
                unreachable!("every accepted record is settled, and a ticket tells that once")
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let left = std::mem::replace(&mut *self.block.place(self.place), Place::Left);
        if let Place::Settled(Err(error)) = left {
            self.block.unheard.tell(*error);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&*self.block.place(self.place)).finish()
    }
}

/// What happens with a failure that no ticket takes.
#[derive(Clone)]
pub(crate) struct Unheard(pub(crate) Option<OnFailure>);

impl Unheard {
    fn tell(&self, error: RecordError) {
        match &self.0 {
            Some(call) => call(error),
            None => {
                let partition_key = error.record().partition_key();
                tracing::warn!(%error, %partition_key, "a record was not delivered");
            }
        }
    }
}

impl fmt::Debug for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "on_failure" } else { "log" })
    }
}

/// Where a record was put.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Receipt {
    /// The shard that took it.
    pub shard_id: ShardId,
    /// The place of the Kinesis record that carries it. Records of one aggregate share it.
    pub sequence_number: SequenceNumber,
    /// Its place within the aggregate; `None` if it travelled alone.
    pub sub_sequence_number: Option<u64>,
    /// Tries that it took, the last one included.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardflow_core::Record;

    fn receipt(attempts: u32) -> Receipt {
        Receipt {
            shard_id: ShardId::numbered(0),
            sequence_number: "1".parse().unwrap(),
            sub_sequence_number: None,
            attempts,
        }
    }

    fn failure() -> Box<RecordError> {
        let record = Record::new("k", "x").unwrap();
        Box::new(RecordError::Abandoned { record, attempts: Vec::new() })
    }

    fn counted() -> (Unheard, Arc<Mutex<usize>>) {
        let heard = Arc::new(Mutex::new(0));
        let count = Arc::clone(&heard);
        (Unheard(Some(Arc::new(move |_| *count.lock().unwrap() += 1))), heard)
    }

    #[test]
    fn a_place_is_one_cache_line() {
        assert_eq!(size_of::<Line>(), 64);
    }

    #[tokio::test]
    async fn each_ticket_gets_its_own_outcome_before_or_after_it_is_awaited() {
        let mut tickets = Tickets::new(Unheard(None));
        let (held, ends): (Vec<_>, Vec<_>) = (0..200).map(|_| tickets.issue()).unzip();
        let waits = async move {
            for (number, ticket) in held.into_iter().enumerate() {
                assert_eq!(ticket.await.unwrap().attempts as usize, number);
            }
        };
        let settles = async move {
            for (number, end) in (0..).zip(ends) {
                end.settle(Ok(receipt(number)));
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(waits, settles);
    }

    #[tokio::test]
    async fn a_failure_is_heard_once_by_the_ticket_or_else_by_the_callback() {
        let (unheard, heard) = counted();
        let mut tickets = Tickets::new(unheard);
        let (ticket, end) = tickets.issue();
        end.settle(Err(failure()));
        assert!(ticket.await.is_err());
        assert_eq!(*heard.lock().unwrap(), 0);
        let (ticket, end) = tickets.issue();
        drop(ticket);
        end.settle(Err(failure()));
        assert_eq!(*heard.lock().unwrap(), 1, "dropped before");
        let (ticket, end) = tickets.issue();
        end.settle(Err(failure()));
        drop(ticket);
        assert_eq!(*heard.lock().unwrap(), 2, "dropped after");
        let (ticket, end) = tickets.issue();
        end.settle(Ok(receipt(1)));
        drop(ticket);
        assert_eq!(*heard.lock().unwrap(), 2);
    }
}
