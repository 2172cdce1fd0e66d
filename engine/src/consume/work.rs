//! Working: what the handler is asked to do, and what becomes of it when it fails.

use std::time::Duration;

use shardflow_core::Shard;

use super::shard_life::{Answer, Batch, Event, Finish, Request, ShardLife, Stop};
use super::trouble::{Cure, Then};
use crate::{Failure, Moment, RequestId};

/// What the handler is busy with.
#[derive(Debug)]
pub(super) enum Work {
    /// Something is to be done, now or when it has been left alone for a while.
    Due {
        task: Task,
        at: Moment,
    },
    /// Something is being done.
    Doing {
        id: RequestId,
        task: Task,
        since: Moment,
        /// When to tell that it takes long.
        warn_at: Option<Moment>,
    },
    /// It waits for records.
    Idle,
    Done,
}

#[derive(Clone, Debug)]
pub(super) enum Task {
    Initialize,
    Process(Batch),
    /// The only record of a batch failed too often: it goes to the sink.
    DeadLetter(Batch, Failure),
    /// The only record of a batch is decided without the handler.
    Pass(Batch),
    EnterChildren(Vec<Shard>),
    Stop(Stop),
    CheckpointEnd,
    /// The handler is of no use any more: a fresh one begins at the last checkpoint.
    Restart,
}

impl Task {
    /// Whether the application's code runs in it.
    fn is_the_applications(&self) -> bool {
        match self {
            Self::Initialize | Self::Process(_) | Self::DeadLetter(..) | Self::Stop(_) => true,
            Self::Pass(_) | Self::EnterChildren(_) | Self::CheckpointEnd | Self::Restart => false,
        }
    }
}

impl ShardLife {
    pub(super) fn advance_work(&mut self, now: Moment) {
        loop {
            match &self.work {
                Work::Doing { .. } => return self.warn(now),
                Work::Done => return,
                Work::Due { task, at } => {
                    if let Some(stop) = self.stop.filter(|stop| self.outweighs(*stop, task)) {
                        self.stop_instead(now, stop);
                    } else if *at > now {
                        return;
                    } else {
                        let task = task.clone();
                        self.begin(now, task);
                    }
                }
                Work::Idle => match self.next_task(now) {
                    Some(task) => self.work = Work::Due { task, at: now },
                    None => return,
                },
            }
        }
    }

    /// Whether a fresh handler is to begin anew, so that what is read now would be read for nothing.
    pub(super) fn rests(&self) -> bool {
        let (Work::Due { task, .. } | Work::Doing { task, .. }) = &self.work else { return false };
        match task {
            Task::Restart => true,
            Task::DeadLetter(..) | Task::Pass(_) => !self.initialized,
            Task::Initialize
            | Task::Process(_)
            | Task::EnterChildren(_)
            | Task::Stop(_)
            | Task::CheckpointEnd => false,
        }
    }

    /// Whether a task that is due is left to the shard's next owner.
    fn outweighs(&self, stop: Stop, task: &Task) -> bool {
        match task {
            Task::Initialize
            | Task::Process(_)
            | Task::DeadLetter(..)
            | Task::EnterChildren(_)
            | Task::Restart => true,
            Task::Stop(before) => *before == Stop::ShardEnd,
            // What is decided is decided.
            Task::Pass(_) => stop == Stop::LeaseLost,
            // The last step of a shard that is done is still taken, if it can be.
            Task::CheckpointEnd => stop == Stop::LeaseLost || self.handler_failures > 0,
        }
    }

    fn stop_instead(&mut self, now: Moment, stop: Stop) {
        if self.initialized && !bug!(NoFinalCheckpoint) {
            self.work = Work::Due { task: Task::Stop(stop), at: now };
        } else {
            // A handler that has not heard of the shard need not hear of its end.
            self.finish(Finish::of(stop));
        }
    }

