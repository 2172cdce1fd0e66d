//! Splits, merges and counts: order, ends and children.

use super::*;

/// Reads a shard to its end, and gives its data and the children that were named there.
fn drain(world: &mut World, stream: &str, shard: u64) -> (Vec<String>, Vec<ChildShard>) {
    let mut iterator = world.iterator(stream, shard, ShardPosition::TrimHorizon).unwrap();
    let mut seen = Vec::new();
    for _ in 0..100 {
        let answer = world.read(&iterator, Some(3)).unwrap();
        seen.extend(data(&answer));
        match (answer.next_shard_iterator, answer.child_shards) {
            (Some(next), None) => iterator = next,
            (None, Some(children)) => return (seen, children),
            other => panic!("an answer has an iterator or children: {other:?}"),
        }
    }
    panic!("the shard did not end");
}

#[test]
fn until_a_split_is_done_the_parent_takes_records() {
    let mut world = World::new();
    world.create("orders", 1);
    world.split("orders", 0, MIDDLE).unwrap();
    assert_eq!(world.summary("orders").unwrap().stream_status, StreamStatus::Updating);
    assert_eq!(world.put("orders", "a", "x").0, ShardId::numbered(0));
    assert_eq!(numbers(&world.shards("orders")), [0]);
    assert_eq!(code(world.split("orders", 0, MIDDLE)), ErrorCode::ResourceInUse);
    world.pass(50);
    assert_eq!(world.summary("orders").unwrap().stream_status, StreamStatus::Active);
    assert_eq!(numbers(&world.shards("orders")), [0, 1, 2]);
    assert_eq!(world.put_at("orders", HashKey(MIDDLE.0 - 1), "x").0, ShardId::numbered(1));
    assert_eq!(world.put_at("orders", MIDDLE, "x").0, ShardId::numbered(2));
}

#[test]
fn a_split_parent_is_read_to_its_end_and_names_its_children() {
    let mut world = World::unthrottled();
    world.create("orders", 1);
    for i in 0..7 {
        world.put("orders", "a", &i.to_string());
    }
    let latest = world.iterator("orders", 0, ShardPosition::Latest).unwrap();
    world.split("orders", 0, MIDDLE).unwrap();
    world.pass(50);
    let (seen, children) = drain(&mut world, "orders", 0);
    assert_eq!(seen.len(), 7);
    assert_eq!(children.iter().map(|child| number(&child.shard_id)).collect::<Vec<_>>(), [1, 2]);
    assert!(children.iter().all(|child| child.parent_shards == ["shardId-000000000000"]));
    assert_eq!(children[1].hash_key_range.starting_hash_key, MIDDLE.to_string());
    assert_eq!(world.read(&latest, None).unwrap().next_shard_iterator, None, "one taken before ends too");
    let ending = world.shards("orders")[0].sequence_number_range.ending_sequence_number.clone().unwrap();
    for position in [ShardPosition::AtSequenceNumber, ShardPosition::AfterSequenceNumber] {
        let iterator = world.iterator("orders", 0, position(ending.parse().unwrap())).unwrap();
        assert_eq!(world.read(&iterator, None).unwrap().child_shards.unwrap().len(), 2);
    }
}

#[test]
fn a_merge_has_one_child_with_two_parents() {
    let mut world = World::unthrottled();
    world.create("orders", 2);
    world.put_at("orders", HashKey::MIN, "low");
    world.put_at("orders", HashKey::MAX, "high");
    world.merge("orders", 0, 1).unwrap();
    world.pass(50);
    for (shard, expected) in [(0, "low"), (1, "high")] {
        let (seen, children) = drain(&mut world, "orders", shard);
        assert_eq!(seen, [expected]);
        assert_eq!(children.len(), 1);
        assert_eq!(children[0].parent_shards, ["shardId-000000000000", "shardId-000000000001"]);
    }
    let child = &world.shards("orders")[2];
    assert_eq!(child.parent_shard_id.as_deref(), Some("shardId-000000000000"));
    assert_eq!(child.adjacent_parent_shard_id.as_deref(), Some("shardId-000000000001"));
}

#[test]
fn numbers_order_across_a_reshard_even_within_one_second() {
    let mut world = World::with(Config::default().transition(Duration::ZERO));
    world.create("orders", 1);
    let (_, parent) = world.put("orders", "a", "x");
    world.split("orders", 0, MIDDLE).unwrap();
    let (_, child) = world.put_at("orders", HashKey::MIN, "x");
    world.merge("orders", 1, 2).unwrap();
    let (_, grandchild) = world.put("orders", "a", "x");
    assert!(parent < child && child < grandchild);
    let shards = world.shards("orders");
    let ending = |i: usize| {
        Sequence::parse(shards[i].sequence_number_range.ending_sequence_number.as_ref().unwrap()).unwrap()
    };
    assert!(parent < ending(0) && ending(0) < child);
    assert!(child < ending(1) && ending(1) < grandchild);
    assert!(shards[3].sequence_number_range.ending_sequence_number.is_none());
}

