//! Records find their shard, get their number, and are throttled one by one.

use shardflow_core::limits::{
    PUT_RECORDS_BYTES, PUT_RECORDS_ENTRIES, RECORD_BYTES_DEFAULT, RECORD_BYTES_MAX,
};

use super::*;

fn stored(answer: &PutRecordsResponse) -> usize {
    answer.records.len() - answer.failed_record_count()
}

#[test]
fn records_go_to_the_owner_of_their_key_at_every_border() {
    let mut world = World::unthrottled();
    world.create("orders", 7);
    for shard in world.shards("orders") {
        let range = &shard.hash_key_range;
        for border in [&range.starting_hash_key, &range.ending_hash_key] {
            let (owner, _) = world.put_at("orders", border.parse().unwrap(), "x");
            assert_eq!(owner.as_str(), shard.shard_id, "{border}");
        }
    }
    for i in 0..200 {
        let key = format!("key-{i}-é");
        let (owner, _) = world.put("orders", &key, "x");
        let owns = |shard: &ShardDescription| {
            let bound = |text: &str| text.parse::<HashKey>().unwrap();
            let range = &shard.hash_key_range;
            (bound(&range.starting_hash_key)..=bound(&range.ending_hash_key)).contains(&HashKey::of(&key))
        };
        let shards = world.shards("orders");
        assert_eq!(shards.iter().find(|shard| owns(shard)).unwrap().shard_id, owner.as_str());
    }
}

#[test]
fn ranges_are_those_that_aws_makes() {
    let mut world = World::new();
    world.create("orders", 2);
    let shards = world.shards("orders");
    assert_eq!(shards[0].hash_key_range.ending_hash_key, "170141183460469231731687303715884105727");
    assert_eq!(shards[1].hash_key_range.starting_hash_key, "170141183460469231731687303715884105728");
}

#[test]
fn numbers_rise_within_a_shard_and_are_below_its_start_nowhere() {
    let mut world = World::new();
    world.create("orders", 1);
    let start = world.shards("orders")[0].sequence_number_range.starting_sequence_number.clone();
    let mut last = Sequence::parse(&start).unwrap();
    for wait in [0, 0, 1, 999, 1000, 5000] {
        world.pass(wait);
        let (_, sequence) = world.put("orders", "a", "x");
        assert!(sequence > last);
        assert_eq!(sequence.to_string().len(), 56);
        last = sequence;
    }
}

#[test]
fn a_shard_takes_a_thousand_records_a_second() {
    let mut world = World::new();
    world.create("orders", 1);
    let batch = || vec![entry("a", "x"); 500];
    let counts: Vec<_> = (0..3).map(|_| stored(&world.put_all("orders", batch()).unwrap())).collect();
    assert_eq!(counts, [500, 500, 0]);
    world.pass(100);
    let answer = world.put_all("orders", batch()).unwrap();
    assert_eq!(stored(&answer), 100);
    let PutRecordsResult::Failed { code, message } = &answer.records[100] else { panic!("it was stored") };
    assert_eq!(code, "ProvisionedThroughputExceededException");
    assert_eq!(
        message,
        "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000."
    );
    let put = PutRecordRequest {
        stream: "orders".into(),
        record: entry("a", "x"),
        sequence_number_for_ordering: None,
    };
    assert_eq!(code_of(world.kinesis.put_record(world.now, put)), ErrorCode::ProvisionedThroughputExceeded);
}

#[test]
fn a_shard_takes_a_mebibyte_a_second_keys_included() {
    let mut world = World::new();
    world.create("orders", 1);
    let half = || entry("k", vec![0; (1 << 19) - 1]);
    assert_eq!(stored(&world.put_all("orders", vec![half(), half(), half()]).unwrap()), 2);
    assert_eq!(stored(&world.put_all("orders", vec![entry("k", "")]).unwrap()), 0);
    world.pass(500);
    assert_eq!(stored(&world.put_all("orders", vec![half(), half()]).unwrap()), 1);
}