    fn next_task(&mut self, now: Moment) -> Option<Task> {
        if let Some(stop) = self.stop {
            return Some(Task::Stop(stop));
        }
        // Its end by time alone is told by the coordinator, and then there is a stop.
        if now >= self.until {
            return None;
        }
        if let Some(mut batch) = self.queue.pop_front() {
            if let Some(rest) = self.trouble.cut(&batch).map(|at| batch.split_off(at)) {
                self.queue.push_front(rest);
            }
            return Some(Task::Process(batch));
        }
        let end = self.fetch.end().filter(|_| bug!(EndBeforeChildren)).map(|_| Task::Stop(Stop::ShardEnd));
        end.or_else(|| self.fetch.end().map(|children| Task::EnterChildren(children.to_vec())))
    }

    fn begin(&mut self, now: Moment, task: Task) {
        let request = match &task {
            Task::Initialize => Request::Initialize,
            Task::Process(batch) => Request::Process(batch.clone()),
            Task::DeadLetter(batch, failure) => {
                Request::DeadLetter { batch: batch.clone(), failure: failure.clone() }
            }
            Task::Pass(batch) => Request::Pass(batch.clone()),
            Task::EnterChildren(children) => Request::EnterChildren(children.clone()),
            Task::Stop(stop) => Request::Stop(*stop),
            Task::CheckpointEnd => Request::CheckpointEnd,
            Task::Restart => Request::Restart,
        };
        let id = self.ids.next();
        self.requests.push_back((id, request));
        let warn_at = self.settings.warn_after.filter(|_| task.is_the_applications());
        self.work = Work::Doing { id, task, since: now, warn_at: warn_at.map(|after| now.after(after)) };
    }

    /// Tells of a call of the application's that does not return: after the time that was set, and each time when twice as
    /// much has passed.
    fn warn(&mut self, now: Moment) {
        let Work::Doing { since, warn_at, .. } = &mut self.work else { return };
        if warn_at.is_some_and(|at| at <= now) {
            let time = now.since(*since);
            *warn_at = Some(now.after(time));
            self.events.push_back(Event::Slow { time });
        }
    }

    pub(super) fn worked(&mut self, now: Moment, task: Task, answer: Answer) {
        match answer {
            Answer::Done => self.done(now, task),
            Answer::Untouched => self.work = Work::Due { task, at: now },
            Answer::Failed(failure) => self.failed(now, task, failure),
            Answer::Panicked(failure) => self.panicked(now, task, failure),
            Answer::Fresh { checkpoint, passed } => {
                self.passed = passed;
                self.settle_room(None);
                self.fetch.rewind(now, &checkpoint);
                self.queue.clear();
                self.initialized = false;
                self.work = Work::Due { task: Task::Initialize, at: now };
            }
            Answer::Read(_) => {
                self.failed(now, task, Failure::unknown("Unreadable", "an answer of another kind"));
            }
        }
    }

    fn done(&mut self, now: Moment, task: Task) {
        self.handler.succeed();
        self.handler_failures = 0;
        self.work = match task {
            Task::Initialize => {
                self.initialized = true;
                Work::Idle
            }
            Task::Process(batch) | Task::Pass(batch) => {
                self.trouble.decided(&batch);
                if self.initialized { Work::Idle } else { Work::Due { task: Task::Restart, at: now } }
            }
            Task::DeadLetter(batch, _) => {
                self.events.push_back(Event::DeadLettered { at: batch.ends().1 });
                Work::Due { task: Task::Pass(batch), at: now }
            }
            Task::EnterChildren(_) => Work::Due { task: Task::Stop(Stop::ShardEnd), at: now },
            Task::Stop(Stop::ShardEnd) => Work::Due { task: Task::CheckpointEnd, at: now },
            Task::Stop(stop) => return self.finish(Finish::of(stop)),
            Task::CheckpointEnd => return self.finish(Finish::ShardEnd),
            Task::Restart => Work::Due { task: Task::Initialize, at: now },
        };
    }