#[test]
fn wrong_splits_and_merges_are_refused() {
    let mut world = World::new();
    world.create("orders", 3);
    for at in [HashKey(0), HashKey(1), HashKey::MAX, MIDDLE] {
        assert_eq!(code(world.split("orders", 0, at)), ErrorCode::InvalidArgument, "{at}");
    }
    assert_eq!(code(world.split("orders", 9, MIDDLE)), ErrorCode::ResourceNotFound);
    assert_eq!(code(world.split("payments", 0, MIDDLE)), ErrorCode::ResourceNotFound);
    for (at, refusal) in [
        ("half", ErrorCode::Validation),
        ("010", ErrorCode::Validation),
        ("340282366920938463463374607431768211456", ErrorCode::InvalidArgument),
    ] {
        let split = SplitShardRequest {
            stream: "orders".into(),
            shard_to_split: "shardId-000000000000".into(),
            new_starting_hash_key: at.into(),
        };
        assert_eq!(code(world.kinesis.split_shard(world.now, split)), refusal, "{at}");
    }
    assert_eq!(code(world.merge("orders", 0, 2)), ErrorCode::InvalidArgument, "they do not touch");
    assert_eq!(code(world.merge("orders", 1, 0)), ErrorCode::InvalidArgument, "the wrong way round");
    world.merge("orders", 0, 1).unwrap();
    world.pass(50);
    assert_eq!(code(world.merge("orders", 0, 1)), ErrorCode::ResourceInUse, "they are closed");
    assert_eq!(code(world.split("orders", 0, HashKey(1000))), ErrorCode::ResourceInUse);
}

#[test]
fn a_count_is_half_to_double() {
    let mut world = World::new();
    world.create("orders", 4);
    assert_eq!(code(world.resize("orders", 0)), ErrorCode::Validation);
    assert_eq!(code(world.resize("orders", 1)), ErrorCode::InvalidArgument);
    assert_eq!(code(world.resize("orders", 9)), ErrorCode::InvalidArgument);
    let answer = world.resize("orders", 8).unwrap();
    assert_eq!((answer.current_shard_count, answer.target_shard_count), (4, 8));
    assert_eq!(code(world.resize("orders", 8)), ErrorCode::ResourceInUse);
    world.pass(50);
    assert_eq!(world.summary("orders").unwrap().open_shard_count, 8);
    world.create("many", 6000);
    assert_eq!(code(world.resize("many", 12_000)), ErrorCode::InvalidArgument);
    assert_eq!(code(world.resize("many", 10_000)), ErrorCode::LimitExceeded, "8 more are open elsewhere");
}

#[test]
fn no_record_is_lost_or_doubled_on_a_walk_of_counts() {
    let mut world = World::unthrottled();
    world.create("orders", 1);
    let mut written = Vec::new();
    for (round, target) in [2, 3, 5, 4, 2].into_iter().enumerate() {
        for i in 0..40 {
            let text = format!("{round}-{i}");
            world.put("orders", &text, &text);
            written.push(text);
        }
        world.resize("orders", target).unwrap();
        world.pass(50);
    }
    let mut read: Vec<_> = Vec::new();
    for shard in world.shards("orders") {
        let iterator = world.iterator("orders", number(&shard.shard_id), ShardPosition::TrimHorizon).unwrap();
        read.extend(data(&world.read(&iterator, None).unwrap()));
    }
    read.sort();
    written.sort();
    assert_eq!(read, written);
}

#[test]
fn a_closed_shard_is_gone_when_its_retention_is_over() {
    let mut world = World::with(Config::default().limits(Limits::default().expiry(false)));
    world.create("orders", 1);
    world.put("orders", "a", "x");
    world.split("orders", 0, MIDDLE).unwrap();
    world.pass(50);
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    world.pass_hours(23);
    assert_eq!(numbers(&world.shards("orders")), [0, 1, 2]);
    world.pass_hours(2);
    assert_eq!(numbers(&world.shards("orders")), [1, 2]);
    assert_eq!(
        world.shards("orders")[0].parent_shard_id.as_deref(),
        Some("shardId-000000000000"),
        "it stays named"
    );
    assert_eq!(code(world.iterator("orders", 0, ShardPosition::Latest)), ErrorCode::ResourceNotFound);
    assert_eq!(code(world.read(&iterator, None)), ErrorCode::ResourceNotFound);
}
