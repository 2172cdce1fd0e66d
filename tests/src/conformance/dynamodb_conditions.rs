//! Conditional writes: what leases are taken, renewed and given up with.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeAction, AttributeValue, AttributeValueUpdate, ComparisonOperator, ExpectedAttributeValue,
    ReturnValue, ReturnValuesOnConditionCheckFailure,
};

use super::Context;
use super::harness::{Table, item, key, number, refused, same, text, told, topic};

topic! { "dynamodb conditions", DynamoDb;
    "an item is put only if there is none" => put_if_absent,
    "an item is put only if there is none, in the old words" => put_if_absent_the_old_way,
    "a condition that fails gives the item that is there, if asked" => item_of_failure,
    "a condition that fails on no item gives none" => no_item_of_failure,
    "an item is updated only if it is as expected" => update_if,
    "an item is updated only if it is as expected, in the old words" => update_if_the_old_way,
    "an item that does not exist is not as expected" => update_of_nothing,
    "an item is deleted only if it is as expected" => delete_if,
    "an item is deleted only if it is as expected, in the old words" => delete_if_the_old_way,
    "an absent attribute can be expected, in both ways" => absent,
    "conditions are joined by AND, OR and NOT" => joined,
    "conditions compare, look into sets and texts, and know types and sizes" => functions,
    "an expression that makes no sense is refused" => nonsense,
    "of many that race for one update each, every one wins once" => race,
}

const FAILED: &[&str] = &["ConditionalCheckFailedException"];

async fn put_if_absent(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let put = || {
        let put = context.dynamodb.put_item().table_name(&table.name).set_item(Some(key("a")));
        put.condition_expression("attribute_not_exists(leaseKey)")
    };
    put().send().await.map_err(told)?;
    refused(put().send().await, FAILED).map(drop)
}

async fn put_if_absent_the_old_way(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let put = || {
        let absent = ExpectedAttributeValue::builder().exists(false).build();
        let put = context.dynamodb.put_item().table_name(&table.name).set_item(Some(key("a")));
        put.expected("leaseKey", absent)
    };
    put().send().await.map_err(told)?;
    refused(put().send().await, FAILED).map(drop)
}

async fn item_of_failure(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 5).await?;
    let put = context.dynamodb.put_item().table_name(&table.name).set_item(Some(key("a")));
    let put = put.condition_expression("attribute_not_exists(leaseKey)");
    let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let there = item([("leaseKey", text("a")), ("leaseCounter", number(5))]);
    match put.send().await {
        Err(SdkError::ServiceError(error)) => match error.into_err() {
            PutItemError::ConditionalCheckFailedException(failure) => {
                same("the item that is there", failure.item, Some(there))
            }
            other => Err(format!("refused with {other}")),
        },
        answer => Err(format!("not refused: {answer:?}")),
    }
}

async fn no_item_of_failure(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let put = context.dynamodb.put_item().table_name(&table.name).set_item(Some(key("a")));
    let put = put.condition_expression("attribute_exists(leaseKey)");
    let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match put.send().await.map_err(SdkError::into_service_error) {
        Err(PutItemError::ConditionalCheckFailedException(failure)) => {
            same("the item that is there", failure.item.filter(|item| !item.is_empty()), None)
        }
        answer => Err(format!("not refused as it should be: {answer:?}")),
    }
}

async fn update_if(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 0).await?;
    let take = |counter| {
        let update = table
            .update("a")
            .update_expression("SET leaseOwner = :owner, leaseCounter = leaseCounter + :one");
        let update = update.condition_expression("leaseCounter = :counter");
        let update = update.expression_attribute_values(":owner", text("w1"));
        let update = update.expression_attribute_values(":one", number(1));
        update.expression_attribute_values(":counter", number(counter)).send()
    };
    take(0).await.map_err(told)?;
    refused(take(0).await, FAILED)?;
    same("counter", table.attribute("a", "leaseCounter").await?, Some(number(1)))
}

