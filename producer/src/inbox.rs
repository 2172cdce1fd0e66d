//! Where records wait between the application and the producer's task.

use std::sync::{Mutex, MutexGuard, PoisonError};

use shardflow_core::{HashKey, Record};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::ticket::Settled;

/// What producer handles and the task share. The byte budget bounds what can be in it.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Held for a push or a swap only, never across an await: a plain mutex is the fastest.
    mail: Mutex<Mail>,
    /// Wakes the task.
    pub(crate) arrived: Notify,
    /// A permit for each byte that may be held. Closed with the producer.
    pub(crate) budget: Semaphore,
}

/// What has arrived since the task last looked.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) puts: Vec<Put>,
    /// Flushes come after all puts that they wait for.
    pub(crate) flushes: Vec<oneshot::Sender<u64>>,
    /// Everything that is not settled is to be given back.
    pub(crate) abandon: bool,
}

/// An accepted record.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) record: Record,
    /// Computed by the caller: callers are many, the task is one.
    pub(crate) hash_key: HashKey,
    pub(crate) tag: Tag,
}

/// Whose a record is.
#[derive(Debug)]
pub(crate) struct Tag {
    pub(crate) settle: oneshot::Sender<Settled>,
    /// Bytes of the budget that it holds.
    pub(crate) cost: usize,
}

impl Inbox {
    pub(crate) fn new(budget: usize) -> Self {
        Self { mail: Mutex::default(), arrived: Notify::new(), budget: Semaphore::new(budget) }
    }

    pub(crate) fn put(&self, put: Put) {
        self.lock().puts.push(put);
        self.arrived.notify_one();
    }

    pub(crate) fn flush(&self) -> oneshot::Receiver<u64> {
        let (done, flushed) = oneshot::channel();
        self.lock().flushes.push(done);
        self.arrived.notify_one();
        flushed
    }

    pub(crate) fn abandon(&self) {
        self.lock().abandon = true;
        self.arrived.notify_one();
    }

    /// Takes what has arrived. The buffer that comes in is emptied and used for what arrives next.
    pub(crate) fn take(&self, mail: &mut Mail) {
        mail.puts.clear();
        mail.flushes.clear();
        mail.abandon = false;
        std::mem::swap(&mut *self.lock(), mail);
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        // Nothing in here panics while it holds the lock; and if it did, the mail would still be whole.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
