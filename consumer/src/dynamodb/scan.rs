//! Whole tables, page by page.

use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use shardflow_core::WorkerId;
use tokio::task::JoinSet;

use super::item::{Item, text};
use super::leases::store_error;
use super::place::Place;
use super::table::INDEX;
use crate::StoreError;

/// Into how many parts a scan of a table of that many bytes is cut: the KCL's rule.
pub(super) fn segments(bytes: u64) -> u32 {
    const FIFTH_OF_A_GIB: u64 = (1 << 30) / 5;
    u32::try_from(bytes.div_ceil(FIFTH_OF_A_GIB)).unwrap_or(u32::MAX).clamp(1, 32)
}

impl Place<'_> {
    /// All items, read in so many parts at once.
    pub(super) async fn scan(self, segments: u32) -> Result<Vec<Item>, StoreError> {
        let scan = self.dynamodb.scan().table_name(self.table);
        if segments == 1 {
            return pages(scan).await.map_err(|error| self.told(error));
        }
        // The number of segments is an i32 to DynamoDB, which takes a million of them.
        let total = i32::try_from(segments).unwrap_or(i32::MAX);
        // Ends with this call: what is left of it is dropped with the set.
        let mut parts = JoinSet::new();
        for segment in 0..total {
            parts.spawn(pages(scan.clone().segment(segment).total_segments(total)));
        }
        let mut items = Vec::new();
        while let Some(part) = parts.join_next().await {
            let part = part.map_err(|panicked| StoreError::Unknown(panicked.to_string()))?;
            items.extend(part.map_err(|error| self.told(error))?);
        }
        Ok(items)
    }

    /// All items as they are: for small tables.
    pub(super) async fn scan_consistently(self) -> Result<Vec<Item>, StoreError> {
        let scan = self.dynamodb.scan().table_name(self.table).consistent_read(true);
        pages(scan).await.map_err(|error| self.told(error))
    }

    /// The keys of the leases of an owner, by the index.
    pub(super) async fn by_owner(self, owner: &WorkerId) -> Result<Vec<Item>, StoreError> {
        let query = self
            .dynamodb
            .query()
            .table_name(self.table)
            .index_name(INDEX)
            .key_condition_expression("leaseOwner = :leaseOwner")
            .expression_attribute_values(":leaseOwner", text(owner));
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let page = query.clone().set_exclusive_start_key(from).send().await;
            let page = page.map_err(|error| self.told(store_error(&error)))?;
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    /// The same by a look at every row.
    pub(super) async fn filtered_by_owner(self, owner: &WorkerId) -> Result<Vec<Item>, StoreError> {
        let scan = self
            .dynamodb
            .scan()
            .table_name(self.table)
            .filter_expression("leaseOwner = :leaseOwner")
            .projection_expression("leaseKey")
            .expression_attribute_values(":leaseOwner", text(owner));
        pages(scan).await.map_err(|error| self.told(error))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_tables_are_read_in_parts() {
        let fifth = (1 << 30) / 5;
        for (bytes, parts) in
            [(0, 1), (fifth, 1), (fifth + 1, 2), (1 << 30, 6), (1 << 40, 32), (u64::MAX, 32)]
        {
            assert_eq!(segments(bytes), parts, "{bytes} bytes");
        }
    }
}
