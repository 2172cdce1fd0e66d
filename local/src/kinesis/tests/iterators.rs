//! Every way to a place in a shard.

use super::*;

/// A stream of one shard with records 0 to 9, a second apart, and their numbers.
fn ten_records() -> (World, Vec<Sequence>) {
    let mut world = World::new();
    world.create("orders", 1);
    let sequences = (0..10)
        .map(|i| {
            world.pass(1000);
            world.put("orders", "a", &i.to_string()).1
        })
        .collect();
    (world, sequences)
}

fn from(first: usize) -> Vec<String> {
    (first..10).map(|i| i.to_string()).collect()
}

#[test]
fn each_kind_starts_where_it_says() {
    let (mut world, sequences) = ten_records();
    let number = |i: usize| sequences[i].into();
    let cases = [
        (ShardPosition::TrimHorizon, from(0)),
        (ShardPosition::Latest, from(10)),
        (ShardPosition::AtSequenceNumber(number(3)), from(3)),
        (ShardPosition::AfterSequenceNumber(number(3)), from(4)),
        (ShardPosition::AtSequenceNumber(number(0)), from(0)),
        (ShardPosition::AfterSequenceNumber(number(9)), from(10)),
        (ShardPosition::AtTimestamp(world.now - Duration::from_secs(4)), from(5)),
        (ShardPosition::AtTimestamp(world.now - Duration::from_millis(3999)), from(6)),
        (ShardPosition::AtTimestamp(world.now - Duration::from_secs(3600)), from(0)),
    ];
    for (position, expected) in cases {
        world.pass(1000);
        assert_eq!(world.data_from("orders", 0, position.clone()), expected, "{position:?}");
    }
}

#[test]
fn latest_is_where_the_shard_ended_when_it_was_asked_for() {
    let (mut world, _) = ten_records();
    let iterator = world.iterator("orders", 0, ShardPosition::Latest).unwrap();
    world.put("orders", "a", "new");
    let answer = world.read(&iterator, None).unwrap();
    assert_eq!(data(&answer), ["new"]);
    let next = answer.next_shard_iterator.unwrap();
    assert!(world.read(&next, None).unwrap().records.is_empty());
}

#[test]
fn a_number_between_two_records_is_a_place_too() {
    let (mut world, sequences) = ten_records();
    let between = Sequence::new(1_700_000_000, 0, sequences[3].index(), 1_800_000_000);
    assert!(sequences[3] < between && between < sequences[4]);
    let at = ShardPosition::AtSequenceNumber(between.into());
    assert_eq!(world.data_from("orders", 0, at), from(4));
    let after = ShardPosition::AfterSequenceNumber(between.into());
    assert_eq!(world.data_from("orders", 0, after), from(4));
}

#[test]
fn the_start_of_a_shard_is_a_place() {
    let (mut world, _) = ten_records();
    let start = world.shards("orders")[0].sequence_number_range.starting_sequence_number.clone();
    for position in [ShardPosition::AtSequenceNumber, ShardPosition::AfterSequenceNumber] {
        assert_eq!(world.data_from("orders", 0, position(start.parse().unwrap())), from(0));
    }
}

#[test]
fn a_number_of_another_shard_or_of_nowhere_is_refused() {
    let mut world = World::new();
    world.create("orders", 2);
    let (shard, sequence) = world.put_at("orders", HashKey::MIN, "x");
    assert_eq!(shard, ShardId::numbered(0));
    let position = || ShardPosition::AtSequenceNumber(sequence.into());
    assert!(world.iterator("orders", 0, position()).is_ok());
    let error = world.iterator("orders", 1, position()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(error.message().contains("did not come from this stream"), "{error}");
    let position = ShardPosition::AtSequenceNumber("12345".parse().unwrap());
    assert_eq!(code(world.iterator("orders", 0, position)), ErrorCode::InvalidArgument);
}

#[test]
fn a_time_that_lies_ahead_is_refused() {
    let (mut world, _) = ten_records();
    let now = world.now;
    assert_eq!(world.data_from("orders", 0, ShardPosition::AtTimestamp(now)), from(9));
    let ahead = ShardPosition::AtTimestamp(now + Duration::from_millis(1));
    assert_eq!(code(world.iterator("orders", 0, ahead)), ErrorCode::InvalidArgument);
}

#[test]
fn a_shard_that_is_not_there_is_not_found() {
    let (mut world, _) = ten_records();
    assert_eq!(code(world.iterator("orders", 1, ShardPosition::Latest)), ErrorCode::ResourceNotFound);
    assert_eq!(code(world.iterator("payments", 0, ShardPosition::Latest)), ErrorCode::ResourceNotFound);
    let get = GetShardIteratorRequest {
        stream: "orders".into(),
        shard_id: "shardId-0".into(),
        position: ShardPosition::Latest,
    };
    assert_eq!(code(world.kinesis.get_shard_iterator(world.now, get)), ErrorCode::ResourceNotFound);
}

#[test]
fn an_iterator_lives_for_five_minutes_and_each_answer_gives_a_fresh_one() {
    let (mut world, _) = ten_records();
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    world.pass(300_000);
    let next = world.read(&iterator, Some(1)).unwrap().next_shard_iterator.unwrap();
    world.pass(1);
    assert_eq!(code(world.read(&iterator, None)), ErrorCode::ExpiredIterator);
    assert_eq!(data(&world.read(&next, None).unwrap()), from(1));
}

#[test]
fn iterators_can_be_expired_by_hand_and_kept_alive_by_configuration() {
    let (mut world, _) = ten_records();
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    world.kinesis.expire_iterators();
    assert_eq!(code(world.read(&iterator, None)), ErrorCode::ExpiredIterator);
    assert_eq!(world.data_from("orders", 0, ShardPosition::TrimHorizon), from(0));

    let mut world = World::with(Config::default().limits(Limits::default().expiry(false)));
    world.create("orders", 1);
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    world.pass(3_600_000);
    assert!(world.read(&iterator, None).is_ok());
}

#[test]
fn garbage_is_no_iterator() {
    let (mut world, _) = ten_records();
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    let torn: String = iterator.chars().take(40).collect();
    for garbage in ["", "AAAA", &torn, &format!("{iterator}x")] {
        assert_eq!(code(world.read(garbage, None)), ErrorCode::InvalidArgument, "{garbage}");
    }
}
