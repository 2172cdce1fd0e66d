//! GetRecords: order, pages, how far behind, throttles and retention.

use super::*;

#[test]
fn pages_follow_each_other_without_gap_or_repeat() {
    let mut world = World::unthrottled();
    world.create("orders", 1);
    for i in 0..25 {
        world.put("orders", "a", &i.to_string());
    }
    let mut iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    let mut seen = Vec::new();
    let mut pages = Vec::new();
    for _ in 0..4 {
        let answer = world.read(&iterator, Some(10)).unwrap();
        pages.push(answer.records.len());
        seen.extend(data(&answer));
        iterator = answer.next_shard_iterator.unwrap();
    }
    assert_eq!(pages, [10, 10, 5, 0]);
    assert_eq!(seen, (0..25).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[test]
fn an_iterator_can_be_used_again() {
    let mut world = World::new();
    world.create("orders", 1);
    world.put("orders", "a", "x");
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    let once = world.read(&iterator, None).unwrap();
    assert_eq!(world.read(&iterator, None).unwrap().records, once.records);
}

#[test]
fn behind_is_the_age_of_what_is_left() {
    let mut world = World::new();
    world.create("orders", 1);
    world.put("orders", "a", "0");
    world.pass(1000);
    world.put("orders", "a", "1");
    world.pass(500);
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    assert_eq!(world.read(&iterator, Some(1)).unwrap().millis_behind_latest, 500);
    assert_eq!(world.read(&iterator, Some(2)).unwrap().millis_behind_latest, 0);
    world.put("orders", "a", "2");
    assert_eq!(world.read(&iterator, Some(2)).unwrap().millis_behind_latest, 1, "0 would mean: nothing left");
}

#[test]
fn an_answer_holds_ten_mebibytes_but_the_first_record_whatever_its_size() {
    let mut world = World::unthrottled();
    world.create_as(CreateStreamRequest {
        stream_name: "orders".into(),
        shard_count: Some(1),
        max_record_size_in_kib: Some(10_240),
        ..Default::default()
    });
    world.put_all("orders", vec![entry("k", vec![0; (10 << 20) - 1])]).unwrap();
    for _ in 0..14 {
        world.put_all("orders", vec![entry("k", vec![0; 1_000_000])]).unwrap();
    }
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    let first = world.read(&iterator, None).unwrap();
    assert_eq!(first.records.len(), 1);
    assert!(first.millis_behind_latest > 0);
    let second = world.read(&first.next_shard_iterator.unwrap(), None).unwrap();
    assert_eq!(second.records.len(), 10);
    assert!(second.records.iter().map(|record| record.data.len() + 1).sum::<usize>() <= 10 << 20);
}

#[test]
fn an_answer_holds_ten_thousand_records() {
    let mut world = World::unthrottled();
    world.create("orders", 1);
    for _ in 0..21 {
        world.put_all("orders", vec![entry("k", ""); 500]).unwrap();
    }
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    assert_eq!(world.read(&iterator, None).unwrap().records.len(), 10_000);
    assert_eq!(code(world.read(&iterator, Some(10_001))), ErrorCode::Validation);
    assert_eq!(code(world.read(&iterator, Some(0))), ErrorCode::Validation);
}

#[test]
fn a_shard_answers_five_reads_a_second() {
    let mut world = World::new();
    world.create("orders", 2);
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    let answered = |world: &mut World| (0..12).filter(|_| world.read(&iterator, None).is_ok()).count();
    assert_eq!(answered(&mut world), 5);
    assert_eq!(code(world.read(&iterator, None)), ErrorCode::ProvisionedThroughputExceeded);
    world.pass(200);
    assert_eq!(answered(&mut world), 1);
    world.pass(1000);
    assert_eq!(answered(&mut world), 5);
    let other = world.iterator("orders", 1, ShardPosition::TrimHorizon).unwrap();
    assert!(world.read(&other, None).is_ok(), "each shard by itself");
}

#[test]
fn a_shard_gives_two_mebibytes_a_second_and_a_large_answer_is_paid_for_afterwards() {
    let limits = Limits::default().writes(false);
    let mut world = World::with(Config::default().limits(limits));
    world.create("orders", 1);
    for _ in 0..10 {
        world.put_all("orders", vec![entry("k", vec![0; (1 << 20) - 1])]).unwrap();
    }
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    assert_eq!(world.read(&iterator, None).unwrap().records.len(), 10);
    // Ten mebibytes were given, two were there: eight are owed, two for each second.
    world.pass(4000);
    assert_eq!(code(world.read(&iterator, Some(1))), ErrorCode::ProvisionedThroughputExceeded);
    world.pass(1);
    assert!(world.read(&iterator, Some(1)).is_ok());
}

#[test]
fn what_left_retention_is_gone_and_the_rest_keeps_its_place() {
    let mut world = World::new();
    world.create("orders", 1);
    let (_, old) = world.put("orders", "a", "old");
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    world.pass_hours(23);
    let (_, new) = world.put("orders", "a", "new");
    assert_eq!(world.data_from("orders", 0, ShardPosition::TrimHorizon), ["old", "new"]);
    world.pass_hours(2);
    assert_eq!(world.data_from("orders", 0, ShardPosition::TrimHorizon), ["new"]);
    assert_eq!(world.data_from("orders", 0, ShardPosition::AtSequenceNumber(old.into())), ["new"]);
    assert_eq!(
        world.data_from("orders", 0, ShardPosition::AfterSequenceNumber(new.into())),
        Vec::<String>::new()
    );
    assert_eq!(code(world.read(&iterator, None)), ErrorCode::ExpiredIterator);
}
