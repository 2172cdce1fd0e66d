//! Runs one shard: carries out what its life asks for, and decides nothing.

use std::collections::BTreeMap;
use std::error::Error as StdError;

use shardflow_core::{Checkpoint, LeaseKey, LeaseRow};
use shardflow_engine::consume::{
    Answer, Batch as EngineBatch, Event, Finish, ReadEvent, Request, Settings, ShardLife, Stop,
};
use shardflow_engine::lease::Tenure;
use shardflow_engine::{Failure, Moment, RequestId};
use shardflow_sdk::seed;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument as _, Span};

use crate::client::Client;
use crate::clock::Clock;
use crate::error_policy::Sink;
use crate::lease_keeper::Command;
use crate::offer::Untouched;
use crate::reads::{self, Reads};
use crate::room::ShardRoom;
use crate::shard_watch::ShardWatch;
use crate::{Batch, Checkpointer, DeadLetter, RecordProcessor, ShardInfo};

/// What the supervisor says to a running shard; the newest counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Orders {
    /// Until when the lease is believed.
    pub(crate) until: Moment,
    /// Whether the shard is to be given up.
    pub(crate) stop: Option<Stop>,
    /// Whether it is not to wait for its handler then.
    pub(crate) at_once: bool,
}

/// What a shard is run with.
pub(crate) struct ShardRunner<F> {
    pub(crate) row: LeaseRow,
    pub(crate) tenure: Tenure,
    pub(crate) settings: Settings,
    pub(crate) sink: Option<Sink>,
    pub(crate) room: ShardRoom,
    pub(crate) client: Client,
    pub(crate) keeper: mpsc::Sender<Command>,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) watch: ShardWatch,
    pub(crate) clock: Clock,
    pub(crate) factory: F,
}

impl<F, P> ShardRunner<F>
where
    F: Fn(&ShardInfo) -> P + Clone + Send + Sync + 'static,
    P: RecordProcessor,
{
    /// Runs until the shard has ended or been given up.
    pub(crate) async fn run(self) -> Finish {
        let now = self.clock.now();
        let info = ShardInfo {
            stream: self.client.stream().clone(),
            stream_identifier: self.row.stream.clone(),
            shard_id: self.row.shard_id.clone(),
            checkpoint: self.row.checkpoint.clone(),
            pending: self.row.pending.clone(),
            hash_key_range: self.row.hash_key_range,
        };
        let (keeper, orders, watch) = (self.keeper.clone(), self.orders.clone(), self.watch.clone());
        let checkpointer = Checkpointer::new(&self.row, self.tenure, keeper, orders, watch);
        let until = self.orders.borrow().until;
        let life = ShardLife::new(self.row.clone(), until, self.settings.clone(), seed(), now);
        let processor = Some((self.factory)(&info));
        let tasks = JoinSet::new();
        let reads = Reads::new(self.client.clone(), info.shard_id.clone(), self.clock);
        let ids = BTreeMap::new();
        let doubts = false;
        Loop { runner: self, life, info, reads, checkpointer, processor, tasks, ids, doubts }.run().await
    }
}

/// The runner at work.
struct Loop<F, P> {
    runner: ShardRunner<F>,
    life: ShardLife,
    info: ShardInfo,
    reads: Reads,
    checkpointer: Checkpointer,
    /// Away while one of its calls runs, and gone for good once that has panicked.
    processor: Option<P>,
    /// Requests and the handler's call, each in a task of its own so that a panic ends nothing else.
    tasks: JoinSet<Done<P>>,
    ids: BTreeMap<Id, RequestId>,
    /// Whether the keeper is to be told that the stream may be gone, or another one.
    doubts: bool,
}

/// What became of a task, and the processor if it had it.
struct Done<P> {
    id: RequestId,
    answer: Answer,
    processor: Option<P>,
}

