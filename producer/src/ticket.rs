//! What an application holds of a record that was accepted.

use std::collections::VecDeque;
use std::fmt;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

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
pub(crate) struct Block {
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

    /// The block of a ticket, counted from the first, and its place there.
    #[expect(clippy::cast_possible_truncation, reason = "a place is less than 64")]
    fn of(number: u64) -> (u64, usize) {
        let places = Self::PLACES as u64;
        (number / places, (number % places) as usize)
    }

    fn new(unheard: Unheard) -> Arc<Self> {
        Arc::new(Self { places: [const { Line(Mutex::new(Place::Open(None))) }; Self::PLACES], unheard })
    }

    /// Leaves what has become of a record.
    fn settle(&self, place: usize, settled: Settled) {
        let mut place = self.place(place);
        match &mut *place {
            Place::Open(waker) => {
                let waker = waker.take();
                *place = Place::Settled(settled);
                drop(place);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Place::Left | Place::Settled(_) | Place::Lost => {
                drop(place);
                if let Err(error) = settled {
                    self.unheard.tell(*error);
                }
            }
        }
    }

    /// Nobody is left who would settle it.
    fn lose(&self, place: usize) {
        let mut place = self.place(place);
        if let Place::Open(waker) = &mut *place {
            let waker = waker.take();
            *place = Place::Lost;
            drop(place);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn place(&self, place: usize) -> MutexGuard<'_, Place> {
        // Nothing panics while it holds the lock; and if it did, the place would still be whole.
        self.places[place].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out tickets. [`Ends`] has their other ends.
#[derive(Debug)]
pub(crate) struct Tickets {
    block: Arc<Block>,
    next: u64,
}

impl Tickets {
    pub(crate) fn new(unheard: Unheard) -> Self {
        Self { block: Block::new(unheard), next: 0 }
    }

    /// A new ticket, and its number. If it begins a block, that is added to `begun`.
    pub(crate) fn issue(&mut self, begun: &mut Vec<Arc<Block>>) -> (Ticket, u64) {
        let number = self.next;
        let (_, place) = Block::of(number);
        if place == 0 {
            self.block = Block::new(self.block.unheard.clone());
            begun.push(Arc::clone(&self.block));
        }
        self.next += 1;
        (Ticket { block: Arc::clone(&self.block), place, taken: false }, number)
    }
}

/// The ends of tickets that settle them, in the hands of the task.
///
/// The task counts what is not settled of a block. Were that left to the block's own count of references, each record
/// would change it twice more, and hold a pointer.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    blocks: Vec<Watched>,
    /// Which of these are free again.
    free: Vec<usize>,
    /// Blocks whose tickets come next.
    coming: VecDeque<Arc<Block>>,
    /// How many have been watched, and which the last of them is.
    begun: u64,
    last: usize,
}

#[derive(Debug)]
struct Watched {
    /// None once all its tickets are settled.
    block: Option<Arc<Block>>,
    open: usize,
}

/// The end of one ticket, to be settled once: its block's number, times the places of a block, and its place.
#[derive(Debug)]
pub(crate) struct End(u32);

impl End {
    fn of(block: usize, place: usize) -> Self {
        let number = u32::try_from(block * Block::PLACES + place);
        Self(number.expect("that many tickets would take 256 GiB"))
    }

    fn block(&self) -> usize {
        self.0 as usize / Block::PLACES
    }

    fn place(&self) -> usize {
        self.0 as usize % Block::PLACES
    }
}

impl Ends {
    /// Takes in the blocks of the tickets that come next, in the order in which they were issued.
    pub(crate) fn begin(&mut self, blocks: impl Iterator<Item = Arc<Block>>) {
        self.coming.extend(blocks);
    }

    /// The end of the ticket with that number, which is asked for in the order in which they were issued.
    pub(crate) fn end(&mut self, number: u64) -> End {
        let (block, place) = Block::of(number);
        while self.begun <= block {
            self.last = self.watch();
            self.begun += 1;
        }
        End::of(self.last, place)
    }

    fn watch(&mut self) -> usize {
        let block = self.coming.pop_front().expect("a block is told before its first ticket is used");
        let watched = Watched { block: Some(block), open: Block::PLACES };
        match self.free.pop() {
            Some(free) => {
                self.blocks[free] = watched;
                free
            }
            None => {
                self.blocks.push(watched);
                self.blocks.len() - 1
            }
        }
    }

    /// Begins to fetch what settling will touch. A lock waits for its cache line; reads of many lines go on at once.
    pub(crate) fn fetch(&self, end: &End) {
        if let Some(block) = &self.blocks[end.block()].block {
            black_box(block.places[end.place()].0.is_poisoned());
        }
    }

    pub(crate) fn settle(&mut self, end: End, settled: Settled) {
        let watched = &mut self.blocks[end.block()];
        if let Some(block) = &watched.block {
            block.settle(end.place(), settled);
        }
        watched.open -= 1;
        if watched.open == 0 {
            watched.block = None;
            self.free.push(end.block());
        }
    }
}

/// The task has ended. Unless it has panicked, everything is settled.
impl Drop for Ends {
    fn drop(&mut self) {
        let watched = self.blocks.iter_mut().filter_map(|watched| watched.block.take());
        for block in watched.chain(self.coming.drain(..)) {
            for place in 0..Block::PLACES {
                block.lose(place);
            }
        }
    }
}

impl Ticket {
    /// Whether the outcome is there. It is not taken by that: a failure still goes where one goes that nobody asked for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(*self.block.place(self.place), Place::Open(_))
    }

    /// Waits for the outcome without taking it, for whoever waits for many. It wakes the task that polled last, by this
    /// or as a future.
    pub fn poll_settled(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut place = self.block.place(self.place);
        let Place::Open(waker) = &mut *place else { return Poll::Ready(()) };
        match waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Future for Ticket {
    type Output = Result<Receipt, RecordError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_settled(context));
        let left = std::mem::replace(&mut *self.block.place(self.place), Place::Left);
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
    use std::future::poll_fn;

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

    /// Both sides of tickets.
    struct Desk {
        tickets: Tickets,
        ends: Ends,
    }

    impl Desk {
        fn new(unheard: Unheard) -> Self {
            Self { tickets: Tickets::new(unheard), ends: Ends::default() }
        }

        fn issue(&mut self) -> (Ticket, End) {
            let mut begun = Vec::new();
            let (ticket, number) = self.tickets.issue(&mut begun);
            self.ends.begin(begun.into_iter());
            (ticket, self.ends.end(number))
        }
    }

    #[test]
    fn a_block_is_let_go_when_all_its_tickets_are_settled() {
        let mut desk = Desk::new(Unheard(None));
        let mut straggler = None;
        for _ in 0..100 {
            let (tickets, ends): (Vec<_>, Vec<_>) = (0..Block::PLACES).map(|_| desk.issue()).unzip();
            drop(tickets);
            let mut ends = ends.into_iter();
            straggler = straggler.or_else(|| ends.next());
            ends.for_each(|end| desk.ends.settle(end, Ok(receipt(1))));
        }
        assert_eq!(desk.ends.blocks.len(), 2, "one that is settled, and one with a ticket that is not");
        desk.ends.settle(straggler.unwrap(), Ok(receipt(1)));
        assert!(desk.ends.blocks.iter().all(|watched| watched.block.is_none()));
    }

    #[test]
    fn a_place_is_one_cache_line() {
        assert_eq!(size_of::<Line>(), 64);
    }

    #[tokio::test]
    async fn each_ticket_gets_its_own_outcome_before_or_after_it_is_awaited() {
        let mut desk = Desk::new(Unheard(None));
        let (held, open): (Vec<_>, Vec<_>) = (0..200).map(|_| desk.issue()).unzip();
        let waits = async move {
            for (number, ticket) in held.into_iter().enumerate() {
                assert_eq!(ticket.await.unwrap().attempts as usize, number);
            }
        };
        let settles = async move {
            for (number, end) in (0..).zip(open) {
                desk.ends.settle(end, Ok(receipt(number)));
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(waits, settles);
    }

    #[tokio::test]
    async fn a_failure_is_heard_once_by_the_ticket_or_else_by_the_callback() {
        let (unheard, heard) = counted();
        let mut desk = Desk::new(unheard);
        let (ticket, end) = desk.issue();
        desk.ends.settle(end, Err(failure()));
        assert!(ticket.await.is_err());
        assert_eq!(*heard.lock().unwrap(), 0);
        let (ticket, end) = desk.issue();
        drop(ticket);
        desk.ends.settle(end, Err(failure()));
        assert_eq!(*heard.lock().unwrap(), 1, "dropped before");
        let (ticket, end) = desk.issue();
        desk.ends.settle(end, Err(failure()));
        drop(ticket);
        assert_eq!(*heard.lock().unwrap(), 2, "dropped after");
        let (ticket, end) = desk.issue();
        desk.ends.settle(end, Ok(receipt(1)));
        drop(ticket);
        assert_eq!(*heard.lock().unwrap(), 2);
    }

    #[tokio::test]
    async fn who_waits_without_taking_leaves_the_failure_to_the_callback() {
        let (unheard, heard) = counted();
        let mut desk = Desk::new(unheard);
        let (ticket, end) = desk.issue();
        assert!(!ticket.is_settled());
        let waits = poll_fn(|context| ticket.poll_settled(context));
        let settles = async {
            tokio::task::yield_now().await;
            desk.ends.settle(end, Err(failure()));
        };
        tokio::join!(waits, settles);
        assert!(ticket.is_settled());
        assert_eq!(*heard.lock().unwrap(), 0, "it can still be asked");
        drop(ticket);
        assert_eq!(*heard.lock().unwrap(), 1);
    }
}
