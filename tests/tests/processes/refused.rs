//! Workers that must not work: one under another's name, and one on a table of a KCL 2.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use shardflow_tests::application::shard;
use shardflow_tests::clients::Place;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_workers_with_one_name_the_later_ends_and_the_first_goes_on() {
    let mut fleet = Fleet::new(4).await;
    fleet.start_as("first", "a", &[]);
    fleet.shared(&["first"]).await;
    fleet.feed = 2;
    fleet.account().shares_a_name = true;
    fleet.start_as("later", "a", &[]);
    let status = fleet.ended("later").await;
    assert!(!status.success());
    fleet.account().dead("later");
    fleet.until("it says why", |account| account.said("later", "failed").next().is_some()).await;
    let why = fleet.account().said("later", "failed").next().unwrap().more.clone();
    assert!(why.starts_with("refused with DuplicateWorkerId: "), "{why}");
    fleet.put(500);
    fleet.shared(&["first"]).await;
    fleet.processed().await;
    fleet.end(&[]).await;
}

type Item = HashMap<String, AttributeValue>;

/// A lease as a KCL 2 writes it: without a word of who its owner is, and of the version.
fn lease_of_kcl_2(number: u32, counter: u32) -> Item {
    let number_of = |number: u32| AttributeValue::N(number.to_string());
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item = [
        ("leaseKey", text(shard(number).as_str())),
        ("leaseOwner", text("of-kcl-2")),
        ("leaseCounter", number_of(counter)),
        ("checkpoint", text("TRIM_HORIZON")),
        ("checkpointSubSequenceNumber", number_of(0)),
        ("ownerSwitchesSinceCheckpoint", number_of(0)),
    ];
    item.map(|(name, value)| (name.to_owned(), value)).into()
}

async fn items(dynamodb: &aws_sdk_dynamodb::Client) -> Vec<Item> {
    let scan = dynamodb.scan().table_name("billing").consistent_read(true).send().await.unwrap();
    let mut items = scan.items.unwrap();
    items.sort_by_key(|item| item["leaseKey"].as_s().unwrap().clone());
    items.iter_mut().for_each(|item| drop(item.remove("leaseCounter")));
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_a_kcl_2_works_on_is_refused_and_left_as_it_is() {
    let mut fleet = Fleet::new(2).await;
    let dynamodb = Place::inside(&fleet.local).dynamodb();
    let key =
        AttributeDefinition::builder().attribute_name("leaseKey").attribute_type(ScalarAttributeType::S);
    let hash = KeySchemaElement::builder().attribute_name("leaseKey").key_type(KeyType::Hash);
    let create = dynamodb
        .create_table()
        .table_name("billing")
        .attribute_definitions(key.build().unwrap())
        .key_schema(hash.build().unwrap())
        .billing_mode(BillingMode::PayPerRequest);
    create.send().await.unwrap();
    for number in 0..2 {
        let item = Some(lease_of_kcl_2(number, 1));
        dynamodb.put_item().table_name("billing").set_item(item).send().await.unwrap();
    }
    let before = items(&dynamodb).await;
    let mut kcl_2 = JoinSet::new();
    let renewing = dynamodb.clone();
    kcl_2.spawn(async move {
        loop {
            for number in 0..2 {
                let renewal = renewing
                    .update_item()
                    .table_name("billing")
                    .key("leaseKey", AttributeValue::S(shard(number).to_string()))
                    .update_expression("ADD leaseCounter :one")
                    .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
                renewal.send().await.unwrap();
            }
            sleep(Duration::from_millis(50)).await;
        }
    });

    fleet.start("a");
    let status = fleet.ended("a").await;
    assert!(!status.success());
    fleet.until("it says why", |account| account.said("a", "failed").next().is_some()).await;
    let why = fleet.account().said("a", "failed").next().unwrap().more.clone();
    assert!(why.starts_with("refused with TableInUseByKcl2: "), "{why}");
    kcl_2.shutdown().await;
    assert_eq!(items(&dynamodb).await, before);
    assert_eq!(fleet.account().said("a", "began").count(), 0);
    fleet.end(&[]).await;
}
