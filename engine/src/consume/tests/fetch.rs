//! Shards that are not there, and places that are not theirs.

use super::*;

impl Talk {
    fn refuse_iterator(&mut self, code: &str) {
        let (id, _) = self.take("an iterator", |r| matches!(r, Request::Read(ReadRequest::OpenIterator(_))));
        self.answer(id, Answer::Failed(Failure::refused(code, "")));
    }

    fn list(&mut self, answer: Answer) {
        let (id, _) = self.take("shards", |r| matches!(r, Request::Read(ReadRequest::ListShards)));
        self.answer(id, answer);
    }

    fn tells(&mut self, fits: impl Fn(&ReadEvent) -> bool) -> bool {
        let told = std::mem::take(&mut self.told);
        told.iter().any(|event| matches!(event, Event::Read(event) if fits(event)))
    }

    fn asks(&self, fits: impl Fn(&ReadRequest) -> bool) -> bool {
        self.asked.iter().any(|(_, request)| matches!(request, Request::Read(read) if fits(read)))
    }
}

fn shards(shards: Vec<Shard>) -> Answer {
    Answer::Read(ReadAnswer::Shards(shards))
}

fn refused(code: &str) -> Answer {
    Answer::Failed(Failure::refused(code, ""))
}

fn me() -> Shard {
    Shard::new(ShardId::numbered(0), HashKeyRange::ALL)
}

#[test]
fn a_shard_that_is_not_listed_any_more_has_ended_with_the_children_that_are() {
    for children in [vec![], vec![child()]] {
        let mut talk = Talk::from(Checkpoint::at("5".parse().unwrap(), 0));
        talk.done();
        talk.refuse_iterator("ResourceNotFoundException");
        let other = Shard::new(ShardId::numbered(9), HashKeyRange::ALL);
        talk.list(shards([vec![other], children.clone()].concat()));
        assert!(talk.tells(|event| matches!(event, ReadEvent::LeftRetention)));
        assert!(matches!(talk.work(), Request::EnterChildren(entered) if entered == children));
    }
}

#[test]
fn a_shard_that_leaves_retention_while_it_is_read_ends_behind_what_was_read() {
    let mut talk = Talk::reading();
    talk.page(vec![record(1)], 500);
    talk.done();
    talk.sleep(200);
    talk.read(refused("ResourceNotFoundException"));
    talk.list(shards(vec![child()]));
    assert!(matches!(talk.work(), Request::EnterChildren(children) if children == [child()]));
}

#[test]
fn a_shard_that_is_listed_nevertheless_is_tried_again_more_and_more_slowly() {
    let mut closed = me();
    closed.ending_sequence_number = Some("9".parse().unwrap());
    for listed in [me(), closed] {
        let mut talk = Talk::from(Checkpoint::at("5".parse().unwrap(), 0));
        talk.done();
        let mut tries = 0;
        while talk.now < Moment::from_start(Duration::from_secs(60)) {
            talk.refuse_iterator("ResourceNotFoundException");
            talk.list(shards(vec![listed.clone(), child()]));
            tries += 1;
            let is_open = |r: &ReadRequest| matches!(r, ReadRequest::OpenIterator(_));
            assert!(!talk.asks(is_open), "after a while");
            while !talk.asks(is_open) {
                talk.sleep(100);
            }
        }
        assert!((10..40).contains(&tries), "{tries} tries in a minute");
        assert_eq!(talk.open(), ShardPosition::AtSequenceNumber("5".parse().unwrap()), "and goes on");
    }
}

#[test]
fn a_stream_that_is_not_there_is_waited_for() {
    let mut talk = Talk::from(Checkpoint::at("5".parse().unwrap(), 0));
    talk.done();
    talk.refuse_iterator("ResourceNotFoundException");
    for _ in 0..5 {
        talk.list(refused("ResourceNotFoundException"));
        assert!(talk.tells(|event| matches!(event, ReadEvent::StreamMissing)));
        talk.sleep(10_000);
    }
    // A list of nothing is no word about this shard.
    talk.list(shards(vec![]));
    talk.sleep(10_000);
    talk.list(shards(vec![me()]));
    talk.sleep(10_000);
    assert_eq!(talk.open(), ShardPosition::AtSequenceNumber("5".parse().unwrap()));
}

#[test]
fn a_place_in_another_stream_is_left_for_the_oldest_record_once() {
    let mut talk = Talk::from(Checkpoint::at("5".parse().unwrap(), 7));
    talk.done();
    talk.refuse_iterator("InvalidArgumentException");
    assert!(
        talk.tells(|event| matches!(event, ReadEvent::ForeignPosition { number } if number.as_str() == "5"))
    );
    talk.refuse_iterator("InvalidArgumentException");
    assert!(!talk.tells(|event| matches!(event, ReadEvent::ForeignPosition { .. })));
    talk.sleep(1_000);
    assert_eq!(talk.open(), ShardPosition::TrimHorizon);
    talk.page(vec![record(1), aggregate(5, 3)], 500);
    assert_eq!(talk.batch(), numbers(&[(1, 0), (5, 0), (5, 1), (5, 2)]), "nothing of it was done");
    // The same while it is read.
    talk.done();
    talk.sleep(200);
    talk.read(refused("ExpiredIteratorException"));
    talk.refuse_iterator("InvalidArgumentException");
    assert!(
        talk.tells(|event| matches!(event, ReadEvent::ForeignPosition { number } if number.as_str() == "5"))
    );
    assert_eq!(talk.open(), ShardPosition::TrimHorizon);
}