impl<F, P> Loop<F, P>
where
    F: Fn(&ShardInfo) -> P + Clone + Send + Sync + 'static,
    P: RecordProcessor,
{
    async fn run(mut self) -> Finish {
        loop {
            if let Some(finish) = self.drain() {
                return finish;
            }
            self.runner.room.hold(&self.life);
            let deadline = self.life.poll_timeout().map(|at| self.runner.clock.instant(at));
            // Orders first: a lost lease must stop the next batch. All arms are cancel safe.
            tokio::select! {
                biased;
                Ok(()) = self.runner.orders.changed() => {
                    let now = self.now();
                    let Orders { until, stop, at_once } = *self.runner.orders.borrow_and_update();
                    if at_once {
                        return self.drop_handler(stop).await;
                    }
                    self.runner.watch.kept(until);
                    self.life.kept(now, until);
                    if let Some(stop) = stop {
                        self.life.stop(now, stop);
                    }
                }
                Some(done) = self.tasks.join_next_with_id() => self.done(done),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    let now = self.now();
                    self.life.handle_timeout(now);
                }
            }
        }
    }

    /// Ends everything that is under way, and comes back when it has ended: before that the lease must not be left.
    async fn drop_handler(mut self, stop: Option<Stop>) -> Finish {
        self.tasks.shutdown().await;
        if stop == Some(Stop::LeaseLost) { Finish::LeaseLost } else { Finish::Released }
    }

    fn now(&self) -> Moment {
        self.runner.clock.now()
    }

    fn done(&mut self, done: Result<(Id, Done<P>), JoinError>) {
        let now = self.now();
        match done {
            Ok((task, Done { id, answer, processor })) => {
                self.ids.remove(&task);
                if processor.is_some() {
                    self.processor = processor;
                }
                self.runner.watch.answered(now, id, &answer);
                self.life.handle_answer(now, id, answer);
            }
            Err(panicked) => {
                let Some(id) = self.ids.remove(&panicked.id()) else { return };
                let failure = Failure::unknown("Panicked", panicked.to_string());
                self.checkpointer.processed(false);
                let answer = Answer::Panicked(failure);
                self.runner.watch.answered(now, id, &answer);
                self.life.handle_answer(now, id, answer);
            }
        }
    }

    /// Carries out all requests and tells all events. Gives how the shard has ended, once it has.
    fn drain(&mut self) -> Option<Finish> {
        let now = self.now();
        while let Some((id, request)) = self.life.poll_request() {
            let span = self.runner.watch.asked(now, id, &request);
            self.begin(id, request, span);
        }
        // Of several streams, the key says which.
        let shard_id = self.runner.row.key.as_str();
        while let Some(event) = self.life.poll_event() {
            self.runner.watch.told(now, &event);
            match event {
                Event::HandlerFailed { failure, times, again } => {
                    tracing::warn!(shard_id, error = failure.message, times, ?again, "a handler failed");
                }
                Event::Slow { time } => {
                    tracing::warn!(shard_id, ?time, "a handler has not returned yet");
                }
                Event::Skipped { at, failure, times } => {
                    let error = failure.message;
                    tracing::error!(shard_id, %at, error, times, "a record is skipped, and lost to the handler");
                }
                Event::DeadLettered { at } => {
                    tracing::warn!(shard_id, %at, "a record went to the dead letters");
                }
                Event::DeadLetterFailed { failure, times, again } => {
                    tracing::warn!(
                        shard_id,
                        error = failure.message,
                        times,
                        ?again,
                        "the sink of dead letters failed"
                    );
                }
                Event::Resting { failure, time } => {
                    tracing::error!(
                        shard_id,
                        error = failure.message,
                        ?time,
                        "a shard is left unread for a while"
                    );
                }
                Event::ChildrenWait { failure } => {
                    tracing::debug!(shard_id, reason = failure.message, "the shard's children have to wait");
                }
                Event::Read(event) => {
                    self.doubts |=
                        matches!(event, ReadEvent::StreamMissing | ReadEvent::ForeignPosition { .. });
                    reads::tell(shard_id, event);
                }
                Event::Finished(finish) => return Some(finish),
            }
        }
        self.tell_doubts();
        None
    }

    /// Only of several streams it is known which one they are. If there is no room to tell, it is told the next time.
    fn tell_doubts(&mut self) {
        let stream = self.runner.row.stream.clone().filter(|_| self.doubts);
        self.doubts = stream.is_some_and(|stream| {
            matches!(self.runner.keeper.try_send(Command::Doubt { stream }), Err(TrySendError::Full(_)))
        });
    }

    fn begin(&mut self, id: RequestId, request: Request, span: Span) {
        let task = match request {
            Request::Read(request) => {
                let read = self.reads.clone().carry_out(id, request);
                self.tasks.spawn(async move {
                    let answer = read.instrument(span).await.map_or_else(Answer::Failed, Answer::Read);
                    Done { id, answer, processor: None }
                })
            }
            Request::Room { bytes } => {
                // What was processed a moment ago makes room first.
                self.runner.room.hold(&self.life);
                let granted = self.runner.room.ask(bytes);
                self.tasks.spawn(async move {
                    // One that is not granted was asked for anew, under another id.
                    let _granted = granted.await.is_ok();
                    Done { id, answer: Answer::Done, processor: None }
                })
            }
            Request::Initialize => self.call(id, Call::Initialize, span),
            Request::Process(batch) => self.call(id, Call::Process(batch), span),
            Request::Stop(stop) => self.call(id, Call::Stop(stop), span),
            Request::DeadLetter { batch, failure } => {
                let sink = self.runner.sink.clone().expect("the policy of dead letters comes with a sink");
                let (stream, shard_id) = (self.info.stream.clone(), self.info.shard_id.clone());
                let letters = batch.records.iter().map(move |record| DeadLetter {
                    stream: stream.clone(),
                    shard_id: shard_id.clone(),
                    record: record.clone(),
                    error: failure.message.clone(),
                });
                let letters: Vec<_> = letters.collect();
                self.tasks.spawn(async move {
                    for letter in letters {
                        if let Err(error) = sink(letter).instrument(span.clone()).await {
                            let failure = Failure::refused("DeadLetterFailed", error);
                            return Done { id, answer: Answer::Failed(failure), processor: None };
                        }
                    }
                    Done { id, answer: Answer::Done, processor: None }
                })
            }
            Request::Pass(batch) => {
                let checkpointer = self.checkpointer.clone();
                let at = Batch(batch).last().checkpoint();
                let write = checkpointer.passed(at.clone());
                self.tasks.spawn(async move {
                    if write && let Err(error) = checkpointer.at(at).await {
                        tracing::debug!(%error, "the checkpoint of a record that was passed over is not stored");
                    }
                    Done { id, answer: Answer::Done, processor: None }
                })
            }
            Request::Restart => {
                let (checkpoint, passed) = self.checkpointer.restart();
                self.info.checkpoint = checkpoint.clone();
                self.info.pending = self.checkpointer.pending();
                self.processor = Some((self.runner.factory)(&self.info));
                let now = self.now();
                return self.life.handle_answer(now, id, Answer::Fresh { checkpoint, passed });
            }
            Request::EnterChildren(children) => {
                let (keeper, key, tenure) = self.keeper();
                self.tasks.spawn(async move {
                    let (reply, entered) = oneshot::channel();
                    let lost = |_| Err(Failure::refused("LeaseLost", "the lease is no longer held"));
                    // A keeper that has ended drops the reply as well.
                    let _sent =
                        keeper.send(Command::EnterChildren { key, tenure, children, reply }).await.is_ok();
                    let entered = entered.await.unwrap_or_else(lost);
                    let answer = entered.map_or_else(Answer::Failed, |()| Answer::Done);
                    Done { id, answer, processor: None }
                })
            }
            Request::CheckpointEnd => {
                let checkpointer = self.checkpointer.clone();
                checkpointer.given(Checkpoint::ShardEnd);
                self.tasks.spawn(async move {
                    let ended = checkpointer.at(Checkpoint::ShardEnd).await;
                    Done { id, answer: answer(ended), processor: None }
                })
            }
        };
        self.ids.insert(task.id(), id);
    }

    fn keeper(&self) -> (mpsc::Sender<Command>, LeaseKey, Tenure) {
        (self.runner.keeper.clone(), self.runner.row.key.clone(), self.runner.tenure)
    }

    /// Calls the handler, which comes back with the answer.
    fn call(&mut self, id: RequestId, call: Call, span: Span) -> tokio::task::AbortHandle {
        let mut processor = self.processor.take().expect("the life asks for one thing at a time");
        let (info, checkpointer) = (self.info.clone(), self.checkpointer.clone());
        self.tasks.spawn(async move {
            let answer = answer(call.make(&mut processor, &info, &checkpointer).instrument(span).await);
            Done { id, answer, processor: Some(processor) }
        })
    }
}

/// One call of the handler.
enum Call {
    Initialize,
    Process(EngineBatch),
    Stop(Stop),
}

impl Call {
    async fn make<P: RecordProcessor>(
        self,
        processor: &mut P,
        info: &ShardInfo,
        checkpointer: &Checkpointer,
    ) -> Result<(), P::Error> {
        match self {
            Self::Initialize => processor.initialize(info).await,
            Self::Process(batch) => {
                let batch = Batch(batch);
                checkpointer.delivers(&batch);
                checkpointer.given(batch.last().checkpoint());
                let processed = processor.process(&batch, checkpointer).await;
                checkpointer.processed(processed.is_ok());
                processed
            }
            Self::Stop(stop) => processor.stopping(stop.into(), checkpointer).await,
        }
    }
}

fn answer<E: Into<Box<dyn StdError + Send + Sync>>>(result: Result<(), E>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(error) => {
            let error = error.into();
            if error.is::<Untouched>() {
                return Answer::Untouched;
            }
            Answer::Failed(Failure::refused("HandlerFailed", error.to_string()))
        }
    }
}
