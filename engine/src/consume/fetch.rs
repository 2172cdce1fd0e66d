//! Reading a shard, whichever way it is read: from where it starts to its end, and what to do where there is doubt.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{Checkpoint, HashKeyRange, KinesisRecord, SequenceNumber, Shard, ShardId};

use super::fanout::FanOut;
use super::pace::Pace;
use super::place::{Place, Start};
use super::polling::Polling;
use super::read::{ReadAnswer, ReadRequest};
use super::{Batch, ReadEvent, Retrieval, Settings};
use crate::backoff::Backoff;
use crate::request::RequestIds;
use crate::{Failure, Moment, RequestId};

/// The reading side of a shard.
#[derive(Debug)]
pub(super) struct Fetch {
    shard: ShardId,
    step: Step,
    way: Way,
    reading: Reading,
}

/// How records come.
#[derive(Debug)]
enum Way {
    Polling(Polling),
    FanOut(FanOut),
}

#[derive(Debug)]
enum Step {
    Reading,
    AskShards { at: Moment, doubt: Doubt },
    AskingShards { id: RequestId, doubt: Doubt },
    Ended { children: Vec<Shard> },
}

/// Why the stream's shards are asked for.
#[derive(Clone, Debug)]
enum Doubt {
    /// The shard has ended, and its children are not known.
    Children,
    /// The service says that there is no such shard, or no such stream.
    Unknown(Failure),
}

/// What all ways of reading share.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) place: Place,
    pub(super) settings: Settings,
    pub(super) rng: Rng,
    pub(super) events: VecDeque<ReadEvent>,
    pace: Pace,
    backoff: Backoff,
    failures: u32,
}

/// What an answer leads to, besides the next request.
#[derive(Debug)]
pub(super) enum Next {
    Nothing,
    Arrived(Arrived),
    /// The service does not know the shard.
    Unknown(Failure),
    /// The shard cannot be subscribed to.
    NoConsumer {
        reason: String,
    },
}

/// Records, or word that there are none.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) records: Vec<KinesisRecord>,
    /// Up to where the shard is read with them, if that is further than before.
    pub(super) read_to: Option<SequenceNumber>,
    pub(super) behind: Duration,
    /// The shard's children, if this was its end. None may have been told.
    pub(super) end: Option<Vec<Shard>>,
}

impl Fetch {
    pub(super) fn new(
        shard: ShardId,
        range: Option<HashKeyRange>,
        start: Start,
        settings: Settings,
        rng: Rng,
        now: Moment,
    ) -> Self {
        let way = match settings.retrieval {
            Retrieval::Polling => Way::Polling(Polling::Open { at: now }),
            Retrieval::FanOut => Way::FanOut(FanOut::new(now)),
        };
        let reading = Reading {
            place: Place::new(start, range, settings.drop_stray_aggregates),
            settings,
            rng,
            events: VecDeque::new(),
            pace: Pace::new(),
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            failures: 0,
        };
        Self { shard, step: Step::Reading, way, reading }
    }

    // What happened.

    /// Time has passed. Gives what is to be asked, if anything is.
    pub(super) fn advance(&mut self, now: Moment, ids: &mut RequestIds) -> Option<(RequestId, ReadRequest)> {
        if self.due().is_none_or(|at| at > now) {
            return None;
        }
        match &self.step {
            Step::Reading => match &mut self.way {
                Way::Polling(polling) => polling.ask(now, &self.reading, ids),
                Way::FanOut(fan_out) => fan_out.ask(now, &self.reading, ids),
            },
            Step::AskShards { doubt, .. } => {
                let id = ids.next();
                self.step = Step::AskingShards { id, doubt: doubt.clone() };
                Some((id, ReadRequest::ListShards))
            }
            Step::AskingShards { .. } | Step::Ended { .. } => None,
        }
    }

