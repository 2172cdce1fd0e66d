//! One shard's life as a conversation.

use std::time::{Duration, SystemTime};

use shardflow_core::aggregation::{AggregateSize, Aggregator};
use shardflow_core::{
    Checkpoint, HashKey, HashKeyRange, KinesisRecord, LeaseRow, PartitionKey, Record, Shard, ShardId,
    ShardPosition,
};

use super::*;
use crate::{Failure, Moment, RequestId};

mod fanout;
mod fetch;
mod room;
mod trouble;

struct Talk {
    life: ShardLife,
    /// Whether there is room whenever it is asked for.
    roomy: bool,
    now: Moment,
    asked: Vec<(RequestId, Request)>,
    told: Vec<Event>,
}

impl Talk {
    fn from(checkpoint: Checkpoint) -> Self {
        Self::with_lease(checkpoint, 1_000_000)
    }

    /// A life whose lease is believed for that many seconds.
    fn with_lease(checkpoint: Checkpoint, seconds: u64) -> Self {
        let row = LeaseRow::new(ShardId::numbered(0), checkpoint);
        let until = Moment::from_start(Duration::from_secs(seconds));
        let settings = Settings { read_ahead: 1, ..Settings::default() };
        let life = ShardLife::new(row, until, settings, 7, Moment::START);
        let mut talk = Self { life, roomy: true, now: Moment::START, asked: Vec::new(), told: Vec::new() };
        talk.drain();
        talk
    }

    /// A life whose handler is initialized and whose iterator is open.
    fn reading() -> Self {
        let mut talk = Self::from(Checkpoint::TrimHorizon);
        talk.done();
        talk.open();
        talk
    }

    fn drain(&mut self) {
        while let Some((id, request)) = self.life.poll_request() {
            match request {
                Request::Room { .. } if self.roomy => self.life.handle_answer(self.now, id, Answer::Done),
                request => self.asked.push((id, request)),
            }
        }
        while let Some(event) = self.life.poll_event() {
            self.told.push(event);
        }
    }

