//! Tables: creating, changing, describing and deleting them, as lease tables are.

use aws_sdk_dynamodb::types::{
    BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex, GlobalSecondaryIndexUpdate,
    IndexStatus, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, Projection, ProjectionType,
    ProvisionedThroughput, Tag, TimeToLiveSpecification, TimeToLiveStatus,
};

use super::Context;
use super::harness::{Table, ensure, refused, same, told, topic};

topic! { "dynamodb tables", DynamoDb;
    "an on-demand table is created and becomes ACTIVE" => on_demand,
    "a provisioned table has the throughput that was asked for" => provisioned,
    "a table is not created under a name that is taken" => name_taken,
    "a table can be created with a range key and an index" => with_index,
    "an index can be added to a table that has items" => index_added,
    "an index is not added twice" => index_twice,
    "a table is listed until it is deleted" => listed,
    "a table that is deleted is gone" => deleted,
    "a table that does not exist is neither described nor deleted" => missing,
    "a table that is protected from deletion is not deleted" => protected,
    "a time to live can be switched on" => time_to_live,
    "continuous backups can be switched on" => backups,
    "a table keeps the tags that it was created with" => tags,
    "tags can be added and removed" => tags_changed,
}

async fn on_demand(context: &Context) -> Result<(), String> {
    let described = context.table().await?.describe().await?;
    let mode = described.billing_mode_summary().and_then(|summary| summary.billing_mode());
    same("billing mode", mode, Some(&BillingMode::PayPerRequest))?;
    let keys: Vec<_> = described.key_schema().iter().map(|key| key.attribute_name()).collect();
    same("keys", keys, ["leaseKey"])?;
    ensure!(described.table_arn().is_some_and(|arn| arn.contains(":table/")), "no ARN");
    ensure!(described.creation_date_time().is_some(), "no time of creation");
    same("items", described.item_count(), Some(0))
}

async fn provisioned(context: &Context) -> Result<(), String> {
    let throughput =
        ProvisionedThroughput::builder().read_capacity_units(10).write_capacity_units(20).build();
    let throughput = throughput.map_err(|error| error.to_string())?;
    let table = context.table_with(|create| create.provisioned_throughput(throughput)).await?;
    let described = table.describe().await?;
    let throughput = described.provisioned_throughput().ok_or("no throughput")?;
    let units = (throughput.read_capacity_units(), throughput.write_capacity_units());
    same("read and write units", units, (Some(10), Some(20)))
}

async fn name_taken(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let create = context.dynamodb.create_table().table_name(&table.name).key_schema(Table::hash("leaseKey"));
    let create =
        create.attribute_definitions(Table::string("leaseKey")).billing_mode(BillingMode::PayPerRequest);
    refused(create.send().await, &["ResourceInUseException"]).map(drop)
}

async fn with_index(context: &Context) -> Result<(), String> {
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-owner")
        .key_schema(Table::hash("leaseOwner"))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .map_err(|error| error.to_string())?;
    let name = context.table_name();
    let create = context.dynamodb.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    let create = create.key_schema(Table::hash("stream")).key_schema(Table::range("shard"));
    let names = ["stream", "shard", "leaseOwner"].map(Table::string).to_vec();
    let create = create.set_attribute_definitions(Some(names)).global_secondary_indexes(index);
    create.send().await.map_err(told)?;
    let described = Table { context, name }.active().await?;
    same("keys", described.key_schema().len(), 2)?;
    same("attributes", described.attribute_definitions().len(), 3)?;
    same("indexes", described.global_secondary_indexes().len(), 1)
}

async fn index_added(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.fill(20).await?;
    add_index(&table).await?;
    let described = table.active().await?;
    let [index] = described.global_secondary_indexes() else { return Err("not one index".to_owned()) };
    same("name", index.index_name(), Some("LeaseOwnerToLeaseKeyIndex"))?;
    same("status", index.index_status(), Some(&IndexStatus::Active))?;
    let query = context.dynamodb.query().table_name(&table.name).index_name("LeaseOwnerToLeaseKeyIndex");
    let query = query.key_condition_expression("leaseOwner = :owner");
    let query = query.expression_attribute_values(":owner", super::harness::text("w2"));
    let answer = query.send().await.map_err(told)?;
    same("items of one of four owners", answer.count(), 5)?;
    let item = answer.items().first().ok_or("no item")?;
    ensure!(
        item.contains_key("leaseKey") && !item.contains_key("pad"),
        "not the keys alone: {:?}",
        item.keys()
    );
    Ok(())
}

async fn index_twice(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    add_index(&table).await?;
    table.active().await?;
    let again = add_index(&table).await;
    let refused = again.as_ref().is_err_and(|why| why.contains("ValidationException"));
    ensure!(refused, "the second time: {again:?}");
    Ok(())
}

