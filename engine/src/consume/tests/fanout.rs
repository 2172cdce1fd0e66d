//! Subscriptions as a conversation.

use std::sync::Arc;

use super::*;

/// A life that subscribes, and the subscription that is open.
struct Fan {
    talk: Talk,
    subscription: RequestId,
}

impl Fan {
    fn at(checkpoint: Checkpoint) -> Talk {
        let row = LeaseRow::new(ShardId::numbered(0), checkpoint);
        let until = Moment::from_start(Duration::from_secs(1_000_000));
        let settings = Settings { retrieval: Retrieval::FanOut, read_ahead: 1, ..Settings::default() };
        let life = ShardLife::new(row, until, settings, 7, Moment::START);
        let mut talk = Talk { life, roomy: true, now: Moment::START, asked: Vec::new(), told: Vec::new() };
        talk.drain();
        talk.done();
        talk
    }

    /// Open from the oldest record.
    fn open() -> Self {
        let mut talk = Self::at(Checkpoint::TrimHorizon);
        assert_eq!(talk.find("arn"), None);
        let (subscription, position) = talk.subscribe();
        assert_eq!(position, ShardPosition::TrimHorizon);
        Self { talk, subscription }
    }

    fn receive(&mut self, answer: Answer) {
        let (id, subscription) = self.talk.receiving();
        assert_eq!(subscription, self.subscription, "it reads the subscription that is open");
        self.talk.answer(id, answer);
    }

    fn deliver(&mut self, records: &[u64], continuation: u64) {
        let records = records.iter().copied().map(record).collect();
        self.receive(delivery(records, Some(continuation), vec![]));
    }

    /// Subscribes again, and tells where.
    fn again(&mut self) -> ShardPosition {
        let (subscription, position) = self.talk.subscribe();
        self.subscription = subscription;
        position
    }

    /// Lets signs of life come for so long.
    fn idle(&mut self, seconds: u64, continuation: u64) {
        for _ in 0..seconds / 5 {
            self.talk.sleep(5_000);
            self.deliver(&[], continuation);
        }
    }
}

