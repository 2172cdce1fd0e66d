//! Streams come, are described, and go.

use super::*;

#[test]
fn a_stream_is_creating_and_then_active() {
    let mut world = World::new();
    let create =
        CreateStreamRequest { stream_name: "orders".into(), shard_count: Some(3), ..Default::default() };
    world.kinesis.create_stream(world.now, create).unwrap();
    let summary = world.summary("orders").unwrap();
    assert_eq!((summary.stream_status, summary.open_shard_count), (StreamStatus::Creating, 0));
    assert_eq!(world.kinesis.next_change("orders"), Some(world.now + Duration::from_millis(50)));

    world.pass(49);
    assert_eq!(world.summary("orders").unwrap().stream_status, StreamStatus::Creating);
    world.pass(1);
    let summary = world.summary("orders").unwrap();
    assert_eq!((summary.stream_status, summary.open_shard_count), (StreamStatus::Active, 3));
    assert_eq!(summary.stream_arn, "arn:aws:kinesis:eu-west-1:000000000000:stream/orders");
    assert_eq!((summary.retention_period_hours, summary.max_record_size_in_kib), (24, 1024));
    assert_eq!(world.kinesis.next_change("orders"), None);
}

#[test]
fn a_stream_that_is_being_created_takes_no_calls() {
    let mut world = World::new();
    let create =
        CreateStreamRequest { stream_name: "orders".into(), shard_count: Some(1), ..Default::default() };
    world.kinesis.create_stream(world.now, create).unwrap();
    assert_eq!(code(world.put_all("orders", vec![entry("a", "x")])), ErrorCode::ResourceNotFound);
    assert_eq!(code(world.split("orders", 0, MIDDLE)), ErrorCode::ResourceInUse);
    assert_eq!(code(world.iterator("orders", 0, ShardPosition::Latest)), ErrorCode::ResourceNotFound);
    let list = ListShardsRequest { stream: "orders".into(), ..Default::default() };
    assert_eq!(code(world.kinesis.list_shards(world.now, list)), ErrorCode::ResourceInUse);
    assert_eq!(code(world.delete("orders", true)), ErrorCode::ResourceInUse);
}

#[test]
fn a_name_is_taken_until_the_stream_is_gone() {
    let mut world = World::new();
    world.create("orders", 1);
    let again =
        || CreateStreamRequest { stream_name: "orders".into(), shard_count: Some(1), ..Default::default() };
    assert_eq!(code(world.kinesis.create_stream(world.now, again())), ErrorCode::ResourceInUse);

    world.delete("orders", false).unwrap();
    assert_eq!(world.summary("orders").unwrap().stream_status, StreamStatus::Deleting);
    assert_eq!(code(world.put_all("orders", vec![entry("a", "x")])), ErrorCode::ResourceNotFound);
    assert_eq!(code(world.kinesis.create_stream(world.now, again())), ErrorCode::ResourceInUse);
    world.pass(50);
    assert_eq!(code(world.summary("orders")), ErrorCode::ResourceNotFound);
    world.create("orders", 1);
}

#[test]
fn a_stream_that_comes_again_does_not_know_the_iterators_and_numbers_of_the_one_before() {
    let mut world = World::new();
    world.create("orders", 1);
    let (_, sequence) = world.put("orders", "a", "x");
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    world.delete("orders", false).unwrap();
    world.pass(2000);
    world.create("orders", 1);
    assert_eq!(code(world.read(&iterator, None)), ErrorCode::ResourceNotFound);
    let position = ShardPosition::AtSequenceNumber(sequence.into());
    assert_eq!(code(world.iterator("orders", 0, position)), ErrorCode::InvalidArgument);
}

#[test]
fn a_stream_with_consumers_goes_only_if_that_is_meant() {
    let mut world = World::new();
    world.create("orders", 1);
    let register = RegisterStreamConsumerRequest {
        stream: "orders".into(),
        consumer_name: "reports".into(),
        tags: None,
    };
    world.kinesis.register_stream_consumer(world.now, register).unwrap();
    assert_eq!(code(world.delete("orders", false)), ErrorCode::ResourceInUse);
    world.delete("orders", true).unwrap();
}

