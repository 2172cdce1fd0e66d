//! Which streams the application reads: found by their names, told apart by their identifiers, added and removed while it
//! runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shardflow_core::{InitialPosition, Stream, StreamIdentifier, StreamName};

use super::coordinator::Coordinator;
use super::former::FormerStreams;
use super::held::Held;
use super::messages::{Answer, Event, Pending, Request};
use super::settings::Former;
use super::sighting::Sighting;
use super::start::Start;
use crate::backoff::Backoff;
use crate::{Failure, Moment};

/// What an application that reads several streams wants.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wish {
    /// The streams, and where each is begun if it has never been read.
    pub streams: BTreeMap<Stream, InitialPosition>,
    /// Those whose leases are to be deleted: see [`Former::DeleteNamedAfter`].
    pub deleted: BTreeSet<StreamIdentifier>,
}

/// The streams of a worker.
#[derive(Debug)]
pub(super) struct Streams {
    /// As they were given; nothing where there is one and its leases are called after its shards alone.
    wanted: Option<BTreeMap<Stream, Wanted>>,
    /// Those that are known, by what their leases are called after.
    pub(super) tracked: BTreeMap<Option<StreamIdentifier>, Tracked>,
    /// Their leases are to be deleted.
    pub(super) deleted: BTreeSet<StreamIdentifier>,
    pub(super) former: FormerStreams,
    /// Whether the table has been seen, and may be worked on.
    pub(super) seen: bool,
}

/// A stream that is wanted.
#[derive(Debug)]
struct Wanted {
    position: InitialPosition,
    /// Which one it is, as far as it was found.
    identifier: Option<StreamIdentifier>,
    /// When to ask which one it is; nothing while that is known, or asked.
    ask: Option<Moment>,
    asked_at: Option<Moment>,
    backoff: Backoff,
}

/// A stream whose leases are kept.
#[derive(Debug)]
pub(super) struct Tracked {
    /// Where it is begun if it has no leases.
    pub(super) position: InitialPosition,
    pub(super) start: Start,
    /// Whether it has been through with the start once.
    pub(super) started: bool,
    /// Since when looks have shown that a lease is missing.
    pub(super) missing_since: Option<Moment>,
    /// How often it could not be listed in a row.
    pub(super) backoff: Backoff,
}

impl Wanted {
    fn new(position: InitialPosition, now: Moment) -> Self {
        let backoff = Backoff::new(Streams::PAUSE, Streams::LONGEST_PAUSE);
        Self { position, identifier: None, ask: Some(now), asked_at: None, backoff }
    }
}

impl Tracked {
    pub(super) fn new(position: InitialPosition) -> Self {
        let backoff = Backoff::new(Streams::PAUSE, Streams::LONGEST_PAUSE);
        Self { position, start: Start::Looking, started: false, missing_since: None, backoff }
    }
}

impl Streams {
    /// How many streams are asked about at once. DescribeStreamSummary is limited to 20 calls a second and account.
    pub(super) const AT_ONCE: usize = 10;
    /// Waits before a stream is asked about again that is not there, or not to be had: 1 s at first.
    const PAUSE: Duration = Duration::from_secs(1);
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);
    /// Least time between two questions which stream has a name.
    const DOUBT: Duration = Duration::from_secs(10);

    /// One stream, whose leases are called after its shards.
    pub(super) fn one(position: InitialPosition) -> Self {
        Self {
            wanted: None,
            tracked: BTreeMap::from([(None, Tracked::new(position))]),
            deleted: BTreeSet::new(),
            former: FormerStreams::default(),
            seen: false,
        }
    }

    /// Any number of them; none for now.
    pub(super) fn several() -> Self {
        let one = Self::one(InitialPosition::TrimHorizon);
        Self { wanted: Some(BTreeMap::new()), tracked: BTreeMap::new(), ..one }
    }

    pub(super) fn are_several(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether the worker has been through with its start: every shard of its one stream has a lease, or the table has been
    /// seen, where there are several. One of those that cannot be had does not keep it from the others.
    pub(super) fn have_started(&self) -> bool {
        match self.are_several() {
            true => self.seen,
            false => self.tracked.values().all(|tracked| tracked.started),
        }
    }

    /// Whether any is wanted.
    pub(super) fn is_any_wanted(&self) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| !wanted.is_empty())
    }

    /// Whether the one with that identifier may be wanted, or another of its name is: what has that name now is not known,
    /// or is the other.
    pub(super) fn has_name_of(&self, identifier: &StreamIdentifier) -> bool {
        self.wanted.iter().flatten().any(|(stream, _)| is_called(stream, identifier))
    }

    /// Whether the one with that identifier may be wanted: what has its name now is not known.
    pub(super) fn may_be_wanted(&self, identifier: &StreamIdentifier) -> bool {
        let unknown = |(stream, wanted): (&Stream, &Wanted)| {
            wanted.identifier.is_none() && is_called(stream, identifier)
        };
        self.wanted.iter().flatten().any(unknown)
    }

    /// As it was given.
    pub(super) fn given(&self, identifier: &StreamIdentifier) -> Option<&Stream> {
        let mut wanted = self.wanted.iter().flatten();
        wanted.find(|(_, wanted)| wanted.identifier.as_ref() == Some(identifier)).map(|(stream, _)| stream)
    }

    /// When one is to be asked about.
    fn next_question(&self) -> Option<Moment> {
        self.wanted.iter().flatten().filter_map(|(_, wanted)| wanted.ask).min()
    }
}

