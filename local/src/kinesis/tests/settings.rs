//! What can be set on a stream.

use std::collections::BTreeMap;

use super::super::add_tags_to_stream::AddTagsToStreamRequest;
use super::super::enable_enhanced_monitoring::MonitoringRequest;
use super::super::get_resource_policy::ResourcePolicyRequest;
use super::super::increase_stream_retention_period::RetentionRequest;
use super::super::list_tags_for_resource::ListTagsForResourceRequest;
use super::super::list_tags_for_stream::ListTagsForStreamRequest;
use super::super::put_resource_policy::PutResourcePolicyRequest;
use super::super::remove_tags_from_stream::RemoveTagsFromStreamRequest;
use super::super::start_stream_encryption::EncryptionRequest;
use super::super::tag_resource::TagResourceRequest;
use super::super::untag_resource::UntagResourceRequest;
use super::super::update_max_record_size::UpdateMaxRecordSizeRequest;
use super::super::update_stream_mode::UpdateStreamModeRequest;
use super::super::{describe_limits, describe_stream, list_streams};
use super::*;

#[test]
fn retention_goes_up_and_down_within_its_bounds() {
    let mut world = World::new();
    world.create("orders", 1);
    let hours = |retention_period_hours| RetentionRequest { stream: "orders".into(), retention_period_hours };
    world.kinesis.increase_stream_retention_period(world.now, hours(48)).unwrap();
    assert_eq!(world.summary("orders").unwrap().retention_period_hours, 48);
    let now = world.now;
    let kinesis = &mut world.kinesis;
    assert_eq!(code(kinesis.increase_stream_retention_period(now, hours(47))), ErrorCode::InvalidArgument);
    assert_eq!(code(kinesis.increase_stream_retention_period(now, hours(8761))), ErrorCode::InvalidArgument);
    assert_eq!(code(kinesis.decrease_stream_retention_period(now, hours(49))), ErrorCode::InvalidArgument);
    assert_eq!(code(kinesis.decrease_stream_retention_period(now, hours(23))), ErrorCode::InvalidArgument);
    kinesis.decrease_stream_retention_period(now, hours(24)).unwrap();
    assert_eq!(world.summary("orders").unwrap().retention_period_hours, 24);
}

#[test]
fn a_longer_retention_keeps_records() {
    let mut world = World::new();
    world.create("orders", 1);
    let longer = RetentionRequest { stream: "orders".into(), retention_period_hours: 48 };
    world.kinesis.increase_stream_retention_period(world.now, longer).unwrap();
    world.put("orders", "a", "x");
    world.pass_hours(47);
    assert_eq!(world.data_from("orders", 0, ShardPosition::TrimHorizon), ["x"]);
    world.pass_hours(2);
    assert_eq!(world.data_from("orders", 0, ShardPosition::TrimHorizon), Vec::<String>::new());
}

#[test]
fn larger_records_are_taken_when_the_stream_says_so() {
    let mut world = World::unthrottled();
    world.create("orders", 1);
    let size = |max_record_size_in_kib| UpdateMaxRecordSizeRequest {
        stream: "orders".into(),
        max_record_size_in_kib,
    };
    for wrong in [0, 1023, 10_241] {
        assert_eq!(code(world.kinesis.update_max_record_size(world.now, size(wrong))), ErrorCode::Validation);
    }
    world.kinesis.update_max_record_size(world.now, size(2048)).unwrap();
    assert_eq!(world.summary("orders").unwrap().stream_status, StreamStatus::Updating);
    world.pass(50);
    assert!(world.put_all("orders", vec![entry("a", vec![0; 2 << 20])]).is_ok());
    assert_eq!(world.summary("orders").unwrap().max_record_size_in_kib, 2048);
}

