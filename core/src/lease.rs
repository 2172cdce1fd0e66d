//! Leases: the rows by which workers share the shards of a stream, and the only ways to change one.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Checkpoint, HashKeyRange, Invalid, ShardId, StreamIdentifier, Throughput};

/// The name of a lease: the shard's id, behind its stream's where one application reads several. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LeaseKey(Arc<str>);

impl LeaseKey {
    /// The lease of a shard, of a stream if there are several.
    #[must_use]
    pub fn of(stream: Option<&StreamIdentifier>, shard: &ShardId) -> Self {
        match stream {
            Some(stream) => Self(format!("{stream}:{shard}").into()),
            None => Self::from(shard),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&ShardId> for LeaseKey {
    fn from(shard: &ShardId) -> Self {
        Self(shard.as_str().into())
    }
}

impl fmt::Display for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of one running worker, unlike every other worker's of the application. Cheap to clone.
///
/// Workers write it into the rows that they own. A worker that comes back under its old name takes its leases up again
/// at once; two that run under one name at the same time would take each other's writes for their own.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WorkerId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // The KCL keeps rows of its own under these keys in the same table, beside rows named after workers.
        let reserved = matches!(text, "Leader" | "Migration3.0" | "TableMigration3.5");
        if (1..=255).contains(&text.len()) && !reserved {
            Ok(Self(text.into()))
        } else {
            let rule = "1 to 255 bytes, and none of Leader, Migration3.0, TableMigration3.5";
            Err(Invalid::text("worker id", text, rule))
        }
    }
}

/// What the lease table says of one shard. Nothing that one worker believes is in here.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LeaseRow {
    /// The row's key.
    pub key: LeaseKey,
    /// The stream of the shard, where one application reads several.
    pub stream: Option<StreamIdentifier>,
    /// The shard that it is about.
    pub shard_id: ShardId,
    /// Who has it or, while `checkpoint_owner` is set, who is about to get it.
    pub owner: Option<WorkerId>,
    /// Who still has it while it is being handed over.
    pub checkpoint_owner: Option<WorkerId>,
    /// Grows with every renewal, checkpoint and change of owner; every such write names the value that it expects.
    pub counter: u64,
    /// Changes of owner since the last checkpoint.
    pub owner_switches: u64,
    /// How far the shard has been processed.
    pub checkpoint: Checkpoint,
    /// A checkpoint that was prepared and not yet made.
    pub pending: Option<PendingCheckpoint>,
    /// The shards that it came from.
    pub parents: BTreeSet<ShardId>,
    /// The shards that came from it, known once it has ended.
    pub children: BTreeSet<ShardId>,
    /// The hash keys that the shard owns.
    pub hash_key_range: Option<HashKeyRange>,
    /// What its holder has measured that it brings.
    pub throughput: Option<Throughput>,
}

impl LeaseRow {
    /// A new lease that nobody has.
    #[must_use]
    pub fn new(shard_id: ShardId, checkpoint: Checkpoint) -> Self {
        Self {
            key: LeaseKey::from(&shard_id),
            stream: None,
            shard_id,
            owner: None,
            checkpoint_owner: None,
            counter: 0,
            owner_switches: 0,
            checkpoint,
            pending: None,
            parents: BTreeSet::new(),
            children: BTreeSet::new(),
            hash_key_range: None,
            throughput: None,
        }
    }

    /// The same lease for a shard of one of several streams.
    #[must_use]
    pub fn of_stream(mut self, stream: Option<StreamIdentifier>) -> Self {
        self.key = LeaseKey::of(stream.as_ref(), &self.shard_id);
        self.stream = stream;
        self
    }

    /// The lease of another shard of the same stream.
    #[must_use]
    pub fn sibling(&self, shard: &ShardId) -> LeaseKey {
        LeaseKey::of(self.stream.as_ref(), shard)
    }

    /// Who may renew it and write checkpoints: the one who still has it during a handoff, the owner otherwise.
    #[must_use]
    pub fn holder(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }
}

/// The first half of a two-phase checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PendingCheckpoint {
    /// Where it would be.
    pub checkpoint: Checkpoint,
    /// What the application stored with it.
    pub state: Option<Bytes>,
}

