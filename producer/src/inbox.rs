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
    /// The task is gone: nobody will read this any more.
    ended: bool,
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

    /// Leaves a record for the task, or gives it back when there is none any more.
    pub(crate) fn put(&self, put: Put) -> Result<(), Record> {
        let mut mail = self.lock();
        if mail.ended {
            return Err(put.record);
        }
        mail.puts.push(put);
        drop(mail);
        self.arrived.notify_one();
        Ok(())
    }

    pub(crate) fn flush(&self) -> oneshot::Receiver<u64> {
        let (done, flushed) = oneshot::channel();
        let mut mail = self.lock();
        // A task that has ended has settled everything; its flushes are over by their other end.
        if !mail.ended {
            mail.flushes.push(done);
            drop(mail);
            self.arrived.notify_one();
        }
        flushed
    }

    pub(crate) fn abandon(&self) {
        self.lock().abandon = true;
        self.arrived.notify_one();
    }

    /// Takes what has arrived. What comes in must be empty; it is used for what arrives next.
    pub(crate) fn take(&self, mail: &mut Mail) {
        std::mem::swap(&mut *self.lock(), mail);
    }

    /// Takes what has arrived, for the last time.
    pub(crate) fn end(&self) -> Mail {
        self.budget.close();
        std::mem::replace(&mut *self.lock(), Mail { ended: true, ..Mail::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        // Nothing in here panics while it holds the lock; and if it did, the mail would still be whole.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