    /// A request was answered. Gives the records that are to be processed, if there are any.
    pub(super) fn answered(
        &mut self,
        now: Moment,
        id: RequestId,
        answer: Result<ReadAnswer, Failure>,
    ) -> Option<Batch> {
        match &self.step {
            Step::Reading => {
                let next = match &mut self.way {
                    Way::Polling(polling) => polling.answered(now, id, answer, &mut self.reading),
                    Way::FanOut(fan_out) => fan_out.answered(now, id, answer, &mut self.reading),
                };
                return self.go_on(now, next);
            }
            Step::AskingShards { id: asked, doubt } if *asked == id => {
                let doubt = doubt.clone();
                match answer {
                    Ok(ReadAnswer::Shards(shards)) => self.listed(now, doubt, shards),
                    other => self.not_listed(now, doubt, Failure::instead_of(other)),
                }
            }
            // Of no step that still waits.
            Step::AskingShards { .. } | Step::AskShards { .. } | Step::Ended { .. } => {}
        }
        None
    }

    /// Begins anew behind a checkpoint. What is on its way is waited for no longer.
    pub(super) fn rewind(&mut self, now: Moment, checkpoint: &Checkpoint) {
        self.reading.place.rewind(checkpoint);
        self.step = Step::Reading;
        match &mut self.way {
            Way::Polling(polling) => *polling = Polling::Open { at: now },
            Way::FanOut(fan_out) => fan_out.rewind(now),
        }
    }

    // What is so.

    /// When it wants to ask.
    pub(super) fn due(&self) -> Option<Moment> {
        match &self.step {
            Step::Reading => match &self.way {
                Way::Polling(polling) => polling.due(),
                Way::FanOut(fan_out) => fan_out.due(),
            },
            Step::AskShards { at, .. } => Some(*at),
            Step::AskingShards { .. } | Step::Ended { .. } => None,
        }
    }

    /// When it wants to ask for something that needs no room.
    pub(super) fn due_without_records(&self) -> Option<Moment> {
        match (&self.step, &self.way) {
            (Step::Reading, Way::Polling(polling)) => polling.due_without_records(),
            (Step::Reading, Way::FanOut(fan_out)) => fan_out.due_without_records(),
            (Step::AskShards { .. } | Step::AskingShards { .. } | Step::Ended { .. }, _) => self.due(),
        }
    }

    /// Whether what it asks for next brings records.
    pub(super) fn wants_records(&self, now: Moment) -> bool {
        match (&self.step, &self.way) {
            (Step::Reading, Way::Polling(polling)) => polling.wants_records(now),
            (Step::Reading, Way::FanOut(fan_out)) => fan_out.wants_records(now),
            (Step::AskShards { .. } | Step::AskingShards { .. } | Step::Ended { .. }, _) => false,
        }
    }

    /// Whether records are on their way.
    pub(super) fn is_reading(&self) -> bool {
        match (&self.step, &self.way) {
            (Step::Reading, Way::Polling(polling)) => polling.is_reading(),
            (Step::Reading, Way::FanOut(fan_out)) => fan_out.is_reading(),
            (Step::AskShards { .. } | Step::AskingShards { .. } | Step::Ended { .. }, _) => false,
        }
    }

    /// The shard's children, once it has been read to its end.
    pub(super) fn end(&self) -> Option<&[Shard]> {
        match &self.step {
            Step::Ended { children } => Some(children),
            Step::Reading | Step::AskShards { .. } | Step::AskingShards { .. } => None,
        }
    }

    /// What there is to tell since it was last asked.
    pub(super) fn take_events(&mut self) -> VecDeque<ReadEvent> {
        std::mem::take(&mut self.reading.events)
    }

    // Steps.

    fn go_on(&mut self, now: Moment, next: Next) -> Option<Batch> {
        match next {
            Next::Nothing => {}
            Next::Arrived(arrived) => return self.arrived(now, arrived),
            Next::Unknown(failure) => {
                self.step = Step::AskShards { at: now, doubt: Doubt::Unknown(failure) };
            }
            Next::NoConsumer { reason } => {
                self.reading.events.push_back(ReadEvent::FellBack { reason });
                self.way = Way::Polling(Polling::Open { at: now });
            }
        }
        None
    }

