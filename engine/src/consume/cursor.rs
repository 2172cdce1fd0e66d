//! One shard read without a lease, from a place that the caller keeps.

use std::collections::VecDeque;

use fastrand::Rng;
use shardflow_core::{HashKeyRange, SequenceNumber, Shard, ShardId};

use super::fetch::Fetch;
use super::{Batch, ReadAnswer, ReadEvent, ReadRequest, Settings, Start};
use crate::request::RequestIds;
use crate::{Failure, Moment, RequestId, Verdict};

/// The reading of one shard. It reads while a batch is wanted, and only then, so that the caller decides what is held.
#[derive(Debug)]
pub struct Cursor {
    fetch: Fetch,
    /// Whether the caller has room for one more outcome.
    wanted: bool,
    ready: Option<Batch>,
    failed: Option<Stuck>,
    /// Whether the shard has left retention before it was read to its end.
    cut_short: bool,
    ended: bool,
    ids: RequestIds,
    requests: VecDeque<(RequestId, ReadRequest)>,
    events: VecDeque<ReadEvent>,
}

/// What comes of reading. Behind anything but a batch there is nothing more.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Records.
    Batch(Batch),
    /// The shard has been read to its end.
    Ended {
        /// The shards that came from it.
        children: Vec<Shard>,
    },
    /// The shard cannot be read any further.
    Stuck(Stuck),
}

/// Why a shard cannot be read any further.
#[derive(Clone, Debug)]
pub enum Stuck {
    /// The service refuses, and will until somebody changes something.
    Refused(Failure),
    /// The stream is not there.
    StreamMissing,
    /// The place is not one of this stream.
    ForeignPosition(SequenceNumber),
    /// The shard has left retention: what was not read of it is lost.
    LeftRetention {
        /// The shards that came from it, as far as they are known.
        children: Vec<Shard>,
    },
}

impl Cursor {
    /// Begins somewhere in a shard. `range` is what hash keys it owns, if that is known.
    #[must_use]
    pub fn new(
        shard: ShardId,
        range: Option<HashKeyRange>,
        start: Start,
        settings: Settings,
        seed: u64,
        now: Moment,
    ) -> Self {
        Self {
            fetch: Fetch::new(shard, range, start, settings, Rng::with_seed(seed), now),
            wanted: false,
            ready: None,
            failed: None,
            cut_short: false,
            ended: false,
            ids: RequestIds::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The caller has room for one more outcome.
    pub fn want(&mut self, now: Moment) {
        self.wanted = true;
        self.handle_timeout(now);
    }

    // What happened.

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some(request) = self.may_fetch().then(|| self.fetch.advance(now, &mut self.ids)).flatten() {
            self.requests.push_back(request);
        }
        for event in self.fetch.take_events() {
            self.note(&event);
            self.events.push_back(event);
        }
        if self.failed.is_some() {
            self.requests.clear();
        }
    }

    /// A request was answered, or given up.
    pub fn handle_answer(&mut self, now: Moment, id: RequestId, answer: Result<ReadAnswer, Failure>) {
        if let Some(batch) = self.fetch.answered(now, id, answer) {
            self.ready = Some(batch);
        }
        self.handle_timeout(now);
    }

    // What to do about it.

    /// The next request to carry out.
    pub fn poll_request(&mut self) -> Option<(RequestId, ReadRequest)> {
        self.requests.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<ReadEvent> {
        self.events.pop_front()
    }

    /// What has come of reading, if one more outcome is wanted.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        if !self.wanted || self.ended {
            return None;
        }
        let outcome = if let Some(batch) = self.ready.take() {
            Outcome::Batch(batch)
        } else if let Some(stuck) = self.failed.take() {
            self.ended = true;
            Outcome::Stuck(stuck)
        } else {
            let children = self.fetch.end()?.to_vec();
            self.ended = true;
            if self.cut_short {
                Outcome::Stuck(Stuck::LeftRetention { children })
            } else {
                Outcome::Ended { children }
            }
        };
        self.wanted = false;
        Some(outcome)
    }

