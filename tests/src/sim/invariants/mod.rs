//! What must hold in every world, a file each.

mod acknowledged_is_there;
mod bytes_conserved;
mod checkpoint_covers_processed;
mod children_entered;
mod counter_has_one_writer;
mod no_needless_loss;
mod not_sent_again;
mod one_believer;
mod order_processed;
mod order_stored;
mod parents_first;
mod settles_once;
mod writer_is_holder;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use shardflow_core::{
    Checkpoint, HashKey, HashKeyRange, LeaseChange, LeaseKey, LeaseRow, Record, ShardId, WorkerId,
};
use shardflow_engine::Failure;
use shardflow_engine::lease::LossCause;
use shardflow_engine::produce::{Ordering, Outcome, Placed};

pub use super::records::Id;

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
    /// How many workers would process records of a lease now.
    Beliefs {
        /// By lease.
        believers: &'a BTreeMap<LeaseKey, usize>,
    },
    /// A worker begins to read a shard.
    Began {
        /// Which.
        shard: &'a ShardId,
        /// Parents that have a row and are not done.
        unfinished_parents: usize,
    },
    /// A handler has processed records.
    Processed {
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
    },
    /// All trouble has stopped.
    Healing,
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
    invariants: Vec<Box<dyn Invariant>>,
    /// A key whose records' way is printed: producer and number.
    pub(super) trace: Option<(u16, u16)>,
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

    /// Records that lie in the stream and that nobody has processed.
    pub(super) fn unprocessed(&self) -> usize {
        self.stored.difference(&self.processed).count()
    }
}

impl Checks {
    pub(super) fn new(ordering: Ordering) -> Self {
        let mut invariants: Vec<Box<dyn Invariant>> = vec![
            Box::<settles_once::SettlesOnce>::default(),
            Box::<bytes_conserved::BytesConserved>::default(),
            Box::<acknowledged_is_there::AcknowledgedIsThere>::default(),
            Box::<not_sent_again::NotSentAgain>::default(),
            Box::<counter_has_one_writer::CounterHasOneWriter>::default(),
            Box::<writer_is_holder::WriterIsHolder>::default(),
            Box::<checkpoint_covers_processed::CheckpointCoversProcessed>::default(),
            Box::<children_entered::ChildrenEntered>::default(),
            Box::<parents_first::ParentsFirst>::default(),
            Box::<one_believer::OneBeliever>::default(),
            Box::<no_needless_loss::NoNeedlessLoss>::default(),
        ];
        match ordering {
            Ordering::None => {}
            Ordering::PerKey => {
                invariants.push(Box::<order_stored::OrderStored>::default());
                invariants.push(Box::<order_processed::OrderProcessed>::default());
            }
        }
        Self { progress: Progress::default(), invariants, trace: None }
    }

    pub(super) fn see(&mut self, now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        if let Seen::Stored { ids, .. } = seen {
            self.progress.stored.extend(ids.iter().map(|(id, _)| *id));
        }
        self.print(now, seen);
        self.invariants.iter_mut().try_for_each(|invariant| invariant.see(now, seen))
    }

    /// Prints what concerns the key that is traced.
    #[expect(clippy::print_stdout, reason = "the trace of a world that is reproduced by hand")]
    fn print(&self, now: Duration, seen: &Seen<'_>) {
        let Some(traced) = self.trace else { return };
        let of = |id: &Id| ((id.producer, id.key) == traced).then_some(id.index);
        let indices = |ids: &[(Id, HashKey)]| ids.iter().filter_map(|(id, _)| of(id)).collect::<Vec<_>>();
        let (what, indices) = match seen {
            Seen::Put { id, .. } => (String::from("put"), of(id).into_iter().collect()),
            Seen::Sent { ids } => (String::from("sent"), indices(ids)),
            Seen::Stored { placed, ids, range } => {
                let whole = ids.iter().all(|(_, key)| range.contains(*key));
                let place = format!("{} {}", placed.shard_id, placed.sequence_number);
                (
                    format!(
                        "stored, {}placed, with {}: {place}",
                        if whole { "well " } else { "mis" },
                        ids.len()
                    ),
                    indices(ids),
                )
            }
            Seen::Settled { id, outcome } => {
                let outcome = match outcome {
                    Outcome::Delivered { attempts, .. } => format!("delivered, {attempts} tries"),
                    Outcome::Expired { attempts, .. } => format!("expired, {} tries", attempts.len()),
                    Outcome::Refused { .. } => String::from("refused"),
                    Outcome::Abandoned { .. } => String::from("abandoned"),
                };
                (outcome, of(id).into_iter().collect())
            }
            Seen::Processed { shard, records } => {
                let indices = records.iter().filter_map(|record| of(&record.id)).collect();
                (format!("processed from {shard}"), indices)
            }
            _ => return,
        };
        if !indices.is_empty() {
            println!("{:>12.6} {indices:?} {what}", now.as_secs_f64());
        }
    }

    pub(super) fn end(&mut self) -> Result<(), String> {
        self.invariants.iter_mut().try_for_each(|invariant| invariant.end())
    }
}