    fn failed(&mut self, now: Moment, task: Task, failure: Failure) {
        match task {
            Task::Process(batch) => self.process_failed(now, batch, failure),
            // The shard goes whether the handler has managed to say good-bye or not.
            Task::Stop(stop @ (Stop::Shutdown | Stop::Handoff | Stop::LeaseLost)) => {
                self.handler_failures += 1;
                self.tell_failed(failure, self.handler_failures, None);
                self.finish(Finish::of(stop));
            }
            Task::EnterChildren(_) => {
                self.events.push_back(Event::ChildrenWait { failure });
                self.work = Work::Due { task, at: now.after(Self::CHILDREN_WAIT) };
            }
            Task::DeadLetter(..) => {
                let again = self.handler.fail(&mut self.rng);
                self.handler_failures += 1;
                self.events.push_back(Event::DeadLetterFailed {
                    failure,
                    times: self.handler_failures,
                    again,
                });
                self.work = Work::Due { task, at: now.after(again) };
            }
            Task::Initialize | Task::Pass(_) | Task::Stop(_) | Task::CheckpointEnd | Task::Restart => {
                self.handler_failures += 1;
                self.later(now, task, failure, self.handler_failures);
            }
        }
    }

    fn process_failed(&mut self, now: Moment, mut batch: Batch, failure: Failure) {
        if bug!(FailedBatchSkipped) {
            self.work = Work::Idle;
            return;
        }
        match self.trouble.failed(&batch, self.settings.give_up) {
            (times, Cure::Again) => self.later(now, Task::Process(batch), failure, times),
            (times, Cure::Halve) => {
                self.tell_failed(failure, times, Some(Duration::ZERO));
                self.queue.push_front(batch.split_off(batch.records.len() / 2));
                self.work = Work::Due { task: Task::Process(batch), at: now };
            }
            (times, Cure::GiveUp(then)) => self.give_up(now, batch, failure, times, then),
        }
    }

    fn give_up(&mut self, now: Moment, batch: Batch, failure: Failure, times: u32, then: Then) {
        self.handler.succeed();
        self.tell_failed(failure.clone(), times, None);
        let (task, wait) = match then {
            Then::Skip => {
                self.events.push_back(Event::Skipped { at: batch.ends().1, failure, times });
                (Task::Pass(batch), Duration::ZERO)
            }
            Then::DeadLetter => (Task::DeadLetter(batch, failure), Duration::ZERO),
            Then::Rest => {
                self.trouble.rested();
                self.queue.clear();
                self.events.push_back(Event::Resting { failure, time: self.settings.rest });
                (Task::Restart, self.settings.rest)
            }
        };
        self.work = Work::Due { task, at: now.after(wait) };
    }

    /// The handler is gone, and with it what it may have kept in memory of records that are not checkpointed.
    fn panicked(&mut self, now: Moment, task: Task, failure: Failure) {
        let handlers = matches!(task, Task::Initialize | Task::Process(_) | Task::Stop(_));
        self.failed(now, task, failure);
        if handlers {
            self.queue.clear();
            self.initialized = false;
        }
        if let Work::Due { task: task @ (Task::Initialize | Task::Process(_) | Task::Stop(_)), .. } =
            &mut self.work
        {
            *task = Task::Restart;
        }
    }

    /// A batch without the records that were passed over for a former handler, if there are others.
    pub(super) fn undecided(&mut self, batch: Batch) -> Option<Batch> {
        if self.passed.is_empty() {
            return Some(batch);
        }
        let open = batch.records.iter().filter(|record| !self.passed.remove(&record.checkpoint()));
        let records: Vec<_> = open.cloned().collect();
        (!records.is_empty()).then(|| Batch { records: records.into(), behind: batch.behind })
    }

    fn later(&mut self, now: Moment, task: Task, failure: Failure, times: u32) {
        let wait = self.handler.fail(&mut self.rng);
        self.tell_failed(failure, times, self.stop.is_none().then_some(wait));
        self.work = Work::Due { task, at: now.after(wait) };
    }

    fn tell_failed(&mut self, failure: Failure, times: u32, again: Option<Duration>) {
        self.events.push_back(Event::HandlerFailed { failure, times, again });
    }

    /// Pause before the children of a shard are entered again. The other parent of one may take its time.
    const CHILDREN_WAIT: Duration = Duration::from_secs(1);

    fn finish(&mut self, finish: Finish) {
        self.work = Work::Done;
        self.queue.clear();
        self.events.push_back(Event::Finished(finish));
    }
}
