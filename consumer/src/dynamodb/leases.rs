//! The store itself.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use shardflow_core::{
    Checkpoint, ClientVersion, Fate, LeaseChange, LeaseKey, LeaseRow, LockChange, Member, View, WorkerId,
};
use shardflow_engine::Verdict;
use shardflow_sdk::{classify, timeouts};

use super::expression::Expression;
use super::item::{Item, Kind, integer, string, text};
use super::name::TableName;
use super::place::{Place, Written as _};
use super::{lock, member, row, scan, table, version};
use crate::{LeaseStore, StoreError};

/// A lease table in DynamoDB, laid out as the KCL lays it out. Cheap to clone.
///
/// The table is created if it is not there: on demand, with the index `LeaseOwnerToLeaseKeyIndex` of KCL 3. Needed rights:
/// `DescribeTable`, `CreateTable` if it does not exist, `Scan`, `GetItem`, `PutItem`, `UpdateItem`, `DeleteItem`, and `Query` of
/// the index.
///
/// Give it a client of its own, that is one whose HTTP client nothing else uses: then its connections live on the thread
/// that keeps the leases, and a blocked runtime cannot hold them up.
#[derive(Clone, Debug)]
pub struct DynamoDbLeases {
    dynamodb: aws_sdk_dynamodb::Client,
    table: TableName,
    /// Keys of leases that the log has been told of already: a table is scanned every few seconds.
    unreadable: Arc<Mutex<BTreeSet<String>>>,
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
        Self { dynamodb: aws_sdk_dynamodb::Client::from_conf(config), table, unreadable: Arc::default() }
    }
}

#[async_trait]
impl LeaseStore for DynamoDbLeases {
    async fn prepare(&self) -> Result<(), StoreError> {
        table::prepare(&self.dynamodb, self.table.as_str()).await
    }

    async fn view(&self) -> Result<View, StoreError> {
        let place = self.leases();
        let mut view = View::default();
        for item in place.scan().await? {
            match Kind::of(&item, place.key, Kind::Lease) {
                Kind::Lease => view.leases.extend(self.lease(&item)),
                Kind::Member => view.members.extend(member::read_or_skip(place, &item)),
                Kind::Lock => view.lock = lock::read_or_skip(place, &item),
                Kind::Version => view.version = version::read_or_skip(place, &item),
                Kind::Layout | Kind::Other => {}
            }
        }
        Ok(view)
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<LeaseRow>, StoreError> {
        let Some(item) = self.leases().get(key.as_str()).await? else { return Ok(None) };
        let row = row::read(&item).map_err(|error| StoreError::refused("NotALease", error.to_string()))?;
        Ok(Some(row))
    }

    async fn assigned(&self, worker: &WorkerId) -> Result<Vec<LeaseKey>, StoreError> {
        let items = match scan::by_owner(self.leases(), worker).await {
            // There is no such index, or it is still being filled.
            Err(StoreError::Refused { code, .. }) if code == "ValidationException" => {
                scan::filtered_by_owner(self.leases(), worker).await?
            }
            items => items?,
        };
        // Of a key that no lease can have, the view has told the log.
        Ok(items.iter().filter_map(|item| row::key(item).ok()).collect())
    }

    async fn create(&self, row: &LeaseRow) -> Result<(), StoreError> {
        let put = self.leases().create(row::write(row));
        let put = put.return_values_on_condition_check_failure(AllOld);
        put.send().await.written().map_err(|refused| self.conflict(refused))
    }

    async fn write(&self, key: &LeaseKey, change: &LeaseChange) -> Result<(), StoreError> {
        let Expression { update, condition, values } = Expression::of(change);
        let write = self
            .leases()
            .update(key.as_str(), &update, &condition)
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(AllOld);
        write.send().await.written().map_err(|refused| self.conflict(refused))
    }

    async fn delete(&self, key: &LeaseKey, expected: &LeaseRow) -> Result<(), StoreError> {
        let (mut expectation, sub_sequence_number) = match expected.checkpoint {
            Checkpoint::At { sub_sequence_number, .. } => {
                (String::from(" AND checkpointSubSequenceNumber = :sub"), Some(sub_sequence_number))
            }
            // What the attribute says beside a sentinel means nothing.
            Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp | Checkpoint::ShardEnd => {
                (String::new(), None)
            }
        };
        expectation.insert_str(0, "leaseCounter = :counter AND checkpoint = :checkpoint");
        let mut delete = self
            .leases()
            .delete(key.as_str(), &format!("attribute_not_exists(#key) OR ({expectation})"))
            .expression_attribute_values(":counter", integer(expected.counter))
            .expression_attribute_values(":checkpoint", text(expected.checkpoint.as_str()))
            .return_values_on_condition_check_failure(AllOld);
        if let Some(sub_sequence_number) = sub_sequence_number {
            delete = delete.expression_attribute_values(":sub", integer(sub_sequence_number));
        }
        delete.send().await.written().map_err(|refused| self.conflict(refused))
    }

    async fn put_member(&self, member: &Member) -> Result<(), StoreError> {
        member::put(self.leases(), member).await
    }

    async fn delete_member(&self, worker: &WorkerId, updated: Option<u64>) -> Result<(), StoreError> {
        member::delete(self.leases(), worker, updated).await
    }

    async fn change_lock(&self, change: &LockChange) -> Result<(), StoreError> {
        lock::change(self.leases(), change).await
    }

    async fn claim(&self, version: &ClientVersion, worker: &WorkerId) -> Result<(), StoreError> {
        version::claim(self.leases(), version, worker).await
    }
}

impl DynamoDbLeases {
    fn leases(&self) -> Place<'_> {
        Place { dynamodb: &self.dynamodb, table: self.table.as_str(), key: "leaseKey" }
    }

    /// A refused write, with the lease that refused it.
    fn conflict(&self, (error, item): (StoreError, Option<Item>)) -> StoreError {
        match item {
            Some(item) => StoreError::Conflict(self.lease(&item).map(Box::new)),
            None => error,
        }
    }

    /// Reads a lease. One that cannot be read is told of in the log, once, and left out.
    fn lease(&self, item: &Item) -> Option<LeaseRow> {
        match row::read(item) {
            Ok(row) => Some(row),
            Err(error) => {
                let key = string(item, "leaseKey").unwrap_or_default().to_owned();
                let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                if unreadable.insert(key) {
                    self.leases().unreadable(item, &error);
                }
                None
            }
        }
    }
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
