//! What must hold in every world, a file each.

mod acknowledged_is_there;
mod bytes_conserved;
mod checkpoint_covers_processed;
mod children_entered;
mod counter_has_one_writer;
mod no_needless_loss;
mod no_needless_repeat;
mod not_sent_again;
mod nothing_moves_in_calm;
mod one_believer;
mod one_leader;
mod order_processed;
mod order_stored;
mod parents_first;
mod read_in_time;
mod settles_once;
mod within_budget;
mod writer_is_holder;

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use shardflow_core::{
    Checkpoint, HashKey, HashKeyRange, LeaseChange, LeaseKey, LeaseRow, Record, ShardId, WorkerId,
};
use shardflow_engine::Failure;
use shardflow_engine::lease::{LossCause, Tenure};
use shardflow_engine::produce::{Ordering, Outcome, Placed};

pub use super::records::Id;
use super::trace::{Broken, Subject, Trace};

/// Something that has happened in a world.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A producer has accepted a record.
    Put {
        /// Which.
        id: Id,
        /// The record.
        record: &'a Record,
    },
    /// A producer sends records.
    Sent {
        /// Which.
        ids: &'a [(Id, HashKey)],
    },
    /// The stream has taken an entry.
    Stored {
        /// Where.
        placed: &'a Placed,
        /// The range of the shard that took it.
        range: HashKeyRange,
        /// Its records, with the keys that decide their shards.
        ids: &'a [(Id, HashKey)],
    },
    /// A producer hears what became of its entries.
    Answered {
        /// Which producer.
        producer: usize,
        /// What it hears.
        results: &'a [Result<Placed, Failure>],
    },
    /// A record is settled.
    Settled {
        /// Which.
        id: Id,
        /// How.
        outcome: &'a Outcome,
    },
    /// What a producer says that it holds.
    Held {
        /// Which producer.
        producer: u16,
        /// How much.
        bytes: usize,
    },
    /// A write to the lease table has landed.
    Written {
        /// Whose.
        worker: &'a WorkerId,
        /// The row before; none if it is new.
        before: Option<&'a LeaseRow>,
        /// The row since.
        after: &'a LeaseRow,
        /// The change; none if the row is new.
        change: Option<&'a LeaseChange>,
        /// Children of a shard whose end was stored that have no row.
        orphans: &'a [LeaseKey],
    },
    /// More than one worker would process records of a lease now.
    Believed {
        /// Which.
        key: &'a LeaseKey,
        /// The workers.
        by: &'a [WorkerId],
        /// How long that has been so.
        time: Duration,
        /// How long it may be so, by the clocks of these workers.
        allowed: Duration,
    },
    /// Nobody reads a shard.
    Unread {
        /// Its lease.
        key: &'a LeaseKey,
        /// How long that has been so.
        time: Duration,
        /// How long it may be.
        allowed: Duration,
    },
    /// More than one worker leads, as they think.
    Leaders {
        /// The workers.
        by: &'a [WorkerId],
    },
    /// A worker begins to read a shard.
    Began {
        /// In which run.
        run: Run,
        /// The lease as it was acquired.
        row: &'a LeaseRow,
        /// Parents that have a row and are not done.
        unfinished_parents: usize,
    },
    /// A fresh handler begins behind a checkpoint.
    Restarted {
        /// In which run.
        run: Run,
        /// Of which shard.
        shard: &'a ShardId,
        /// Behind which checkpoint.
        checkpoint: &'a Checkpoint,
    },
    /// A worker has let go of a shard in good order.
    Released {
        /// Of which shard.
        shard: &'a ShardId,
        /// What it has processed, if it has stored less, although it could have.
        unsaved: Option<&'a Checkpoint>,
    },
    /// A worker asks for something.
    Called {
        /// Which, by number.
        worker: usize,
        /// What, as the table of coverage names it.
        what: &'static str,
        /// Whether the lease table is asked.
        of_table: bool,
    },
    /// A handler has processed records.
    Processed {
        /// In which run.
        run: Run,
        /// Of which shard.
        shard: &'a ShardId,
        /// Which.
        records: &'a [Handled],
    },
    /// A worker says that it has lost a lease.
    Lost {
        /// Which worker.
        worker: &'a WorkerId,
        /// The row at that time.
        row: Option<&'a LeaseRow>,
        /// Why, as it says.
        cause: LossCause,
        /// Whether it is one of ours, and no other has ever run beside it under its name.
        alone: bool,
    },
    /// A lease was deleted, or tidied away.
    Deleted {
        /// Which.
        key: &'a LeaseKey,
    },
    /// Everything in the stream has left retention.
    Aged,
    /// Something of the script happens.
    Trouble {
        /// What.
        what: &'a str,
    },
    /// All trouble has stopped.
    Healing,
    /// The world has healed: from now on, and until something else is said, nothing happens at all.
    Calm {
        /// Workers that run.
        workers: usize,
        /// Shards that are open.
        shards: usize,
        /// Leases, those of shards that are done among them.
        leases: usize,
        /// Whether some are of the KCL for Java.
        java: bool,
    },
    /// Calm is over.
    Stirred,
}

