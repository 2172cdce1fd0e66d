//! Requests that are not answered yet.

use std::collections::BTreeMap;

use shardflow_core::LeaseKey;

use super::messages::Pending;
use crate::RequestId;

/// What answers will be about, and which leases they concern: there can be ten thousand, and each lease of a look asks.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    all: BTreeMap<RequestId, Pending>,
    /// Requests that may bring the lease here, or to the worker that a leader gives it to.
    concern: BTreeMap<LeaseKey, usize>,
    /// Those that a leader has made.
    directed: BTreeMap<LeaseKey, usize>,
    looks: usize,
}

impl Unanswered {
    pub(super) fn insert(&mut self, id: RequestId, pending: Pending) {
        if let Some(key) = pending.concerns() {
            *self.concern.entry(key.clone()).or_default() += 1;
        }
        if let Pending::Direct { key } = &pending {
            *self.directed.entry(key.clone()).or_default() += 1;
        }
        self.looks += usize::from(pending.is_look());
        self.all.insert(id, pending);
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<Pending> {
        let pending = self.all.remove(&id)?;
        if let Some(key) = pending.concerns() {
            one_less(&mut self.concern, key);
        }
        if let Pending::Direct { key } = &pending {
            one_less(&mut self.directed, key);
        }
        self.looks -= usize::from(pending.is_look());
        Some(pending)
    }

    /// Whether one of them may bring the lease to a worker.
    pub(super) fn concern(&self, key: &LeaseKey) -> bool {
        self.concern.contains_key(key)
    }

    /// Whether this worker, as the leader, has one under way about the lease.
    pub(super) fn direct(&self, key: &LeaseKey) -> bool {
        self.directed.contains_key(key)
    }

    /// Whether the table is being looked at.
    pub(super) fn is_looking(&self) -> bool {
        self.looks > 0
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Pending> {
        self.all.values()
    }
}

fn one_less(counts: &mut BTreeMap<LeaseKey, usize>, key: &LeaseKey) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Pending {
    fn concerns(&self) -> Option<&LeaseKey> {
        match self {
            Self::Take { before, .. } => Some(&before.key),
            Self::CreateChild { row, .. } => Some(&row.key),
            Self::Direct { key } => Some(key),
            Self::Look
            | Self::Assigned
            | Self::Found
            | Self::Described(_)
            | Self::Shards { .. }
            | Self::Relatives { .. }
            | Self::Garbage { .. }
            | Self::Create { .. }
            | Self::Children { .. }
            | Self::Renew { .. }
            | Self::Checkpoint { .. }
            | Self::Prepare { .. }
            | Self::Offer { .. }
            | Self::Leave { .. }
            | Self::Report
            | Self::Forget
            | Self::Tidy
            | Self::Lock { .. }
            | Self::Claim => None,
        }
    }

    fn is_look(&self) -> bool {
        matches!(self, Self::Look | Self::Assigned)
    }
}

#[cfg(test)]
mod tests {
    use shardflow_core::ShardId;

    use super::*;
    use crate::request::RequestIds;

    #[test]
    fn a_lease_is_concerned_until_the_last_request_about_it_is_answered() {
        let mut ids = RequestIds::default();
        let mut unanswered = Unanswered::default();
        let key = LeaseKey::from(&ShardId::numbered(1));
        let asked = [(); 2].map(|()| ids.next());
        for id in asked {
            unanswered.insert(id, Pending::Direct { key: key.clone() });
        }
        let look = ids.next();
        unanswered.insert(look, Pending::Look);
        assert!(unanswered.is_looking() && unanswered.remove(look).is_some() && !unanswered.is_looking());
        assert!(unanswered.remove(asked[0]).is_some() && unanswered.remove(asked[0]).is_none());
        assert!(unanswered.concern(&key) && unanswered.direct(&key));
        assert!(unanswered.remove(asked[1]).is_some());
        assert!(!unanswered.concern(&key) && !unanswered.direct(&key));
    }
}