impl PendingCheckpoint {
    /// A prepared checkpoint.
    #[must_use]
    pub fn new(checkpoint: Checkpoint, state: Option<Bytes>) -> Self {
        Self { checkpoint, state }
    }
}

/// A change of one lease row that is written if, and only if, the row still is as the writer believes.
///
/// These are the KCL's operations with the KCL's conditions, so that workers of both share a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaseChange {
    /// Says that the holder lives. Refused once a handoff has begun, unless the holder knows of it.
    Renew {
        /// The counter that the row must have.
        counter: u64,
        /// Whether the holder knows that it is handing the lease over.
        handing_over: bool,
        /// What the shard brings, if that was measured.
        throughput: Option<Throughput>,
    },
    /// Stores how far the shard has been processed; drops a prepared checkpoint.
    Checkpoint {
        /// The counter that the row must have.
        counter: u64,
        /// The new checkpoint.
        checkpoint: Checkpoint,
        /// What the shard brings, if that was measured. A KCL writes it with renewals alone; where checkpoints are made
        /// often, there are none.
        throughput: Option<Throughput>,
    },
    /// Notes a checkpoint that may be made later, in place of any other such.
    Prepare {
        /// The counter that the row must have.
        counter: u64,
        /// Where it would be.
        checkpoint: Checkpoint,
        /// What the application stores with it.
        state: Option<Bytes>,
    },
    /// Takes a lease that nobody has, or that nobody keeps.
    Take {
        /// Who takes it.
        worker: WorkerId,
        /// The counter that the row must have.
        counter: u64,
        /// The owner that it must have.
        owner: Option<WorkerId>,
        /// The checkpoint owner that it must have.
        checkpoint_owner: Option<WorkerId>,
    },
    /// Asks the holder to hand a lease over. It keeps it until it is done.
    StartHandoff {
        /// Who has it, and must have it.
        from: WorkerId,
        /// Who is to get it.
        to: WorkerId,
    },
    /// Gives the lease to a worker; the holder's last word in a handoff.
    Assign {
        /// Who gets it.
        to: WorkerId,
        /// The owner that the row must have.
        owner: Option<WorkerId>,
        /// The checkpoint owner that it must have.
        checkpoint_owner: Option<WorkerId>,
    },
    /// Leaves the lease to whoever wants it.
    Evict {
        /// The owner that the row must have.
        owner: Option<WorkerId>,
        /// The checkpoint owner that it must have.
        checkpoint_owner: Option<WorkerId>,
    },
    /// Sets how far the shard has been processed, whoever has it: it is nobody's afterwards, and whoever gets it next
    /// begins there.
    Rewind {
        /// The counter that the row must have.
        counter: u64,
        /// Where it is to be read from.
        checkpoint: Checkpoint,
    },
    /// Notes the hash keys that the shard owns, where an old KCL did not. Changes no counter, so it fences nobody.
    HashKeys {
        /// The hash keys.
        range: HashKeyRange,
    },
    /// Notes the shards that came from this one. Changes no counter, so it fences nobody.
    Children {
        /// The shards.
        children: BTreeSet<ShardId>,
    },
}

