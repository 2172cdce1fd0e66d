//! Transactions and queries.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    BillingMode, ConditionCheck, Delete, Get, Put, TransactGetItem, TransactWriteItem, Update,
};

use super::Context;
use super::harness::{Item, Table, ensure, item, key, number, same, text, told, topic};

topic! { "dynamodb transactions", DynamoDb;
    "a transaction of writes is carried out if all its conditions hold" => carried_out,
    "a transaction is cancelled if one condition fails, and tells the reason of each part" => cancelled,
    "a transaction that is cancelled has written nothing" => rolled_back,
    "a transaction of reads gives each item" => reads,
    "a query gives the items of a key in the order of their range" => query,
    "a query comes in pages, and backwards" => query_in_pages,
}

async fn carried_out(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 1).await?;
    table.put_lease("b", 1).await?;
    table.put_lease("c", 1).await?;
    let update = Update::builder().table_name(&table.name).set_key(Some(key("a")));
    let update = update.update_expression("SET leaseCounter = leaseCounter + :one");
    let update =
        update.condition_expression("leaseCounter = :one").expression_attribute_values(":one", number(1));
    let delete = Delete::builder().table_name(&table.name).set_key(Some(key("b")));
    let check = ConditionCheck::builder().table_name(&table.name).set_key(Some(key("c")));
    let write = context.dynamodb.transact_write_items();
    let write = write.transact_items(TransactWriteItem::builder().update(built(update.build())?).build());
    let write = write.transact_items(TransactWriteItem::builder().delete(built(delete.build())?).build());
    let write = write.transact_items(put(&table, "new")?);
    let check = built(check.condition_expression("attribute_exists(leaseKey)").build())?;
    let write = write.transact_items(TransactWriteItem::builder().condition_check(check).build());
    write.send().await.map_err(told)?;
    same("the item that is updated", table.attribute("a", "leaseCounter").await?, Some(number(2)))?;
    same("the item that is deleted", table.get("b").await?, None)?;
    same("the item that is put", table.get("new").await?, Some(key("new")))
}

async fn cancelled(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    same("reasons", cancel(&table).await?, ["None", "ConditionalCheckFailed"])
}

async fn rolled_back(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    cancel(&table).await?;
    same("the item that would be put", table.get("new").await?, None)?;
    ensure!(table.get("there").await?.is_some(), "the item that would be deleted is gone");
    Ok(())
}

/// Runs a transaction that is cancelled by its second part. Gives the reasons.
async fn cancel(table: &Table<'_>) -> Result<Vec<String>, String> {
    table.put_lease("there", 1).await?;
    let delete = Delete::builder().table_name(&table.name).set_key(Some(key("there")));
    let delete = built(delete.condition_expression("attribute_not_exists(leaseKey)").build())?;
    let write = table.context.dynamodb.transact_write_items().transact_items(put(table, "new")?);
    let write = write.transact_items(TransactWriteItem::builder().delete(delete).build());
    match write.send().await.map_err(SdkError::into_service_error) {
        Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let reasons = cancelled.cancellation_reasons().iter();
            Ok(reasons.map(|reason| reason.code().unwrap_or_default().to_owned()).collect())
        }
        answer => Err(format!("not cancelled: {answer:?}")),
    }
}

async fn reads(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 1).await?;
    table.put_lease("b", 2).await?;
    let mut read = context.dynamodb.transact_get_items();
    for name in ["b", "nobody", "a"] {
        let get = built(Get::builder().table_name(&table.name).set_key(Some(key(name))).build())?;
        read = read.transact_items(TransactGetItem::builder().get(get).build());
    }
    let answer = read.send().await.map_err(told)?;
    let counters: Vec<_> = answer
        .responses()
        .iter()
        .map(|response| response.item().and_then(|item| item.get("leaseCounter")).cloned())
        .collect();
    same("counters", counters, [Some(number(2)), None, Some(number(1))])
}

async fn query(context: &Context) -> Result<(), String> {
    let table = ranged(context).await?;
    let query = context.dynamodb.query().table_name(&table.name).consistent_read(true);
    // SHARD is a reserved word.
    let query = query.key_condition_expression("leaseKey = :key AND #shard >= :from");
    let query = query.expression_attribute_names("#shard", "shard");
    let query = query.expression_attribute_values(":key", text("a"));
    let answer = query.expression_attribute_values(":from", text("s3")).send().await.map_err(told)?;
    same("shards", shards(answer.items()), ["s3", "s4"])
}

async fn query_in_pages(context: &Context) -> Result<(), String> {
    let table = ranged(context).await?;
    let (mut pages, mut all, mut from) = (0, Vec::new(), None);
    loop {
        let query = context.dynamodb.query().table_name(&table.name).limit(2).scan_index_forward(false);
        let query = query.key_condition_expression("leaseKey = :key");
        let query = query.expression_attribute_values(":key", text("a"));
        let page = query.set_exclusive_start_key(from).send().await.map_err(told)?;
        pages += 1;
        all.extend(shards(page.items()));
        from = page.last_evaluated_key;
        if from.is_none() {
            break;
        }
    }
    same("shards", all, ["s4", "s3", "s2", "s1", "s0"])?;
    same("pages", pages, 3)
}

/// A table with a range key and the items `s0` to `s4` of one hash key and one of another.
async fn ranged(context: &Context) -> Result<Table<'_>, String> {
    let with = |create: aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder| {
        let create = create.key_schema(Table::range("shard")).attribute_definitions(Table::string("shard"));
        create.billing_mode(BillingMode::PayPerRequest)
    };
    let table = context.table_with(with).await?;
    for shard in [3, 0, 4, 1, 2] {
        table.put(item([("leaseKey", text("a")), ("shard", text(format!("s{shard}")))])).await?;
    }
    table.put(item([("leaseKey", text("b")), ("shard", text("s9"))])).await?;
    Ok(table)
}

fn shards(items: &[Item]) -> Vec<String> {
    items.iter().filter_map(|item| item.get("shard")?.as_s().ok().cloned()).collect()
}

fn put(table: &Table<'_>, name: &str) -> Result<TransactWriteItem, String> {
    let put = built(Put::builder().table_name(&table.name).set_item(Some(key(name))).build())?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn built<T>(part: Result<T, aws_sdk_dynamodb::error::BuildError>) -> Result<T, String> {
    part.map_err(|error| error.to_string())
}
