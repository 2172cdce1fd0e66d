//! Reading: where, how fast, and what to do when it fails.

use std::time::{Duration, SystemTime};

use shardflow_core::{
    Checkpoint, KinesisRecord, SequenceNumber, Shard, ShardPosition, UserRecord, aggregation,
};

use super::Settings;
use super::shard_life::{Answer, Batch, Event, Page, Request, ShardLife};
use crate::backoff::Backoff;
use crate::{Failure, Moment, RequestId, Verdict};

/// The reading side of a shard's life.
#[derive(Debug)]
pub(super) struct Fetch {
    step: Step,
    /// Where reading started.
    start: ShardPosition,
    /// The last Kinesis record that was read.
    last: Option<SequenceNumber>,
    /// Everything up to here was done in an earlier tenure. Reading starts *at* its Kinesis record, since an aggregate can
    /// be done in part.
    done: Option<Checkpoint>,
    backoff: Backoff,
    failures: u32,
}

#[derive(Debug)]
enum Step {
    Open {
        at: Moment,
    },
    Opening {
        id: RequestId,
    },
    Read {
        iterator: String,
        at: Moment,
    },
    Reading {
        id: RequestId,
        iterator: String,
        sent: Moment,
    },
    /// The shard has ended, and its children are not known.
    AskChildren {
        at: Moment,
    },
    AskingChildren {
        id: RequestId,
    },
    Ended {
        children: Vec<Shard>,
    },
}

impl Fetch {
    pub(super) fn new(checkpoint: &Checkpoint, settings: &Settings, now: Moment) -> Self {
        let start = match checkpoint {
            Checkpoint::TrimHorizon => ShardPosition::TrimHorizon,
            Checkpoint::Latest => ShardPosition::Latest,
            // A row of an application that was configured with a time: without one, the oldest record loses nothing.
            Checkpoint::AtTimestamp => {
                settings.timestamp.map_or(ShardPosition::TrimHorizon, ShardPosition::AtTimestamp)
            }
            Checkpoint::At { sequence_number, .. } => {
                ShardPosition::AtSequenceNumber(sequence_number.clone())
            }
            Checkpoint::ShardEnd => ShardPosition::Latest,
        };
        Self {
            step: Step::Open { at: now },
            start,
            last: None,
            done: matches!(checkpoint, Checkpoint::At { .. }).then(|| checkpoint.clone()),
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            failures: 0,
        }
    }

    /// Begins anew behind a checkpoint. One that is no record's stands for where reading has started: looked up once
    /// more, "the newest" would be a later one.
    pub(super) fn rewind(&mut self, now: Moment, checkpoint: Checkpoint) {
        if let Checkpoint::At { sequence_number, .. } = &checkpoint {
            self.start = ShardPosition::AtSequenceNumber(sequence_number.clone());
            self.done = Some(checkpoint);
        }
        self.last = None;
        self.step = Step::Open { at: now };
    }

    /// When it wants to ask.
    pub(super) fn due(&self) -> Option<Moment> {
        match &self.step {
            Step::Open { at } | Step::Read { at, .. } | Step::AskChildren { at } => Some(*at),
            Step::Opening { .. }
            | Step::Reading { .. }
            | Step::AskingChildren { .. }
            | Step::Ended { .. } => None,
        }
    }

    /// The shard's children, once it has been read to its end.
    pub(super) fn end(&self) -> Option<&[Shard]> {
        match &self.step {
            Step::Ended { children } => Some(children),
            _ => None,
        }
    }

    /// Where to open an iterator.
    fn position(&self) -> ShardPosition {
        match &self.last {
            Some(last) => ShardPosition::AfterSequenceNumber(last.clone()),
            None => self.start.clone(),
        }
    }

    fn opened(&mut self, now: Moment, iterator: String, asked: SystemTime) {
        // Opened once more before the first record came, "the newest" would be a later one, and what came between
        // would be skipped.
        if self.start == ShardPosition::Latest {
            self.start = ShardPosition::AtTimestamp(asked);
        }
        self.step = Step::Read { iterator, at: now };
    }
}

impl ShardLife {
    pub(super) fn advance_fetch(&mut self, now: Moment) {
        if !self.may_fetch() || self.fetch.due().is_none_or(|at| at > now) {
            return;
        }
        let id = self.ids.next();
        let (request, step) = match &self.fetch.step {
            Step::Open { .. } => (Request::OpenIterator(self.fetch.position()), Step::Opening { id }),
            Step::Read { iterator, .. } => (
                Request::GetRecords { iterator: iterator.clone(), limit: self.settings.read_records },
                Step::Reading { id, iterator: iterator.clone(), sent: now },
            ),
            Step::AskChildren { .. } => (Request::ListShards, Step::AskingChildren { id }),
            Step::Opening { .. }
            | Step::Reading { .. }
            | Step::AskingChildren { .. }
            | Step::Ended { .. } => return,
        };
        self.fetch.step = step;
        self.requests.push_back((id, request));
    }

