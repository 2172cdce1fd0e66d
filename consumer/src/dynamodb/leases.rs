//! The store itself.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use shardflow_core::{Fate, Invalid, LeaseChange, LeaseKey, LeaseRow};
use shardflow_engine::Verdict;
use shardflow_sdk::{classify, timeouts};

use super::expression::Expression;
use super::row::{self, Item};
use super::table;
use crate::{LeaseStore, StoreError};

/// A lease table in DynamoDB, laid out as the KCL lays it out. Cheap to clone.
///
/// The table is created if it is not there: on demand, with the index `LeaseOwnerToLeaseKeyIndex` of KCL 3. Needed rights:
/// `DescribeTable`, `CreateTable` if it does not exist, `Scan`, `PutItem`, `UpdateItem`.
///
/// Give it a client of its own, that is one whose HTTP client nothing else uses: then its connections live on the thread
/// that keeps the leases, and a blocked runtime cannot hold them up.
#[derive(Clone, Debug)]
pub struct DynamoDbLeases {
    dynamodb: aws_sdk_dynamodb::Client,
    table: TableName,
}

impl DynamoDbLeases {
    /// The leases of an application whose table has that name; the KCL names it after the application. Does no I/O.
    #[must_use]
    pub fn new(client: aws_sdk_dynamodb::Client, table: TableName) -> Self {
        // The coordinator gives a call up sooner; this is for calls that nobody waits for any more.
        const GIVE_UP: Duration = Duration::from_secs(10);
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(GIVE_UP))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { dynamodb: aws_sdk_dynamodb::Client::from_conf(config), table }
    }
}

#[async_trait]
impl LeaseStore for DynamoDbLeases {
    async fn prepare(&self) -> Result<(), StoreError> {
        table::prepare(&self.dynamodb, self.table.as_str()).await
    }

    async fn list(&self) -> Result<Vec<LeaseRow>, StoreError> {
        let mut rows = Vec::new();
        let mut from = None;
        loop {
            let scan = self.dynamodb.scan().table_name(self.table.as_str()).set_exclusive_start_key(from);
            let page = scan.send().await.map_err(|error| store_error(&error))?;
            rows.extend(page.items.unwrap_or_default().iter().filter_map(row::read_or_skip));
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(rows);
            }
        }
    }

    async fn create(&self, row: &LeaseRow) -> Result<(), StoreError> {
        let put = self
            .dynamodb
            .put_item()
            .table_name(self.table.as_str())
            .set_item(Some(row::write(row)))
            .condition_expression("attribute_not_exists(leaseKey)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => conflict(refused.item()),
                _ => store_error(&error),
            }),
        }
    }

    async fn write(&self, key: &LeaseKey, change: &LeaseChange) -> Result<(), StoreError> {
        let Expression { update, condition, values } = Expression::of(change);
        let write = self
            .dynamodb
            .update_item()
            .table_name(self.table.as_str())
            .key("leaseKey", AttributeValue::S(key.to_string()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match write.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => conflict(refused.item()),
                _ => store_error(&error),
            }),
        }
    }
}

/// A condition did not hold, and the answer brings the row along.
fn conflict(item: Option<&Item>) -> StoreError {
    StoreError::Conflict(item.filter(|item| !item.is_empty()).and_then(row::read_or_skip).map(Box::new))
}

pub(super) fn store_error<E>(error: &SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let failure = classify(error);
    match (failure.verdict(), failure.fate) {
        (Verdict::Throttled, _) => StoreError::Throttled(failure.message),
        (Verdict::Refuse | Verdict::Isolate, _) => {
            StoreError::Refused { code: failure.code, message: failure.message }
        }
        (Verdict::Retry, Fate::Absent | Fate::Unknown) => {
            StoreError::Unknown(format!("{}: {}", failure.code, failure.message))
        }
    }
}

/// The name of a DynamoDB table: 3 to 255 of the characters `a-z A-Z 0-9 _ . -`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TableName(String);

impl TableName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TableName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if (3..=255).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(
                "table name",
                format_args!("{text:?}"),
                "3 to 255 of the characters a-z A-Z 0-9 _ . -",
            ))
        }
    }
}
