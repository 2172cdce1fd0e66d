//! ListShards: filters and pages.

use super::*;

/// A shard that was split and whose children were merged, five seconds apart: when it was born, split and merged.
fn history() -> (World, [SystemTime; 3]) {
    let mut world = World::with(Config::default().transition(Duration::ZERO));
    let born = world.now;
    world.create("orders", 1);
    world.now = born + Duration::from_secs(5);
    let split = world.now;
    world.split("orders", 0, MIDDLE).unwrap();
    world.now = born + Duration::from_secs(10);
    let merged = world.now;
    world.merge("orders", 1, 2).unwrap();
    world.now = born + Duration::from_secs(15);
    (world, [born, split, merged])
}

fn filtered(world: &mut World, filter: ShardFilter) -> Vec<u64> {
    let list =
        ListShardsRequest { stream: "orders".into(), shard_filter: Some(filter), ..Default::default() };
    numbers(&world.kinesis.list_shards(world.now, list).unwrap().shards)
}

fn plain(kind: ShardFilterType) -> ShardFilter {
    ShardFilter { r#type: kind, shard_id: None, timestamp: None }
}

fn timed(kind: ShardFilterType, time: SystemTime) -> ShardFilter {
    ShardFilter { r#type: kind, shard_id: None, timestamp: Some(time) }
}

#[test]
fn each_filter_gives_its_shards() {
    let (mut world, [born, split, merged]) = history();
    let moment = Duration::from_millis(1);
    let cases = [
        (plain(ShardFilterType::AtLatest), vec![3]),
        (plain(ShardFilterType::AtTrimHorizon), vec![0]),
        (plain(ShardFilterType::FromTrimHorizon), vec![0, 1, 2, 3]),
        (timed(ShardFilterType::AtTimestamp, born - moment), vec![0]),
        (timed(ShardFilterType::AtTimestamp, split - moment), vec![0]),
        (timed(ShardFilterType::AtTimestamp, split), vec![1, 2]),
        (timed(ShardFilterType::AtTimestamp, merged - moment), vec![1, 2]),
        (timed(ShardFilterType::AtTimestamp, merged), vec![3]),
        (timed(ShardFilterType::FromTimestamp, born), vec![0, 1, 2, 3]),
        (timed(ShardFilterType::FromTimestamp, split + moment), vec![1, 2, 3]),
        (timed(ShardFilterType::FromTimestamp, merged + moment), vec![3]),
    ];
    for (filter, expected) in cases {
        assert_eq!(filtered(&mut world, filter.clone()), expected, "{filter:?}");
    }
    let after = ShardFilter {
        shard_id: Some(ShardId::numbered(1).to_string()),
        ..plain(ShardFilterType::AfterShardId)
    };
    assert_eq!(filtered(&mut world, after), [2, 3]);
}

#[test]
fn the_horizon_moves_with_retention() {
    let (mut world, [_, split, _]) = history();
    world.now = split + Duration::from_secs(24 * 3600);
    assert_eq!(filtered(&mut world, plain(ShardFilterType::AtTrimHorizon)), [1, 2]);
    assert_eq!(filtered(&mut world, plain(ShardFilterType::FromTrimHorizon)), [0, 1, 2, 3]);
    world.pass(1);
    assert_eq!(filtered(&mut world, plain(ShardFilterType::FromTrimHorizon)), [1, 2, 3]);
    world.pass_hours(24);
    assert_eq!(filtered(&mut world, plain(ShardFilterType::AtTrimHorizon)), [3]);
    assert_eq!(filtered(&mut world, plain(ShardFilterType::FromTrimHorizon)), [3]);
}

#[test]
fn a_filter_without_its_argument_is_refused() {
    let (mut world, _) = history();
    for kind in [ShardFilterType::AtTimestamp, ShardFilterType::FromTimestamp, ShardFilterType::AfterShardId]
    {
        let list = ListShardsRequest {
            stream: "orders".into(),
            shard_filter: Some(plain(kind)),
            ..Default::default()
        };
        assert_eq!(code(world.kinesis.list_shards(world.now, list)), ErrorCode::InvalidArgument, "{kind:?}");
    }
}

#[test]
fn pages_carry_stream_and_filter() {
    let mut world = World::new();
    world.create("orders", 12);
    world.resize("orders", 6).unwrap();
    world.pass(50);
    let first = ListShardsRequest {
        stream: "orders".into(),
        shard_filter: Some(plain(ShardFilterType::AtLatest)),
        max_results: Some(4),
        ..Default::default()
    };
    let page = world.kinesis.list_shards(world.now, first).unwrap();
    assert_eq!(numbers(&page.shards), [12, 13, 14, 15]);
    let next = ListShardsRequest { next_token: page.next_token, max_results: Some(4), ..Default::default() };
    let page = world.kinesis.list_shards(world.now, next).unwrap();
    assert_eq!(numbers(&page.shards), [16, 17]);
    assert_eq!(page.next_token, None);
}

#[test]
fn a_full_last_page_has_no_token_and_a_page_holds_a_thousand() {
    let mut world = World::new();
    world.create("orders", 2001);
    let mut token = None;
    let mut pages = Vec::new();
    loop {
        let stream = if token.is_none() { "orders".into() } else { StreamRef::default() };
        let list = ListShardsRequest { stream, next_token: token, ..Default::default() };
        let page = world.kinesis.list_shards(world.now, list).unwrap();
        pages.push(page.shards.len());
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, [1000, 1000, 1]);
    let list = ListShardsRequest { stream: "orders".into(), max_results: Some(2001), ..Default::default() };
    let page = world.kinesis.list_shards(world.now, list).unwrap();
    assert_eq!(page.shards.len(), 1000, "however many are asked for");
    assert!(page.next_token.is_some());
}

#[test]
fn a_start_leaves_out_what_is_before() {
    let mut world = World::new();
    world.create("orders", 5);
    let list = ListShardsRequest {
        stream: "orders".into(),
        exclusive_start_shard_id: Some(ShardId::numbered(2).to_string()),
        ..Default::default()
    };
    assert_eq!(numbers(&world.kinesis.list_shards(world.now, list).unwrap().shards), [3, 4]);
}

#[test]
fn tokens_come_alone_are_ours_and_age() {
    let mut world = World::new();
    world.create("orders", 5);
    let list = ListShardsRequest { stream: "orders".into(), max_results: Some(2), ..Default::default() };
    let token = world.kinesis.list_shards(world.now, list).unwrap().next_token;
    assert!(token.is_some());
    let with_stream =
        ListShardsRequest { stream: "orders".into(), next_token: token.clone(), ..Default::default() };
    assert_eq!(code(world.kinesis.list_shards(world.now, with_stream)), ErrorCode::InvalidArgument);
    let garbage = ListShardsRequest { next_token: Some("AAAA".into()), ..Default::default() };
    assert_eq!(code(world.kinesis.list_shards(world.now, garbage)), ErrorCode::InvalidArgument);
    let next = || ListShardsRequest { next_token: token.clone(), ..Default::default() };
    world.pass(300_000);
    assert!(world.kinesis.list_shards(world.now, next()).is_ok());
    world.pass(1);
    assert_eq!(code(world.kinesis.list_shards(world.now, next())), ErrorCode::ExpiredNextToken);
}

#[test]
fn sizes_of_pages_have_bounds() {
    let mut world = World::new();
    world.create("orders", 1);
    for size in [0, 10_001] {
        let list =
            ListShardsRequest { stream: "orders".into(), max_results: Some(size), ..Default::default() };
        assert_eq!(code(world.kinesis.list_shards(world.now, list)), ErrorCode::Validation);
    }
    assert_eq!(
        code(world.kinesis.list_shards(world.now, ListShardsRequest::default())),
        ErrorCode::InvalidArgument
    );
}