async fn update_if_the_old_way(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table
        .put(item([("leaseKey", text("a")), ("leaseCounter", number(1)), ("leaseOwner", text("w1"))]))
        .await?;
    let checkpoint = |counter| {
        let put = |value| AttributeValueUpdate::builder().value(value).action(AttributeAction::Put).build();
        let expected = |value| ExpectedAttributeValue::builder().value(value).build();
        let update = table.update("a").attribute_updates("leaseCounter", put(number(2)));
        let update = update.attribute_updates("checkpoint", put(text("TRIM_HORIZON")));
        let update = update.expected("leaseCounter", expected(number(counter)));
        update.expected("leaseOwner", expected(text("w1"))).send()
    };
    refused(checkpoint(7).await, FAILED)?;
    same("checkpoint", table.attribute("a", "checkpoint").await?, None)?;
    checkpoint(1).await.map_err(told)?;
    same("counter", table.attribute("a", "leaseCounter").await?, Some(number(2)))?;
    refused(checkpoint(1).await, FAILED).map(drop)
}

async fn update_of_nothing(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let update = table.update("a").update_expression("SET leaseOwner = :owner");
    let update = update.condition_expression("leaseCounter = :counter");
    let update = update.expression_attribute_values(":owner", text("w1"));
    refused(update.expression_attribute_values(":counter", number(0)).send().await, FAILED)?;
    same("item", table.get("a").await?, None)
}

async fn delete_if(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 3).await?;
    let delete = |counter| {
        let delete = context.dynamodb.delete_item().table_name(&table.name).set_key(Some(key("a")));
        let delete = delete.condition_expression("leaseCounter = :counter");
        delete
            .expression_attribute_values(":counter", number(counter))
            .return_values(ReturnValue::AllOld)
            .send()
    };
    refused(delete(4).await, FAILED)?;
    let old = delete(3).await.map_err(told)?.attributes.unwrap_or_default();
    same("the old item's key", old.get("leaseKey"), Some(&text("a")))?;
    refused(delete(3).await, FAILED).map(drop)
}

async fn delete_if_the_old_way(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 3).await?;
    let delete = |counter| {
        let expected = ExpectedAttributeValue::builder().value(number(counter)).build();
        let delete = context.dynamodb.delete_item().table_name(&table.name).set_key(Some(key("a")));
        delete.expected("leaseCounter", expected).send()
    };
    refused(delete(4).await, FAILED)?;
    delete(3).await.map_err(told)?;
    same("item", table.get("a").await?, None)
}

async fn absent(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 0).await?;
    let take = || {
        let update = table.update("a").update_expression("SET leaseOwner = :owner");
        let update = update.condition_expression("attribute_not_exists(leaseOwner)");
        update.expression_attribute_values(":owner", text("w1")).send()
    };
    take().await.map_err(told)?;
    refused(take().await, FAILED)?;
    let old = |operator: ComparisonOperator| {
        let expected = ExpectedAttributeValue::builder().comparison_operator(operator).build();
        let put = AttributeValueUpdate::builder().value(text("w2")).action(AttributeAction::Put).build();
        table.update("a").attribute_updates("leaseOwner", put).expected("leaseOwner", expected).send()
    };
    refused(old(ComparisonOperator::Null).await, FAILED)?;
    old(ComparisonOperator::NotNull).await.map_err(told)?;
    same("owner", table.attribute("a", "leaseOwner").await?, Some(text("w2")))
}

async fn joined(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put(item([("leaseKey", text("a")), ("n", number(1)), ("leaseOwner", text("w1"))])).await?;
    for (condition, holds) in [
        ("n = :one AND leaseOwner = :owner", true),
        ("n = :two AND leaseOwner = :owner", false),
        ("n = :two OR leaseOwner = :owner", true),
        ("NOT n = :two AND (n = :one OR leaseOwner = :two)", true),
        ("NOT (n = :one OR leaseOwner = :two) OR n = :two", false),
    ] {
        let values = [(":one", number(1)), (":two", number(2)), (":owner", text("w1"))];
        holds_or_fails(&table, condition, &values, holds).await?;
    }
    Ok(())
}

