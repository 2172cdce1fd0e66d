//! The task of a producer: carries out what the pipeline decides, and decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shardflow_engine::produce::{Answer, Delivered, Event, FlushId, Outcome, Pipeline, Placed, Settings};
use shardflow_engine::{Failure, Moment, RequestId};
use shardflow_sdk::seed;
use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::inbox::{Inbox, Mail, Put, Tag};
use crate::metrics::Metrics;
use crate::reserve::Purse;
use crate::ticket::Ends;
use crate::{Config, Receipt, RecordError};

/// Everything that the task owns.
pub(crate) struct Driver {
    pipeline: Pipeline<Tag>,
    ends: Ends,
    inbox: Arc<Inbox>,
    /// What was taken from the inbox; kept for its memory.
    mail: Mail,
    client: Client,
    /// Requests under way. Each ends within its time-out.
    requests: JoinSet<(RequestId, Answer)>,
    /// Which request a task carries out, in case it panics.
    ids: BTreeMap<Id, RequestId>,
    flushes: BTreeMap<FlushId, oneshot::Sender<u64>>,
    /// Nothing while nobody listens.
    metrics: Option<Metrics>,
    record_ttl: Duration,
    epoch: Instant,
    /// How long records lie before they are looked at, and until when those that have arrived do.
    nap: Duration,
    napping: Option<Instant>,
}

impl Driver {
    /// Waking up for each record would cost more than all that is done for it.
    const NAP: Duration = Duration::from_millis(1);

    pub(crate) fn new(inbox: Arc<Inbox>, config: &Config, client: Client) -> Self {
        let metrics = Metrics::start(client.stream(), config);
        let settings = Settings { measured: metrics.is_some(), ..config.settings.clone() };
        Self {
            pipeline: Pipeline::new(settings, seed()),
            ends: Ends::default(),
            inbox,
            mail: Mail::default(),
            client,
            requests: JoinSet::new(),
            ids: BTreeMap::new(),
            flushes: BTreeMap::new(),
            metrics,
            record_ttl: config.settings.record_ttl,
            epoch: Instant::now(),
            nap: if config.settings.linger > Self::NAP * 4 { Self::NAP } else { Duration::ZERO },
            napping: None,
        }
    }

    /// Runs until the last handle is dropped, which aborts it.
    pub(crate) async fn run(mut self) {
        loop {
            self.read_mail();
            self.pipeline.handle_timeout(self.now());
            self.drain();
            if self.wait().await {
                self.napping = Some(Instant::now() + self.nap);
                self.wait().await;
                self.napping = None;
            }
        }
    }

    /// Until something is to be done. Tells whether that is only that records have begun to arrive.
    async fn wait(&mut self) -> bool {
        let deadline = self.pipeline.poll_timeout().map(|at| self.epoch + at.since_start());
        let until = [deadline, self.napping].into_iter().flatten().min();
        // Answers first, since they make room; mail before time, since it is there already. All arms are cancel safe.
        tokio::select! {
            biased;
            Some(answered) = self.requests.join_next_with_id() => {
                let now = self.now();
                self.answered(now, answered);
                false
            }
            () = self.inbox.urgent.notified() => false,
            () = self.inbox.arrived.notified(), if self.napping.is_none() => true,
            () = sleep_until(until.unwrap_or(self.epoch)), if until.is_some() => false,
        }
    }

