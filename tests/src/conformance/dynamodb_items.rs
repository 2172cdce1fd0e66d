//! Items: writing, reading, updating and scanning them, as leases are.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeAction, AttributeValue, AttributeValueUpdate, DeleteRequest, KeysAndAttributes,
    ReturnConsumedCapacity, ReturnValue, WriteRequest,
};

use super::Context;
use super::harness::{Item, ensure, item, key, number, refused, same, text, told, topic};

topic! { "dynamodb items", DynamoDb;
    "an item is read as it was written" => as_written,
    "every kind of attribute keeps its value" => kinds,
    "an item that does not exist is no item" => missing,
    "an item of a table that does not exist is neither read nor written" => missing_table,
    "an item without its key is refused" => no_key,
    "PutItem replaces the whole item, and gives the old one if asked" => replaced,
    "UpdateItem sets, adds and removes attributes, and gives the item as it is then" => updated,
    "UpdateItem makes an item that does not exist" => made_by_update,
    "UpdateItem with attribute updates puts, adds and deletes attributes" => updated_the_old_way,
    "UpdateItem adds to and deletes from a set" => sets,
    "DeleteItem gives the item that it deletes, if asked" => deleted,
    "BatchWriteItem writes and deletes, BatchGetItem reads" => batches,
    "a scan comes in pages of 1 MB" => scan_by_size,
    "a scan comes in pages of Limit items" => scan_by_count,
    "the segments of a scan are disjoint and together everything" => scan_in_segments,
    "a scan with a filter gives what fits, from all pages" => scan_filtered,
    "consumed capacity is told if asked" => capacity,
    "an item of more than 400 KB is refused" => too_large,
    "a number keeps 38 digits" => long_number,
}

async fn as_written(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let lease = item([
        ("leaseKey", text("shardId-000000000000")),
        ("leaseOwner", text("worker-1")),
        ("leaseCounter", number(7)),
        ("checkpoint", text("TRIM_HORIZON")),
        ("ownerSwitchesSinceCheckpoint", number(0)),
    ]);
    table.put(lease.clone()).await?;
    same("item", table.get("shardId-000000000000").await?, Some(lease))
}

async fn kinds(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let nested = item([("a", text("b")), ("deeper", AttributeValue::M(item([("c", number("-1.5"))])))]);
    let all = item([
        ("leaseKey", text("all")),
        ("null", AttributeValue::Null(true)),
        ("bool", AttributeValue::Bool(false)),
        ("binary", AttributeValue::B(Blob::new([0, 1, 255]))),
        ("empty", text("")),
        ("list", AttributeValue::L(vec![number("1.5"), text("größe"), AttributeValue::Bool(true)])),
        ("map", AttributeValue::M(nested)),
        ("strings", AttributeValue::Ss(vec!["only".to_owned()])),
        ("numbers", AttributeValue::Ns(vec!["3".to_owned()])),
        ("binaries", AttributeValue::Bs(vec![Blob::new([9])])),
    ]);
    table.put(all.clone()).await?;
    same("item", table.get("all").await?, Some(all))?;
    let parents = AttributeValue::Ss(["b", "a", "c"].map(str::to_owned).to_vec());
    table.put(item([("leaseKey", text("set")), ("parents", parents)])).await?;
    let read = table.attribute("set", "parents").await?.ok_or("no set")?;
    let read: BTreeSet<_> =
        read.as_ss().map_err(|other| format!("{other:?}"))?.iter().map(String::as_str).collect();
    same("a set, in whatever order", read, BTreeSet::from(["a", "b", "c"]))
}

async fn missing(context: &Context) -> Result<(), String> {
    same("item", context.table().await?.get("nobody").await?, None)
}