#[test]
fn one_hot_shard_does_not_throttle_its_neighbour() {
    let mut world = World::new();
    world.create("orders", 2);
    let at = |key: HashKey| {
        let mut entry = entry("k", "x");
        entry.explicit_hash_key = Some(key);
        entry
    };
    for _ in 0..2 {
        world.put_all("orders", vec![at(HashKey::MIN); 500]).unwrap();
    }
    let answer = world.put_all("orders", vec![at(HashKey::MIN), at(HashKey::MAX), at(HashKey::MIN)]).unwrap();
    assert!(matches!(answer.records[1], PutRecordsResult::Stored { .. }));
    assert_eq!(answer.failed_record_count(), 2);
}

#[test]
fn a_record_larger_than_a_seconds_worth_passes_a_full_bucket_and_leaves_a_debt() {
    let mut world = World::new();
    world.create_as(CreateStreamRequest {
        stream_name: "orders".into(),
        shard_count: Some(1),
        max_record_size_in_kib: Some(10_240),
        ..Default::default()
    });
    let large = || vec![entry("k", vec![0; 4 << 20])];
    assert_eq!(stored(&world.put_all("orders", large()).unwrap()), 1);
    world.pass(3000);
    assert_eq!(stored(&world.put_all("orders", vec![entry("k", "x")]).unwrap()), 0, "three seconds of debt");
    world.pass(1000);
    assert_eq!(stored(&world.put_all("orders", vec![entry("k", "x")]).unwrap()), 1);
    assert_eq!(stored(&world.put_all("orders", large()).unwrap()), 0, "the bucket is not full");
    world.pass(1000);
    assert_eq!(stored(&world.put_all("orders", large()).unwrap()), 1);
}

#[test]
fn without_limits_nothing_is_throttled() {
    let mut world = World::unthrottled();
    world.create("orders", 1);
    for _ in 0..10 {
        assert_eq!(stored(&world.put_all("orders", vec![entry("a", "x"); 500]).unwrap()), 500);
    }
}

#[test]
fn requests_and_records_have_their_sizes() {
    let mut world = World::unthrottled();
    world.create("orders", 1);
    let mut put = |entries| world.put_all("orders", entries).map(|answer| answer.failed_record_count());
    assert_eq!(code(put(vec![])), ErrorCode::Validation);
    assert_eq!(code(put(vec![entry("a", "x"); 501])), ErrorCode::Validation);
    assert_eq!(put(vec![entry("a", vec![0; RECORD_BYTES_DEFAULT])]), Ok(0));
    assert_eq!(code(put(vec![entry("a", vec![0; RECORD_BYTES_DEFAULT + 1])])), ErrorCode::InvalidArgument);
    assert_eq!(code(put(vec![entry("a", vec![0; (10 << 20) + 1])])), ErrorCode::InvalidArgument);

    let ten = vec![entry("", vec![0; RECORD_BYTES_DEFAULT]); 10];
    let keyed = |extra: usize| {
        let mut ten = ten.clone();
        for entry in &mut ten {
            entry.data = entry.data.slice(1..);
            entry.partition_key = Some("k".parse().unwrap());
        }
        ten[0].data = vec![0; PUT_RECORDS_BYTES / 10 - 1 + extra].into();
        ten
    };
    assert_eq!(put(keyed(0)), Ok(0), "exactly 10 MiB with keys");
    assert_eq!(code(put(keyed(1))), ErrorCode::InvalidArgument);
}

#[test]
fn without_sizes_requests_and_records_are_as_large_as_they_like() {
    let mut world = World::with(Config::default().limits(Limits::unthrottled().sizes(false)));
    world.create("orders", 1);
    let mut put = |entries| world.put_all("orders", entries).map(|answer| answer.failed_record_count());
    assert_eq!(put(vec![entry("a", "x"); PUT_RECORDS_ENTRIES + 1]), Ok(0));
    assert_eq!(put(vec![entry("a", vec![0; RECORD_BYTES_MAX + 1])]), Ok(0), "more than a request may have");
    assert_eq!(code(put(vec![])), ErrorCode::Validation, "nothing at all is no matter of size");
    assert_eq!(code(put(vec![entry(&"k".repeat(257), "x")])), ErrorCode::Validation, "nor is a key");
}

