//! Memory: what is asked for, what is held, and how far ahead is read.

use super::*;

impl Talk {
    /// The bytes that it asks for.
    fn asks_for(&self) -> Option<usize> {
        self.asked.iter().find_map(|(_, request)| match request {
            Request::Room { bytes } => Some(*bytes),
            _ => None,
        })
    }

    fn grant(&mut self) {
        let (id, _) = self.take("room", |r| matches!(r, Request::Room { .. }));
        self.answer(id, Answer::Done);
    }
}

fn large(number: u64, size: usize) -> KinesisRecord {
    KinesisRecord { data: vec![0; size].into(), ..record(number) }
}

fn ahead(read_ahead: usize) -> Talk {
    let mut talk = ahead_by(Settings { read_ahead, ..Settings::default() });
    talk.open();
    talk
}

fn ahead_by(settings: Settings) -> Talk {
    let row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
    let until = Moment::from_start(Duration::from_secs(1_000_000));
    let mut talk = Talk::reading();
    talk.roomy = false;
    talk.asked.clear();
    talk.life = ShardLife::new(row, until, settings, 7, talk.now);
    talk.drain();
    talk.done();
    talk
}

#[test]
fn nothing_is_read_without_room_for_it() {
    let mut talk = ahead(1);
    assert_eq!(talk.asks_for(), Some(10 << 20), "of an unknown shard anything can come");
    talk.sleep(100_000);
    assert!(!talk.asks_to_read());
    talk.grant();
    assert!(talk.asks_to_read());
    assert_eq!(talk.life.buffered(), 10 << 20);
    talk.page(vec![large(1, 1 << 20), large(2, 1 << 20)], 500);
    let held = talk.life.buffered();
    assert!(held > 2 << 20 && held < 2_100 << 10, "{held}");
    talk.sleep(200);
    talk.done();
    assert_eq!(talk.life.buffered(), 0);
}

#[test]
fn what_is_asked_for_follows_what_comes() {
    let mut talk = ahead(4);
    for (number, (size, behind, expected)) in (1..).zip([
        (4 << 20, 500, 5 << 20),
        (4 << 20, 500, 4 << 20),
        (1 << 20, 500, 2 << 20),
        (8 << 20, 500, 8 << 20),
        (1 << 20, 0, 2 << 20),
        (10, 0, 64 << 10),
    ]) {
        talk.grant();
        talk.page(vec![large(number, size)], behind);
        talk.done();
        talk.sleep(1_000);
        let asked = talk.asks_for().unwrap();
        assert!(asked >= expected && asked < expected + 4_096, "{asked} and not {expected}");
    }
    talk.grant();
    talk.read(Answer::Failed(Failure::unknown("Timeout", "")));
    assert_eq!(talk.life.buffered(), 0, "a read that failed brings nothing");
    talk.sleep(10_000);
    assert_eq!(talk.asks_for(), Some(64 << 10));
}

#[test]
fn so_many_batches_are_read_ahead_and_no_more() {
    let mut talk = ahead(3);
    for number in 1..=4 {
        talk.grant();
        talk.page(vec![record(number)], 500);
        talk.sleep(200);
    }
    talk.sleep(100_000);
    assert_eq!(talk.asks_for(), None, "one is at work, three wait");
    talk.done();
    assert!(talk.asks_for().is_some());
    assert_eq!(talk.batch(), numbers(&[(2, 0)]));
}

#[test]
fn a_shard_that_rests_has_nothing() {
    let mut talk = ahead(3);
    talk.life.settings.give_up = Some(GiveUp { after: 1, then: Then::Rest });
    for number in 1..=2 {
        talk.grant();
        talk.page(vec![record(number)], 500);
        talk.sleep(200);
    }
    talk.grant();
    talk.fail();
    // A read that is under way still has its room.
    assert_eq!(talk.life.buffered(), 5 << 19);
    talk.page(vec![record(3)], 500);
    assert_eq!(talk.life.buffered(), 0);
    talk.sleep(300_000);
    talk.take("a fresh handler", |r| matches!(r, Request::Restart));
}

#[test]
fn a_subscription_has_room_for_its_next_event_and_is_renewed_without() {
    let mut talk = ahead_by(Settings { retrieval: Retrieval::FanOut, ..Settings::default() });
    let fits = |r: &Request| matches!(r, Request::Read(ReadRequest::FindConsumer { .. }));
    let (id, _) = talk.take("a consumer", fits);
    talk.answer(id, Answer::Read(ReadAnswer::Consumer("arn".into())));
    for _ in 0..2 {
        let fits = |r: &Request| matches!(r, Request::Read(ReadRequest::Subscribe { .. }));
        let (id, _) = talk.take("a subscription", fits);
        talk.answer(id, Answer::Read(ReadAnswer::Subscribed { asked: SystemTime::UNIX_EPOCH }));
        assert_eq!(talk.asks_for(), Some(2 << 20));
        talk.sleep(290_000);
        assert_eq!(talk.asked.len(), 2, "room is asked for once: {:?}", talk.asked);
    }
    talk.grant();
    assert_eq!(talk.life.buffered(), 2 << 20);
    let (id, _) = talk.take("an event", |r| matches!(r, Request::Read(ReadRequest::Receive { .. })));
    let delivery = Delivery {
        records: vec![large(1, 1 << 20)],
        continuation: Some("1".parse().unwrap()),
        behind: Duration::ZERO,
        children: vec![],
    };
    talk.answer(id, Answer::Read(ReadAnswer::Delivered(delivery)));
    let held = talk.life.buffered();
    assert!(held > 1 << 20 && held < 1_030 << 10, "{held}");
    assert_eq!(talk.asks_for(), Some(2 * held));
}
