//! The lease table: created if it is not there, and left as it is if it is.

use std::num::NonZeroU32;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::operation::update_continuous_backups::UpdateContinuousBackupsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, PointInTimeRecoverySpecification, Projection,
    ProjectionType, ProvisionedThroughput, ScalarAttributeType, TableDescription, TableStatus, Tag,
};
use tokio::time::{Instant, sleep};

use super::leases::store_error;
use crate::StoreError;

/// Whether a lease table that is not there is created.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CreateTable {
    /// It is; and one that lacks the index of KCL 3 gets it.
    #[default]
    IfMissing,
    /// It must be there, and is not looked at: rights to read and write items are enough. Where the index is missing, the
    /// table is scanned instead.
    Never,
}

/// The index by which workers of KCL 3 find their leases. Created with the table it is ready with it; added later, as the
/// KCL does, it takes minutes.
pub(super) const INDEX: &str = "LeaseOwnerToLeaseKeyIndex";

/// What the table is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(super) create: CreateTable,
    /// Whether it is paid by units, not on demand.
    pub(super) provisioned: bool,
    /// Units of reading a second, if so.
    pub(super) read: NonZeroU32,
    /// The same of writing.
    pub(super) write: NonZeroU32,
    pub(super) tags: Vec<(String, String)>,
    pub(super) deletion_protection: bool,
    pub(super) point_in_time_recovery: bool,
    /// Whether rows beside the leases are written into the lease table as soon as the fleet can do with that.
    pub(super) moves: bool,
}

impl Default for Options {
    fn default() -> Self {
        // The KCL's `initialLeaseTableReadCapacity` and `initialLeaseTableWriteCapacity`.
        const UNITS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
        Self {
            create: CreateTable::default(),
            provisioned: false,
            read: UNITS,
            write: UNITS,
            tags: Vec::new(),
            deletion_protection: false,
            point_in_time_recovery: false,
            moves: false,
        }
    }
}

impl Options {
    /// Waits for the table to be usable, after creating it if need be, and tells how large it is.
    pub(super) async fn prepare(&self, dynamodb: &Client, table: &str) -> Result<u64, StoreError> {
        if self.create == CreateTable::Never {
            return Ok(0);
        }
        let deadline = Instant::now() + ACTIVE_WITHIN;
        let mut wait = Duration::ZERO;
        loop {
            let seen = describe(dynamodb, table).await?;
            let Some(description) = seen else {
                // A table that was just created may not be seen at once.
                sleep(wait).await;
                self.create(dynamodb, table).await?;
                wait = longer(wait, deadline, table)?;
                continue;
            };
            check_key(&description)?;
            match description.table_status {
                Some(TableStatus::Active | TableStatus::Updating) => {
                    add_index(dynamodb, table, &description).await;
                    self.recover(dynamodb, table).await?;
                    return Ok(description
                        .table_size_bytes
                        .unwrap_or_default()
                        .try_into()
                        .unwrap_or_default());
                }
                Some(TableStatus::Creating | TableStatus::Deleting) | None => {
                    wait = longer(wait, deadline, table)?;
                    sleep(wait).await;
                }
                Some(status) => {
                    let message = format!("the table {table} is {status}");
                    return Err(StoreError::refused("TableNotActive", message));
                }
            }
        }
    }

    async fn create(&self, dynamodb: &Client, table: &str) -> Result<(), StoreError> {
        let (read, write) = (self.read.get().into(), self.write.get().into());
        let throughput = self.provisioned.then(|| units(read, write)).transpose()?;
        let (key, index) = (key()?, index_key()?);
        let index = GlobalSecondaryIndex::builder()
            .index_name(INDEX)
            .set_key_schema(Some(index))
            .projection(keys_only())
            .set_provisioned_throughput(throughput.clone())
            .build()
            .map_err(unbuilt)?;
        let tags = self.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = tags.collect::<Result<Vec<_>, _>>().map_err(unbuilt)?;
        let mode = if throughput.is_some() { BillingMode::Provisioned } else { BillingMode::PayPerRequest };
        let create = dynamodb
            .create_table()
            .table_name(table)
            .set_attribute_definitions(Some(attributes()?))
            .key_schema(key)
            .global_secondary_indexes(index)
            .billing_mode(mode)
            .set_provisioned_throughput(throughput)
            .set_tags(Some(tags).filter(|tags| !tags.is_empty()))
            .set_deletion_protection_enabled(self.deletion_protection.then_some(true));
        match create.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                // Another worker was faster.
                Some(CreateTableError::ResourceInUseException(_)) => Ok(()),
                _ => Err(store_error(&error)),
            },
        }
    }

    async fn recover(&self, dynamodb: &Client, table: &str) -> Result<(), StoreError> {
        if !self.point_in_time_recovery {
            return Ok(());
        }
        let enabled = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true);
        let enabled = enabled.build().map_err(unbuilt)?;
        let update = dynamodb
            .update_continuous_backups()
            .table_name(table)
            .point_in_time_recovery_specification(enabled);
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.as_service_error() {
                // The table is too new.
                Some(UpdateContinuousBackupsError::ContinuousBackupsUnavailableException(_)) => {
                    StoreError::Throttled(format!("the table {table} takes no point-in-time recovery yet"))
                }
                _ => store_error(&error),
            }),
        }
    }
}