#[test]
fn encryption_is_a_flag_that_answers_carry() {
    let mut world = World::new();
    world.create("orders", 1);
    let request = || EncryptionRequest {
        stream: "orders".into(),
        encryption_type: EncryptionType::Kms,
        key_id: "alias/aws/kinesis".into(),
    };
    world.kinesis.start_stream_encryption(world.now, request()).unwrap();
    world.pass(50);
    let summary = world.summary("orders").unwrap();
    assert_eq!((summary.encryption_type, summary.key_id.is_some()), (EncryptionType::Kms, true));
    assert_eq!(world.put_all("orders", vec![entry("a", "x")]).unwrap().encryption, EncryptionType::Kms);
    let iterator = world.iterator("orders", 0, ShardPosition::TrimHorizon).unwrap();
    assert_eq!(world.read(&iterator, None).unwrap().encryption, EncryptionType::Kms);
    world.kinesis.stop_stream_encryption(world.now, request()).unwrap();
    world.pass(50);
    let summary = world.summary("orders").unwrap();
    assert_eq!((summary.encryption_type, summary.key_id), (EncryptionType::None, None));
}

#[test]
fn a_mode_can_change() {
    let mut world = World::new();
    world.create("orders", 1);
    let stream_mode_details = StreamModeDetails { stream_mode: StreamMode::OnDemand };
    let update = UpdateStreamModeRequest { stream: "orders".into(), stream_mode_details };
    world.kinesis.update_stream_mode(world.now, update).unwrap();
    world.pass(50);
    assert_eq!(world.summary("orders").unwrap().stream_mode_details, stream_mode_details);
}