    /// A request of the reading side was answered. Gives the records that are to be processed, if there are any.
    pub(super) fn fetched(&mut self, now: Moment, id: RequestId, answer: Answer) -> Option<Batch> {
        match (&self.fetch.step, answer) {
            (Step::Opening { id: asked }, answer) if *asked == id => match answer {
                Answer::Iterator { iterator, asked } => self.fetch.opened(now, iterator, asked),
                other => self.fetch_failed(now, failure_of(other), None),
            },
            (Step::Reading { id: asked, iterator, sent }, answer) if *asked == id => {
                let (iterator, sent) = (iterator.clone(), *sent);
                match answer {
                    Answer::Page(page) => return self.page_read(now, sent, page),
                    other => self.fetch_failed(now, failure_of(other), Some(iterator)),
                }
            }
            (Step::AskingChildren { id: asked }, answer) if *asked == id => match answer {
                Answer::Shards(shards) => self.children_listed(now, shards),
                other => self.fetch_failed(now, failure_of(other), None),
            },
            // Of no step that still waits.
            _ => {}
        }
        None
    }

    fn page_read(&mut self, now: Moment, sent: Moment, page: Page) -> Option<Batch> {
        self.fetch.failures = 0;
        self.fetch.backoff.succeed();
        let caught_up = page.behind.is_zero();
        self.fetch.step = match page.next {
            Some(iterator) => {
                let pause = if caught_up { self.settings.idle_every } else { self.settings.read_every };
                Step::Read { iterator, at: sent.after(pause).max(now) }
            }
            None if page.children.is_empty() => Step::AskChildren { at: now },
            None => Step::Ended { children: page.children },
        };
        if let Some(last) = page.records.last() {
            self.fetch.last = Some(last.sequence_number.clone());
        }
        let records: Vec<_> = page.records.into_iter().flat_map(|record| self.unpack(record)).collect();
        (!records.is_empty()).then(|| Batch { records: records.into(), behind: page.behind })
    }

    /// The user records of a Kinesis record, without those that were done in an earlier tenure.
    fn unpack(&mut self, record: KinesisRecord) -> Vec<UserRecord> {
        let mut records = aggregation::try_deaggregate(record).unwrap_or_else(|(why, alone)| {
            if why.is_corrupt() {
                self.events.push_back(Event::CorruptAggregate { at: alone.checkpoint() });
            }
            vec![alone]
        });
        if let Some(range) = self.row.hash_key_range {
            for record in records.iter_mut().filter(|record| record.aggregated) {
                record.out_of_range = record.hash_key().is_some_and(|key| !range.contains(key));
            }
        }
        if let Some(done) = &self.fetch.done {
            records.retain(|record| record.checkpoint() > *done);
            // Numbers only grow: behind the first record that is new, all are.
            if !records.is_empty() {
                self.fetch.done = None;
            }
        }
        records
    }

    fn children_listed(&mut self, now: Moment, shards: Vec<Shard>) {
        let me = &self.row.shard_id;
        if shards.iter().any(|shard| shard.id == *me && shard.is_open()) {
            // It has not ended after all; the read that said so was cut short.
            self.fetch.step = Step::Open { at: now.after(self.settings.idle_every) };
            return;
        }
        let children =
            shards.into_iter().filter(|shard| shard.parents().any(|parent| parent == me)).collect();
        self.fetch.step = Step::Ended { children };
    }

    fn fetch_failed(&mut self, now: Moment, failure: Failure, iterator: Option<String>) {
        let fetch = &mut self.fetch;
        // An iterator lives for five minutes; the place that it stood for is known.
        let expired = failure.code == "ExpiredIteratorException";
        let wait = if expired { Duration::ZERO } else { fetch.backoff.fail(&mut self.rng) };
        let at = now.after(wait);
        fetch.step = match (&fetch.step, iterator) {
            (Step::AskingChildren { .. }, _) => Step::AskChildren { at },
            (_, Some(iterator))
                if matches!(failure.verdict(), Verdict::Retry | Verdict::Throttled) && !expired =>
            {
                Step::Read { iterator, at }
            }
            _ => Step::Open { at },
        };
        if !expired {
            fetch.failures += 1;
            self.events.push_back(Event::ReadFailed { failure, times: fetch.failures });
        }
    }
}

fn failure_of(answer: Answer) -> Failure {
    match answer {
        Answer::Failed(failure) => failure,
        Answer::Iterator { .. }
        | Answer::Page(_)
        | Answer::Shards(_)
        | Answer::Done
        | Answer::Fresh { .. }
        | Answer::Panicked(_) => Failure::unknown("Unreadable", "an answer of another kind"),
    }
}
