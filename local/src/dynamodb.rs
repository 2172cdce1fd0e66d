//! DynamoDB: `dynoxide-rs` in memory, called directly, without a socket between.

use std::fmt;
use std::sync::Arc;

use dynoxide::storage_backend::Clock;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StartError;
use crate::clock::RunningClock;
use crate::control::Operation;
use crate::kinesis::stamp::Stamp;

/// The tables of all regions: there is one set.
pub(crate) struct DynamoDb {
    database: Database,
}

/// An operation that DynamoDB refused.
#[derive(Debug)]
pub(crate) struct DynamoDbError {
    pub(crate) code: String,
    pub(crate) status: u16,
    /// The whole body: some errors carry an item, or the reasons of a cancelled transaction.
    pub(crate) body: String,
}

/// The service's clock, as the database takes one.
struct Seconds(Arc<RunningClock>);

impl DynamoDb {
    pub(crate) fn new(clock: Arc<RunningClock>) -> Result<Self, StartError> {
        let database = Database::memory_with_clock(Arc::new(Seconds(clock)))
            .map_err(|source| StartError::Database { source: source.into() })?;
        Ok(Self { database })
    }

    /// Carries out an operation, JSON in and JSON out. It takes well under a millisecond, but for large scans.
    pub(crate) fn call(&self, operation: Operation, body: &[u8]) -> Result<String, DynamoDbError> {
        let database = &self.database;
        match operation {
            Operation::BatchExecuteStatement => {
                call(body, |request| database.batch_execute_statement(request))
            }
            Operation::BatchGetItem => call(body, |request| database.batch_get_item(request)),
            Operation::BatchWriteItem => call(body, |request| database.batch_write_item(request)),
            Operation::CreateTable => call(body, |request| database.create_table(request)),
            Operation::DeleteItem => call(body, |request| database.delete_item(request)),
            Operation::DeleteTable => call(body, |request| database.delete_table(request)),
            Operation::DescribeTable => call(body, |request| database.describe_table(request)),
            Operation::DescribeTimeToLive => call(body, |request| database.describe_time_to_live(request)),
            Operation::ExecuteStatement => call(body, |request| database.execute_statement(request)),
            Operation::ExecuteTransaction => call(body, |request| database.execute_transaction(request)),
            Operation::GetItem => call(body, |request| database.get_item(request)),
            Operation::ListTables => call(body, |request| database.list_tables(request)),
            Operation::ListTagsOfTable => call(body, |request| database.list_tags_of_resource(request)),
            Operation::PutItem => call(body, |request| database.put_item(request)),
            Operation::Query => call(body, |request| database.query(request)),
            Operation::Scan => call(body, |request| database.scan(request)),
            Operation::TagTable => call(body, |request| database.tag_resource(request)),
            Operation::TransactGetItems => call(body, |request| database.transact_get_items(request)),
            Operation::TransactWriteItems => call(body, |request| database.transact_write_items(request)),
            Operation::UntagTable => call(body, |request| database.untag_resource(request)),
            Operation::UpdateItem => call(body, |request| database.update_item(request)),
            Operation::UpdateTable => call(body, |request| database.update_table(request)),
            Operation::UpdateTimeToLive => call(body, |request| database.update_time_to_live(request)),
            other => unreachable!("{other} is not an operation of DynamoDB"),
        }
    }
}

fn call<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    carry_out: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<String, DynamoDbError> {
    let request = serde_json::from_slice(body).map_err(|error| refused(&unreadable(&error)))?;
    let answer = carry_out(request).map_err(|error| refused(&error))?;
    serde_json::to_string(&answer)
        .map_err(|error| refused(&DynoxideError::InternalServerError(error.to_string())))
}

fn refused(error: &DynoxideError) -> DynamoDbError {
    let (_, code) = error.error_type().rsplit_once('#').unwrap_or_default();
    DynamoDbError { code: code.to_owned(), status: error.status_code(), body: error.to_json() }
}

/// The database's request types say by a prefix which error a value of the wrong shape is; its own HTTP server, which we
/// do without, reads it off in the same way.
fn unreadable(error: &serde_json::Error) -> DynoxideError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let validation = ["VALIDATION_REQUEST:", "VALIDATION_AS_READ:", "VALIDATION:"];
    if let Some(text) = validation.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        return DynoxideError::ValidationException(text.to_owned());
    }
    let serialization = ["SERIALIZATION_AS_READ:", "SERIALIZATION:"];
    if let Some(text) = serialization.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        return DynoxideError::SerializationException(text.to_owned());
    }
    let shape = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"];
    if shape.iter().any(|shape| text.contains(shape)) {
        DynoxideError::ValidationException(text.to_owned())
    } else {
        DynoxideError::SerializationException(text.to_owned())
    }
}

impl Clock for Seconds {
    fn now_unix_secs(&self) -> u64 {
        Stamp::of(self.0.now()).seconds()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDb").finish_non_exhaustive()
    }
}
