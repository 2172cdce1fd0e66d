//! Registered consumers come, are listed, and go.

use super::super::consumer::ConsumerStatus;
use super::super::describe_stream_consumer::ConsumerRef;
use super::super::list_stream_consumers::ListStreamConsumersRequest;
use super::*;

fn register(world: &mut World, name: &str) -> Result<String, KinesisError> {
    let register =
        RegisterStreamConsumerRequest { stream: "orders".into(), consumer_name: name.into(), tags: None };
    let answer = world.kinesis.register_stream_consumer(world.now, register)?;
    Ok(answer.consumer_arn().to_owned())
}

fn by_arn(arn: &str) -> ConsumerRef {
    ConsumerRef { consumer_arn: Some(arn.into()), ..Default::default() }
}

#[test]
fn a_consumer_is_creating_active_deleting_gone() {
    let mut world = World::new();
    world.create("orders", 1);
    let arn = register(&mut world, "reports").unwrap();
    assert_eq!(arn, "arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/reports:1700000000");
    let status = |world: &mut World| {
        let answer = world.kinesis.describe_stream_consumer(world.now, by_arn(&arn))?;
        Ok::<_, KinesisError>(answer.consumer_description.consumer_status)
    };
    assert_eq!(status(&mut world), Ok(ConsumerStatus::Creating));
    world.pass(50);
    assert_eq!(status(&mut world), Ok(ConsumerStatus::Active));
    world.kinesis.deregister_stream_consumer(world.now, by_arn(&arn)).unwrap();
    assert_eq!(status(&mut world), Ok(ConsumerStatus::Deleting));
    assert_eq!(code(register(&mut world, "reports")), ErrorCode::ResourceInUse);
    world.pass(50);
    assert_eq!(code(status(&mut world)), ErrorCode::ResourceNotFound);
    let again = register(&mut world, "reports").unwrap();
    assert_ne!(again, "", "the name is free again");
}

#[test]
fn a_consumer_is_found_by_its_name_and_its_streams_arn() {
    let mut world = World::new();
    world.create("orders", 1);
    register(&mut world, "reports").unwrap();
    let stream_arn = world.summary("orders").unwrap().stream_arn;
    let named = |name: &str| ConsumerRef {
        consumer_name: Some(name.into()),
        stream_arn: Some(stream_arn.clone()),
        consumer_arn: None,
    };
    let found = world.kinesis.describe_stream_consumer(world.now, named("reports")).unwrap();
    assert_eq!(found.consumer_description.stream_arn.as_deref(), Some(stream_arn.as_str()));
    let missing = world.kinesis.describe_stream_consumer(world.now, named("other"));
    assert_eq!(code(missing), ErrorCode::ResourceNotFound);
    let unnamed = world.kinesis.describe_stream_consumer(world.now, ConsumerRef::default());
    assert_eq!(code(unnamed), ErrorCode::InvalidArgument);
    let stale = world.kinesis.describe_stream_consumer(
        world.now,
        by_arn("arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/reports:1600000000"),
    );
    assert_eq!(code(stale), ErrorCode::ResourceNotFound);
    let no_arn = world.kinesis.describe_stream_consumer(world.now, by_arn("reports"));
    assert_eq!(code(no_arn), ErrorCode::Validation);
}

#[test]
fn a_stream_has_twenty_consumers_at_most_and_lists_them_in_pages() {
    let mut world = World::new();
    world.create("orders", 1);
    for i in 0..20 {
        register(&mut world, &format!("c{i:02}")).unwrap();
    }
    assert_eq!(code(register(&mut world, "c20")), ErrorCode::LimitExceeded);
    assert_eq!(code(register(&mut world, "a b")), ErrorCode::Validation);
    assert_eq!(world.summary("orders").unwrap().consumer_count, 20);
    let mut names = Vec::new();
    let mut next_token = None;
    for expected in [8, 8, 4] {
        let list = ListStreamConsumersRequest { stream: "orders".into(), next_token, max_results: Some(8) };
        let page = world.kinesis.list_stream_consumers(world.now, list).unwrap();
        assert_eq!(page.consumers.len(), expected);
        names.extend(page.consumers.into_iter().map(|consumer| consumer.consumer_name));
        next_token = page.next_token;
    }
    assert_eq!(next_token, None);
    assert!(names.is_sorted() && names.len() == 20);
}
