//! What a coordinator asks for, is answered, and tells.

use std::collections::BTreeSet;

use shardflow_core::{
    Checkpoint, ClientVersion, LeaseChange, LeaseKey, LeaseRow, LockChange, Member, PendingCheckpoint, Shard,
    ShardId, Stream, StreamIdentifier, View, WorkerId,
};

use super::held::Tenure;
use crate::shards::ShardFilter;
use crate::{Failure, Moment};

/// What a coordinator asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Everything that the lease table says.
    Look,
    /// The keys of the leases that name this worker, by the table's index.
    Assigned,
    /// One lease, as it is now.
    Get(LeaseKey),
    /// Change a row, if it is as the change says.
    Write {
        /// The row.
        key: LeaseKey,
        /// The change.
        change: LeaseChange,
    },
    /// Enter a new row, if there is none of its key.
    Create(Box<LeaseRow>),
    /// Delete a row, if it is as it was seen.
    Delete(Box<LeaseRow>),
    /// Say that this worker is there. The time is the shell's to fill in.
    Report(Box<Member>),
    /// Take a worker's own row away; another worker's only if it has not changed since that time.
    Forget {
        /// Whose row.
        worker: WorkerId,
        /// What it must say of its last update.
        updated: Option<u64>,
    },
    /// Change the leader's lock.
    Lock(LockChange),
    /// Say for which KCL the leases are kept, if nothing does.
    Claim(ClientVersion),
    /// The shards of a stream: of that one, where there are several.
    ListShards {
        /// The stream.
        stream: Option<StreamIdentifier>,
        /// Which of its shards.
        filter: ShardFilter,
    },
    /// Which stream that is, where there are several.
    Describe(Stream),
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What the table says, and the time by the wall in seconds since 1970.
    View {
        /// The rows.
        view: Box<View>,
        /// Now.
        wall: u64,
    },
    /// Keys of leases.
    Keys(Vec<LeaseKey>),
    /// A lease, if there is one.
    Row(Option<Box<LeaseRow>>),
    /// It was written.
    Written,
    /// The condition did not hold. The row as it is, if there is one.
    Conflict(Option<Box<LeaseRow>>),
    /// The shards.
    Shards(Vec<Shard>),
    /// It is this one.
    Described(StreamIdentifier),
    /// It failed, or may have been carried out.
    Failed(Failure),
}

/// The caller's own mark on a checkpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CheckpointId(pub u64);