impl LeaseChange {
    /// The row as it is after the change, or `None` where the condition does not hold.
    ///
    /// This is the meaning of a change; a store carries it out in one atomic step.
    #[must_use]
    pub fn apply_to(&self, row: &LeaseRow) -> Option<LeaseRow> {
        let mut row = row.clone();
        let holds = match self {
            Self::Renew { counter, handing_over, .. } => {
                row.counter == *counter && (*handing_over || row.checkpoint_owner.is_none())
            }
            Self::Checkpoint { counter, .. }
            | Self::Prepare { counter, .. }
            | Self::Rewind { counter, .. } => row.counter == *counter,
            Self::Take { counter, owner, checkpoint_owner, .. } => {
                row.counter == *counter && row.owner == *owner && row.checkpoint_owner == *checkpoint_owner
            }
            Self::StartHandoff { from, .. } => {
                row.owner.as_ref() == Some(from) && row.checkpoint_owner.is_none()
            }
            Self::Assign { owner, checkpoint_owner, .. } | Self::Evict { owner, checkpoint_owner } => {
                row.owner == *owner && row.checkpoint_owner == *checkpoint_owner
            }
            Self::HashKeys { .. } | Self::Children { .. } => true,
        };
        if !holds {
            return None;
        }
        match self {
            Self::Renew { throughput, .. } => {
                row.counter += 1;
                row.throughput = throughput.or(row.throughput);
            }
            Self::Checkpoint { checkpoint, throughput, .. } => {
                row.counter += 1;
                row.throughput = throughput.or(row.throughput);
                row.owner_switches = 0;
                row.checkpoint = checkpoint.clone();
                row.pending = None;
            }
            Self::Prepare { checkpoint, state, .. } => {
                row.counter += 1;
                row.pending = Some(PendingCheckpoint::new(checkpoint.clone(), state.clone()));
            }
            Self::Take { worker: to, .. } | Self::Assign { to, .. } => {
                row.counter += 1;
                row.owner_switches += u64::from(self.switches_owner());
                row.owner = Some(to.clone());
                row.checkpoint_owner = None;
            }
            Self::StartHandoff { from, to } => {
                row.owner = Some(to.clone());
                row.checkpoint_owner = Some(from.clone());
            }
            Self::Evict { .. } => {
                row.counter += 1;
                if row.checkpoint_owner.take().is_none() {
                    row.owner = None;
                }
            }
            Self::Rewind { checkpoint, .. } => {
                row.counter += 1;
                row.owner_switches = 0;
                row.checkpoint = checkpoint.clone();
                row.pending = None;
                row.owner = None;
                row.checkpoint_owner = None;
            }
            Self::HashKeys { range } => row.hash_key_range = Some(*range),
            Self::Children { children } => row.children.clone_from(children),
        }
        Some(row)
    }

