//! A worker's first minutes: the leases that the application needs exist before they are shared out. And later ones, in
//! which somebody has deleted a lease.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use shardflow_core::{LeaseChange, LeaseRow, Shard, StreamIdentifier};

use super::coordinator::Coordinator;
use super::messages::{Answer, Event, Pending, Request};
use super::streams::Tracked;
use crate::shards::{self, Cover, ShardFilter};
use crate::{Failure, Moment, Verdict};

/// How far a worker has come in making sure that every shard of a stream has a lease.
#[derive(Debug)]
pub(super) enum Start {
    /// It has not seen the table yet.
    Looking,
    /// It asks for the shards; `retry` is when to ask again.
    Listing {
        filter: ShardFilter,
        retry: Option<Moment>,
    },
    /// It enters the leases that are missing, some at a time.
    Creating {
        left: VecDeque<LeaseRow>,
        retry: Option<Moment>,
    },
    Done,
}

impl Start {
    /// How many leases are entered at once. A new application with 10,000 shards would else send 10,000 requests.
    const AT_ONCE: usize = 25;
}

impl Coordinator {
    /// The first look at the table tells whether shards must be asked for, and so does one that shows a lease to be
    /// missing.
    ///
    /// That one is not entered anew before whoever had it has stopped believing in it. A lease that is deleted while its
    /// shard is merged is not found to be missing, if the child's lease was entered by the other parent first.
    pub(super) fn begin_start(&mut self, now: Moment) {
        self.streams.seen = true;
        let mut rows: BTreeMap<_, Vec<_>> =
            self.streams.tracked.keys().map(|stream| (stream, Vec::new())).collect();
        for row in self.seen.iter().map(|sighting| &sighting.row) {
            if let Some(rows) = rows.get_mut(&row.stream) {
                rows.push(row);
            }
        }
        let found = rows.into_iter().map(|(stream, rows)| {
            let covered = shards::cover(rows.iter().copied());
            let position = self.streams.tracked[stream].position;
            let filter = ShardFilter::needed(rows.iter().copied(), position);
            (stream.clone(), (rows.is_empty(), covered, filter))
        });
        for (stream, (is_empty, covered, filter)) in found.collect::<Vec<_>>() {
            self.begin_start_of(now, &stream, is_empty, covered, filter);
        }
    }

    fn begin_start_of(
        &mut self,
        now: Moment,
        stream: &Option<StreamIdentifier>,
        is_empty: bool,
        cover: Cover,
        filter: ShardFilter,
    ) {
        let Some(tracked) = self.streams.tracked.get_mut(stream) else { return };
        let is_new = !tracked.started && is_empty;
        let missing = !is_new && cover == Cover::Hole && !(tracked.started && bug!(DeletedLeaseForgotten));
        tracked.missing_since = missing.then(|| tracked.missing_since.unwrap_or(now));
        let believed_until = tracked.missing_since.map(|since| since.after(self.settings.failover));
        let due = match tracked.start {
            Start::Looking if cover == Cover::Whole => {
                tracked.start = Start::Done;
                tracked.started = true;
                false
            }
            Start::Looking => believed_until.is_none_or(|until| until <= now),
            Start::Done => believed_until.is_some_and(|until| until <= now),
            Start::Listing { .. } | Start::Creating { .. } => false,
        };
        if due {
            tracked.start = Start::Listing { filter, retry: Some(now) };
        } else if let Some(until) = believed_until.filter(|until| *until > now) {
            self.next_look = self.next_look.min(until);
            if !tracked.started {
                // Another worker may be entering them just now.
                self.next_look = self.next_look.min(now.after(Self::EAGER));
            }
        }
    }

    pub(super) fn advance_start(&mut self, now: Moment) {
        let under_way = |tracked: &&Tracked| !matches!(tracked.start, Start::Looking | Start::Done);
        if !self.streams.tracked.values().any(|tracked| under_way(&tracked)) {
            return;
        }
        let mut creating = BTreeMap::new();
        for pending in self.pending.values() {
            if let Pending::Create { stream } = pending {
                *creating.entry(stream.clone()).or_insert(0) += 1;
            }
        }
        let mut room = Start::AT_ONCE.saturating_sub(creating.values().sum());
        let mut to_ask = self.streams_to_ask();
        let mut requests = Vec::new();
        for (stream, tracked) in &mut self.streams.tracked {
            match &mut tracked.start {
                Start::Listing { filter, retry } => {
                    if to_ask > 0 && retry.take_if(|at| *at <= now).is_some() {
                        to_ask -= 1;
                        let (stream, filter) = (stream.clone(), *filter);
                        requests.push((
                            Pending::Shards { stream: stream.clone() },
                            Request::ListShards { stream, filter },
                        ));
                    }
                }
                Start::Creating { left, retry } => {
                    if retry.is_some_and(|at| at > now) {
                        continue;
                    }
                    *retry = None;
                    if left.is_empty() && !creating.contains_key(stream) {
                        tracked.start = Start::Done;
                        tracked.started = true;
                        // What the list could not fill is looked into again after as long: the stream may be another
                        // one by now, under the same name.
                        tracked.missing_since = None;
                        self.next_look = now;
                        continue;
                    }
                    let some = room.min(left.len());
                    room -= some;
                    for row in left.drain(..some) {
                        let pending = Pending::Create { stream: stream.clone() };
                        requests.push((pending, Request::Create(Box::new(row))));
                    }
                }
                Start::Looking | Start::Done => {}
            }
        }
        for (pending, request) in requests {
            self.send(pending, request);
        }
    }