async fn missing_table(context: &Context) -> Result<(), String> {
    let get = context.dynamodb.get_item().table_name(context.name()).set_key(Some(key("x")));
    refused(get.send().await, &["ResourceNotFoundException"])?;
    let put = context.dynamodb.put_item().table_name(context.name()).set_item(Some(key("x")));
    refused(put.send().await, &["ResourceNotFoundException"])?;
    let scan = context.dynamodb.scan().table_name(context.name());
    refused(scan.send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn no_key(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    for wrong in [item([("leaseOwner", text("w"))]), item([("leaseKey", number(1))]), key("")] {
        let put = context.dynamodb.put_item().table_name(&table.name).set_item(Some(wrong.clone()));
        refused(put.send().await, &["ValidationException"]).map_err(|why| format!("{wrong:?}: {why}"))?;
    }
    Ok(())
}

async fn replaced(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 1).await?;
    let put = context.dynamodb.put_item().table_name(&table.name).set_item(Some(key("a")));
    let old = put.return_values(ReturnValue::AllOld).send().await.map_err(told)?.attributes;
    same("the old item", old, Some(item([("leaseKey", text("a")), ("leaseCounter", number(1))])))?;
    same("the new item", table.get("a").await?, Some(key("a")))
}

async fn updated(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let before =
        [("leaseKey", text("a")), ("leaseCounter", number(1)), ("gone", text("x")), ("kept", text("y"))];
    table.put(item(before)).await?;
    let update = context.dynamodb.update_item().table_name(&table.name).set_key(Some(key("a")));
    let update = update.update_expression(
        "SET leaseOwner = :owner, leaseCounter = leaseCounter + :one, #n = if_not_exists(#n, :one) REMOVE gone ADD hits :one",
    );
    let update = update.expression_attribute_names("#n", "size");
    let update = update.expression_attribute_values(":owner", text("w1"));
    let update = update.expression_attribute_values(":one", number(1)).return_values(ReturnValue::AllNew);
    let after = item([
        ("leaseKey", text("a")),
        ("leaseCounter", number(2)),
        ("leaseOwner", text("w1")),
        ("kept", text("y")),
        ("size", number(1)),
        ("hits", number(1)),
    ]);
    same("the item that is given", update.send().await.map_err(told)?.attributes, Some(after.clone()))?;
    same("the item", table.get("a").await?, Some(after))
}

async fn made_by_update(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let update = context.dynamodb.update_item().table_name(&table.name).set_key(Some(key("new")));
    let update = update.update_expression("SET leaseCounter = :zero");
    let update =
        update.expression_attribute_values(":zero", number(0)).return_values(ReturnValue::UpdatedNew);
    let given = update.send().await.map_err(told)?.attributes;
    same("what was updated", given, Some(item([("leaseCounter", number(0))])))?;
    same("counter", table.attribute("new", "leaseCounter").await?, Some(number(0)))
}

async fn updated_the_old_way(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put(item([("leaseKey", text("a")), ("n", number(1)), ("gone", text("x"))])).await?;
    let change = |action: AttributeAction, value: Option<AttributeValue>| {
        AttributeValueUpdate::builder().action(action).set_value(value).build()
    };
    let update = context.dynamodb.update_item().table_name(&table.name).set_key(Some(key("a")));
    let update = update.attribute_updates("n", change(AttributeAction::Add, Some(number(4))));
    let update = update.attribute_updates("gone", change(AttributeAction::Delete, None));
    let update = update.attribute_updates("checkpoint", change(AttributeAction::Put, Some(text("LATEST"))));
    update.send().await.map_err(told)?;
    let expected = item([("leaseKey", text("a")), ("n", number(5)), ("checkpoint", text("LATEST"))]);
    same("item", table.get("a").await?, Some(expected))
}

async fn sets(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let set = |names: &[&str]| AttributeValue::Ss(names.iter().map(|name| (*name).to_owned()).collect());
    table.put(item([("leaseKey", text("a")), ("parents", set(&["p1", "p2"]))])).await?;
    for (expression, names) in [("ADD parents :names", &["p2", "p3"][..]), ("DELETE parents :names", &["p1"])]
    {
        let update = context.dynamodb.update_item().table_name(&table.name).set_key(Some(key("a")));
        let update = update.update_expression(expression).expression_attribute_values(":names", set(names));
        update.send().await.map_err(told)?;
    }
    let parents = table.attribute("a", "parents").await?.ok_or("no set")?;
    let parents: BTreeSet<_> =
        parents.as_ss().map_err(|other| format!("{other:?}"))?.iter().cloned().collect();
    same("set", parents, BTreeSet::from(["p2", "p3"].map(str::to_owned)))
}

async fn deleted(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 3).await?;
    let delete = || context.dynamodb.delete_item().table_name(&table.name).set_key(Some(key("a")));
    let old = delete().return_values(ReturnValue::AllOld).send().await.map_err(told)?.attributes;
    same("the old item", old, Some(item([("leaseKey", text("a")), ("leaseCounter", number(3))])))?;
    same("item", table.get("a").await?, None)?;
    let old = delete().return_values(ReturnValue::AllOld).send().await.map_err(told)?.attributes;
    same("the old item of nothing", old.filter(|item| !item.is_empty()), None)
}

