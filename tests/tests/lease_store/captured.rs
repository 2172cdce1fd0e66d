//! Tables of the Java KCL as captured, made again in the embedded service.

use std::collections::HashMap;
use std::path::PathBuf;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use shardflow_consumer::DynamoDbLeases;
use shardflow_local::{Config, Local};
use shardflow_tests::clients::Place;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// An application of the Java KCL, as it was at some moment.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) app: String,
    /// Lives as long as its tables are wanted.
    _local: Local,
    pub(crate) dynamodb: Client,
}

impl Captured {
    /// The tables of a fixture, such as `java-kcl-3.4.2/10-worker-metrics`.
    pub(crate) async fn new(fixture: &str) -> Self {
        Self::within(Local::new(Config::default()).unwrap(), &read(fixture)).await
    }

    /// The same within a service that has something already.
    pub(crate) async fn within(local: Local, fixture: &Value) -> Self {
        let captured = Self::of(local, fixture["app"].as_str().unwrap());
        for (table, captured_table) in fixture["tables"].as_object().unwrap() {
            if captured_table.is_null() {
                continue;
            }
            captured
                .table(table, captured_table["describe"]["KeySchema"][0]["AttributeName"].as_str().unwrap())
                .await;
            for row in captured_table["scan"].as_array().unwrap() {
                captured.put(table, item(row)).await;
            }
        }
        captured
    }

    /// No tables at all.
    pub(crate) fn empty(app: &str) -> Self {
        Self::of(Local::new(Config::default()).unwrap(), app)
    }

    fn of(local: Local, app: &str) -> Self {
        let dynamodb = Place::inside(&local).dynamodb();
        Self { app: app.to_owned(), _local: local, dynamodb }
    }

    pub(crate) fn leases(&self) -> DynamoDbLeases {
        DynamoDbLeases::new(self.dynamodb.clone(), self.app.parse().unwrap())
    }

    /// Makes a table whose key has that name.
    pub(crate) async fn table(&self, table: &str, key: &str) {
        create(&self.dynamodb, table, key).await;
    }

    pub(crate) async fn put(&self, table: &str, item: Item) {
        self.dynamodb.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    }

    /// The items of the application's table with that ending, by their keys; nothing if there is no such table.
    pub(crate) async fn items(&self, ending: &str) -> Option<HashMap<String, Item>> {
        let key = match ending {
            "-WorkerMetricStats" => "wid",
            "-CoordinatorState" => "key",
            _ => "leaseKey",
        };
        let scan = self.dynamodb.scan().table_name(format!("{}{ending}", self.app)).send().await.ok()?;
        let named = |item: Item| (item[key].as_s().unwrap().clone(), item);
        Some(scan.items.unwrap_or_default().into_iter().map(named).collect())
    }

    pub(crate) async fn tables(&self) -> Vec<String> {
        self.dynamodb.list_tables().send().await.unwrap().table_names.unwrap_or_default()
    }
}

/// Makes a table whose key has that name.
pub(crate) async fn create(dynamodb: &Client, table: &str, key: &str) {
    let attribute = AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash);
    let create = dynamodb.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute.build().unwrap()).key_schema(schema.build().unwrap());
    create.send().await.unwrap();
}

/// A fixture as it was captured.
pub(crate) fn read(fixture: &str) -> Value {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../consumer/tests/fixtures");
    let text = std::fs::read_to_string(folder.join(format!("{fixture}.json")));
    serde_json::from_str(&text.unwrap_or_else(|error| panic!("{fixture}: {error}"))).unwrap()
}

pub(crate) fn item(row: &Value) -> Item {
    row.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |value: &Value| value.as_array().unwrap().clone();
    match kind.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "B" => AttributeValue::B(Blob::new(BASE64_STANDARD.decode(text(value)).unwrap())),
        "SS" => AttributeValue::Ss(list(value).iter().map(text).collect()),
        "L" => AttributeValue::L(list(value).iter().map(attribute).collect()),
        "M" => AttributeValue::M(item(value)),
        other => panic!("{other}"),
    }
}
