//! Leases of streams that are not read any more, and workers that do not read a stream that others do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shardflow_core::{LeaseKey, LeaseRow, StreamIdentifier, WorkerId};

use super::coordinator::Coordinator;
use super::messages::{Event, Pending, Request};
use super::settings::Former;
use super::sighting::Sighting;
use crate::leader::Decision;
use crate::{Failure, Moment};

/// What is known of streams that this worker does not read.
#[derive(Debug, Default)]
pub(super) struct FormerStreams {
    /// Since when they have been seen not to be wanted, and whether their leases are being deleted.
    waiting: BTreeMap<StreamIdentifier, (Moment, bool)>,
    /// Workers that did not take up what they were given of a stream, and when that was noticed.
    declined: BTreeMap<(StreamIdentifier, WorkerId), Moment>,
}

/// How long a worker is given nothing of a stream that it did not take up: it may have been told of it meanwhile.
const DECLINED_FOR: Duration = Duration::from_secs(300);
/// How many leases are deleted at once.
const AT_ONCE: usize = 25;

impl Coordinator {
    /// A table whose leases are called otherwise is another application's, or this one's before it was told to read several
    /// streams, or one. None of its leases would be found, and everything would be read from the start.
    pub(super) fn other_keys(&self) -> Option<Failure> {
        if self.settings.mixed_keys || self.streams.have_started() {
            return None;
        }
        let several = self.streams.are_several();
        let other = self.seen.iter().map(|seen| &seen.row).find(|row| row.stream.is_some() != several)?;
        let key = &other.key;
        let (code, message) = if several {
            (
                "LeasesOfOneStream",
                format!(
                    "its lease {key} is called after a shard alone, as where one stream is read: choose another table, read that \
                     stream alone, or allow for both kinds of leases beside each other"
                ),
            )
        } else {
            (
                "LeasesOfSeveralStreams",
                format!(
                    "its lease {key} is called after its stream, as where several are read: choose another table, read several \
                     streams, or allow for both kinds of leases beside each other"
                ),
            )
        };
        Some(Failure::refused(code, message))
    }

    /// Deletes the leases of streams that are not wanted any more, if that is the policy and this worker leads.
    ///
    /// Only of those that nobody has read for as long: workers need not agree on what they read, and not all of them are told
    /// of a new stream at once.
    pub(super) fn retire(&mut self, now: Moment) {
        let (wait, named) = match self.settings.former {
            Former::Keep | Former::Read => return,
            Former::DeleteAfter(wait) => (wait, false),
            Former::DeleteNamedAfter(wait) => (wait, true),
        };
        let streams = &self.streams;
        let is_former = |stream: &StreamIdentifier| {
            let wanted = streams.may_be_wanted(stream) || streams.tracked.contains_key(&Some(stream.clone()));
            let meant = if named { streams.deleted.contains(stream) } else { streams.is_any_wanted() };
            !wanted && meant
        };
        let mut former: BTreeMap<&StreamIdentifier, Vec<&Sighting>> = BTreeMap::new();
        let of_streams = self.seen.iter().filter_map(|seen| Some((seen.row.stream.as_ref()?, seen)));
        for (stream, seen) in of_streams.filter(|(stream, _)| streams.are_several() && is_former(stream)) {
            former.entry(stream).or_default().push(seen);
        }
        let mut before = std::mem::take(&mut self.streams.former.waiting);
        let mut waiting = BTreeMap::new();
        let mut due = Vec::new();
        for (stream, leases) in &former {
            let (since, deleting) = before.remove(*stream).unwrap_or((now, false));
            let moved = leases.iter().map(|seen| seen.since).max().unwrap_or(since);
            let is_due = since.max(moved).after(wait) <= now && self.lock.leads(now);
            if is_due {
                due.extend(leases.iter().map(|seen| seen.row.clone()));
            }
            waiting.insert((*stream).clone(), (since, deleting || is_due));
        }
        let gone = before.into_iter().filter(|(stream, (_, deleting))| {
            *deleting && !self.seen.iter().any(|seen| seen.row.stream.as_ref() == Some(stream))
        });
        let gone: Vec<_> = gone.map(|(stream, _)| stream).collect();
        self.events.extend(gone.into_iter().map(|identifier| Event::StreamDeleted { identifier }));
        self.streams.former.waiting = waiting;
        due.truncate(AT_ONCE);
        for row in due {
            self.send(Pending::Tidy, Request::Delete(Box::new(row)));
        }
    }

    /// How many streams are waited for before their leases are deleted.
    #[must_use]
    pub fn pending_streams(&self) -> usize {
        self.streams.former.waiting.len()
    }

    /// Workers that live, and have let expire what they were given and never took up, are not told of its stream.
    pub(super) fn note_declines(&mut self, now: Moment) {
        self.streams.former.declined.retain(|_, at| now.since(*at) < DECLINED_FOR);
        if !self.streams.are_several() {
            return;
        }
        let live: BTreeSet<_> = self.members.live(now).map(|member| &member.worker).collect();
        let declined = |seen: &Sighting| {
            let LeaseRow { owner, checkpoint_owner, stream, .. } = &seen.row;
            let (owner, stream) = (owner.as_ref()?, stream.as_ref()?);
            let given = checkpoint_owner.is_none() && !seen.settled && *owner != self.me;
            let unkept = seen.is_unkept(now, self.patience(&seen.row, seen.settled));
            (given && unkept && live.contains(owner)).then(|| (stream.clone(), owner.clone()))
        };
        let declined: Vec<_> = self.to_read().filter_map(declined).collect();
        self.streams.former.declined.extend(declined.into_iter().map(|declined| (declined, now)));
    }

    /// What a leader decides, without what would go to a worker that does not read its stream.
    pub(super) fn without_declined(&self, decisions: Vec<Decision>) -> Vec<Decision> {
        let declined = &self.streams.former.declined;
        if declined.is_empty() {
            return decisions;
        }
        let declines = |key: &LeaseKey, to: &WorkerId| {
            let stream = self.seen.get(key).and_then(|seen| seen.row.stream.clone());
            stream.is_some_and(|stream| declined.contains_key(&(stream, to.clone())))
        };
        let mut room = self.settings.max_leases.saturating_sub(self.held.len());
        let decisions = decisions.into_iter().filter_map(|decision| match decision {
            Decision::Give { key, to } if declines(&key, &to) => {
                room = room.checked_sub(1)?;
                Some(Decision::Give { key, to: self.me.clone() })
            }
            Decision::Move { key, to, .. } if declines(&key, &to) => None,
            decision => Some(decision),
        });
        decisions.collect()
    }
}