async fn batches(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.fill(30).await?;
    let delete = |name: &str| {
        let delete = DeleteRequest::builder().set_key(Some(key(name))).build();
        delete.map(|delete| WriteRequest::builder().delete_request(delete).build())
    };
    let deletes = [delete("k0000"), delete("k0001")].into_iter().collect::<Result<Vec<_>, _>>();
    let deletes = deletes.map_err(|error| error.to_string())?;
    let write = context.dynamodb.batch_write_item().request_items(&table.name, deletes);
    write.send().await.map_err(told)?;
    let keys = Some((0..4).map(|number| key(&format!("k{number:04}"))).collect());
    let wanted = KeysAndAttributes::builder().set_keys(keys).consistent_read(true).build();
    let get = context.dynamodb.batch_get_item();
    let get = get.request_items(&table.name, wanted.map_err(|error| error.to_string())?);
    let mut answer = get.send().await.map_err(told)?.responses.unwrap_or_default();
    let items = answer.remove(&table.name).unwrap_or_default();
    same("items", names(&items)?, BTreeSet::from(["k0002", "k0003"].map(str::to_owned)))
}

async fn scan_by_size(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.fill(200).await?;
    let (items, pages) = table.scan(|scan| scan).await?;
    same("items", names(&items)?.len(), 200)?;
    ensure!(pages >= 2, "1.6 MB in {pages} page");
    Ok(())
}

async fn scan_by_count(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.fill(25).await?;
    let (items, pages) = table.scan(|scan| scan.limit(7)).await?;
    same("items", names(&items)?.len(), 25)?;
    ensure!((4..=5).contains(&pages), "25 items in {pages} pages of 7");
    Ok(())
}

async fn scan_in_segments(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.fill(100).await?;
    let mut all = BTreeSet::new();
    for segment in 0..4 {
        let (items, _) = table.scan(|scan| scan.total_segments(4).segment(segment)).await?;
        ensure!(items.len() < 100, "one segment of four is everything");
        for name in names(&items)? {
            ensure!(all.insert(name.clone()), "{name} is in two segments");
        }
    }
    same("items", all.len(), 100)
}

async fn scan_filtered(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.fill(200).await?;
    let scan = table.scan(|scan| {
        scan.filter_expression("leaseOwner = :owner").expression_attribute_values(":owner", text("w1"))
    });
    same("items of one of four owners", scan.await?.0.len(), 50)
}

async fn capacity(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 0).await?;
    let get = context.dynamodb.get_item().table_name(&table.name).set_key(Some(key("a")));
    let get = get.consistent_read(true).return_consumed_capacity(ReturnConsumedCapacity::Total);
    let capacity = get.send().await.map_err(told)?.consumed_capacity.ok_or("no ConsumedCapacity")?;
    same("units of a small consistent read", capacity.capacity_units(), Some(1.0))
}

async fn too_large(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let large = item([("leaseKey", text("large")), ("x", text("x".repeat(410_000)))]);
    let put = context.dynamodb.put_item().table_name(&table.name).set_item(Some(large));
    refused(put.send().await, &["ValidationException"])?;
    same("item", table.get("large").await?, None)
}

async fn long_number(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let digits = "12345678901234567890123456789012345678";
    table.put(item([("leaseKey", text("a")), ("n", number(digits))])).await?;
    same("number", table.attribute("a", "n").await?, Some(number(digits)))
}

fn names(items: &[Item]) -> Result<BTreeSet<String>, String> {
    let name = |item: &Item| item.get("leaseKey").and_then(|key| key.as_s().ok()).cloned();
    items.iter().map(|item| name(item).ok_or_else(|| "an item without a key".to_owned())).collect()
}