    fn now(&self) -> Moment {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Moment {
        Moment::from_start(instant.saturating_duration_since(self.epoch))
    }

    fn read_mail(&mut self) {
        let mut mail = std::mem::take(&mut self.mail);
        self.inbox.take(&mut mail);
        self.read(&mut mail);
        self.mail = mail;
    }

    fn read(&mut self, mail: &mut Mail) {
        if let Some(metrics) = &self.metrics {
            metrics.received(mail.puts.len());
        }
        let accepted = mail.since.take().map_or(Moment::START, |since| self.at(since));
        self.ends.begin(mail.blocks.drain(..));
        let puts = mail
            .puts
            .drain(..)
            .map(|Put { record, number, purse }| (record, Tag { end: self.ends.end(number), purse }));
        self.pipeline.put_all(accepted, puts);
        let now = self.now();
        for done in mail.flushes.drain(..) {
            let id = self.pipeline.flush(now);
            self.flushes.insert(id, done);
        }
        if std::mem::take(&mut mail.abandon) {
            self.pipeline.abandon(now);
        }
        for asks in mail.snapshots.drain(..) {
            // Whoever asked may have stopped waiting.
            let _waits = asks.send(self.pipeline.snapshot(now).into()).is_ok();
        }
    }

    fn answered(&mut self, now: Moment, answered: Result<(Id, (RequestId, Answer)), JoinError>) {
        match answered {
            Ok((task, (id, answer))) => {
                self.ids.remove(&task);
                self.pipeline.handle_answer(now, id, answer);
            }
            // The SDK, or the HTTP client that it was given, has panicked: what was sent is not known.
            Err(panicked) => {
                if let Some(id) = self.ids.remove(&panicked.id()) {
                    let failure = Failure::unknown("ClientPanicked", panicked.to_string());
                    self.pipeline.handle_answer(now, id, Answer::Failed(failure));
                }
            }
        }
    }

    /// Carries out all requests and tells all events.
    fn drain(&mut self) {
        while let Some((id, request)) = self.pipeline.poll_request() {
            let client = self.client.clone();
            let task = self.requests.spawn(async move { (id, client.carry_out(request).await) });
            self.ids.insert(task.id(), id);
        }
        self.tell();
        self.measure();
    }

    fn tell(&mut self) {
        while let Some(event) = self.pipeline.poll_event() {
            match event {
                Event::Delivered(mut delivered) => {
                    self.deliver(&mut delivered);
                    self.pipeline.reuse(delivered);
                }
                Event::Settled { tag, outcome } => self.settle(tag, outcome),
                Event::Flushed { id, failed } => {
                    if let Some(done) = self.flushes.remove(&id) {
                        // Whoever flushed may have stopped waiting.
                        let _waits = done.send(failed).is_ok();
                    }
                }
            }
        }
        self.inbox.record_bytes.store(self.pipeline.record_bytes(), Ordering::Relaxed);
    }

    fn measure(&mut self) {
        if let Some(metrics) = &mut self.metrics {
            while let Some(measure) = self.pipeline.poll_measure() {
                metrics.record(measure);
            }
            metrics.pending(self.pipeline.held_records());
        }
    }

    /// Tells the tickets of an entry. Room comes first: who sees the last record settled sees the buffer empty.
    fn deliver(&mut self, delivered: &mut Delivered<Tag>) {
        self.free(delivered.tags());
        let Placed { shard_id, sequence_number } = delivered.placed().clone();
        for (tag, sub_sequence_number, attempts) in delivered.drain() {
            let (shard_id, sequence_number) = (shard_id.clone(), sequence_number.clone());
            let receipt = Receipt { shard_id, sequence_number, sub_sequence_number, attempts };
            self.ends.settle(tag.end, Ok(receipt));
        }
    }

    fn free<'a>(&self, tags: impl Iterator<Item = (&'a Tag, usize)>) {
        let (mut own, mut common) = (0, 0);
        for (tag, cost) in tags {
            self.ends.fetch(&tag.end);
            match tag.purse {
                Purse::Own => own += cost,
                Purse::Common => common += cost,
            }
        }
        self.inbox.reserve.give_back(Purse::Own, own);
        self.inbox.reserve.give_back(Purse::Common, common);
    }

    fn settle(&mut self, tag: Tag, outcome: Outcome) {
        let error = match outcome {
            // That is another event.
            Outcome::Delivered { .. } => return,
            Outcome::Expired { record, attempts } => {
                RecordError::Expired { record, ttl: self.record_ttl, attempts }
            }
            Outcome::Refused { record, attempts } => {
                let (code, message) =
                    attempts.last().map(|last| (last.code.clone(), last.message.clone())).unwrap_or_default();
                RecordError::Refused { record, code, message, attempts }
            }
            Outcome::Abandoned { record, attempts } => RecordError::Abandoned { record, attempts },
        };
        self.free(std::iter::once((&tag, Settings::cost(error.record()))));
        self.ends.settle(tag.end, Err(Box::new(error)));
    }
}

/// The last handle was dropped, or the runtime ends: what is not settled goes back to its owner.
impl Drop for Driver {
    fn drop(&mut self) {
        let mut last = self.inbox.end();
        self.read(&mut last);
        self.pipeline.abandon(self.now());
        self.tell();
        self.measure();
    }
}
