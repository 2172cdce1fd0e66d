//! The task of a producer: carries out what the pipeline decides, and decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shardflow_engine::produce::{Answer, Event, FlushId, Outcome, Pipeline, Placed};
use shardflow_engine::{Failure, Moment, RequestId};
use shardflow_sdk::seed;
use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::config::OnFailure;
use crate::inbox::{Inbox, Mail, Put, Tag};
use crate::{Config, Receipt, RecordError};

/// Everything that the task owns.
pub(crate) struct Driver {
    pipeline: Pipeline<Tag>,
    inbox: Arc<Inbox>,
    /// What was taken from the inbox; kept for its memory.
    mail: Mail,
    client: Client,
    /// Requests under way. Each ends within its time-out.
    requests: JoinSet<(RequestId, Answer)>,
    /// Which request a task carries out, in case it panics.
    ids: BTreeMap<Id, RequestId>,
    flushes: BTreeMap<FlushId, oneshot::Sender<u64>>,
    on_failure: Option<OnFailure>,
    record_ttl: Duration,
    epoch: Instant,
}

impl Driver {
    pub(crate) fn new(inbox: Arc<Inbox>, config: &Config, client: Client) -> Self {
        Self {
            pipeline: Pipeline::new(config.settings.clone(), seed()),
            inbox,
            mail: Mail::default(),
            client,
            requests: JoinSet::new(),
            ids: BTreeMap::new(),
            flushes: BTreeMap::new(),
            on_failure: config.on_failure.clone(),
            record_ttl: config.settings.record_ttl,
            epoch: Instant::now(),
        }
    }

    /// Runs until the last handle is dropped, which aborts it.
    pub(crate) async fn run(mut self) {
        loop {
            let now = self.now();
            self.read_mail(now);
            self.drain();
            let deadline = self.pipeline.poll_timeout().map(|at| self.epoch + at.since_start());
            // Answers first, since they make room; mail before time, since it is there already. All arms are cancel
            // safe.
            tokio::select! {
                biased;
                Some(answered) = self.requests.join_next_with_id() => {
                    let now = self.now();
                    self.answered(now, answered);
                }
                () = self.inbox.arrived.notified() => {}
                () = sleep_until(deadline.unwrap_or(self.epoch)), if deadline.is_some() => {
                    let now = self.now();
                    self.pipeline.handle_timeout(now);
                }
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::from_start(self.epoch.elapsed())
    }

    fn read_mail(&mut self, now: Moment) {
        let mut mail = std::mem::take(&mut self.mail);
        self.inbox.take(&mut mail);
        self.read(now, &mut mail);
        self.mail = mail;
    }

    fn read(&mut self, now: Moment, mail: &mut Mail) {
        for Put { record, hash_key, tag } in mail.puts.drain(..) {
            self.pipeline.put(now, record, hash_key, tag);
        }
        for done in mail.flushes.drain(..) {
            let id = self.pipeline.flush(now);
            self.flushes.insert(id, done);
        }
        if std::mem::take(&mut mail.abandon) {
            self.pipeline.abandon(now);
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
        let mut freed = 0;
        while let Some(event) = self.pipeline.poll_event() {
            match event {
                Event::Settled { tag, outcome } => {
                    freed += tag.cost;
                    self.settle(tag, outcome);
                }
                Event::Flushed { id, failed } => {
                    if let Some(done) = self.flushes.remove(&id) {
                        // Whoever flushed may have stopped waiting.
                        let _waits = done.send(failed).is_ok();
                    }
                }
            }
        }
        self.inbox.budget.add_permits(freed);
    }

    fn settle(&self, tag: Tag, outcome: Outcome) {
        let settled = match outcome {
            Outcome::Delivered { placed, sub_sequence_number, attempts } => {
                let Placed { shard_id, sequence_number } = placed;
                Ok(Receipt { shard_id, sequence_number, sub_sequence_number, attempts })
            }
            Outcome::Expired { record, attempts } => {
                Err(RecordError::Expired { record, ttl: self.record_ttl, attempts })
            }
            Outcome::Refused { record, attempts } => {
                let (code, message) =
                    attempts.last().map(|last| (last.code.clone(), last.message.clone())).unwrap_or_default();
                Err(RecordError::Refused { record, code, message, attempts })
            }
            Outcome::Abandoned { record, attempts } => Err(RecordError::Abandoned { record, attempts }),
        };
        if let Err(Err(error)) = tag.settle.send(settled.map_err(Box::new)) {
            match &self.on_failure {
                Some(call) => call(*error),
                None => {
                    let partition_key = error.record().partition_key();
                    tracing::warn!(%error, %partition_key, "a record was not delivered");
                }
            }
        }
    }
}

/// The last handle was dropped, or the runtime ends: what is not settled goes back to its owner.
impl Drop for Driver {
    fn drop(&mut self) {
        let now = self.now();
        let mut last = self.inbox.end();
        self.read(now, &mut last);
        self.pipeline.abandon(now);
        while let Some(event) = self.pipeline.poll_event() {
            if let Event::Settled { tag, outcome } = event {
                self.settle(tag, outcome);
            }
        }
    }
}