    /// When `handle_timeout` must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.may_fetch().then(|| self.fetch.due()).flatten()
    }

    fn may_fetch(&self) -> bool {
        self.wanted && self.ready.is_none() && self.failed.is_none() && !self.ended
    }

    fn note(&mut self, event: &ReadEvent) {
        let stuck = match event {
            // Whether shard, stream or consumer is not there is being found out.
            ReadEvent::Failed { failure, .. } if failure.code == "ResourceNotFoundException" => return,
            ReadEvent::Failed { failure, .. } => match failure.verdict() {
                Verdict::Refuse => Stuck::Refused(failure.clone()),
                Verdict::Retry | Verdict::Throttled | Verdict::Isolate => return,
            },
            ReadEvent::StreamMissing => Stuck::StreamMissing,
            ReadEvent::ForeignPosition { number } => Stuck::ForeignPosition(number.clone()),
            ReadEvent::LeftRetention => {
                self.cut_short = true;
                return;
            }
            ReadEvent::CorruptAggregate { .. }
            | ReadEvent::AggregateDropped { .. }
            | ReadEvent::FellBack { .. } => return,
        };
        self.failed.get_or_insert(stuck);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shardflow_core::{KinesisRecord, ShardPosition};

    use super::super::Page;
    use super::*;

    fn record(number: u64) -> KinesisRecord {
        let sequence_number = number.to_string().parse().unwrap();
        KinesisRecord { sequence_number, partition_key: None, data: "data".into(), approximate_arrival: None }
    }

    fn cursor() -> Cursor {
        let start = Start::from(ShardPosition::TrimHorizon);
        Cursor::new(ShardId::numbered(0), None, start, Settings::default(), 7, Moment::START)
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn page(records: Vec<KinesisRecord>, next: Option<&str>) -> Result<ReadAnswer, Failure> {
        let next = next.map(str::to_owned);
        Ok(ReadAnswer::Page(Page { records, next, behind: Duration::ZERO, children: vec![child()] }))
    }

    fn child() -> Shard {
        let mut child = Shard::new(ShardId::numbered(1), HashKeyRange::ALL);
        child.parent = Some(ShardId::numbered(0));
        child
    }

    fn iterator() -> Result<ReadAnswer, Failure> {
        Ok(ReadAnswer::Iterator { iterator: "it".into(), asked: std::time::SystemTime::UNIX_EPOCH })
    }

    /// Answers what it asks for now.
    fn answer(cursor: &mut Cursor, now: Moment, answer: Result<ReadAnswer, Failure>) {
        let (id, _) = cursor.poll_request().expect("it asks for something");
        cursor.handle_answer(now, id, answer);
    }

    #[test]
    fn it_reads_what_is_wanted_and_no_more() {
        let mut cursor = cursor();
        cursor.handle_timeout(at(1));
        assert!(cursor.poll_request().is_none() && cursor.poll_timeout().is_none(), "nobody wants anything");
        cursor.want(at(1));
        answer(&mut cursor, at(1), iterator());
        answer(&mut cursor, at(1), page(vec![record(1)], Some("it")));
        assert!(matches!(cursor.poll_outcome(), Some(Outcome::Batch(batch)) if batch.records.len() == 1));
        cursor.handle_timeout(at(60));
        assert!(cursor.poll_request().is_none() && cursor.poll_outcome().is_none());
        cursor.want(at(60));
        answer(&mut cursor, at(60), page(vec![record(2)], None));
        assert!(matches!(cursor.poll_outcome(), Some(Outcome::Batch(_))));
        assert!(cursor.poll_outcome().is_none(), "its end comes when it is wanted");
        cursor.want(at(61));
        let Some(Outcome::Ended { children }) = cursor.poll_outcome() else { panic!("it ends") };
        assert_eq!(children, [child()]);
        cursor.want(at(62));
        assert!(cursor.poll_outcome().is_none() && cursor.poll_request().is_none());
    }

    #[test]
    fn what_will_not_get_better_is_told_and_ends_it() {
        let refused = |code: &str| Err(Failure::refused(code, "no"));
        let unknown = || refused("ResourceNotFoundException");
        type Fits = fn(&Stuck) -> bool;
        let cases: [(Vec<Result<ReadAnswer, Failure>>, Fits); 3] = [
            (vec![refused("AccessDeniedException")], |stuck| matches!(stuck, Stuck::Refused(_))),
            (vec![unknown(), unknown()], |stuck| matches!(stuck, Stuck::StreamMissing)),
            (
                vec![unknown(), Ok(ReadAnswer::Shards(vec![child()]))],
                |stuck| matches!(stuck, Stuck::LeftRetention { children } if *children == [child()]),
            ),
        ];
        for (answers, fits) in cases {
            let mut cursor = cursor();
            cursor.want(at(1));
            for given in answers {
                answer(&mut cursor, at(1), given);
            }
            let Some(Outcome::Stuck(stuck)) = cursor.poll_outcome() else { panic!("it is stuck") };
            assert!(fits(&stuck), "{stuck:?}");
            cursor.want(at(100));
            assert!(cursor.poll_outcome().is_none() && cursor.poll_request().is_none());
        }
    }

    #[test]
    fn a_place_of_another_stream_is_the_callers_to_judge() {
        let number: SequenceNumber = "5".parse().unwrap();
        let start = Start::from(ShardPosition::AfterSequenceNumber(number.clone()));
        let mut cursor = Cursor::new(ShardId::numbered(0), None, start, Settings::default(), 7, at(0));
        cursor.want(at(0));
        answer(&mut cursor, at(0), Err(Failure::refused("InvalidArgumentException", "no")));
        assert!(cursor.poll_request().is_none(), "nothing is read from elsewhere");
        let outcome = cursor.poll_outcome();
        assert!(matches!(outcome, Some(Outcome::Stuck(Stuck::ForeignPosition(told))) if told == number));
    }

    #[test]
    fn trouble_that_passes_is_not_told_as_an_outcome() {
        let mut cursor = cursor();
        cursor.want(at(0));
        let mut now = at(0);
        for code in ["ProvisionedThroughputExceededException", "InternalFailure", "Timeout"] {
            answer(&mut cursor, now, Err(Failure::unknown(code, "")));
            assert!(cursor.poll_outcome().is_none());
            now = cursor.poll_timeout().expect("it tries again");
            cursor.handle_timeout(now);
        }
        answer(&mut cursor, now, iterator());
        answer(&mut cursor, now, Err(Failure::refused("ExpiredIteratorException", "")));
        answer(&mut cursor, now, iterator());
        answer(&mut cursor, now, page(vec![record(1)], Some("it")));
        assert!(matches!(cursor.poll_outcome(), Some(Outcome::Batch(_))));
    }
}