    fn arrived(&mut self, now: Moment, arrived: Arrived) -> Option<Batch> {
        let Arrived { records, read_to, behind, end } = arrived;
        self.reading.succeeded();
        match end {
            Some(children) if children.is_empty() => {
                self.step = Step::AskShards { at: now, doubt: Doubt::Children };
            }
            Some(children) => self.step = Step::Ended { children },
            None => {}
        }
        let Reading { place, events, .. } = &mut self.reading;
        let records = place.unpack(records, events);
        if let Some(read_to) = read_to {
            place.read_to(read_to);
        }
        (!records.is_empty()).then(|| Batch { records: records.into(), behind })
    }

    fn listed(&mut self, now: Moment, doubt: Doubt, shards: Vec<Shard>) {
        let me = shards.iter().find(|shard| shard.id == self.shard);
        match (doubt, me) {
            // It has not ended after all; the read that said so was cut short.
            (Doubt::Children, Some(me)) if me.is_open() && !bug!(CutShortIsEnd) => {
                self.again(now.after(self.reading.settings.idle_every), false);
            }
            // A stream has shards. A list of none says nothing about one of them.
            (doubt, None) if shards.is_empty() => {
                let failure = Failure::unknown("Unreadable", "a list of no shards");
                self.not_listed(now, doubt, failure);
            }
            // Not every part of the service has heard of it yet, or it was made anew under the same name.
            (Doubt::Unknown(failure), Some(_)) => {
                let wait = self.reading.failed(failure);
                self.again(now.after(wait), true);
            }
            (doubt, _) => {
                if let Doubt::Unknown(_) = doubt {
                    self.reading.events.push_back(ReadEvent::LeftRetention);
                }
                let mine = |shard: &Shard| shard.parents().any(|parent| *parent == self.shard);
                self.step = Step::Ended { children: shards.into_iter().filter(mine).collect() };
            }
        }
    }

    fn not_listed(&mut self, now: Moment, doubt: Doubt, failure: Failure) {
        let missing = failure.code == "ResourceNotFoundException";
        let wait = self.reading.failed(failure);
        if missing {
            self.reading.events.push_back(ReadEvent::StreamMissing);
        }
        self.step = Step::AskShards { at: now.after(wait), doubt };
    }

    /// Reading goes on where it was left. The service may have said that it does not know what it was asked for.
    fn again(&mut self, at: Moment, unknown: bool) {
        self.step = Step::Reading;
        match &mut self.way {
            Way::Polling(polling) => *polling = Polling::Open { at },
            Way::FanOut(fan_out) => fan_out.again(at, unknown),
        }
    }
}

impl Reading {
    /// Tells that reading has failed once more, and for how long to leave it alone.
    pub(super) fn failed(&mut self, failure: Failure) -> Duration {
        self.tell_failed(failure);
        self.backoff.fail(&mut self.rng)
    }

    /// Tells that a read was refused since there were too many, and for how long to leave the shard alone.
    pub(super) fn throttled(&mut self, failure: Failure) -> Duration {
        self.tell_failed(failure);
        self.pace.throttled(&self.settings, &mut self.rng)
    }

    /// A read succeeded. Tells how long after it was sent the next one is.
    pub(super) fn pause(&mut self, caught_up: bool) -> Duration {
        self.pace.read(caught_up, &self.settings, &mut self.rng)
    }

    /// Whether a failure says that the number where reading is to go on is not of this stream, which was deleted and
    /// created again. Reading then begins anew.
    pub(super) fn is_foreign(&mut self, failure: &Failure) -> bool {
        let refused = failure.code == "InvalidArgumentException";
        let forgotten = refused.then(|| self.place.forget()).flatten();
        let foreign = forgotten.is_some();
        self.events.extend(forgotten.map(|number| ReadEvent::ForeignPosition { number }));
        foreign
    }

    fn tell_failed(&mut self, failure: Failure) {
        self.failures += 1;
        self.events.push_back(ReadEvent::Failed { failure, times: self.failures });
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.backoff.succeed();
    }
}

impl Failure {
    /// What stands in place of the answer that was expected.
    pub(super) fn instead_of(answer: Result<ReadAnswer, Self>) -> Self {
        answer.err().unwrap_or_else(|| Self::unknown("Unreadable", "an answer of another kind"))
    }
}
