//! Where records wait between the application and the producer's task.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shardflow_core::Record;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::Snapshot;
use crate::reserve::{Purse, Reserve};
use crate::ticket::{Block, End, Ticket, Tickets, Unheard};

/// What producer handles and the task share. The byte budget bounds what can be in it.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Held for a push or a swap only, never across an await: a plain mutex is the fastest.
    mail: Mutex<(Mail, Tickets)>,
    /// Tells the task that the first record has arrived since it last looked.
    pub(crate) arrived: Notify,
    /// Tells the task to look at once.
    pub(crate) urgent: Notify,
    /// Closed with the producer.
    pub(crate) reserve: Reserve,
    /// Largest record that the stream takes, as far as that is known.
    pub(crate) record_bytes: AtomicUsize,
}

/// What has arrived since the task last looked.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) puts: Vec<Put>,
    /// Blocks that their tickets begin.
    pub(crate) blocks: Vec<Arc<Block>>,
    /// When the first of them arrived.
    pub(crate) since: Option<Instant>,
    /// What they cost.
    bytes: usize,
    /// Flushes come after all puts that they wait for.
    pub(crate) flushes: Vec<oneshot::Sender<u64>>,
    /// Who wants to know how things stand.
    pub(crate) snapshots: Vec<oneshot::Sender<Snapshot>>,
    /// Everything that is not settled is to be given back.
    pub(crate) abandon: bool,
    /// The task is gone: nobody will read this any more.
    ended: bool,
}

/// An accepted record, the number of its ticket, and where its room comes from.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) record: Record,
    pub(crate) number: u64,
    pub(crate) purse: Purse,
}

/// Whose a record is. As small as can be, since it is in every record that is held.
#[derive(Debug)]
pub(crate) struct Tag {
    pub(crate) end: End,
    pub(crate) purse: Purse,
}

impl Inbox {
    /// Bytes that are not left to lie.
    const MUCH: usize = 1 << 20;

    pub(crate) fn new(reserve: Reserve, record_bytes: usize, unheard: Unheard) -> Self {
        Self {
            mail: Mutex::new((Mail::default(), Tickets::new(unheard))),
            arrived: Notify::new(),
            urgent: Notify::new(),
            reserve,
            record_bytes: AtomicUsize::new(record_bytes),
        }
    }

    /// Leaves a record for the task, or gives it back when there is none any more.
    pub(crate) fn put(&self, record: Record, cost: u32, purse: Purse) -> Result<Ticket, Record> {
        let mut locked = self.lock();
        let (mail, tickets) = &mut *locked;
        if mail.ended {
            return Err(record);
        }
        let (ticket, number) = tickets.issue(&mut mail.blocks);
        let before = mail.bytes;
        mail.bytes += cost as usize;
        let much = before < Self::MUCH && mail.bytes >= Self::MUCH;
        let first = mail.puts.is_empty();
        if first {
            mail.since = Some(Instant::now());
        }
        mail.puts.push(Put { record, number, purse });
        drop(locked);
        if much {
            self.urgent.notify_one();
        } else if first {
            self.arrived.notify_one();
        }
        Ok(ticket)
    }

    pub(crate) fn flush(&self) -> oneshot::Receiver<u64> {
        let (done, flushed) = oneshot::channel();
        let mut locked = self.lock();
        // A task that has ended has settled everything; its flushes are over by their other end.
        if !locked.0.ended {
            locked.0.flushes.push(done);
            drop(locked);
            self.urgent.notify_one();
        }
        flushed
    }

    pub(crate) fn snapshot(&self) -> oneshot::Receiver<Snapshot> {
        let (tell, told) = oneshot::channel();
        let mut locked = self.lock();
        // A task that has ended holds nothing; who asks hears of it by the other end.
        if !locked.0.ended {
            locked.0.snapshots.push(tell);
            drop(locked);
            self.urgent.notify_one();
        }
        told
    }

    pub(crate) fn abandon(&self) {
        self.lock().0.abandon = true;
        self.urgent.notify_one();
    }

    /// Takes what has arrived. What comes in must be empty; it is used for what arrives next.
    pub(crate) fn take(&self, mail: &mut Mail) {
        mail.bytes = 0;
        std::mem::swap(&mut self.lock().0, mail);
    }

    /// Takes what has arrived, for the last time.
    pub(crate) fn end(&self) -> Mail {
        self.reserve.close();
        std::mem::replace(&mut self.lock().0, Mail { ended: true, ..Mail::default() })
    }

    fn lock(&self) -> MutexGuard<'_, (Mail, Tickets)> {
        // Nothing in here panics while it holds the lock; and if it did, the mail would still be whole.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
