//! The store itself.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
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
use super::item::{Item, integer, string, text};
use super::layout::{self, Layout};
use super::name::TableName;
use super::place::{Place, Written as _};
use super::table::{CreateTable, Options};
use super::{lock, member, row, scan, version};
use crate::{LeaseStore, StoreError};

/// A lease table in DynamoDB, laid out as the KCL lays it out. Cheap to clone.
///
/// The table is created if it is not there: on demand, with the index `LeaseOwnerToLeaseKeyIndex` of KCL 3. Needed rights:
/// `DescribeTable`, `CreateTable` if it does not exist, `UpdateTable` if it lacks the index, `Scan`, `GetItem`, `PutItem`, `UpdateItem`, `DeleteItem`, and `Query` of
/// the index.
///
/// Since KCL 3.5 one table has everything. Older fleets keep members and the leader's lock in tables of their own: where
/// such tables are, they are used as such a fleet uses them, until it has moved. They are found out when the store is first
/// used, which takes `DescribeTable` of their names and, where they are, the rights above for them too.
///
/// Give it a client of its own, that is one whose HTTP client nothing else uses: then its connections live on the thread
/// that keeps the leases, and a blocked runtime cannot hold them up.
#[derive(Clone, Debug)]
pub struct DynamoDbLeases {
    dynamodb: aws_sdk_dynamodb::Client,
    pub(super) table: TableName,
    /// Of the legacy layout.
    pub(super) metrics_table: TableName,
    pub(super) state_table: TableName,
    pub(crate) options: Options,
    /// Into how many parts a scan is cut, if it is not for us to say.
    pub(super) segments: Option<NonZeroU32>,
    /// How large the table was when it was last looked at, in bytes.
    size: Arc<AtomicU64>,
    /// Clones share what one of them has found out.
    pub(super) layout: Arc<Mutex<Option<Layout>>>,
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
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(config),
            metrics_table: table.with("-WorkerMetricStats"),
            state_table: table.with("-CoordinatorState"),
            table,
            options: Options::default(),
            segments: None,
            size: Arc::default(),
            layout: Arc::default(),
            unreadable: Arc::default(),
        }
    }
}

#[async_trait]
impl LeaseStore for DynamoDbLeases {
    fn application(&self) -> Option<&str> {
        Some(self.table.as_str())
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        // First: with tables that cannot be understood nothing is to be done.
        self.layout().await?;
        let size = self.options.prepare(&self.dynamodb, self.table.as_str()).await?;
        self.size.store(size, Ordering::Relaxed);
        Ok(())
    }

