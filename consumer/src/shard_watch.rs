//! What is noted of one shard, from what its life asks for, is answered and tells.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardflow_core::{Checkpoint, LeaseRow, ShardId, Stream, StreamIdentifier};
use shardflow_engine::consume::{Answer, Batch, Event, ReadAnswer, ReadEvent, ReadRequest, Request};
use shardflow_engine::{Moment, RequestId, Verdict};
use tracing::Span;

use crate::health::{Behind, ShardHealth, WaitsFor};
use crate::metrics::ShardMetrics;
use crate::spans;
use crate::watch::lock;

/// Notes how one shard stands. Clones share the notes.
#[derive(Clone, Debug)]
pub(crate) struct ShardWatch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: Stream,
    identifier: Option<StreamIdentifier>,
    shard_id: ShardId,
    notes: Mutex<Notes>,
    metrics: Option<ShardMetrics>,
}

impl ShardWatch {
    pub(crate) fn new(stream: &Stream, row: &LeaseRow, until: Moment, now: Moment) -> Self {
        let notes = Mutex::new(Notes::new(row.checkpoint.clone(), until, now));
        let metrics = ShardMetrics::start(row.stream.as_ref(), &row.shard_id);
        let (identifier, shard_id) = (row.stream.clone(), row.shard_id.clone());
        Self(Arc::new(Shared { stream: stream.clone(), identifier, shard_id, notes, metrics }))
    }

    /// The shard asks for something. Gives the span to do it in.
    pub(crate) fn asked(&self, now: Moment, id: RequestId, request: &Request) -> Span {
        let span = spans::of_shard(&self.0.stream, &self.0.shard_id, request);
        lock(&self.0.notes).asked(Step { id, doing: Doing::of(request), since: now, span: span.clone() });
        span
    }

    /// Something that it asked for was answered.
    pub(crate) fn answered(&self, now: Moment, id: RequestId, answer: &Answer) {
        let done = lock(&self.0.notes).answered(now, id, answer);
        let Some(Step { doing, since, span, .. }) = done else { return };
        let took = now.since(since);
        spans::end_of_shard(&span, answer, took);
        if let Some(metrics) = &self.0.metrics {
            metrics.answered(&doing, took, answer);
        }
    }

    /// It tells something.
    pub(crate) fn told(&self, now: Moment, event: &Event) {
        lock(&self.0.notes).told(now, event);
        if let Some(metrics) = &self.0.metrics {
            metrics.told(event);
        }
    }

    /// Its lease has been proved once more.
    pub(crate) fn kept(&self, until: Moment) {
        lock(&self.0.notes).until = until;
    }

    /// A checkpoint is stored, or not, after so long.
    pub(crate) fn checkpointed(&self, checkpoint: &Checkpoint, stored: bool, took: Duration) {
        if let Some(metrics) = &self.0.metrics {
            metrics.update_lease.record(stored, took);
        }
        let mut notes = lock(&self.0.notes);
        if stored && *checkpoint > notes.checkpoint {
            notes.checkpoint = checkpoint.clone();
        }
    }

    pub(crate) fn health(&self, now: Moment) -> ShardHealth {
        lock(&self.0.notes).health(now, self.0.identifier.clone(), self.0.shard_id.clone())
    }
}

impl ShardMetrics {
    fn answered(&self, doing: &Doing, took: Duration, answer: &Answer) {
        let answered = !matches!(answer, Answer::Failed(_) | Answer::Panicked(_));
        match doing {
            Doing::OpenIterator => self.get_iterator.record(answered, took),
            Doing::GetRecords => {
                self.get_records.record(answered, took);
                if let Answer::Failed(failure) = answer
                    && failure.code == "ExpiredIteratorException"
                {
                    self.iterator_expired();
                }
                self.came(answer);
            }
            Doing::Receive => self.came(answer),
            Doing::Initialize => self.initialized(took),
            Doing::Stop => self.stopped(took),
            Doing::Process(_) if matches!(answer, Answer::Untouched) => {}
            Doing::Process(batch) => {
                self.processed(answered, took);
                if answered {
                    let strays = batch.records.iter().filter(|record| record.out_of_range).count();
                    self.done(batch.records.len(), batch.records.data_bytes(), strays);
                }
            }
            Doing::ListShards
            | Doing::FindConsumer
            | Doing::Subscribe
            | Doing::Room
            | Doing::DeadLetter(_)
            | Doing::Pass(_)
            | Doing::EnterChildren
            | Doing::CheckpointEnd
            | Doing::Restart => {}
        }
    }

    /// Records came, or a sign that there are none.
    fn came(&self, answer: &Answer) {
        if let Answer::Read(answer) = answer
            && let Some(behind) = behind(answer)
        {
            self.read(behind);
        }
    }