#[test]
fn an_on_demand_stream_starts_with_four_shards() {
    let mut world = World::new();
    world.create_on_demand("orders");
    let summary = world.summary("orders").unwrap();
    assert_eq!(
        (summary.open_shard_count, summary.stream_mode_details.stream_mode),
        (4, StreamMode::OnDemand)
    );
    assert_eq!(code(world.resize("orders", 8)), ErrorCode::InvalidArgument);
}

#[test]
fn wrong_requests_for_a_stream_are_refused() {
    let mut world = World::new();
    let mut create = |stream_name: &str, shard_count| {
        let create =
            CreateStreamRequest { stream_name: stream_name.into(), shard_count, ..Default::default() };
        code(world.kinesis.create_stream(world.now, create))
    };
    for name in ["", "a b", "ä", &"x".repeat(129)] {
        assert_eq!(create(name, Some(1)), ErrorCode::Validation, "{name}");
    }
    assert_eq!(create("orders", None), ErrorCode::Validation);
    assert_eq!(create("orders", Some(0)), ErrorCode::Validation);
    assert_eq!(create("orders", Some(Limits::SHARDS + 1)), ErrorCode::LimitExceeded);
    assert_eq!(create("orders", Some(u32::MAX)), ErrorCode::LimitExceeded);
}

#[test]
fn a_stream_is_found_by_name_by_arn_and_by_both() {
    let mut world = World::new();
    world.create("orders", 1);
    let arn = world.summary("orders").unwrap().stream_arn;
    assert_eq!(world.summary(&arn).unwrap().stream_name, "orders");
    let mut describe = |name: Option<&str>, arn: Option<&str>| {
        let stream = StreamRef { stream_name: name.map(Into::into), stream_arn: arn.map(Into::into) };
        world.kinesis.describe_stream_summary(world.now, DescribeStreamSummaryRequest { stream })
    };
    assert!(describe(Some("orders"), Some(&arn)).is_ok());
    assert_eq!(code(describe(Some("payments"), Some(&arn))), ErrorCode::InvalidArgument);
    assert_eq!(code(describe(None, None)), ErrorCode::InvalidArgument);
    assert_eq!(code(describe(None, Some("arn:aws:sqs:x"))), ErrorCode::Validation);
    for elsewhere in ["eu-west-2:000000000000", "eu-west-1:111111111111"] {
        let arn = format!("arn:aws:kinesis:{elsewhere}:stream/orders");
        assert_eq!(code(describe(None, Some(&arn))), ErrorCode::ResourceNotFound);
    }
    assert_eq!(code(describe(Some("a b"), None)), ErrorCode::Validation);
}

#[test]
fn two_streams_of_one_name_and_moment_are_told_apart() {
    let mut world = World::with(Config::default().transition(Duration::ZERO));
    let create =
        || CreateStreamRequest { stream_name: "orders".into(), shard_count: Some(1), ..Default::default() };
    world.kinesis.create_stream(world.now, create()).unwrap();
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    world.delete("orders", false).unwrap();
    world.kinesis.create_stream(world.now, create()).unwrap();
    assert_eq!(code(world.read(&iterator, None)), ErrorCode::ResourceNotFound);
}

#[test]
fn a_stream_that_is_gone_leaves_room_for_others() {
    let mut world = World::new();
    world.create("large", Limits::SHARDS);
    let create =
        || CreateStreamRequest { stream_name: "orders".into(), shard_count: Some(1), ..Default::default() };
    assert_eq!(code(world.kinesis.create_stream(world.now, create())), ErrorCode::LimitExceeded);
    world.delete("large", false).unwrap();
    world.pass(50);
    world.kinesis.create_stream(world.now, create()).unwrap();
}