impl Talk {
    fn find(&mut self, arn: &str) -> Option<String> {
        let (id, request) =
            self.take("a consumer", |r| matches!(r, Request::Read(ReadRequest::FindConsumer { .. })));
        self.answer(id, Answer::Read(ReadAnswer::Consumer(Arc::from(arn))));
        match request {
            Request::Read(ReadRequest::FindConsumer { gone }) => gone.map(|arn| arn.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn subscribing(&mut self) -> (RequestId, ShardPosition) {
        let fits = |r: &Request| matches!(r, Request::Read(ReadRequest::Subscribe { .. }));
        match self.take("a subscription", fits) {
            (id, Request::Read(ReadRequest::Subscribe { position, .. })) => (id, position),
            other => panic!("{other:?}"),
        }
    }

    fn subscribe(&mut self) -> (RequestId, ShardPosition) {
        let (id, position) = self.subscribing();
        let asked = SystemTime::UNIX_EPOCH + self.now.since_start();
        self.answer(id, Answer::Read(ReadAnswer::Subscribed { asked }));
        (id, position)
    }

    fn refuse_subscription(&mut self, code: &str) {
        let (id, _) = self.subscribing();
        self.answer(id, refused(code));
    }

    fn receiving(&mut self) -> (RequestId, RequestId) {
        let fits = |r: &Request| matches!(r, Request::Read(ReadRequest::Receive { .. }));
        match self.take("an event", fits) {
            (id, Request::Read(ReadRequest::Receive { subscription, .. })) => (id, subscription),
            other => panic!("{other:?}"),
        }
    }

    fn wants_to_subscribe(&self) -> bool {
        let fits = |r: &Request| matches!(r, Request::Read(ReadRequest::Subscribe { .. }));
        self.asked.iter().any(|(_, request)| fits(request))
    }

    /// Lets time pass until it subscribes, and tells how much.
    fn until_it_subscribes(&mut self) -> Duration {
        let before = self.now;
        while !self.wants_to_subscribe() {
            self.sleep(100);
            assert!(self.now.since(before) < Duration::from_secs(60), "it does not subscribe");
        }
        self.now.since(before)
    }
}

fn refused(code: &str) -> Answer {
    Answer::Failed(Failure::refused(code, ""))
}

fn delivery(records: Vec<KinesisRecord>, continuation: Option<u64>, children: Vec<Shard>) -> Answer {
    let continuation = continuation.map(|number| number.to_string().parse().unwrap());
    let behind = Duration::ZERO;
    Answer::Read(ReadAnswer::Delivered(Delivery { records, continuation, behind, children }))
}

fn after(number: u64) -> ShardPosition {
    ShardPosition::AfterSequenceNumber(number.to_string().parse().unwrap())
}

fn over() -> Answer {
    Answer::Read(ReadAnswer::SubscriptionEnded)
}

#[test]
fn the_next_event_is_taken_only_when_there_is_room_for_it() {
    let mut fan = Fan::open();
    fan.deliver(&[1, 2], 2);
    assert_eq!(fan.talk.batch(), numbers(&[(1, 0), (2, 0)]));
    fan.deliver(&[3], 3);
    fan.talk.sleep(180_000);
    assert_eq!(fan.talk.asked.len(), 1, "the handler is slow: {:?}", fan.talk.asked);
    fan.talk.done();
    assert_eq!(fan.talk.batch(), numbers(&[(3, 0)]));
    fan.deliver(&[], 3);
}

#[test]
fn a_checkpoint_inside_an_aggregate_is_gone_on_from() {
    let mut talk = Fan::at(Checkpoint::at("5".parse().unwrap(), 1));
    talk.find("arn");
    let (_, position) = talk.subscribe();
    assert_eq!(position, ShardPosition::AtSequenceNumber("5".parse().unwrap()));
    let (id, _) = talk.receiving();
    talk.answer(id, delivery(vec![aggregate(5, 4), record(6)], Some(6), vec![]));
    assert_eq!(talk.batch(), numbers(&[(5, 2), (5, 3), (6, 0)]));
}

#[test]
fn the_newest_record_is_looked_for_once_by_subscriptions_too() {
    let mut talk = Fan::at(Checkpoint::Latest);
    talk.find("arn");
    talk.sleep(3_000);
    let (_, position) = talk.subscribe();
    assert_eq!(position, ShardPosition::Latest);
    let (id, _) = talk.receiving();
    talk.answer(id, over());
    talk.until_it_subscribes();
    let opened = SystemTime::UNIX_EPOCH + Duration::from_secs(3);
    assert_eq!(talk.subscribe().1, ShardPosition::AtTimestamp(opened));
}

#[test]
fn a_subscription_is_renewed_before_it_ends_and_read_until_the_next_one_stands() {
    let mut fan = Fan::open();
    fan.deliver(&[1], 1);
    fan.talk.done();
    let mut renewed = 0;
    while renewed == 0 {
        fan.idle(5, 10);
        let now = fan.talk.now.since_start();
        assert!(now < Duration::from_secs(295), "before the service ends it");
        if fan.talk.wants_to_subscribe() {
            assert!(now > Duration::from_secs(265), "not much sooner: {now:?}");
            renewed += 1;
        }
    }
    let (id, position) = fan.talk.subscribing();
    assert_eq!(position, after(10));
    fan.deliver(&[11], 11);
    assert_eq!(fan.talk.batch(), numbers(&[(11, 0)]), "it is still read");
    fan.talk.done();
    let (late, _) = fan.talk.receiving();
    fan.talk.answer(id, Answer::Read(ReadAnswer::Subscribed { asked: SystemTime::UNIX_EPOCH }));
    fan.subscription = id;
    // The old one is not listened to any more, and the new one says again what it said.
    fan.talk.answer(late, refused("ResourceInUseException"));
    fan.deliver(&[11, 12], 12);
    assert_eq!(fan.talk.batch(), numbers(&[(12, 0)]));
    assert!(fan.talk.told.is_empty(), "nobody need know: {:?}", fan.talk.told);
}

#[test]
fn a_renewal_that_fails_does_no_harm_and_one_that_ends_the_old_takes_over() {
    let mut fan = Fan::open();
    fan.idle(295, 10);
    fan.talk.refuse_subscription("LimitExceededException");
    fan.deliver(&[11], 11);
    fan.talk.done();
    fan.idle(30, 11);
    let (id, _) = fan.talk.subscribing();
    fan.receive(over());
    assert!(!fan.talk.wants_to_subscribe(), "one is on its way already");
    fan.talk.answer(id, Answer::Read(ReadAnswer::Subscribed { asked: SystemTime::UNIX_EPOCH }));
    fan.subscription = id;
    fan.deliver(&[12], 12);
}

#[test]
fn a_subscription_that_is_over_is_taken_up_behind_the_last_event() {
    let cases = [
        (over(), 0..1_000),
        (Answer::Failed(Failure::unknown("ConnectionFailed", "reset")), 0..1_000),
        (Answer::Failed(Failure::unknown("Timeout", "silence")), 0..1_000),
        (refused("KMSThrottlingException"), 0..1_000),
        // Another worker has it: it is left alone for a while.
        (refused("ResourceInUseException"), 10_000..10_200),
    ];
    for (end, wait) in cases {
        let mut fan = Fan::open();
        fan.idle(60, 7);
        fan.receive(end.clone());
        let took = fan.talk.until_it_subscribes().as_millis();
        assert!(wait.contains(&took), "{end:?}: {took} ms");
        assert_eq!(fan.again(), after(7));
        // Once more, and at once: the service takes one in five seconds.
        fan.receive(end);
        assert!(fan.talk.until_it_subscribes() >= Duration::from_secs(5));
    }
}

#[test]
fn a_subscription_that_is_refused_waits() {
    for code in
        ["ResourceInUseException", "LimitExceededException", "InternalFailure", "KMSThrottlingException"]
    {
        let mut talk = Fan::at(Checkpoint::TrimHorizon);
        talk.find("arn");
        for times in 1..6 {
            talk.refuse_subscription(code);
            assert!(talk.until_it_subscribes() >= Duration::from_secs(1), "{code}");
            let told = talk.told.last();
            assert!(matches!(told, Some(Event::Read(ReadEvent::Failed { times: t, .. })) if *t == times));
        }
        talk.subscribe();
        talk.receiving();
    }
}

#[test]
fn the_end_of_a_shard_ends_its_subscriptions() {
    let mut fan = Fan::open();
    fan.receive(delivery(vec![record(1)], None, vec![child()]));
    assert_eq!(fan.talk.batch(), numbers(&[(1, 0)]));
    fan.talk.done();
    assert!(matches!(&fan.talk.asked[0].1, Request::EnterChildren(children) if *children == [child()]));
    fan.talk.sleep(600_000);
    assert!(!fan.talk.wants_to_subscribe());
    // An end without children is looked up.
    let mut fan = Fan::open();
    fan.receive(delivery(vec![], None, vec![]));
    let (id, _) = fan.talk.take("shards", |r| matches!(r, Request::Read(ReadRequest::ListShards)));
    fan.talk.answer(id, Answer::Read(ReadAnswer::Shards(vec![child()])));
    assert!(matches!(fan.talk.work(), Request::EnterChildren(children) if children == [child()]));
}

#[test]
fn a_shard_or_a_consumer_that_is_not_there_is_told_apart_by_the_list_of_shards() {
    let list = |talk: &mut Talk, shards: Vec<Shard>| {
        let (id, _) = talk.take("shards", |r| matches!(r, Request::Read(ReadRequest::ListShards)));
        talk.answer(id, Answer::Read(ReadAnswer::Shards(shards)));
    };
    let mut fan = Fan::open();
    fan.deliver(&[], 7);
    fan.receive(refused("ResourceNotFoundException"));
    list(&mut fan.talk, vec![Shard::new(ShardId::numbered(0), HashKeyRange::ALL)]);
    fan.talk.sleep(1_000);
    assert_eq!(fan.talk.find("another").as_deref(), Some("arn"), "the consumer it was that went");
    assert_eq!(fan.again(), after(7));
    fan.receive(refused("ResourceNotFoundException"));
    list(&mut fan.talk, vec![child()]);
    assert!(matches!(fan.talk.work(), Request::EnterChildren(children) if children == [child()]));
}

#[test]
fn without_a_consumer_the_shard_is_polled() {
    let mut talk = Fan::at(Checkpoint::at("5".parse().unwrap(), 0));
    let (id, _) = talk.take("a consumer", |r| matches!(r, Request::Read(ReadRequest::FindConsumer { .. })));
    talk.answer(id, refused("InternalFailure"));
    talk.sleep(2_000);
    let (id, _) = talk.take("a consumer", |r| matches!(r, Request::Read(ReadRequest::FindConsumer { .. })));
    talk.answer(id, Answer::Read(ReadAnswer::NoConsumer { reason: "no".into() }));
    assert!(matches!(talk.told.last(), Some(Event::Read(ReadEvent::FellBack { .. }))));
    assert_eq!(talk.open(), ShardPosition::AtSequenceNumber("5".parse().unwrap()));
    talk.page(vec![record(6)], 0);
    assert_eq!(talk.batch(), numbers(&[(6, 0)]));
}

#[test]
fn a_place_in_another_stream_is_left_by_subscriptions_too() {
    let mut talk = Fan::at(Checkpoint::at("5".parse().unwrap(), 0));
    talk.find("arn");
    talk.refuse_subscription("InvalidArgumentException");
    assert_eq!(talk.subscribe().1, ShardPosition::TrimHorizon);
    assert!(matches!(talk.told[0], Event::Read(ReadEvent::ForeignPosition { .. })));
}

#[test]
fn a_fresh_handler_begins_with_a_subscription_behind_the_checkpoint() {
    let mut fan = Fan::open();
    fan.deliver(&[1, 2], 2);
    let (late, _) = fan.talk.receiving();
    let (id, _) = fan.talk.take("work", Talk::is_work);
    fan.talk.answer(id, Answer::Panicked(Failure::unknown("Panicked", "no disk")));
    fan.talk.sleep(1_000);
    let stored = Checkpoint::at("1".parse().unwrap(), 0);
    let (id, _) = fan.talk.take("a fresh handler", |r| matches!(r, Request::Restart));
    fan.talk.answer(id, Answer::Fresh { checkpoint: stored, passed: std::collections::BTreeSet::new() });
    fan.talk.done();
    fan.talk.answer(late, delivery(vec![record(3)], Some(3), vec![]));
    assert!(fan.talk.asked.is_empty(), "the old one is not listened to any more: {:?}", fan.talk.asked);
    fan.talk.until_it_subscribes();
    assert!(
        fan.talk.now >= Moment::from_start(Duration::from_secs(5)),
        "the service takes one in five seconds"
    );
    assert_eq!(fan.again(), ShardPosition::AtSequenceNumber("1".parse().unwrap()));
    fan.deliver(&[1, 2, 3], 3);
    assert_eq!(fan.talk.batch(), numbers(&[(2, 0), (3, 0)]));
}