fn is_called(stream: &Stream, identifier: &StreamIdentifier) -> bool {
    let name: &StreamName = stream.name();
    name == identifier.name() && stream.arn().is_none_or(|arn| arn.account() == identifier.account())
}

impl Coordinator {
    /// What is to be read from now on, where there are several streams. Leases of those that are not are given up when their
    /// handlers are done: [`Event::LetGo`].
    pub fn set_streams(&mut self, now: Moment, wish: Wish) {
        let Some(before) = self.streams.wanted.take() else { return };
        let mut before = before;
        let wanted = wish.streams.into_iter().map(|(stream, position)| {
            let old = before.remove(&stream);
            let wanted = old.map_or_else(|| Wanted::new(position, now), |old| Wanted { position, ..old });
            (stream, wanted)
        });
        self.streams.wanted = Some(wanted.collect());
        self.streams.deleted = wish.deleted;
        self.track(now);
        self.handle_timeout(now);
    }

    /// Something says that a stream may not be there any more, or may be another one of its name: looks which one it is.
    pub fn doubt_stream(&mut self, now: Moment, identifier: &StreamIdentifier) {
        self.doubt_which(now, identifier);
        self.handle_timeout(now);
    }

    pub(super) fn doubt_which(&mut self, now: Moment, identifier: &StreamIdentifier) {
        let mut wanted = self.streams.wanted.iter_mut().flatten();
        let doubted = wanted.find(|(_, wanted)| wanted.identifier.as_ref() == Some(identifier));
        if let Some((stream, wanted)) = doubted {
            let asked = |pending: &Pending| matches!(pending, Pending::Described(asked) if asked == stream);
            if wanted.ask.is_none() && !self.pending.values().any(asked) {
                let soonest = wanted.asked_at.map_or(now, |at| at.after(Streams::DOUBT));
                wanted.ask = Some(soonest.max(now));
            }
        }
    }

    /// Asks which streams the wanted ones are, some at a time.
    pub(super) fn describe(&mut self, now: Moment) {
        if self.stopping.is_some() || self.streams.next_question().is_none_or(|at| at > now) {
            return;
        }
        let mut room = self.streams_to_ask();
        let due: Vec<_> = self
            .streams
            .wanted
            .iter_mut()
            .flatten()
            .filter(|(_, wanted)| wanted.ask.is_some_and(|at| at <= now))
            .take_while(|_| room.checked_sub(1).map(|less| room = less).is_some())
            .map(|(stream, wanted)| {
                wanted.ask = None;
                wanted.asked_at = Some(now);
                stream.clone()
            })
            .collect();
        for stream in due {
            self.send(Pending::Described(stream.clone()), Request::Describe(stream));
        }
    }

    /// When that is due.
    pub(super) fn next_description(&self) -> Option<Moment> {
        let next = self.streams.next_question().filter(|_| self.stopping.is_none());
        // Counted only while there is something to ask: it takes a pass over all that is under way.
        next.filter(|_| self.streams_to_ask() > 0)
    }