    /// When the start of a stream is to go on by itself.
    pub(super) fn start_goes_on(&self) -> Option<Moment> {
        let starts = || self.streams.tracked.values().map(|tracked| &tracked.start);
        let lists = starts().filter_map(|start| match start {
            Start::Listing { retry, .. } => *retry,
            Start::Looking | Start::Creating { .. } | Start::Done => None,
        });
        let enters = starts().filter_map(|start| match start {
            Start::Creating { retry, .. } => *retry,
            Start::Looking | Start::Listing { .. } | Start::Done => None,
        });
        let lists = lists.min().filter(|_| self.streams_to_ask() > 0);
        lists.into_iter().chain(enters).min()
    }

    pub(super) fn shards_listed(&mut self, now: Moment, stream: &Option<StreamIdentifier>, answer: Answer) {
        let Some(tracked) = self.streams.tracked.get_mut(stream) else { return };
        let Start::Listing { filter, .. } = tracked.start else { return };
        match answer {
            Answer::Shards(listed) => {
                let rows = self.seen.iter().map(|sighting| &sighting.row);
                let rows: Vec<_> = rows.filter(|row| row.stream == *stream).collect();
                tracked.backoff.succeed();
                match shards::plan(&listed, &rows, filter, tracked.position) {
                    Ok(left) => {
                        let left = left.into_iter().map(|row| row.of_stream(stream.clone())).collect();
                        tracked.start = Start::Creating { left, retry: None };
                    }
                    // Caught in the middle of a reshard: the next answer will be whole.
                    Err(shards::Incomplete) => {
                        tracked.start = Start::Listing { filter, retry: Some(now.after(Self::PAUSE)) };
                    }
                }
                self.fill_in_hash_keys(stream, &listed);
                if let Some(given) = stream.as_ref().and_then(|stream| self.streams.given(stream)) {
                    self.events.push_back(Event::StreamListed { stream: given.clone() });
                }
            }
            Answer::Failed(failure) => self.start_failed(now, stream, failure),
            Answer::View { .. }
            | Answer::Keys(_)
            | Answer::Row(_)
            | Answer::Written
            | Answer::Conflict(_)
            | Answer::Described(_) => {
                self.start_failed(now, stream, Failure::refused("Unreadable", "an answer of another kind"));
            }
        }
    }

    /// Leases of old KCLs do not say which hash keys their shards own, and without that a missing one is not noticed.
    fn fill_in_hash_keys(&mut self, stream: &Option<StreamIdentifier>, listed: &[Shard]) {
        let listed: BTreeMap<_, _> = listed.iter().map(|shard| (&shard.id, shard)).collect();
        let rows = self.seen.iter().map(|seen| &seen.row).filter(|row| row.stream == *stream);
        let found: Vec<_> = rows
            .filter(|row| row.hash_key_range.is_none())
            .filter_map(|row| {
                let shard = listed.get(&row.shard_id)?;
                Some((row.key.clone(), LeaseChange::HashKeys { range: shard.hash_key_range }))
            })
            .collect();
        for (key, change) in found {
            self.send(Pending::Tidy, Request::Write { key, change });
        }
    }

    /// The table cannot be had: tells what will not get better by itself.
    pub(super) fn table_failed(&mut self, now: Moment, failure: Failure) {
        // A worker that has leases goes on with them.
        if !self.streams.have_started() {
            self.next_look = now.after(self.pause());
            self.tell_if_refused(failure);
        }
    }

    /// Tries what has failed for a stream again. Where it is the only one, tells what will not get better by itself; one of
    /// several does not keep the worker from the others.
    fn start_failed(&mut self, now: Moment, stream: &Option<StreamIdentifier>, failure: Failure) {
        let pause = self.pause();
        let Some(tracked) = self.streams.tracked.get_mut(stream) else { return };
        let again = match stream {
            None => now.after(pause),
            Some(_) => now.after(tracked.backoff.fail(&mut self.rng)),
        };
        if tracked.started {
            // A worker that has leases goes on with them; the next look will show that one is still missing.
            tracked.start = Start::Done;
        } else {
            match &mut tracked.start {
                Start::Looking => self.next_look = self.next_look.min(again),
                Start::Listing { retry, .. } | Start::Creating { retry, .. } => *retry = Some(again),
                Start::Done => {}
            }
        }
        match stream {
            None if !self.streams.have_started() => self.tell_if_refused(failure),
            None => {}
            Some(identifier) => {
                let Some(given) = self.streams.given(identifier).cloned() else { return };
                if failure.code == "ResourceNotFoundException" {
                    self.doubt_which(now, identifier);
                }
                self.events.push_back(Event::StreamFails { stream: given, failure });
            }
        }
    }

    fn pause(&mut self) -> Duration {
        Self::PAUSE.mul_f64(1.0 + self.rng.f64())
    }

    fn tell_if_refused(&mut self, failure: Failure) {
        match failure.verdict() {
            Verdict::Refuse | Verdict::Isolate => self.events.push_back(Event::Unable(failure)),
            Verdict::Retry | Verdict::Throttled => {}
        }
    }

    /// A row was entered, or was there already: another worker starts too, or the answer to an earlier try was lost.
    pub(super) fn created(&mut self, now: Moment, stream: &Option<StreamIdentifier>, answer: Answer) {
        if let Answer::Failed(failure) = answer {
            // Which row it was does not matter: the next plan has it again.
            if let Some(tracked) = self.streams.tracked.get_mut(stream) {
                tracked.start = Start::Looking;
            }
            self.start_failed(now, stream, failure);
        }
    }
}