/// What a coordinator tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A lease is ours and its parents are done: its shard is to be processed from the row's checkpoint.
    Acquired {
        /// The row as it is stored now.
        row: Box<LeaseRow>,
        /// The holding.
        tenure: Tenure,
        /// Until when it is believed.
        until: Moment,
    },
    /// A lease has been proved once more.
    Kept {
        /// The lease.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
        /// Until when it is believed.
        until: Moment,
    },
    /// Another worker is to get the lease: finish, checkpoint, and [`Coordinator::leave`](super::Coordinator::leave) it.
    HandoffAsked {
        /// The lease.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
    },
    /// The worker shuts down, and whoever is to get the lease has had time to notice; or its stream is not read any more.
    /// Finish, checkpoint, and leave it.
    LetGo {
        /// The lease.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
    },
    /// The lease is no longer ours. Nothing more can be checkpointed.
    Lost {
        /// The lease.
        key: LeaseKey,
        /// The holding that has ended.
        tenure: Tenure,
        /// Why.
        cause: LossCause,
    },
    /// A checkpoint is stored, or noted.
    Checkpointed {
        /// Whose it is.
        id: CheckpointId,
    },
    /// A checkpoint is not stored or noted, or not by us.
    NotCheckpointed {
        /// Whose it is.
        id: CheckpointId,
        /// Why.
        cause: NotWritten,
    },
    /// The children of an ended shard have leases now, so the shard's own can be ended.
    ChildrenEntered {
        /// The lease of the parent.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
    },
    /// The children of an ended shard cannot be entered now: another parent of theirs still waits for its own lease, or
    /// this one's is lost. Ask again after a while, if it is still held.
    ChildrenMustWait {
        /// The lease of the parent that has ended.
        key: LeaseKey,
        /// The holding.
        tenure: Tenure,
    },
    /// Whether this worker leads.
    Leads(bool),
    /// The clock of this worker and that of another are so far apart, in seconds, that a KCL leader would take one of
    /// the two for dead.
    ClockSkew {
        /// The other worker.
        worker: WorkerId,
        /// By how much its clock is ahead.
        ahead: i64,
    },
    /// It was found which stream one of several is.
    StreamFound {
        /// As it was given.
        stream: Stream,
        /// Which it is.
        identifier: StreamIdentifier,
        /// Which it was until now: another one if the former was deleted.
        before: Option<StreamIdentifier>,
    },
    /// The shards of one of several streams were listed.
    StreamListed {
        /// As it was given.
        stream: Stream,
    },
    /// One of several streams is not there, or not to be had. It is asked for again.
    StreamFails {
        /// As it was given.
        stream: Stream,
        /// Why.
        failure: Failure,
    },
    /// The leases of a stream that is not read any more are gone.
    StreamDeleted {
        /// Which it was.
        identifier: StreamIdentifier,
    },
    /// The worker cannot start, or not go on: the table or the stream is not there, not allowed, or in use by others.
    Unable(Failure),
}

/// Why a lease was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LossCause {
    /// It could not be renewed in time.
    Expired,
    /// Another worker has it.
    Taken,
    /// Its row is gone.
    Deleted,
    /// It was asked of us, and we took too long to let go.
    HandedOver,
}

/// Why a checkpoint was not stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotWritten {
    /// The lease is no longer ours.
    LeaseLost,
    /// The table does not allow it.
    Refused(Failure),
}

/// What an answer will be about.
#[derive(Debug)]
pub(super) enum Pending {
    Look,
    Assigned,
    Found,
    Described(Stream),
    Shards {
        stream: Option<StreamIdentifier>,
    },
    /// Whether the other parent of a child is still in the stream.
    Relatives {
        key: LeaseKey,
        tenure: Tenure,
        missing: BTreeSet<ShardId>,
    },
    /// Which shards are left, of those whose leases nobody may need.
    Garbage {
        stream: Option<StreamIdentifier>,
    },
    /// A row of the first start.
    Create {
        stream: Option<StreamIdentifier>,
    },
    /// A child of the lease.
    CreateChild {
        key: LeaseKey,
        tenure: Tenure,
        row: Box<LeaseRow>,
        sent: Moment,
    },
    Children {
        key: LeaseKey,
        tenure: Tenure,
    },
    Renew {
        key: LeaseKey,
        tenure: Tenure,
        counter: u64,
        sent: Moment,
    },
    Checkpoint {
        key: LeaseKey,
        tenure: Tenure,
        counter: u64,
        sent: Moment,
        checkpoint: Checkpoint,
    },
    Prepare {
        key: LeaseKey,
        tenure: Tenure,
        counter: u64,
        sent: Moment,
        pending: PendingCheckpoint,
    },
    Take {
        before: Box<LeaseRow>,
        change: LeaseChange,
        sent: Moment,
    },
    /// A lease that this worker, as the leader, gives to another, or asks its holder for.
    Direct {
        key: LeaseKey,
    },
    /// A lease of ours is to go to another worker, by our own choice.
    Offer {
        key: LeaseKey,
        tenure: Tenure,
        to: WorkerId,
    },
    Leave {
        key: LeaseKey,
    },
    Report,
    /// Our own row, when we go.
    Forget,
    /// What an answer tells nothing about: a row that was to be tidied away.
    Tidy,
    Lock {
        change: LockChange,
        sent: Moment,
    },
    Claim,
}
