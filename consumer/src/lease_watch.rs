//! What is noted of a worker's leases, from what its coordinator asks for, is answered and tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shardflow_core::{
    Checkpoint, LeaseChange, LeaseKey, LeaseRow, ShardId, Stream, StreamIdentifier, WorkerId,
};
use shardflow_engine::lease::{Answer, Coordinator, Event, Request, Tenure};
use shardflow_engine::{Moment, RequestId};
use tracing::Span;

use crate::health::{LeaseTrouble, ShardHealth, WaitsFor};
use crate::metrics::LeaseMetrics;
use crate::spans;
use crate::watch::Board;

/// Notes how the leases stand.
#[derive(Debug)]
pub(crate) struct LeaseWatch {
    board: Arc<Board>,
    worker: WorkerId,
    metrics: Option<LeaseMetrics>,
    asked: BTreeMap<RequestId, (Asked, Moment, Span)>,
    held: BTreeSet<LeaseKey>,
    /// Whether a look was answered.
    looked: bool,
}

impl Drop for LeaseWatch {
    fn drop(&mut self) {
        self.count(|metrics| metrics.held(0));
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// What the table says, of all leases or of our own.
    Look,
    /// To keep a lease that we have.
    Renew,
    Checkpoint,
    /// A lease that nobody keeps.
    Take,
    /// To give a lease to another worker, as a leader does, and one that stops.
    Direct,
    Create,
    Report,
    ListShards,
    Other,
}

impl LeaseWatch {
    pub(crate) fn new(board: Arc<Board>, worker: WorkerId) -> Self {
        let metrics = LeaseMetrics::start(&worker, board.only_stream().is_none());
        Self { board, worker, metrics, asked: BTreeMap::new(), held: BTreeSet::new(), looked: false }
    }

    /// The coordinator asks for something. Gives the span to do it in.
    pub(crate) fn asked(&mut self, now: Moment, id: RequestId, request: &Request) -> Span {
        let span = spans::of_leases(self.board.only_stream().as_ref(), request);
        let asked = match request {
            Request::Look | Request::Assigned => Asked::Look,
            Request::Write { key, change } => self.writes(key, change),
            Request::Create(_) => Asked::Create,
            Request::Report(_) => Asked::Report,
            Request::ListShards { .. } => Asked::ListShards,
            Request::Get(_)
            | Request::Delete(_)
            | Request::Forget { .. }
            | Request::Lock(_)
            | Request::Describe(_)
            | Request::Claim(_) => Asked::Other,
        };
        self.asked.insert(id, (asked, now, span.clone()));
        span
    }

    fn writes(&self, key: &LeaseKey, change: &LeaseChange) -> Asked {
        match change {
            LeaseChange::Renew { .. } if self.held.contains(key) => Asked::Renew,
            LeaseChange::Checkpoint { .. } | LeaseChange::Prepare { .. } => Asked::Checkpoint,
            LeaseChange::Take { worker, .. } if *worker == self.worker => Asked::Take,
            LeaseChange::Take { .. } | LeaseChange::StartHandoff { .. } => Asked::Direct,
            LeaseChange::Renew { .. }
            | LeaseChange::Assign { .. }
            | LeaseChange::Evict { .. }
            | LeaseChange::Rewind { .. }
            | LeaseChange::HashKeys { .. }
            | LeaseChange::Children { .. } => Asked::Other,
        }
    }

    /// Something that it asked for was answered.
    pub(crate) fn answered(&mut self, now: Moment, id: RequestId, answer: &Answer) {
        let Some((asked, since, span)) = self.asked.remove(&id) else { return };
        spans::end_of_leases(&span, answer, now.since(since));
        self.looked |= asked == Asked::Look;
        let mut notes = self.board.leases();
        match answer {
            Answer::Failed(failure) => {
                notes.trouble = Some((now, format!("{}: {}", failure.code, failure.message)));
            }
            Answer::View { .. } | Answer::Keys(_) => {
                notes.seen = Some(now);
                notes.trouble = None;
            }
            Answer::Row(_)
            | Answer::Written
            | Answer::Conflict(_)
            | Answer::Shards(_)
            | Answer::Described(_) => {}
        }
        if let Some(metrics) = &self.metrics {
            metrics.answered(asked, notes.leads, now.since(since), answer);
        }
    }

    /// These streams are wanted, where there are several.
    pub(crate) fn wanted(&self, streams: impl Iterator<Item = Stream>) {
        self.board.streams().wanted(streams);
    }

    /// It tells something.
    pub(crate) fn told(&self, now: Moment, event: &Event) {
        self.board.streams().told(now, event);
        match event {
            Event::Acquired { row, tenure, .. } => {
                self.count(LeaseMetrics::discovered);
                let coming = Coming::new(row, *tenure, now);
                self.board.leases().coming.insert(row.key.clone(), coming);
            }
            Event::Lost { .. } => self.count(LeaseMetrics::lost),
            Event::StreamDeleted { .. } => self.count(LeaseMetrics::stream_deleted),
            Event::Leads(leads) => self.board.leases().leads = *leads,
            Event::Kept { .. }
            | Event::HandoffAsked { .. }
            | Event::LetGo { .. }
            | Event::Checkpointed { .. }
            | Event::NotCheckpointed { .. }
            | Event::ChildrenEntered { .. }
            | Event::ChildrenMustWait { .. }
            | Event::ClockSkew { .. }
            | Event::StreamFound { .. }
            | Event::StreamListed { .. }
            | Event::StreamFails { .. }
            | Event::Unable(_) => {}
        }
    }