    fn told(&self, event: &Event) {
        match event {
            Event::Skipped { .. } => self.skipped(),
            Event::DeadLettered { .. } => self.dead_lettered(),
            Event::Read(ReadEvent::CorruptAggregate { .. }) => self.corrupt_aggregate(),
            Event::HandlerFailed { .. }
            | Event::Slow { .. }
            | Event::DeadLetterFailed { .. }
            | Event::Resting { .. }
            | Event::Read(_)
            | Event::ChildrenWait { .. }
            | Event::Finished(_) => {}
        }
    }
}

/// How far behind the newest record the shard has been read, if the answer tells.
fn behind(answer: &ReadAnswer) -> Option<Duration> {
    match answer {
        ReadAnswer::Page(page) => Some(page.behind),
        ReadAnswer::Delivered(delivery) => Some(delivery.behind),
        ReadAnswer::Iterator { .. }
        | ReadAnswer::Shards(_)
        | ReadAnswer::Consumer(_)
        | ReadAnswer::NoConsumer { .. }
        | ReadAnswer::Subscribed { .. }
        | ReadAnswer::SubscriptionEnded => None,
    }
}

#[derive(Debug)]
struct Notes {
    acquired: Moment,
    /// Until when the lease is believed.
    until: Moment,
    checkpoint: Checkpoint,
    behind: Option<(Duration, Moment)>,
    read: Option<Moment>,
    processed: Option<Moment>,
    /// What is under way, of reading and of working. A subscription is renewed while it is read.
    reading: Vec<Step>,
    working: Option<Step>,
    /// When the handler is called again that has failed.
    retry: Option<Moment>,
    /// Until when the shard is left alone.
    rest: Option<Moment>,
    throttled: bool,
    read_failures: u32,
    handler_failures: u32,
    /// The furthest record that the handler has failed at. A fresh handler may succeed with those before.
    failed_at: Option<Checkpoint>,
    read_error: Option<String>,
    handler_error: Option<String>,
}

#[derive(Debug)]
struct Step {
    id: RequestId,
    doing: Doing,
    since: Moment,
    span: Span,
}

/// What is under way.
#[derive(Clone, Debug)]
enum Doing {
    OpenIterator,
    GetRecords,
    ListShards,
    FindConsumer,
    Subscribe,
    Receive,
    Room,
    Initialize,
    Process(Batch),
    DeadLetter(Batch),
    Pass(Batch),
    Stop,
    EnterChildren,
    CheckpointEnd,
    Restart,
}

impl Doing {
    fn of(request: &Request) -> Self {
        match request {
            Request::Read(ReadRequest::OpenIterator(_)) => Self::OpenIterator,
            Request::Read(ReadRequest::GetRecords { .. }) => Self::GetRecords,
            Request::Read(ReadRequest::ListShards) => Self::ListShards,
            Request::Read(ReadRequest::FindConsumer { .. }) => Self::FindConsumer,
            Request::Read(ReadRequest::Subscribe { .. }) => Self::Subscribe,
            Request::Read(ReadRequest::Receive { .. }) => Self::Receive,
            Request::Room { .. } => Self::Room,
            Request::Initialize => Self::Initialize,
            Request::Process(batch) => Self::Process(batch.clone()),
            Request::DeadLetter { batch, .. } => Self::DeadLetter(batch.clone()),
            Request::Pass(batch) => Self::Pass(batch.clone()),
            Request::Restart => Self::Restart,
            Request::EnterChildren(_) => Self::EnterChildren,
            Request::Stop(_) => Self::Stop,
            Request::CheckpointEnd => Self::CheckpointEnd,
        }
    }

    fn is_reading(&self) -> bool {
        match self {
            Self::OpenIterator
            | Self::GetRecords
            | Self::ListShards
            | Self::FindConsumer
            | Self::Subscribe
            | Self::Receive
            | Self::Room => true,
            Self::Initialize
            | Self::Process(_)
            | Self::DeadLetter(_)
            | Self::Pass(_)
            | Self::Stop
            | Self::EnterChildren
            | Self::CheckpointEnd
            | Self::Restart => false,
        }
    }
}

impl Notes {
    fn new(checkpoint: Checkpoint, until: Moment, now: Moment) -> Self {
        Self {
            acquired: now,
            until,
            checkpoint,
            behind: None,
            read: None,
            processed: None,
            reading: Vec::new(),
            working: None,
            retry: None,
            rest: None,
            throttled: false,
            read_failures: 0,
            handler_failures: 0,
            failed_at: None,
            read_error: None,
            handler_error: None,
        }
    }

    fn asked(&mut self, step: Step) {
        if step.doing.is_reading() {
            // What is asked for in place of something is answered, and that is not.
            if self.reading.len() > 3 {
                self.reading.remove(0);
            }
            self.reading.push(step);
        } else {
            (self.retry, self.rest) = (None, None);
            // A fresh handler is made at once.
            let working = !matches!(step.doing, Doing::Restart);
            self.working = working.then_some(step);
        }
    }