#[test]
fn tags_of_streams_and_consumers_come_and_go() {
    let mut world = World::new();
    world.create("orders", 1);
    let now = world.now;
    let tags = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let add = |tags| AddTagsToStreamRequest { stream: "orders".into(), tags };
    world.kinesis.add_tags_to_stream(now, add(tags(&[("team", "red"), ("cost", "7")]))).unwrap();
    let arn = world.summary("orders").unwrap().stream_arn;
    let tag = TagResourceRequest { resource_arn: arn.clone(), tags: tags(&[("team", "blue")]) };
    world.kinesis.tag_resource(now, tag).unwrap();
    let listed = |world: &mut World| {
        let list = ListTagsForResourceRequest { resource_arn: arn.clone() };
        let answer = world.kinesis.list_tags_for_resource(now, list).unwrap();
        answer.tags.into_iter().map(|tag| (tag.key, tag.value)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(listed(&mut world), tags(&[("cost", "7"), ("team", "blue")]));
    let remove = RemoveTagsFromStreamRequest { stream: "orders".into(), tag_keys: vec!["cost".into()] };
    world.kinesis.remove_tags_from_stream(now, remove).unwrap();
    let untag = UntagResourceRequest { resource_arn: arn.clone(), tag_keys: vec!["none".into()] };
    world.kinesis.untag_resource(now, untag).unwrap();
    assert_eq!(listed(&mut world), tags(&[("team", "blue")]));

    let many = (0..50).map(|i| (i.to_string(), String::new())).collect();
    assert_eq!(code(world.kinesis.add_tags_to_stream(now, add(many))), ErrorCode::InvalidArgument);
    let long = add(tags(&[("k".repeat(129).as_str(), "")]));
    assert_eq!(code(world.kinesis.add_tags_to_stream(now, long)), ErrorCode::Validation);

    let list = ListTagsForStreamRequest { stream: "orders".into(), limit: Some(1), ..Default::default() };
    let answer = world.kinesis.list_tags_for_stream(now, list).unwrap();
    assert_eq!((answer.tags.len(), answer.has_more_tags), (1, false));

    let register = RegisterStreamConsumerRequest {
        stream: "orders".into(),
        consumer_name: "reports".into(),
        tags: Some(tags(&[("a", "b")])),
    };
    let consumer = world.kinesis.register_stream_consumer(now, register).unwrap().consumer_arn().to_owned();
    let list = ListTagsForResourceRequest { resource_arn: consumer };
    assert_eq!(world.kinesis.list_tags_for_resource(now, list).unwrap().tags.len(), 1);
}

#[test]
fn monitoring_is_a_list_of_names() {
    let mut world = World::new();
    world.create("orders", 1);
    let request = |names: &[&str]| MonitoringRequest {
        stream: "orders".into(),
        shard_level_metrics: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let answer = world.kinesis.enable_enhanced_monitoring(world.now, request(&["ALL"])).unwrap();
    assert_eq!((answer.current_shard_level_metrics.len(), answer.desired_shard_level_metrics.len()), (0, 7));
    let answer = world.kinesis.disable_enhanced_monitoring(world.now, request(&["IncomingBytes"])).unwrap();
    assert_eq!(answer.desired_shard_level_metrics.len(), 6);
    assert_eq!(world.summary("orders").unwrap().enhanced_monitoring[0].shard_level_metrics.len(), 6);
    let wrong = world.kinesis.enable_enhanced_monitoring(world.now, request(&["Weather"]));
    assert_eq!(code(wrong), ErrorCode::Validation);
}

#[test]
fn a_policy_is_a_text_that_is_kept() {
    let mut world = World::new();
    world.create("orders", 1);
    let resource_arn = world.summary("orders").unwrap().stream_arn;
    let named = || ResourcePolicyRequest { resource_arn: resource_arn.clone() };
    assert_eq!(code(world.kinesis.get_resource_policy(world.now, named())), ErrorCode::ResourceNotFound);
    let put = PutResourcePolicyRequest { resource_arn: resource_arn.clone(), policy: "{}".into() };
    world.kinesis.put_resource_policy(world.now, put).unwrap();
    assert_eq!(world.kinesis.get_resource_policy(world.now, named()).unwrap().policy, "{}");
    world.kinesis.delete_resource_policy(world.now, named()).unwrap();
    assert_eq!(code(world.kinesis.get_resource_policy(world.now, named())), ErrorCode::ResourceNotFound);
}

#[test]
fn streams_are_listed_in_pages() {
    let mut world = World::new();
    for name in ["c", "a", "b"] {
        world.create(name, 1);
    }
    let mut list = |limit, next_token, exclusive_start_stream_name| {
        let list = list_streams::ListStreamsRequest { limit, exclusive_start_stream_name, next_token };
        world.kinesis.list_streams(world.now, list)
    };
    let first = list(Some(2), None, None).unwrap();
    assert_eq!(first.stream_names, ["a", "b"]);
    assert!(first.has_more_streams && first.stream_summaries.len() == 2);
    let second = list(Some(2), first.next_token, None).unwrap();
    assert_eq!((second.stream_names, second.has_more_streams), (vec!["c".to_owned()], false));
    assert_eq!(list(None, None, Some("a".into())).unwrap().stream_names, ["b", "c"]);
    assert_eq!(code(list(None, Some("AAAA".into()), None)), ErrorCode::InvalidArgument);
}

#[test]
fn a_stream_is_described_with_its_shards_in_pages() {
    let mut world = World::new();
    world.create("orders", 5);
    let mut describe = |limit, exclusive_start_shard_id| {
        let describe = describe_stream::DescribeStreamRequest {
            stream: "orders".into(),
            limit,
            exclusive_start_shard_id,
        };
        world.kinesis.describe_stream(world.now, describe).unwrap().stream_description
    };
    let first = describe(Some(3), None);
    assert_eq!((numbers(&first.shards), first.has_more_shards), (vec![0, 1, 2], true));
    let second = describe(Some(3), first.shards.last().map(|shard| shard.shard_id.clone()));
    assert_eq!((numbers(&second.shards), second.has_more_shards), (vec![3, 4], false));
}

#[test]
fn a_page_is_full_however_much_is_asked_for() {
    let mut world = World::new();
    world.create("orders", 101);
    let describe = describe_stream::DescribeStreamRequest {
        stream: "orders".into(),
        limit: Some(1000),
        exclusive_start_shard_id: None,
    };
    let page = world.kinesis.describe_stream(world.now, describe).unwrap().stream_description;
    assert_eq!((page.shards.len(), page.has_more_shards), (100, true));
}

#[test]
fn limits_tell_what_is_used() {
    let mut world = World::new();
    world.create("orders", 5);
    world.create_on_demand("payments");
    let answer = world.kinesis.describe_limits(world.now, describe_limits::DescribeLimitsRequest {}).unwrap();
    assert_eq!((answer.open_shard_count, answer.on_demand_stream_count), (9, 1));
    assert_eq!(answer.shard_limit, Limits::SHARDS);
}