    /// Whether it counts as a change of owner since the last checkpoint, by the KCL's rule: the row names another
    /// worker, or a handoff from the new owner itself is undone. The end of a handoff does not count.
    #[must_use]
    pub fn switches_owner(&self) -> bool {
        match self {
            Self::Take { worker: to, owner, checkpoint_owner, .. }
            | Self::Assign { to, owner, checkpoint_owner } => {
                owner.as_ref().is_some_and(|owner| owner != to) || checkpoint_owner.as_ref() == Some(to)
            }
            Self::Renew { .. }
            | Self::Checkpoint { .. }
            | Self::Prepare { .. }
            | Self::StartHandoff { .. }
            | Self::Evict { .. }
            | Self::Rewind { .. }
            | Self::HashKeys { .. }
            | Self::Children { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str) -> WorkerId {
        name.parse().unwrap()
    }

    fn owned_by(name: &str) -> LeaseRow {
        let mut row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
        row.owner = Some(worker(name));
        row.counter = 5;
        row
    }

    #[test]
    fn names_of_the_kcls_own_rows_are_no_worker_ids() {
        for name in ["", "Leader", "Migration3.0", "TableMigration3.5"] {
            assert_eq!(name.parse::<WorkerId>().unwrap_err().what(), "worker id");
        }
    }

    #[test]
    fn every_write_that_fences_names_the_counter_and_raises_it() {
        let row = owned_by("a");
        let checkpoint = Checkpoint::at("7".parse().unwrap(), 0);
        for counter in [4, 5, 6] {
            let fits = counter == row.counter;
            let take = LeaseChange::Take {
                worker: worker("b"),
                counter,
                owner: row.owner.clone(),
                checkpoint_owner: None,
            };
            for change in [
                LeaseChange::Renew { counter, handing_over: false, throughput: None },
                LeaseChange::Checkpoint { counter, checkpoint: checkpoint.clone(), throughput: None },
                LeaseChange::Prepare { counter, checkpoint: checkpoint.clone(), state: None },
                take,
            ] {
                assert_eq!(change.apply_to(&row).map(|row| row.counter), fits.then_some(6), "{change:?}");
            }
        }
    }

    #[test]
    fn a_prepared_checkpoint_waits_beside_the_other_until_one_is_made() {
        let at = |number: &str| Checkpoint::at(number.parse().unwrap(), 3);
        let prepare = |counter, number, state: Option<&'static str>| LeaseChange::Prepare {
            counter,
            checkpoint: at(number),
            state: state.map(Bytes::from),
        };
        let row = prepare(5, "7", Some("half")).apply_to(&owned_by("a")).unwrap();
        assert_eq!((&row.checkpoint, row.counter), (&Checkpoint::TrimHorizon, 6));
        assert_eq!(row.pending, Some(PendingCheckpoint::new(at("7"), Some("half".into()))));
        let row = prepare(6, "8", None).apply_to(&row).unwrap();
        assert_eq!(
            row.pending,
            Some(PendingCheckpoint::new(at("8"), None)),
            "the newest, with its own state"
        );
        let row =
            LeaseChange::Renew { counter: 7, handing_over: false, throughput: None }.apply_to(&row).unwrap();
        assert!(row.pending.is_some());
        let change = LeaseChange::Checkpoint { counter: 8, checkpoint: at("8"), throughput: None };
        let row = change.apply_to(&row).unwrap();
        assert_eq!((row.checkpoint, row.pending), (at("8"), None));
    }

    #[test]
    fn a_handoff_leaves_the_holder_its_checkpoints_until_it_lets_go() {
        let (a, b) = (worker("a"), worker("b"));
        let start = LeaseChange::StartHandoff { from: a.clone(), to: b.clone() };
        let row = start.apply_to(&owned_by("a")).unwrap();
        assert_eq!((row.holder(), row.owner.as_ref(), row.counter), (Some(&a), Some(&b), 5));
        assert_eq!(start.apply_to(&row), None, "it has begun already");
        // The holder finds out by a renewal that is refused, and goes on knowingly.
        assert_eq!(
            LeaseChange::Renew { counter: 5, handing_over: false, throughput: None }.apply_to(&row),
            None
        );
        let row =
            LeaseChange::Renew { counter: 5, handing_over: true, throughput: None }.apply_to(&row).unwrap();
        let checkpoint = Checkpoint::at("7".parse().unwrap(), 0);
        let change = LeaseChange::Checkpoint { counter: 6, checkpoint, throughput: None };
        let row = change.apply_to(&row).unwrap();
        let finish = LeaseChange::Assign { to: b.clone(), owner: Some(b.clone()), checkpoint_owner: Some(a) };
        let row = finish.apply_to(&row).unwrap();
        assert_eq!((row.holder(), row.checkpoint_owner.as_ref(), row.counter), (Some(&b), None, 8));
        assert_eq!(row.owner_switches, 0, "the end of a handoff does not count as a switch");
        assert_eq!(finish.apply_to(&row), None);
    }

    #[test]
    fn an_evicted_lease_is_nobodys_but_an_evicted_handoff_stays_with_the_new_owner() {
        let row = owned_by("a");
        let evict = LeaseChange::Evict { owner: row.owner.clone(), checkpoint_owner: None };
        assert_eq!(evict.apply_to(&row).unwrap().holder(), None);
        let row = LeaseChange::StartHandoff { from: worker("a"), to: worker("b") }.apply_to(&row).unwrap();
        assert_eq!(evict.apply_to(&row), None);
        let evict =
            LeaseChange::Evict { owner: row.owner.clone(), checkpoint_owner: row.checkpoint_owner.clone() };
        assert_eq!(evict.apply_to(&row).unwrap().holder(), Some(&worker("b")));
    }

    #[test]
    fn switches_are_counted_by_the_kcls_rule() {
        let take = |owner: Option<&str>, checkpoint_owner: Option<&str>| LeaseChange::Take {
            worker: worker("me"),
            counter: 0,
            owner: owner.map(worker),
            checkpoint_owner: checkpoint_owner.map(worker),
        };
        assert!(!take(None, None).switches_owner());
        assert!(!take(Some("me"), None).switches_owner());
        assert!(take(Some("other"), None).switches_owner());
        assert!(take(Some("other"), Some("me")).switches_owner());
    }
}