    /// Gives what was answered.
    fn answered(&mut self, now: Moment, id: RequestId, answer: &Answer) -> Option<Step> {
        if let Some(place) = self.reading.iter().position(|step| step.id == id) {
            match answer {
                Answer::Failed(failure) => self.throttled = failure.verdict() == Verdict::Throttled,
                Answer::Read(answer) => {
                    if let Some(behind) = behind(answer) {
                        self.read = Some(now);
                        self.behind = Some((behind, now));
                    }
                    self.read_well();
                }
                Answer::Done | Answer::Untouched | Answer::Fresh { .. } | Answer::Panicked(_) => {}
            }
            return Some(self.reading.remove(place));
        }
        let step = self.working.take_if(|step| step.id == id)?;
        let end = match &step.doing {
            Doing::Process(batch) | Doing::Pass(batch) | Doing::DeadLetter(batch) => {
                batch.records.last().map(|record| record.checkpoint())
            }
            _ => None,
        };
        match answer {
            Answer::Done => self.worked_well(now, &step.doing, end),
            Answer::Failed(_) | Answer::Panicked(_) => self.failed_at = end.max(self.failed_at.take()),
            Answer::Read(_) | Answer::Untouched | Answer::Fresh { .. } => {}
        }
        Some(step)
    }

    fn read_well(&mut self) {
        self.throttled = false;
        self.read_failures = 0;
        self.read_error = None;
    }

    fn worked_well(&mut self, now: Moment, doing: &Doing, end: Option<Checkpoint>) {
        if matches!(doing, Doing::Process(_) | Doing::Pass(_)) {
            self.processed = Some(now);
        }
        if self.failed_at <= end {
            self.failed_at = None;
            self.handler_failures = 0;
            self.handler_error = None;
        }
    }

    fn told(&mut self, now: Moment, event: &Event) {
        match event {
            Event::HandlerFailed { failure, again, .. } => {
                self.handler_failures += 1;
                self.handler_error = Some(failure.message.clone());
                self.retry = again.map(|again| now.after(again));
            }
            Event::DeadLetterFailed { failure, again, .. } => {
                self.handler_failures += 1;
                self.handler_error = Some(failure.message.clone());
                self.retry = Some(now.after(*again));
            }
            Event::Resting { failure, time } => {
                self.handler_error = Some(failure.message.clone());
                self.rest = Some(now.after(*time));
            }
            Event::Read(ReadEvent::Failed { failure, times }) => {
                self.read_failures = *times;
                self.read_error = Some(format!("{}: {}", failure.code, failure.message));
            }
            Event::Slow { .. }
            | Event::Skipped { .. }
            | Event::DeadLettered { .. }
            | Event::ChildrenWait { .. }
            | Event::Read(_)
            | Event::Finished(_) => {}
        }
    }

    fn waits_for(&self, now: Moment) -> WaitsFor {
        if let Some(Step { doing, since, .. }) = &self.working {
            match doing {
                Doing::Initialize | Doing::Process(_) | Doing::DeadLetter(_) | Doing::Stop => {
                    return WaitsFor::Handler { running: now.since(*since) };
                }
                Doing::EnterChildren => return WaitsFor::Children,
                Doing::Pass(_) | Doing::CheckpointEnd => return WaitsFor::Checkpoint,
                Doing::OpenIterator
                | Doing::GetRecords
                | Doing::ListShards
                | Doing::FindConsumer
                | Doing::Subscribe
                | Doing::Receive
                | Doing::Room
                | Doing::Restart => {}
            }
        }
        if let Some(until) = self.rest {
            return WaitsFor::Rest { left: until.since(now) };
        }
        if now >= self.until {
            return WaitsFor::Renewal;
        }
        if let Some(at) = self.retry {
            return WaitsFor::Retry { after: at.since(now) };
        }
        match self.reading.first().map(|step| &step.doing) {
            _ if self.throttled => WaitsFor::Throttle,
            Some(Doing::OpenIterator) => WaitsFor::Iterator,
            Some(Doing::FindConsumer | Doing::Subscribe) => WaitsFor::Subscription,
            Some(Doing::ListShards) => WaitsFor::Children,
            Some(Doing::Room) => WaitsFor::Room,
            None if self.read_failures > 0 => WaitsFor::NextTry,
            _ => WaitsFor::Records,
        }
    }

    fn health(&self, now: Moment, stream: Option<StreamIdentifier>, shard_id: ShardId) -> ShardHealth {
        let ago = |at: Option<Moment>| at.map(|at| now.since(at));
        let progress = [Some(self.acquired), self.read, self.processed];
        ShardHealth {
            stream,
            shard_id,
            checkpoint: self.checkpoint.clone(),
            behind: self.behind.map(|(by, at)| Behind { by, ago: now.since(at) }),
            read: ago(self.read),
            processed: ago(self.processed),
            progress: ago(progress.into_iter().flatten().max()).unwrap_or_default(),
            waits_for: self.waits_for(now),
            handler_failures: self.handler_failures,
            read_failures: self.read_failures,
            error: self.handler_error.clone().or_else(|| self.read_error.clone()),
        }
    }
}