#[test]
fn keys_have_their_length_in_characters() {
    let mut world = World::new();
    world.create("orders", 1);
    let mut put = |key: &str| world.put_all("orders", vec![entry(key, "x")]).map(|_| ());
    assert_eq!(code(put("")), ErrorCode::Validation);
    assert_eq!(put(&"é".repeat(256)), Ok(()));
    assert_eq!(code(put(&"é".repeat(257))), ErrorCode::Validation);
    let mut keyless = entry("k", "x");
    keyless.partition_key = None;
    assert_eq!(code(world.put_all("orders", vec![keyless])), ErrorCode::Validation);
}

#[test]
fn one_wrong_record_fails_the_request_and_stores_nothing() {
    let mut world = World::new();
    world.create("orders", 1);
    let mixed = vec![entry("a", "x"), entry("", "x")];
    assert_eq!(code(world.put_all("orders", mixed)), ErrorCode::Validation);
    assert_eq!(world.data_from("orders", 0, ShardPosition::TrimHorizon), Vec::<String>::new());
}

#[test]
fn ordering_by_a_number_takes_numbers_only() {
    let mut world = World::new();
    world.create("orders", 1);
    let (_, first) = world.put("orders", "a", "x");
    let mut put = |after: String| {
        let put = PutRecordRequest {
            stream: "orders".into(),
            record: entry("a", "x"),
            sequence_number_for_ordering: Some(after),
        };
        world.kinesis.put_record(world.now, put)
    };
    let second = put(first.to_string()).unwrap();
    assert!(Sequence::parse(&second.sequence_number).unwrap() > first);
    assert_eq!(code(put("LATEST".into())), ErrorCode::InvalidArgument);
    let future = Sequence::new(1_700_000_000, 0, 1, 1_800_000_000);
    assert_eq!(code(put(future.to_string())), ErrorCode::InvalidArgument);
}

#[test]
fn a_stream_that_distributes_by_itself_spreads_records_and_needs_no_key() {
    let mut world = World::new();
    world.create_on_demand("orders");
    let update = |record_distribution_strategy| UpdateStreamRecordDistributionStrategyRequest {
        stream: "orders".into(),
        record_distribution_strategy,
    };
    let auto = update(RecordDistributionStrategy::Auto);
    world.kinesis.update_stream_record_distribution_strategy(world.now, auto).unwrap();
    world.pass(50);
    assert_eq!(
        world.summary("orders").unwrap().record_distribution_strategy,
        RecordDistributionStrategy::Auto
    );

    let same_key: Vec<_> = (0..8).map(|_| world.put_at("orders", HashKey::MIN, "x").0).collect();
    for shard in 0..4 {
        assert_eq!(same_key.iter().filter(|id| **id == ShardId::numbered(shard)).count(), 2);
    }
    let mut keyless = entry("k", "no key");
    keyless.partition_key = None;
    let (shard, _) = world.put_entry("orders", keyless);
    let iterator = world.iterator("orders", number(shard.as_str()), ShardPosition::TrimHorizon).unwrap();
    let answer = world.read(&iterator, None).unwrap();
    assert_eq!(answer.records.last().unwrap().partition_key, None);
    assert!(answer.records[0].partition_key.is_some(), "a key that was given is kept");
}

#[test]
fn a_provisioned_stream_does_not_distribute_by_itself() {
    let mut world = World::new();
    let create = CreateStreamRequest {
        stream_name: "orders".into(),
        shard_count: Some(1),
        record_distribution_strategy: Some(RecordDistributionStrategy::Auto),
        ..Default::default()
    };
    assert_eq!(code(world.kinesis.create_stream(world.now, create)), ErrorCode::InvalidArgument);
}

fn code_of(result: Result<PutRecordResponse, KinesisError>) -> ErrorCode {
    code(result)
}
