//! Whole tables, page by page.

use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;

use shardflow_core::WorkerId;

use super::item::{Item, text};
use super::leases::store_error;
use super::place::Place;
use super::table::INDEX;
use crate::StoreError;

impl Place<'_> {
    /// All items.
    pub(super) async fn scan(self) -> Result<Vec<Item>, StoreError> {
        pages(self.dynamodb.scan().table_name(self.table)).await
    }

    /// All items as they are: for small tables.
    pub(super) async fn scan_consistently(self) -> Result<Vec<Item>, StoreError> {
        pages(self.dynamodb.scan().table_name(self.table).consistent_read(true)).await
    }
}

/// The keys of the leases of an owner, by the index.
pub(super) async fn by_owner(place: Place<'_>, owner: &WorkerId) -> Result<Vec<Item>, StoreError> {
    let query = place
        .dynamodb
        .query()
        .table_name(place.table)
        .index_name(INDEX)
        .key_condition_expression("leaseOwner = :leaseOwner")
        .expression_attribute_values(":leaseOwner", text(owner));
    let mut items = Vec::new();
    let mut from = None;
    loop {
        let page = query.clone().set_exclusive_start_key(from).send().await;
        let page = page.map_err(|error| store_error(&error))?;
        items.extend(page.items.unwrap_or_default());
        from = page.last_evaluated_key.filter(|key| !key.is_empty());
        if from.is_none() {
            return Ok(items);
        }
    }
}

/// The same by a look at every row.
pub(super) async fn filtered_by_owner(place: Place<'_>, owner: &WorkerId) -> Result<Vec<Item>, StoreError> {
    let scan = place
        .dynamodb
        .scan()
        .table_name(place.table)
        .filter_expression("leaseOwner = :leaseOwner")
        .projection_expression("leaseKey")
        .expression_attribute_values(":leaseOwner", text(owner));
    pages(scan).await
}

/// All items of a scan.
async fn pages(scan: ScanFluentBuilder) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::new();
    let mut from = None;
    loop {
        let page = scan.clone().set_exclusive_start_key(from).send().await;
        let page = page.map_err(|error| store_error(&error))?;
        items.extend(page.items.unwrap_or_default());
        from = page.last_evaluated_key.filter(|key| !key.is_empty());
        if from.is_none() {
            return Ok(items);
        }
    }
}
