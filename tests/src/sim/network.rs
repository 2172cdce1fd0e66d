//! What travels between the parts of a world.

use std::time::Duration;

use shardflow_core::{LeaseChange, LeaseKey, WorkerId};
use shardflow_engine::consume::{self, Batch, ReadRequest};
use shardflow_engine::lease::{self, Tenure};
use shardflow_engine::{Failure, RequestId, produce};

/// A part of a world that asks things.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Actor {
    Producer(usize),
    Worker(usize),
}

/// A request on its way to the stream or the table.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Put(RequestId, produce::Request),
    Lease(RequestId, lease::Request),
    Read(LeaseKey, Tenure, RequestId, ReadRequest),
}

/// Something on its way back, or to be done later.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Put(RequestId, produce::Answer),
    Lease(RequestId, lease::Answer),
    Read(LeaseKey, Tenure, RequestId, consume::Answer),
    /// A handler has come to the end of a batch.
    Handled(LeaseKey, Tenure, RequestId, Batch),
}

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Mail {
    /// `name` is the worker's at that time: it may have another one since.
    Arrives {
        from: Actor,
        life: u64,
        name: Option<WorkerId>,
        sent: Duration,
        call: Call,
    },
    Answered {
        to: Actor,
        life: u64,
        reply: Reply,
    },
}

impl Call {
    /// How long its sender waits.
    pub(super) fn timeout(&self) -> Duration {
        match self {
            Self::Read(.., ReadRequest::Receive { within, .. }) => *within,
            Self::Put(..) | Self::Read(..) => Duration::from_secs(6),
            // A quarter of the failover time, as the lease keeper's.
            Self::Lease(..) => Duration::from_millis(2_500),
        }
    }

    /// Whether the stream answers it, and not the table.
    pub(super) fn is_the_streams(&self) -> bool {
        matches!(self, Self::Put(..) | Self::Read(..) | Self::Lease(_, lease::Request::ListShards { .. }))
    }

    /// What it asks for, by a name that the table of coverage has.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Put(_, request) => match request {
                produce::Request::PutRecords(_) => "put",
                produce::Request::Describe => "describe",
                produce::Request::ListShards { .. } => "shard map",
            },
            Self::Read(.., request) => match request {
                ReadRequest::OpenIterator(_) => "iterator",
                ReadRequest::GetRecords { .. } => "get records",
                ReadRequest::FindConsumer { .. } => "consumer",
                ReadRequest::Subscribe { .. } => "subscribe",
                ReadRequest::Receive { .. } => "receive",
                ReadRequest::ListShards => "list children",
            },
            Self::Lease(_, request) => match request {
                lease::Request::Look => "look",
                lease::Request::Assigned => "index",
                lease::Request::Get(_) => "get",
                lease::Request::Create(_) => "create",
                lease::Request::Write { change, .. } => match change {
                    LeaseChange::Renew { .. } => "renew",
                    LeaseChange::Checkpoint { .. } | LeaseChange::Prepare { .. } => "checkpoint",
                    LeaseChange::Take { .. } => "take",
                    LeaseChange::StartHandoff { .. } => "start handoff",
                    LeaseChange::Assign { .. } => "assign",
                    LeaseChange::Evict { .. } | LeaseChange::Rewind { .. } => "evict",
                    LeaseChange::HashKeys { .. } | LeaseChange::Children { .. } => "children",
                },
                lease::Request::Delete(_) => "delete",
                lease::Request::Report(_) => "report",
                lease::Request::Forget { .. } => "forget",
                lease::Request::Lock(_) => "lock",
                lease::Request::Claim(_) => "claim",
                lease::Request::ListShards { .. } => "list shards",
                lease::Request::Describe(_) => "describe a stream",
            },
        }
    }

    /// What its sender makes of it when it waits no longer.
    pub(super) fn given_up(&self) -> Reply {
        self.failed(Failure::unknown("Timeout", "no answer"))
    }

    pub(super) fn failed(&self, failure: Failure) -> Reply {
        match self {
            Self::Put(id, _) => Reply::Put(*id, produce::Answer::Failed(failure)),
            Self::Lease(id, _) => Reply::Lease(*id, lease::Answer::Failed(failure)),
            Self::Read(key, tenure, id, _) => {
                Reply::Read(key.clone(), *tenure, *id, consume::Answer::Failed(failure))
            }
        }
    }
}