    fn sleep(&mut self, millis: u64) {
        let until = self.now.after(Duration::from_millis(millis));
        while let Some(at) = self.life.poll_timeout().filter(|&at| at <= until) {
            self.now = at.max(self.now);
            self.life.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn take(&mut self, what: &str, fits: impl Fn(&Request) -> bool) -> (RequestId, Request) {
        let at = self.asked.iter().position(|(_, request)| fits(request));
        let at = at.unwrap_or_else(|| panic!("it asks for {what}, not {:?}", self.asked));
        self.asked.remove(at)
    }

    fn answer(&mut self, id: RequestId, answer: Answer) {
        self.life.handle_answer(self.now, id, answer);
        self.drain();
    }

    fn is_work(request: &Request) -> bool {
        !matches!(request, Request::Read(_) | Request::Room { .. })
    }

    /// What the handler is asked to do.
    fn work(&mut self) -> Request {
        self.take("work", Self::is_work).1
    }

    /// The handler has done what it was asked to.
    fn done(&mut self) {
        let (id, _) = self.take("work", Self::is_work);
        self.answer(id, Answer::Done);
    }

    fn fail(&mut self) {
        let (id, _) = self.take("work", Self::is_work);
        self.answer(id, Answer::Failed(Failure::refused("HandlerFailed", "no disk")));
    }

    fn open(&mut self) -> ShardPosition {
        let (id, request) =
            self.take("an iterator", |r| matches!(r, Request::Read(ReadRequest::OpenIterator(_))));
        let asked = SystemTime::UNIX_EPOCH + self.now.since_start();
        self.answer(id, Answer::Read(ReadAnswer::Iterator { iterator: "it".into(), asked }));
        match request {
            Request::Read(ReadRequest::OpenIterator(position)) => position,
            other => panic!("{other:?}"),
        }
    }

    fn page(&mut self, records: Vec<KinesisRecord>, behind: u64) {
        let page = Page {
            records,
            next: Some("it".into()),
            behind: Duration::from_millis(behind),
            children: vec![],
        };
        self.read(Answer::Read(ReadAnswer::Page(page)));
    }

    fn end(&mut self, records: Vec<KinesisRecord>, children: Vec<Shard>) {
        let page = Page { records, next: None, behind: Duration::ZERO, children };
        self.read(Answer::Read(ReadAnswer::Page(page)));
    }

    fn read(&mut self, answer: Answer) {
        let (id, _) = self.take("records", |r| matches!(r, Request::Read(ReadRequest::GetRecords { .. })));
        self.answer(id, answer);
    }

    fn asks_to_read(&self) -> bool {
        self.asked.iter().any(|(_, request)| matches!(request, Request::Read(ReadRequest::GetRecords { .. })))
    }

    /// Numbers of the records of the batch that the handler is to process, as sequence and sub-sequence number.
    fn batch(&self) -> Vec<(String, u64)> {
        let at = self.asked.iter().position(|(_, r)| matches!(r, Request::Process(_))).expect("a batch");
        match &self.asked[at].1 {
            Request::Process(batch) => {
                batch.records.iter().map(|r| (r.sequence_number.to_string(), r.sub_sequence_number)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn finish(&self) -> Option<Finish> {
        self.told.iter().find_map(|event| match event {
            Event::Finished(finish) => Some(*finish),
            _ => None,
        })
    }
}

fn record(number: u64) -> KinesisRecord {
    KinesisRecord {
        sequence_number: number.to_string().parse().unwrap(),
        partition_key: Some(PartitionKey::from_static("k")),
        data: "data".into(),
        approximate_arrival: None,
    }
}

fn aggregate(number: u64, count: usize) -> KinesisRecord {
    let mut aggregator = Aggregator::new(AggregateSize::MAX);
    for _ in 0..count {
        aggregator.try_push(Record::new("k", "data").unwrap()).unwrap();
    }
    KinesisRecord { data: aggregator.finish().unwrap().data, ..record(number) }
}

fn numbers(expected: &[(u64, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(number, sub)| (number.to_string(), *sub)).collect()
}

fn child() -> Shard {
    let mut child = Shard::new(ShardId::numbered(1), HashKeyRange::ALL);
    child.parent = Some(ShardId::numbered(0));
    child
}

#[test]
fn batches_are_processed_one_at_a_time_with_one_read_ahead() {
    let mut talk = Talk::from(Checkpoint::TrimHorizon);
    assert_eq!(talk.open(), ShardPosition::TrimHorizon);
    talk.page(vec![record(1), record(2)], 500);
    assert!(talk.asked.iter().all(|(_, r)| matches!(r, Request::Initialize)), "{:?}", talk.asked);
    talk.done();
    assert_eq!(talk.batch(), numbers(&[(1, 0), (2, 0)]));
    talk.sleep(200);
    talk.page(vec![aggregate(3, 2)], 500);
    talk.sleep(10_000);
    assert!(!talk.asks_to_read(), "one batch ahead, and no more");
    talk.done();
    assert_eq!(talk.batch(), numbers(&[(3, 0), (3, 1)]));
    assert!(talk.asks_to_read());
}

#[test]
fn reads_keep_their_distance() {
    let mut talk = Talk::reading();
    talk.page(vec![], 500);
    talk.sleep(199);
    assert!(!talk.asks_to_read());
    talk.sleep(1);
    // The first rest is shorter: shards that begin together are spread.
    talk.page(vec![], 0);
    while !talk.asks_to_read() {
        talk.sleep(1);
    }
    assert!(talk.now <= Moment::from_start(Duration::from_millis(1_200)));
    talk.page(vec![], 0);
    talk.sleep(999);
    assert!(!talk.asks_to_read(), "all is read");
    talk.sleep(1);
    assert!(talk.asks_to_read());
}

#[test]
fn a_shard_begun_before_goes_on_inside_the_aggregate() {
    let mut talk = Talk::from(Checkpoint::at("5".parse().unwrap(), 1));
    talk.done();
    assert_eq!(talk.open(), ShardPosition::AtSequenceNumber("5".parse().unwrap()));
    talk.page(vec![aggregate(5, 4), record(6)], 0);
    assert_eq!(talk.batch(), numbers(&[(5, 2), (5, 3), (6, 0)]));
}

#[test]
fn a_page_whose_records_are_all_done_is_no_batch() {
    let mut talk = Talk::from(Checkpoint::at("5".parse().unwrap(), 3));
    talk.done();
    talk.open();
    talk.page(vec![aggregate(5, 4)], 100);
    assert!(talk.asked.is_empty());
    talk.sleep(200);
    talk.page(vec![record(6)], 0);
    assert_eq!(talk.batch(), numbers(&[(6, 0)]));
}

#[test]
fn a_corrupt_aggregate_is_delivered_as_it_is_and_told() {
    let mut talk = Talk::reading();
    let mut corrupt = aggregate(7, 3);
    corrupt.data = corrupt.data.slice(..corrupt.data.len() - 1);
    talk.page(vec![corrupt], 0);
    assert_eq!(talk.batch(), numbers(&[(7, 0)]));
    assert!(
        matches!(&talk.told[0], Event::Read(ReadEvent::CorruptAggregate { at }) if at.to_string() == "7/0")
    );
}

#[test]
fn records_of_an_aggregate_that_belong_to_another_shard_say_so_or_are_left_out() {
    for drop_stray_aggregates in [false, true] {
        let mut row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
        row.hash_key_range = HashKeyRange::divide(2).next();
        let until = Moment::from_start(Duration::from_secs(100));
        let settings = Settings { drop_stray_aggregates, ..Settings::default() };
        let mut talk = Talk::reading();
        talk.life = ShardLife::new(row, until, settings, 7, talk.now);
        talk.asked.clear();
        talk.drain();
        talk.done();
        talk.open();
        let mut aggregator = Aggregator::new(AggregateSize::MAX);
        for key in [0, u128::MAX] {
            let record = Record::new("k", "data").unwrap().explicit_hash_key(HashKey(key));
            aggregator.try_push(record).unwrap();
        }
        let both = KinesisRecord { data: aggregator.finish().unwrap().data, ..record(1) };
        talk.page(vec![both, record(2)], 0);
        let (_, request) = talk.take("a batch", |r| matches!(r, Request::Process(_)));
        let Request::Process(batch) = request else { panic!("{request:?}") };
        let strays: Vec<_> = batch.records.iter().map(|record| record.out_of_range).collect();
        if drop_stray_aggregates {
            assert_eq!(strays, [false]);
            let told = |e: &Event| matches!(e, Event::Read(ReadEvent::AggregateDropped { at, records: 2 }) if at.to_string() == "1/0");
            assert!(talk.told.iter().any(told), "{:?}", talk.told);
        } else {
            assert_eq!(strays, [false, true, false], "delivered all the same");
        }
    }
}

#[test]
fn an_expired_iterator_goes_on_behind_the_last_record() {
    let mut talk = Talk::reading();
    talk.page(vec![record(1), record(2)], 500);
    talk.done();
    talk.sleep(200);
    talk.read(Answer::Failed(Failure::refused("ExpiredIteratorException", "")));
    assert_eq!(talk.open(), ShardPosition::AfterSequenceNumber("2".parse().unwrap()));
    assert!(talk.told.is_empty(), "nobody need know");
}

#[test]
fn the_newest_record_is_looked_for_once() {
    let mut talk = Talk::from(Checkpoint::Latest);
    talk.done();
    talk.sleep(3_000);
    assert_eq!(talk.open(), ShardPosition::Latest);
    talk.read(Answer::Failed(Failure::refused("ExpiredIteratorException", "")));
    let opened = SystemTime::UNIX_EPOCH + Duration::from_secs(3);
    assert_eq!(talk.open(), ShardPosition::AtTimestamp(opened), "what came meanwhile is not skipped");
}

#[test]
fn a_throttled_read_waits_and_keeps_its_place() {
    let mut talk = Talk::reading();
    for _ in 0..5 {
        talk.read(Answer::Failed(Failure::refused("ProvisionedThroughputExceededException", "")));
        assert!(!talk.asks_to_read());
        talk.sleep(13_000);
        assert!(talk.asks_to_read());
    }
    assert!(matches!(talk.told.last(), Some(Event::Read(ReadEvent::Failed { times: 5, .. }))));
}

#[test]
fn a_failing_handler_gets_the_same_batch_until_it_succeeds() {
    let mut talk = Talk::reading();
    talk.page(vec![record(1)], 500);
    talk.sleep(200);
    talk.page(vec![record(2)], 0);
    for times in 1..=4 {
        assert_eq!(talk.batch(), numbers(&[(1, 0)]));
        talk.fail();
        let told = talk.told.last();
        assert!(matches!(told, Some(Event::HandlerFailed { times: t, again: Some(_), .. }) if *t == times));
        assert!(talk.asked.is_empty(), "after a while");
        talk.sleep(1_000);
    }
    talk.done();
    assert_eq!(talk.batch(), numbers(&[(2, 0)]));
}

#[test]
fn no_batch_is_begun_once_the_lease_is_not_believed() {
    let mut talk = Talk::with_lease(Checkpoint::TrimHorizon, 10);
    talk.done();
    talk.open();
    talk.sleep(10_000);
    talk.page(vec![record(1)], 0);
    assert!(!talk.asked.iter().any(|(_, r)| matches!(r, Request::Process(_))));
    // The table was only slow: the lease is proved once more.
    talk.life.kept(talk.now, talk.now.after(Duration::from_secs(5)));
    talk.drain();
    assert_eq!(talk.batch(), numbers(&[(1, 0)]));
}

#[test]
fn a_shard_is_ended_when_all_of_it_is_processed_and_its_children_are_entered() {
    let mut talk = Talk::reading();
    talk.end(vec![record(1)], vec![child()]);
    assert_eq!(talk.batch(), numbers(&[(1, 0)]));
    talk.fail();
    talk.sleep(200);
    talk.done();
    assert!(matches!(&talk.asked[0].1, Request::EnterChildren(children) if *children == [child()]));
    talk.fail();
    assert!(matches!(talk.told.last(), Some(Event::ChildrenWait { .. })));
    talk.sleep(1_000);
    talk.done();
    assert!(matches!(talk.asked[0].1, Request::Stop(Stop::ShardEnd)));
    talk.fail();
    talk.sleep(500);
    talk.done();
    assert!(matches!(talk.asked[0].1, Request::CheckpointEnd));
    talk.done();
    assert_eq!(talk.finish(), Some(Finish::ShardEnd));
    assert_eq!((talk.life.poll_timeout(), talk.life.is_finished()), (None, true));
}

#[test]
fn an_end_that_does_not_tell_its_children_is_looked_up() {
    let mut talk = Talk::reading();
    talk.end(vec![], vec![]);
    let (id, _) = talk.take("shards", |r| matches!(r, Request::Read(ReadRequest::ListShards)));
    let mut me = Shard::new(ShardId::numbered(0), HashKeyRange::ALL);
    talk.answer(id, Answer::Read(ReadAnswer::Shards(vec![me.clone()])));
    talk.sleep(1_000);
    talk.open();
    talk.end(vec![], vec![]);
    let (id, _) = talk.take("shards", |r| matches!(r, Request::Read(ReadRequest::ListShards)));
    talk.answer(id, Answer::Failed(Failure::refused("LimitExceededException", "")));
    talk.sleep(1_000);
    let (id, _) = talk.take("shards", |r| matches!(r, Request::Read(ReadRequest::ListShards)));
    me.ending_sequence_number = Some("9".parse().unwrap());
    talk.answer(id, Answer::Read(ReadAnswer::Shards(vec![me, child()])));
    assert!(matches!(talk.work(), Request::EnterChildren(children) if children == [child()]));
}

#[test]
fn a_stop_waits_for_the_batch_and_drops_what_was_read_ahead() {
    for (stop, finish) in [
        (Stop::Shutdown, Finish::Released),
        (Stop::Handoff, Finish::Released),
        (Stop::LeaseLost, Finish::LeaseLost),
    ] {
        let mut talk = Talk::reading();
        talk.page(vec![record(1)], 500);
        talk.sleep(200);
        talk.page(vec![record(2)], 500);
        talk.life.stop(talk.now, stop);
        talk.drain();
        assert_eq!(talk.asked.len(), 1, "the handler is busy");
        talk.done();
        assert!(matches!(talk.asked[0].1, Request::Stop(told) if told == stop));
        assert_eq!(talk.asked.len(), 1, "and nothing is read any more");
        talk.done();
        assert_eq!(talk.finish(), Some(finish));
    }
}

#[test]
fn a_stop_does_not_wait_for_a_handler_that_fails() {
    let mut talk = Talk::reading();
    talk.page(vec![record(1)], 0);
    talk.fail();
    talk.life.stop(talk.now, Stop::Shutdown);
    talk.drain();
    assert!(matches!(talk.asked[0].1, Request::Stop(Stop::Shutdown)));
    talk.fail();
    assert_eq!(talk.finish(), Some(Finish::Released), "it goes all the same");
}

#[test]
fn a_handler_that_was_never_initialized_hears_nothing_of_a_stop() {
    let mut talk = Talk::from(Checkpoint::TrimHorizon);
    talk.fail();
    talk.life.stop(talk.now, Stop::Handoff);
    talk.drain();
    assert_eq!(talk.finish(), Some(Finish::Released));
}

#[test]
fn a_lost_lease_outweighs_the_end_of_the_shard() {
    let mut talk = Talk::reading();
    talk.end(vec![], vec![child()]);
    talk.life.stop(talk.now, Stop::Shutdown);
    talk.life.stop(talk.now, Stop::LeaseLost);
    talk.drain();
    talk.fail();
    assert!(matches!(talk.work(), Request::Stop(Stop::LeaseLost)));
}

#[test]
fn the_last_step_of_a_shard_that_is_done_is_taken_before_a_shutdown() {
    let mut talk = Talk::reading();
    talk.end(vec![], vec![child()]);
    talk.done();
    talk.life.stop(talk.now, Stop::Shutdown);
    talk.drain();
    talk.done();
    assert!(matches!(talk.asked[0].1, Request::CheckpointEnd));
    talk.done();
    assert_eq!(talk.finish(), Some(Finish::ShardEnd));
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut talk = Talk::reading();
    let (id, _) = talk.take("records", |r| matches!(r, Request::Read(ReadRequest::GetRecords { .. })));
    talk.answer(id, Answer::Failed(Failure::unknown("Timeout", "")));
    let page = Page { records: vec![record(1)], next: None, behind: Duration::ZERO, children: vec![] };
    talk.answer(id, Answer::Read(ReadAnswer::Page(page)));
    assert!(talk.asked.is_empty());
    talk.sleep(1_000);
    talk.page(vec![record(1)], 0);
    assert_eq!(talk.batch(), numbers(&[(1, 0)]));
}
