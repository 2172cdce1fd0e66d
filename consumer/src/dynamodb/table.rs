//! The table, created if it is not there.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableDescription, TableStatus,
};

use super::leases::store_error;
use crate::StoreError;

/// The index by which workers of KCL 3 find their leases. Created with the table it is ready with it; added later, as the
/// KCL does, it takes minutes.
pub(super) const INDEX: &str = "LeaseOwnerToLeaseKeyIndex";

/// Waits for the table to be usable, after creating it if need be. The caller bounds the time.
pub(super) async fn prepare(dynamodb: &Client, table: &str) -> Result<(), StoreError> {
    loop {
        match describe(dynamodb, table).await? {
            None => create(dynamodb, table).await?,
            Some(description) => {
                check_key(&description)?;
                match description.table_status {
                    Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
                    _ => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            }
        }
    }
}

async fn describe(dynamodb: &Client, table: &str) -> Result<Option<TableDescription>, StoreError> {
    match dynamodb.describe_table().table_name(table).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) => match error.as_service_error() {
            Some(DescribeTableError::ResourceNotFoundException(_)) => Ok(None),
            _ => Err(store_error(&error)),
        },
    }
}

async fn create(dynamodb: &Client, table: &str) -> Result<(), StoreError> {
    let built =
        |error: BuildError| StoreError::Refused { code: "NotSent".into(), message: error.to_string() };
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let index = GlobalSecondaryIndex::builder()
        .index_name(INDEX)
        .key_schema(key("leaseOwner", KeyType::Hash).map_err(built)?)
        .key_schema(key("leaseKey", KeyType::Range).map_err(built)?)
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .map_err(built)?;
    let create = dynamodb
        .create_table()
        .table_name(table)
        .attribute_definitions(attribute("leaseKey").map_err(built)?)
        .attribute_definitions(attribute("leaseOwner").map_err(built)?)
        .key_schema(key("leaseKey", KeyType::Hash).map_err(built)?)
        .global_secondary_indexes(index)
        .billing_mode(BillingMode::PayPerRequest);
    match create.send().await {
        Ok(_) => Ok(()),
        Err(error) => match error.as_service_error() {
            // Another worker was faster.
            Some(CreateTableError::ResourceInUseException(_)) => Ok(()),
            _ => Err(store_error(&error)),
        },
    }
}

/// A table of something else must not be filled with leases.
fn check_key(description: &TableDescription) -> Result<(), StoreError> {
    let key: Vec<_> =
        description.key_schema().iter().map(|key| (key.attribute_name(), key.key_type())).collect();
    if key == [("leaseKey", &KeyType::Hash)] {
        return Ok(());
    }
    let names: Vec<_> = key.iter().map(|(name, _)| *name).collect();
    let message = format!("its key is {}, that of a lease table is leaseKey alone", names.join(" and "));
    Err(StoreError::Refused { code: "NotALeaseTable".into(), message })
}