async fn functions(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    let parents = AttributeValue::Ss(vec!["p1".to_owned(), "p2".to_owned()]);
    table
        .put(item([
            ("leaseKey", text("a")),
            ("n", number(10)),
            ("owner_id", text("w1")),
            ("parents", parents),
        ]))
        .await?;
    let v = |value: AttributeValue| vec![(":v", value)];
    let range = |low, high| vec![(":low", number(low)), (":high", number(high))];
    for (condition, values, holds) in [
        ("n > :v", v(number(9)), true),
        ("n <= :v", v(number("9.9")), false),
        ("n <> :v", v(number("10.0")), false),
        ("n BETWEEN :low AND :high", range(10, 11), true),
        ("n BETWEEN :low AND :high", range(11, 12), false),
        ("n IN (:low, :high)", range(9, 10), true),
        ("n IN (:low, :high)", range(11, 12), false),
        ("contains(parents, :v)", v(text("p2")), true),
        ("contains(parents, :v)", v(text("p")), false),
        ("contains(owner_id, :v)", v(text("1")), true),
        ("begins_with(owner_id, :v)", v(text("w")), true),
        ("begins_with(owner_id, :v)", v(text("1")), false),
        ("attribute_type(parents, :v)", v(text("SS")), true),
        ("attribute_type(parents, :v)", v(text("S")), false),
        ("size(parents) = :v", v(number(2)), true),
        ("size(owner_id) > :v", v(number(2)), false),
    ] {
        holds_or_fails(&table, condition, &values, holds).await?;
    }
    Ok(())
}

/// An update under a condition is carried out, or refused.
async fn holds_or_fails(
    table: &Table<'_>,
    condition: &str,
    values: &[(&str, AttributeValue)],
    holds: bool,
) -> Result<(), String> {
    // Every value has to be used.
    let used = values.iter().filter(|(name, _)| condition.contains(name));
    let values = used.map(|(name, value)| ((*name).to_owned(), value.clone()));
    let update = table.update("a").update_expression("REMOVE seen").condition_expression(condition);
    let answer = update.set_expression_attribute_values(Some(values.collect())).send().await;
    let told = |why: String| format!("{condition}: {why}");
    match holds {
        true => answer.map(drop).map_err(super::harness::told).map_err(told),
        false => refused(answer, FAILED).map(drop).map_err(told),
    }
}

async fn nonsense(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 0).await?;
    for condition in
        ["leaseCounter = :missing", "leaseCounter =", "nothing(leaseCounter)", "leaseCounter == leaseCounter"]
    {
        let update = table.update("a").update_expression("REMOVE seen").condition_expression(condition);
        refused(update.send().await, &["ValidationException"])
            .map_err(|why| format!("{condition}: {why}"))?;
    }
    Ok(())
}

async fn race(context: &Context) -> Result<(), String> {
    let table = context.table().await?;
    table.put_lease("a", 0).await?;
    let racer = || win(&table, 25);
    tokio::try_join!(racer(), racer(), racer(), racer(), racer(), racer(), racer(), racer())?;
    same("counter", table.attribute("a", "leaseCounter").await?, Some(number(8 * 25)))
}

/// Counts one up, until that has succeeded so often.
async fn win(table: &Table<'_>, wins: usize) -> Result<(), String> {
    for _ in 0..wins {
        loop {
            let counter = table.attribute("a", "leaseCounter").await?.ok_or("no counter")?;
            let now: u64 =
                counter.as_n().ok().and_then(|text| text.parse().ok()).ok_or("a counter that is none")?;
            let update = table.update("a").update_expression("SET leaseCounter = :next");
            let update = update.condition_expression("leaseCounter = :now");
            let update = update.expression_attribute_values(":next", number(now + 1));
            match update.expression_attribute_values(":now", number(now)).send().await {
                Ok(_) => break,
                lost => refused(lost, FAILED)?,
            };
        }
    }
    Ok(())
}

impl Table<'_> {
    fn update(&self, lease: &str) -> UpdateItemFluentBuilder {
        self.context.dynamodb.update_item().table_name(&self.name).set_key(Some(key(lease)))
    }
}