    async fn view(&self) -> Result<View, StoreError> {
        match self.layout().await? {
            Layout::Single => self.view_of_one_table().await,
            Layout::Legacy | Layout::Moving => match Box::pin(self.view_of_three_tables()).await {
                Ok(Some(view)) => Ok(view),
                // The fleet has left the other tables: from now on its rows are where the leases are.
                Ok(None) => self.view_of_one_table().await,
                Err(error) if layout::is_missing(&error) => {
                    // Once it has, somebody may delete them.
                    self.set_layout(None);
                    match self.layout().await? {
                        Layout::Single => self.view_of_one_table().await,
                        Layout::Legacy | Layout::Moving => Err(error),
                    }
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<LeaseRow>, StoreError> {
        let Some(item) = self.leases().get(key.as_str()).await? else { return Ok(None) };
        let row = row::read(&item).map_err(|error| StoreError::refused("NotALease", error.to_string()))?;
        Ok(Some(row))
    }

    async fn assigned(&self, worker: &WorkerId) -> Result<Vec<LeaseKey>, StoreError> {
        let items = match self.leases().by_owner(worker).await {
            // There is no such index, or it is still being filled.
            Err(StoreError::Refused { code, .. }) if code == "ValidationException" => {
                self.leases().filtered_by_owner(worker).await?
            }
            items => items?,
        };
        // Of a key that no lease can have, the view has told the log.
        Ok(items.iter().filter_map(|item| row::key(item).ok()).collect())
    }

    async fn create(&self, row: &LeaseRow) -> Result<(), StoreError> {
        let place = self.leases();
        let put = place.create(row::write(row));
        let put = put.return_values_on_condition_check_failure(AllOld);
        put.send().await.written(place).map_err(|refused| self.conflict(refused))
    }

    async fn write(&self, key: &LeaseKey, change: &LeaseChange) -> Result<(), StoreError> {
        let Expression { update, condition, values } = Expression::of(change);
        let place = self.leases();
        let write = place
            .update(key.as_str(), &update, &condition)
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(AllOld);
        write.send().await.written(place).map_err(|refused| self.conflict(refused))
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
        let place = self.leases();
        let mut delete = place
            .delete(key.as_str(), &format!("attribute_not_exists(#key) OR ({expectation})"))
            .expression_attribute_values(":counter", integer(expected.counter))
            .expression_attribute_values(":checkpoint", text(expected.checkpoint.as_str()))
            .return_values_on_condition_check_failure(AllOld);
        if let Some(sub_sequence_number) = sub_sequence_number {
            delete = delete.expression_attribute_values(":sub", integer(sub_sequence_number));
        }
        delete.send().await.written(place).map_err(|refused| self.conflict(refused))
    }

    async fn put_member(&self, member: &Member) -> Result<(), StoreError> {
        match self.layout().await? {
            Layout::Single | Layout::Moving => member::put(self.leases(), member).await,
            Layout::Legacy => {
                if self.options.moves {
                    // It was too early after all, and whoever came back cannot read what this worker has written there.
                    member::delete(self.leases(), &member.worker, None).await?;
                }
                member::put(self.metrics(), member).await
            }
        }
    }

    async fn delete_member(&self, worker: &WorkerId, updated: Option<u64>) -> Result<(), StoreError> {
        match self.layout().await? {
            Layout::Single => member::delete(self.leases(), worker, updated).await,
            Layout::Legacy | Layout::Moving => {
                // A worker of a fleet that is about to leave these tables may have written beside the leases.
                let there = member::delete(self.leases(), worker, updated).await;
                member::delete(self.metrics(), worker, updated).await.and(there)
            }
        }
    }

    async fn change_lock(&self, change: &LockChange) -> Result<(), StoreError> {
        lock::change(self.state(self.layout().await?), change).await
    }

    async fn claim(&self, version: &ClientVersion, worker: &WorkerId) -> Result<(), StoreError> {
        let place = match self.layout().await? {
            Layout::Single | Layout::Moving => self.leases(),
            Layout::Legacy => self.state(Layout::Legacy),
        };
        version::claim(place, version, worker).await
    }
}

impl DynamoDbLeases {
    /// The layout of the tables, decided when it is first needed.
    async fn layout(&self) -> Result<Layout, StoreError> {
        let known = *self.layout.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = known {
            return Ok(layout);
        }
        let may_describe = self.options.create == CreateTable::IfMissing;
        let (state, moves) = (self.state(Layout::Legacy), self.options.moves);
        let layout = layout::decide(state, self.metrics(), may_describe, moves).await?;
        self.set_layout(Some(layout));
        Ok(layout)
    }

    pub(super) fn set_layout(&self, layout: Option<Layout>) {
        *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = layout;
    }

    pub(super) fn leases(&self) -> Place<'_> {
        Place { dynamodb: &self.dynamodb, table: self.table.as_str(), key: "leaseKey" }
    }

    /// Where members are, and nothing else, in the legacy layout.
    pub(super) fn metrics(&self) -> Place<'_> {
        Place { dynamodb: &self.dynamodb, table: self.metrics_table.as_str(), key: "wid" }
    }

    /// Where the lock is, and the version of those that do not move.
    pub(super) fn state(&self, layout: Layout) -> Place<'_> {
        match layout {
            Layout::Single => self.leases(),
            Layout::Legacy | Layout::Moving => {
                Place { dynamodb: &self.dynamodb, table: self.state_table.as_str(), key: "key" }
            }
        }
    }

    /// How many parts the lease table is read in at once.
    pub(super) fn scan_in(&self) -> u32 {
        self.segments.map_or_else(|| scan::segments(self.size.load(Ordering::Relaxed)), NonZeroU32::get)
    }

    /// A refused write, with the lease that refused it.
    fn conflict(&self, (error, item): (StoreError, Option<Item>)) -> StoreError {
        match item {
            Some(item) => StoreError::Conflict(self.lease(&item).map(Box::new)),
            None => error,
        }
    }

    /// Reads a lease. One that cannot be read is told of in the log, once, and left out.
    pub(super) fn lease(&self, item: &Item) -> Option<LeaseRow> {
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