    /// About how many streams it may ask more.
    pub(super) fn streams_to_ask(&self) -> usize {
        let asks = |pending: &&Pending| matches!(pending, Pending::Described(_) | Pending::Shards { .. });
        Streams::AT_ONCE.saturating_sub(self.pending.values().filter(asks).count())
    }

    pub(super) fn described(&mut self, now: Moment, stream: Stream, answer: Answer) {
        let rng = &mut self.rng;
        let wanted = self.streams.wanted.as_mut().and_then(|wanted| wanted.get_mut(&stream));
        let Some(wanted) = wanted else { return };
        match answer {
            Answer::Described(identifier) => {
                wanted.backoff.succeed();
                let before = wanted.identifier.replace(identifier.clone());
                let is_another = before.as_ref() != Some(&identifier);
                self.events.push_back(Event::StreamFound { stream, identifier, before });
                if is_another {
                    self.track(now);
                }
            }
            Answer::Failed(failure) => {
                wanted.ask = Some(now.after(wanted.backoff.fail(rng)));
                self.events.push_back(Event::StreamFails { stream, failure });
            }
            Answer::View { .. }
            | Answer::Keys(_)
            | Answer::Row(_)
            | Answer::Written
            | Answer::Conflict(_)
            | Answer::Shards(_) => {
                wanted.ask = Some(now.after(wanted.backoff.fail(rng)));
                let failure = Failure::refused("Unreadable", "an answer of another kind");
                self.events.push_back(Event::StreamFails { stream, failure });
            }
        }
    }

    /// Keeps the leases of those that are wanted and known, and of no others.
    fn track(&mut self, now: Moment) {
        let mut before = std::mem::take(&mut self.streams.tracked);
        for wanted in self.streams.wanted.iter().flat_map(BTreeMap::values) {
            let Some(identifier) = &wanted.identifier else { continue };
            let key = Some(identifier.clone());
            let old = before.remove(&key);
            let tracked = self.streams.tracked.entry(key);
            // One that is given twice, by its name and its ARN, is one.
            let tracked = tracked.or_insert_with(|| old.unwrap_or_else(|| Tracked::new(wanted.position)));
            tracked.position = wanted.position;
        }
        self.let_go_of_former();
        self.next_look = self.next_look.min(now);
        self.next_scan = now;
    }

    /// Asks for the end of shards whose streams are not to be read any more.
    fn let_go_of_former(&mut self) {
        let former = |held: &Held| {
            !self.streams.tracked.contains_key(&held.row.stream) && !self.reads_former(&held.row.stream)
        };
        let keys: Vec<_> =
            self.held.iter().filter(|(_, held)| former(held)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(held) = self.held.get_mut(&key) else { continue };
            if held.waiting {
                held.leaving = true;
            } else if held.handing_over.is_none() && !held.let_go && !held.leaving {
                held.let_go = true;
                self.events.push_back(Event::LetGo { key, tenure: held.tenure });
            }
        }
    }

    /// Whether the leases of that stream are this worker's to take, give and keep.
    pub(super) fn reads(&self, stream: &Option<StreamIdentifier>) -> bool {
        self.streams.tracked.contains_key(stream) || self.reads_former(stream)
    }

    /// Whether it is read although nobody has named it.
    fn reads_former(&self, stream: &Option<StreamIdentifier>) -> bool {
        let former = stream.as_ref().filter(|_| self.settings.former == Former::Read);
        former.is_some_and(|former| self.streams.are_several() && !self.streams.has_name_of(former))
    }

    /// The leases whose shards are to be read now, of all of its streams.
    pub(super) fn to_read(&self) -> impl Iterator<Item = &Sighting> {
        self.seen.to_read().filter(|seen| self.reads(&seen.row.stream))
    }

    /// Whether its leases may be shared out: all of them are in the table.
    pub(super) fn is_complete(&self, stream: &Option<StreamIdentifier>) -> bool {
        self.streams.tracked.get(stream).is_none_or(|tracked| tracked.started)
    }

    /// How many streams are read.
    #[must_use]
    pub fn active_streams(&self) -> usize {
        self.streams.tracked.len()
    }
}