/// One tenure of one worker's life: the worker's number, its life and the tenure.
pub type Run = (usize, u64, Tenure);

impl Seen<'_> {
    /// What it is about, if that is one lease or one key.
    pub(super) fn subject(&self) -> Option<Subject> {
        let lease = |shard: &ShardId| Subject::Lease(LeaseKey::from(shard));
        match self {
            Self::Put { id, .. } | Self::Settled { id, .. } => Some(Subject::of(*id)),
            Self::Sent { ids } | Self::Stored { ids, .. } => ids.first().map(|(id, _)| Subject::of(*id)),
            Self::Written { after, .. } => Some(Subject::Lease(after.key.clone())),
            Self::Began { row, .. } => Some(Subject::Lease(row.key.clone())),
            Self::Believed { key, .. } | Self::Deleted { key } | Self::Unread { key, .. } => {
                Some(Subject::Lease((*key).clone()))
            }
            Self::Restarted { shard, .. } | Self::Released { shard, .. } | Self::Processed { shard, .. } => {
                Some(lease(shard))
            }
            Self::Lost { row, .. } => row.map(|row| Subject::Lease(row.key.clone())),
            Self::Answered { .. }
            | Self::Held { .. }
            | Self::Leaders { .. }
            | Self::Called { .. }
            | Self::Aged
            | Self::Trouble { .. }
            | Self::Healing
            | Self::Calm { .. }
            | Self::Stirred => None,
        }
    }
}

/// A record that a handler has processed.
#[derive(Clone, Debug)]
pub struct Handled {
    /// Which.
    pub id: Id,
    /// Where it lies.
    pub at: Checkpoint,
    /// Whether it is a copy in an aggregate that another shard should have taken.
    pub out_of_range: bool,
}

/// A promise.
pub trait Invariant: fmt::Debug + Send {
    /// Looks at what has happened.
    ///
    /// # Errors
    ///
    /// How the promise is broken.
    fn see(&mut self, now: Duration, seen: &Seen<'_>) -> Result<(), String>;

    /// The world is over.
    ///
    /// # Errors
    ///
    /// What is still owed.
    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// All promises, and what more than one of them needs to know.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) progress: Progress,
    invariants: Vec<(&'static str, Box<dyn Invariant>)>,
    pub(super) trace: Trace,
}

/// How far the records have come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stored: HashSet<Id>,
    processed: HashSet<Id>,
}

impl Progress {
    /// Notes processed records. Gives how many of them had been before.
    pub(super) fn processed(&mut self, records: &[Handled]) -> u64 {
        records.iter().filter(|record| !self.processed.insert(record.id)).count() as u64
    }

    /// Records that lie in the stream and that nobody has processed: how many, and the first.
    pub(super) fn unprocessed(&self) -> (usize, Option<Id>) {
        let open = self.stored.difference(&self.processed);
        (open.clone().count(), open.min().copied())
    }
}

macro_rules! invariants {
    ($($file:ident::$invariant:ident),* $(,)?) => {
        vec![$((stringify!($file), Box::<$file::$invariant>::default() as Box<dyn Invariant>)),*]
    };
}

impl Checks {
    pub(super) fn new(ordering: Ordering, trace: Trace) -> Self {
        let mut all = invariants![
            settles_once::SettlesOnce,
            bytes_conserved::BytesConserved,
            acknowledged_is_there::AcknowledgedIsThere,
            not_sent_again::NotSentAgain,
            counter_has_one_writer::CounterHasOneWriter,
            writer_is_holder::WriterIsHolder,
            checkpoint_covers_processed::CheckpointCoversProcessed,
            children_entered::ChildrenEntered,
            parents_first::ParentsFirst,
            one_believer::OneBeliever,
            one_leader::OneLeader,
            no_needless_loss::NoNeedlessLoss,
            no_needless_repeat::NoNeedlessRepeat,
            nothing_moves_in_calm::NothingMovesInCalm,
            within_budget::WithinBudget,
            read_in_time::ReadInTime,
        ];
        match ordering {
            Ordering::None => {}
            Ordering::PerKey => {
                all.extend(invariants![order_stored::OrderStored, order_processed::OrderProcessed,]);
            }
        }
        Self { progress: Progress::default(), invariants: all, trace }
    }

    pub(super) fn see(&mut self, now: Duration, seen: &Seen<'_>) -> Result<(), Broken> {
        match seen {
            Seen::Stored { ids, .. } => self.progress.stored.extend(ids.iter().map(|(id, _)| *id)),
            Seen::Aged => self.progress.stored.clear(),
            _ => {}
        }
        self.trace.see(now, seen);
        for (promise, invariant) in &mut self.invariants {
            if let Err(what) = invariant.see(now, seen) {
                return Err(Broken { promise, what, subject: seen.subject() });
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), Broken> {
        let broken = |promise, what| Broken { promise, what, subject: None };
        let mut all = self.invariants.iter_mut();
        all.try_for_each(|(promise, invariant)| invariant.end().map_err(|what| broken(promise, what)))
    }
}
