//! Who keeps a worker's leases: the real coordinator, or one that does as the KCL for Java.

use shardflow_core::{Checkpoint, LeaseKey, Shard};
use shardflow_engine::lease::{Answer, CheckpointId, Coordinator, Event, Request, Tenure};
use shardflow_engine::{Moment, RequestId};

use super::java::Java;

/// Keeps leases.
#[derive(Debug)]
pub(super) enum Keeper {
    Ours(Box<Coordinator>),
    Java(Box<Java>),
}

macro_rules! both {
    ($self:expr, $keeper:ident => $what:expr) => {
        match $self {
            Keeper::Ours($keeper) => $what,
            Keeper::Java($keeper) => $what,
        }
    };
}

impl Keeper {
    pub(super) fn checkpoint(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        at: Checkpoint,
        id: CheckpointId,
    ) {
        both!(self, keeper => keeper.checkpoint(now, key, tenure, at, id));
    }

    pub(super) fn enter_children(
        &mut self,
        now: Moment,
        key: &LeaseKey,
        tenure: Tenure,
        children: Vec<Shard>,
    ) {
        both!(self, keeper => keeper.enter_children(now, key, tenure, children));
    }

    pub(super) fn leave(&mut self, now: Moment, key: &LeaseKey, tenure: Tenure) {
        both!(self, keeper => keeper.leave(now, key, tenure));
    }

    pub(super) fn look_soon(&mut self, now: Moment) {
        both!(self, keeper => keeper.look_soon(now));
    }

    pub(super) fn shut_down(&mut self, now: Moment) {
        both!(self, keeper => keeper.shut_down(now));
    }

    pub(super) fn handle_timeout(&mut self, now: Moment) {
        both!(self, keeper => keeper.handle_timeout(now));
    }

    pub(super) fn handle_answer(&mut self, now: Moment, id: RequestId, answer: Answer) {
        both!(self, keeper => keeper.handle_answer(now, id, answer));
    }

    pub(super) fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        both!(self, keeper => keeper.poll_request())
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        both!(self, keeper => keeper.poll_event())
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        both!(self, keeper => keeper.poll_timeout())
    }

    pub(super) fn holds(&self, key: &LeaseKey, now: Moment) -> bool {
        both!(self, keeper => keeper.holds(key, now))
    }

    pub(super) fn leads(&self, now: Moment) -> bool {
        both!(self, keeper => keeper.leads(now))
    }

    pub(super) fn is_idle(&self) -> bool {
        both!(self, keeper => keeper.is_idle())
    }

    pub(super) fn held(&self) -> Vec<LeaseKey> {
        match self {
            Self::Ours(keeper) => keeper.held().map(|(key, _)| key.clone()).collect(),
            Self::Java(keeper) => keeper.held().cloned().collect(),
        }
    }
}
