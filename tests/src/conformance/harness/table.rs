//! A table of a check's own, of the shape that leases have.

use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest,
    ScalarAttributeType, TableDescription, TableStatus, WriteRequest,
};

use super::{Context, Item, item, key, number, told};

/// A table of a check's own, deleted when the check is over. Its key is `leaseKey`, a text.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) context: &'a Context,
    /// Its name.
    pub(crate) name: String,
}

impl Context {
    /// Creates an on-demand table and waits until it is ACTIVE.
    pub(crate) async fn table(&self) -> Result<Table<'_>, String> {
        self.table_with(|create| create.billing_mode(BillingMode::PayPerRequest)).await
    }

    /// Creates a table and waits until it is ACTIVE.
    pub(crate) async fn table_with(
        &self,
        with: impl FnOnce(CreateTableFluentBuilder) -> CreateTableFluentBuilder,
    ) -> Result<Table<'_>, String> {
        let name = self.table_name();
        let create = self.dynamodb.create_table().table_name(&name);
        let create =
            create.key_schema(Table::hash("leaseKey")).attribute_definitions(Table::string("leaseKey"));
        with(create).send().await.map_err(told)?;
        let table = Table { context: self, name };
        table.active().await?;
        Ok(table)
    }
}

impl Table<'_> {
    /// A hash key.
    pub(crate) fn hash(name: &str) -> KeySchemaElement {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(KeyType::Hash)
            .build()
            .expect("name and type are all that it needs")
    }

    /// A range key.
    pub(crate) fn range(name: &str) -> KeySchemaElement {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(KeyType::Range)
            .build()
            .expect("name and type are all that it needs")
    }

    /// An attribute of text.
    pub(crate) fn string(name: &str) -> AttributeDefinition {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .expect("name and type are all that it needs")
    }

    /// What the table says of itself.
    pub(crate) async fn describe(&self) -> Result<TableDescription, String> {
        let answer = self.context.dynamodb.describe_table().table_name(&self.name).send().await;
        answer.map_err(told)?.table.ok_or_else(|| "an answer without a table".to_owned())
    }

    /// Waits until it is ACTIVE, with all its indexes.
    pub(crate) async fn active(&self) -> Result<TableDescription, String> {
        let mut tries = self.context.tries(format!("{} to be ACTIVE", self.name));
        loop {
            let table = self.describe().await?;
            let indexes = table.global_secondary_indexes();
            let ready = indexes.iter().all(|index| {
                index.index_status().is_some_and(|status| status.as_str() == TableStatus::Active.as_str())
            });
            if ready && table.table_status() == Some(&TableStatus::Active) {
                return Ok(table);
            }
            tries.again().await?;
        }
    }

    /// Writes an item, whatever was there.
    pub(crate) async fn put(&self, item: Item) -> Result<(), String> {
        let put = self.context.dynamodb.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(drop).map_err(told)
    }

    /// Writes a lease with a counter.
    pub(crate) async fn put_lease(&self, lease: &str, counter: u32) -> Result<(), String> {
        self.put(item([("leaseKey", super::text(lease)), ("leaseCounter", number(counter))])).await
    }

    /// Reads an item, consistently.
    pub(crate) async fn get(&self, lease: &str) -> Result<Option<Item>, String> {
        let get = self.context.dynamodb.get_item().table_name(&self.name).set_key(Some(key(lease)));
        Ok(get.consistent_read(true).send().await.map_err(told)?.item)
    }

    /// Reads an attribute of an item that must be there.
    pub(crate) async fn attribute(&self, lease: &str, name: &str) -> Result<Option<AttributeValue>, String> {
        let item = self.get(lease).await?;
        Ok(item.ok_or_else(|| format!("there is no item {lease}"))?.remove(name))
    }

    /// Writes `count` items of some 8 KB, `w0` to `w3` their owners in turn.
    pub(crate) async fn fill(&self, count: usize) -> Result<(), String> {
        let row = |number: usize| {
            let row = item([
                ("leaseKey", super::text(format!("k{number:04}"))),
                ("leaseOwner", super::text(format!("w{}", number % 4))),
                ("pad", super::text("x".repeat(8000))),
            ]);
            let put =
                PutRequest::builder().set_item(Some(row)).build().expect("an item is all that it needs");
            WriteRequest::builder().put_request(put).build()
        };
        let rows: Vec<_> = (0..count).map(row).collect();
        for batch in rows.chunks(25) {
            let write = self.context.dynamodb.batch_write_item().request_items(&self.name, batch.to_vec());
            let left = write.send().await.map_err(told)?.unprocessed_items.unwrap_or_default();
            super::same("unprocessed items", left.len(), 0)?;
        }
        Ok(())
    }

    /// Scans all pages. Gives the items and how many pages they came in.
    pub(crate) async fn scan(
        &self,
        with: impl Fn(ScanFluentBuilder) -> ScanFluentBuilder,
    ) -> Result<(Vec<Item>, usize), String> {
        let (mut items, mut pages, mut from) = (Vec::new(), 0, None);
        loop {
            let scan = self.context.dynamodb.scan().table_name(&self.name).consistent_read(true);
            let page = with(scan).set_exclusive_start_key(from).send().await.map_err(told)?;
            items.extend(page.items.unwrap_or_default());
            pages += 1;
            match page.last_evaluated_key {
                Some(key) => from = Some(key),
                None => return Ok((items, pages)),
            }
        }
    }
}