    fn count(&self, count: impl FnOnce(&LeaseMetrics)) {
        if let Some(metrics) = &self.metrics {
            count(metrics);
        }
    }

    /// Notes which leases there are.
    pub(crate) fn note(&mut self, now: Moment, coordinator: &mut Coordinator) {
        let looked = std::mem::take(&mut self.looked);
        if looked {
            let failing = self.board.streams().failing();
            self.count(|metrics| metrics.streams_fail(failing));
        }
        if looked && coordinator.leads(now) {
            self.count(|metrics| {
                metrics.counted(coordinator.census(now));
                metrics.streams(coordinator.active_streams(), coordinator.pending_streams());
            });
        }
        while let Some(key) = coordinator.poll_moved() {
            let tenure = coordinator.tenure(&key);
            let mut notes = self.board.leases();
            if notes.coming.get(&key).is_some_and(|coming| Some(coming.tenure) != tenure) {
                notes.coming.remove(&key);
            }
            match coordinator.waits(&key) {
                Some(row) => drop(notes.waiting.insert(key.clone(), Shard::of(row))),
                None => drop(notes.waiting.remove(&key)),
            }
            if tenure.is_some() {
                self.held.insert(key);
            } else {
                self.held.remove(&key);
            }
            notes.held = self.held.len();
            drop(notes);
            self.count(|metrics| metrics.held(self.held.len()));
        }
    }
}

impl LeaseMetrics {
    fn answered(&self, asked: Asked, leads: bool, took: Duration, answer: &Answer) {
        let written = matches!(answer, Answer::Written);
        let success = !matches!(answer, Answer::Failed(_));
        match asked {
            Asked::Look => self.looked(leads, success, took),
            Asked::Renew => self.renewals.iter().for_each(|renewals| renewals.record(written, took)),
            Asked::Take if written => self.taken(),
            Asked::Direct if leads => self.assigned(written, took),
            // Another worker may have entered it.
            Asked::Create => self.create_lease.record(success, took),
            Asked::Report => self.report.record(written, took),
            Asked::ListShards => self.list_shards.record(success, took),
            // Checkpoints are told of by shard.
            Asked::Take | Asked::Direct | Asked::Checkpoint | Asked::Other => {}
        }
    }
}

/// What is noted of leases.
#[derive(Debug, Default)]
pub(crate) struct LeaseNotes {
    pub(crate) held: usize,
    pub(crate) leads: bool,
    /// When the table was last seen.
    pub(crate) seen: Option<Moment>,
    trouble: Option<(Moment, String)>,
    /// Leases that have come, and whose shards have no task yet.
    coming: BTreeMap<LeaseKey, Coming>,
    /// Those of shards that wait for their parents.
    waiting: BTreeMap<LeaseKey, Shard>,
}

#[derive(Debug)]
struct Shard {
    stream: Option<StreamIdentifier>,
    shard_id: ShardId,
    checkpoint: Checkpoint,
}

impl Shard {
    fn of(row: &LeaseRow) -> Self {
        let LeaseRow { stream, shard_id, checkpoint, .. } = row;
        Self { stream: stream.clone(), shard_id: shard_id.clone(), checkpoint: checkpoint.clone() }
    }
}

#[derive(Debug)]
struct Coming {
    shard: Shard,
    tenure: Tenure,
    since: Moment,
}

impl Coming {
    fn new(row: &LeaseRow, tenure: Tenure, since: Moment) -> Self {
        Self { shard: Shard::of(row), tenure, since }
    }
}

impl LeaseNotes {
    /// A shard has its task.
    pub(crate) fn began(&mut self, key: &LeaseKey, tenure: Tenure) {
        if self.coming.get(key).is_some_and(|coming| coming.tenure == tenure) {
            self.coming.remove(key);
        }
    }

    pub(crate) fn trouble(&self, now: Moment) -> Option<LeaseTrouble> {
        self.trouble.as_ref().map(|(at, error)| LeaseTrouble { ago: now.since(*at), error: error.clone() })
    }

    /// The shards that have leases and no task.
    pub(crate) fn shards(&self, now: Moment) -> impl Iterator<Item = (LeaseKey, ShardHealth)> {
        let waiting = self
            .waiting
            .iter()
            .map(|(key, shard)| (key.clone(), ShardHealth::unread(shard, WaitsFor::Parents, Duration::ZERO)));
        let coming = self.coming.iter().map(move |(key, Coming { shard, since, .. })| {
            (key.clone(), ShardHealth::unread(shard, WaitsFor::Start, now.since(*since)))
        });
        waiting.chain(coming)
    }
}

impl ShardHealth {
    fn unread(shard: &Shard, waits_for: WaitsFor, progress: Duration) -> Self {
        Self {
            stream: shard.stream.clone(),
            shard_id: shard.shard_id.clone(),
            checkpoint: shard.checkpoint.clone(),
            behind: None,
            read: None,
            processed: None,
            progress,
            waits_for,
            handler_failures: 0,
            read_failures: 0,
            error: None,
        }
    }
}
