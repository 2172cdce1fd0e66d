//! What travels between the parts of a world.

use std::time::Duration;

use shardflow_core::{LeaseKey, WorkerId};
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
