//! Subscriptions: what they send, when, and how they end.

use super::*;

const ARN: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/reports:1700000000";

/// A stream with one consumer that is ready to subscribe.
fn world_with(config: Config) -> World {
    let mut world = World::with(config);
    world.create("orders", 1);
    let register = RegisterStreamConsumerRequest {
        stream: "orders".into(),
        consumer_name: "reports".into(),
        tags: None,
    };
    world.kinesis.register_stream_consumer(world.now, register).unwrap();
    world.pass(50);
    world
}

fn subscribe(world: &mut World, position: ShardPosition) -> Result<SubscriptionId, KinesisError> {
    let subscribe = SubscribeToShardRequest {
        consumer_arn: ARN.into(),
        shard_id: ShardId::numbered(0).to_string(),
        starting_position: position,
    };
    world.kinesis.subscribe_to_shard(world.now, subscribe)
}

fn event(world: &mut World, id: SubscriptionId) -> SubscribeToShardEvent {
    match world.kinesis.next_event(world.now, id) {
        SubscriptionStep::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

/// Milliseconds until it wants to be asked again.
fn wait(world: &mut World, id: SubscriptionId) -> u128 {
    match world.kinesis.next_event(world.now, id) {
        SubscriptionStep::Wait { until } => until.duration_since(world.now).unwrap().as_millis(),
        other => panic!("{other:?}"),
    }
}

fn data(event: &SubscribeToShardEvent) -> Vec<&str> {
    event.records.iter().map(|record| std::str::from_utf8(&record.data).unwrap()).collect()
}

#[test]
fn records_are_sent_at_once_and_silence_every_five_seconds() {
    let mut world = world_with(Config::default());
    world.put("orders", "a", "0");
    let id = subscribe(&mut world, ShardPosition::TrimHorizon).unwrap();
    assert_eq!(data(&event(&mut world, id)), ["0"]);
    assert_eq!(wait(&mut world, id), 5000);
    world.pass(2000);
    world.put("orders", "a", "1");
    world.put("orders", "a", "2");
    assert_eq!(data(&event(&mut world, id)), ["1", "2"]);
    assert_eq!(wait(&mut world, id), 5000);
    world.pass(5000);
    let silence = event(&mut world, id);
    assert!(silence.records.is_empty() && silence.continuation.is_some());
    assert_eq!(silence.millis_behind_latest, 0);
    assert_eq!(wait(&mut world, id), 5000);
}

#[test]
fn a_continuation_leads_on_without_gap_or_repeat() {
    let mut world = world_with(Config::default());
    let id = subscribe(&mut world, ShardPosition::Latest).unwrap();
    world.pass(5000);
    let before_anything = event(&mut world, id).continuation.unwrap();
    world.put("orders", "a", "0");
    let after_first = event(&mut world, id).continuation.unwrap();
    world.put("orders", "a", "1");

    for (continuation, expected) in [(before_anything, vec!["0", "1"]), (after_first, vec!["1"])] {
        world.pass(5000);
        let id = subscribe(&mut world, ShardPosition::AfterSequenceNumber(continuation.into())).unwrap();
        assert_eq!(data(&event(&mut world, id)), expected);
    }
}

#[test]
fn a_split_ends_it_with_the_children() {
    let mut world = world_with(Config::default());
    let id = subscribe(&mut world, ShardPosition::TrimHorizon).unwrap();
    world.split("orders", 0, MIDDLE).unwrap();
    world.put("orders", "a", "last");
    assert_eq!(data(&event(&mut world, id)), ["last"]);
    assert_eq!(wait(&mut world, id), 50, "it knows when the split will be done");
    world.pass(50);
    let end = event(&mut world, id);
    assert_eq!((end.records.len(), end.continuation), (0, None));
    assert_eq!(end.child_shards.unwrap().len(), 2);
    assert!(matches!(world.kinesis.next_event(world.now, id), SubscriptionStep::End));
    assert!(matches!(world.kinesis.next_event(world.now, id), SubscriptionStep::End), "and stays so");
}

#[test]
fn it_ends_after_five_minutes() {
    let mut world = world_with(Config::default());
    let id = subscribe(&mut world, ShardPosition::Latest).unwrap();
    world.pass(297_000);
    event(&mut world, id);
    assert_eq!(wait(&mut world, id), 3000);
    world.pass(3000);
    assert!(matches!(world.kinesis.next_event(world.now, id), SubscriptionStep::End));
    subscribe(&mut world, ShardPosition::Latest).unwrap();
}

#[test]
fn a_second_one_is_refused_for_five_seconds_and_then_takes_over() {
    let mut world = world_with(Config::default());
    let first = subscribe(&mut world, ShardPosition::Latest).unwrap();
    world.pass(4999);
    assert_eq!(code(subscribe(&mut world, ShardPosition::Latest)), ErrorCode::ResourceInUse);
    world.pass(1);
    let second = subscribe(&mut world, ShardPosition::Latest).unwrap();
    match world.kinesis.next_event(world.now, first) {
        SubscriptionStep::Failed(error) => assert_eq!(error.code(), ErrorCode::ResourceInUse),
        other => panic!("{other:?}"),
    }
    assert!(matches!(world.kinesis.next_event(world.now, first), SubscriptionStep::End));
    world.put("orders", "a", "x");
    assert_eq!(data(&event(&mut world, second)), ["x"]);
}

#[test]
fn five_seconds_count_even_if_the_first_one_is_gone() {
    let mut world = world_with(Config::default());
    let first = subscribe(&mut world, ShardPosition::Latest).unwrap();
    assert_eq!(world.kinesis.subscribed_stream(first), Some("orders"));
    world.kinesis.unsubscribe(first);
    assert_eq!(world.kinesis.subscribed_stream(first), None);
    assert_eq!(code(subscribe(&mut world, ShardPosition::Latest)), ErrorCode::ResourceInUse);
    let mut world = world_with(Config::default().limits(Limits::default().subscriptions(false)));
    subscribe(&mut world, ShardPosition::Latest).unwrap();
    subscribe(&mut world, ShardPosition::Latest).unwrap();
}

#[test]
fn it_sends_two_mebibytes_a_second() {
    let limits = Limits::default().writes(false);
    let mut world = world_with(Config::default().limits(limits));
    for _ in 0..8 {
        world.put_all("orders", vec![entry("k", vec![0; (1 << 20) - 1])]).unwrap();
    }
    let id = subscribe(&mut world, ShardPosition::TrimHorizon).unwrap();
    let mut events = Vec::new();
    for second in 0..6 {
        while let SubscriptionStep::Event(event) = world.kinesis.next_event(world.now, id) {
            events.push((second, event.records.len()));
        }
        world.pass(1000);
    }
    let in_second =
        |s| events.iter().filter(|(second, _)| *second == s).map(|(_, records)| records).sum::<usize>();
    assert_eq!([0, 1, 2, 3, 4].map(in_second), [2, 2, 2, 2, 0]);

    let limits = Limits::unthrottled();
    let mut world = world_with(Config::default().limits(limits));
    for _ in 0..8 {
        world.put_all("orders", vec![entry("k", vec![0; (1 << 20) - 1])]).unwrap();
    }
    let id = subscribe(&mut world, ShardPosition::TrimHorizon).unwrap();
    for left in (0..8).rev() {
        let event = event(&mut world, id);
        assert_eq!((event.records.len(), event.millis_behind_latest > 0), (1, left > 0));
    }
}

#[test]
fn it_hears_when_its_consumer_or_stream_goes() {
    let mut world = world_with(Config::default());
    let id = subscribe(&mut world, ShardPosition::Latest).unwrap();
    world.delete("orders", true).unwrap();
    assert_eq!(wait(&mut world, id), 50);
    world.pass(50);
    match world.kinesis.next_event(world.now, id) {
        SubscriptionStep::Failed(error) => assert_eq!(error.code(), ErrorCode::ResourceNotFound),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_can_be_ended_by_hand() {
    let mut world = world_with(Config::default());
    let id = subscribe(&mut world, ShardPosition::Latest).unwrap();
    world.kinesis.end_subscriptions();
    assert!(matches!(world.kinesis.next_event(world.now, id), SubscriptionStep::End));
}

#[test]
fn wrong_subscriptions_are_refused() {
    let mut world = World::new();
    world.create("orders", 1);
    assert_eq!(code(subscribe(&mut world, ShardPosition::Latest)), ErrorCode::ResourceNotFound);
    let register = RegisterStreamConsumerRequest {
        stream: "orders".into(),
        consumer_name: "reports".into(),
        tags: None,
    };
    world.kinesis.register_stream_consumer(world.now, register).unwrap();
    assert_eq!(
        code(subscribe(&mut world, ShardPosition::Latest)),
        ErrorCode::ResourceInUse,
        "it is not ACTIVE yet"
    );
    world.pass(50);
    let number = "12345".parse().unwrap();
    let position = ShardPosition::AfterSequenceNumber(number);
    assert_eq!(code(subscribe(&mut world, position)), ErrorCode::InvalidArgument);
    let subscribe = SubscribeToShardRequest {
        consumer_arn: ARN.into(),
        shard_id: ShardId::numbered(7).to_string(),
        starting_position: ShardPosition::Latest,
    };
    assert_eq!(code(world.kinesis.subscribe_to_shard(world.now, subscribe)), ErrorCode::ResourceNotFound);
}