/// As long as the KCL waits for a table.
const ACTIVE_WITHIN: Duration = Duration::from_secs(600);

fn longer(wait: Duration, deadline: Instant, table: &str) -> Result<Duration, StoreError> {
    if deadline <= Instant::now() {
        let message = format!("the table {table} is not there after {} s", ACTIVE_WITHIN.as_secs());
        return Err(StoreError::refused("TableNotActive", message));
    }
    Ok((wait * 2).clamp(Duration::from_millis(100), Duration::from_secs(2)))
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

/// A table of something else must not be filled with leases.
fn check_key(description: &TableDescription) -> Result<(), StoreError> {
    let keys: Vec<_> =
        description.key_schema().iter().map(|key| (key.attribute_name(), key.key_type())).collect();
    let text = description.attribute_definitions().iter().any(|attribute| {
        attribute.attribute_name() == "leaseKey" && *attribute.attribute_type() == ScalarAttributeType::S
    });
    if keys == [("leaseKey", &KeyType::Hash)] && text {
        return Ok(());
    }
    let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
    let message = format!(
        "the key of the table {} is {}, that of a lease table is leaseKey alone, a text",
        description.table_name().unwrap_or_default(),
        names.join(" and ")
    );
    Err(StoreError::refused("NotALeaseTable", message))
}

/// Asks for the index where there is none. Nothing waits for it and nothing fails without: the table is scanned until then.
async fn add_index(dynamodb: &Client, table: &str, description: &TableDescription) {
    let indexes = description.global_secondary_indexes();
    if indexes.iter().any(|index| index.index_name() == Some(INDEX)) {
        return;
    }
    if let Err(error) = create_index(dynamodb, table, description).await {
        tracing::warn!(%error, table, index = INDEX, "the lease table has no index, and will be scanned instead");
    }
}

async fn create_index(
    dynamodb: &Client,
    table: &str,
    description: &TableDescription,
) -> Result<(), StoreError> {
    // The index costs what the table costs. A table that is billed on demand says zero.
    let table_units = description.provisioned_throughput();
    let table_units =
        table_units.and_then(|units| units.read_capacity_units().zip(units.write_capacity_units()));
    let throughput = table_units.filter(|&(read, _)| read > 0).map(|(read, write)| units(read, write));
    let index = CreateGlobalSecondaryIndexAction::builder()
        .index_name(INDEX)
        .set_key_schema(Some(index_key()?))
        .projection(keys_only())
        .set_provisioned_throughput(throughput.transpose()?)
        .build()
        .map_err(unbuilt)?;
    let update = dynamodb
        .update_table()
        .table_name(table)
        .set_attribute_definitions(Some(attributes()?))
        .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(index).build());
    update.send().await.map(drop).map_err(|error| store_error(&error))
}

fn attributes() -> Result<Vec<AttributeDefinition>, StoreError> {
    let attribute = |name| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build().map_err(unbuilt)
    };
    Ok(vec![attribute("leaseKey")?, attribute("leaseOwner")?])
}

fn key() -> Result<KeySchemaElement, StoreError> {
    key_part("leaseKey", KeyType::Hash)
}

fn index_key() -> Result<Vec<KeySchemaElement>, StoreError> {
    Ok(vec![key_part("leaseOwner", KeyType::Hash)?, key_part("leaseKey", KeyType::Range)?])
}

fn key_part(name: &str, kind: KeyType) -> Result<KeySchemaElement, StoreError> {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(unbuilt)
}

fn keys_only() -> Projection {
    Projection::builder().projection_type(ProjectionType::KeysOnly).build()
}

fn units(read: i64, write: i64) -> Result<ProvisionedThroughput, StoreError> {
    let units = ProvisionedThroughput::builder().read_capacity_units(read).write_capacity_units(write);
    units.build().map_err(unbuilt)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn unbuilt(error: BuildError) -> StoreError {
    StoreError::refused("NotSent", error.to_string())
}