/// Adds the index that KCL 3 finds a worker's leases by.
async fn add_index(table: &Table<'_>) -> Result<(), String> {
    let create = CreateGlobalSecondaryIndexAction::builder()
        .index_name("LeaseOwnerToLeaseKeyIndex")
        .key_schema(Table::hash("leaseOwner"))
        .key_schema(Table::range("leaseKey"))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .map_err(|error| error.to_string())?;
    let update = table.context.dynamodb.update_table().table_name(&table.name);
    let update = update.attribute_definitions(Table::string("leaseKey"));
    let update = update.attribute_definitions(Table::string("leaseOwner"));
    let update =
        update.global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(create).build());
    update.send().await.map(drop).map_err(told)
}

async fn listed(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let listed = async || {
        let (mut names, mut from) = (Vec::new(), None);
        loop {
            let list = context.dynamodb.list_tables().limit(2).set_exclusive_start_table_name(from);
            let page = list.send().await.map_err(told)?;
            names.extend(page.table_names.unwrap_or_default());
            from = page.last_evaluated_table_name;
            if from.is_none() {
                return Ok::<_, String>(names);
            }
        }
    };
    ensure!(listed().await?.contains(&table.name), "it is not listed");
    context.dynamodb.delete_table().table_name(&table.name).send().await.map_err(told)?;
    let mut tries = context.tries("the table to be gone");
    while listed().await?.contains(&table.name) {
        tries.again().await?;
    }
    Ok(())
}

async fn deleted(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("shard-0", 0).await?;
    context.dynamodb.delete_table().table_name(&table.name).send().await.map_err(told)?;
    let mut tries = context.tries("the table to be gone");
    while table.describe().await.is_ok() {
        tries.again().await?;
    }
    let describe = context.dynamodb.describe_table().table_name(&table.name);
    refused(describe.send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn missing(context: &Context) -> Result<(), String> {
    let describe = context.dynamodb.describe_table().table_name(context.name());
    refused(describe.send().await, &["ResourceNotFoundException"])?;
    let delete = context.dynamodb.delete_table().table_name(context.name());
    refused(delete.send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn protected(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let protect =
        |on| context.dynamodb.update_table().table_name(&table.name).deletion_protection_enabled(on).send();
    protect(true).await.map_err(told)?;
    same("protection", table.active().await?.deletion_protection_enabled(), Some(true))?;
    let deletion = context.dynamodb.delete_table().table_name(&table.name).send().await;
    // Without it the table would outlive the check.
    protect(false).await.map_err(told)?;
    refused(deletion, &["ValidationException"])?;
    same("protection", table.active().await?.deletion_protection_enabled(), Some(false))
}

async fn time_to_live(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires").build();
    let update = context.dynamodb.update_time_to_live().table_name(&table.name);
    let update = update.time_to_live_specification(specification.map_err(|error| error.to_string())?);
    update.send().await.map_err(told)?;
    let describe = context.dynamodb.describe_time_to_live().table_name(&table.name);
    let described = describe.send().await.map_err(told)?.time_to_live_description.ok_or("no description")?;
    same("attribute", described.attribute_name(), Some("expires"))?;
    let status = described.time_to_live_status();
    let on = [Some(&TimeToLiveStatus::Enabled), Some(&TimeToLiveStatus::Enabling)].contains(&status);
    ensure!(on, "it is {status:?}");
    Ok(())
}

async fn backups(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let specification =
        PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
    let update = context.dynamodb.update_continuous_backups().table_name(&table.name);
    let update =
        update.point_in_time_recovery_specification(specification.map_err(|error| error.to_string())?);
    update.send().await.map_err(told)?;
    let describe = context.dynamodb.describe_continuous_backups().table_name(&table.name);
    let described =
        describe.send().await.map_err(told)?.continuous_backups_description.ok_or("no description")?;
    let recovery = described.point_in_time_recovery_description();
    let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status());
    same("status", status, Some(&PointInTimeRecoveryStatus::Enabled))
}

async fn tags(context: &Context) -> Result<(), String> {
    let tag = Tag::builder().key("team").value("blue").build().map_err(|error| error.to_string())?;
    let with = |create: aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder| {
        create.billing_mode(BillingMode::PayPerRequest).tags(tag)
    };
    let table = context.table_with(with).await?;
    same("tags", tags_of(&table).await?, [("team".to_owned(), "blue".to_owned())])
}

async fn tags_changed(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let arn = table.describe().await?.table_arn.ok_or("no ARN")?;
    let tag = |key| Tag::builder().key(key).value("x").build().map_err(|error| error.to_string());
    let add = context.dynamodb.tag_resource().resource_arn(&arn).tags(tag("a")?).tags(tag("b")?);
    add.send().await.map_err(told)?;
    let remove = context.dynamodb.untag_resource().resource_arn(&arn).tag_keys("a");
    remove.send().await.map_err(told)?;
    same("tags", tags_of(&table).await?, [("b".to_owned(), "x".to_owned())])
}

async fn tags_of(table: &Table<'_>) -> Result<Vec<(String, String)>, String> {
    let arn = table.describe().await?.table_arn.ok_or("no ARN")?;
    let list = table.context.dynamodb.list_tags_of_resource().resource_arn(arn);
    let answer = list.send().await.map_err(told)?;
    Ok(answer.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
}
