//! A table and the name of its key.

use std::fmt;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

use super::item::{Item, string, text};
use super::leases::store_error;
use crate::StoreError;

/// Where rows of one kind are kept: the key's name is not the same in all of the KCL's tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) dynamodb: &'a Client,
    pub(super) table: &'a str,
    /// The name of the key. In expressions it is `#key`, since one of them is a word of DynamoDB's own.
    pub(super) key: &'static str,
}

impl Place<'_> {
    /// An update of one row; the condition may name the key as `#key`.
    pub(super) fn update(self, key: &str, update: &str, condition: &str) -> UpdateItemFluentBuilder {
        let request = self.dynamodb.update_item().table_name(self.table).key(self.key, text(key));
        let request = request.update_expression(update);
        if condition.is_empty() {
            return request;
        }
        let request = request.condition_expression(condition);
        if names_key(condition) { request.expression_attribute_names("#key", self.key) } else { request }
    }

    /// A new row, if there is none of its key.
    pub(super) fn create(self, item: Item) -> PutItemFluentBuilder {
        self.dynamodb
            .put_item()
            .table_name(self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", self.key)
    }

    /// The end of a row.
    pub(super) fn delete(self, key: &str, condition: &str) -> DeleteItemFluentBuilder {
        let request = self.dynamodb.delete_item().table_name(self.table).key(self.key, text(key));
        let request = request.condition_expression(condition);
        if names_key(condition) { request.expression_attribute_names("#key", self.key) } else { request }
    }

    /// One row as it is.
    pub(super) async fn get(self, key: &str) -> Result<Option<Item>, StoreError> {
        let request = self.dynamodb.get_item().table_name(self.table).key(self.key, text(key));
        let answer = request.consistent_read(true).send().await;
        let answer = answer.map_err(|error| self.told(store_error(&error)))?;
        Ok(answer.item)
    }

    /// An error with what DynamoDB leaves out: which table it is that is not there.
    pub(super) fn told(self, error: StoreError) -> StoreError {
        match error {
            StoreError::Refused { code, .. } if code == "ResourceNotFoundException" => {
                StoreError::refused(code, format!("there is no table {}, or not yet", self.table))
            }
            error => error,
        }
    }

    /// Tells in the log that an item cannot be read.
    pub(super) fn unreadable(self, item: &Item, error: &dyn fmt::Display) {
        let (table, key) = (self.table, string(item, self.key));
        tracing::warn!(%error, table, ?key, "a row of the lease table cannot be read");
    }
}

/// DynamoDB refuses names that no expression uses.
fn names_key(condition: &str) -> bool {
    condition.contains("#key")
}

/// A write that was refused by its condition, and the row that the answer brings along; or what else went wrong.
pub(super) trait Written {
    /// What the store is told, with the row as a lease if it is one.
    fn written(self, place: Place<'_>) -> Result<(), (StoreError, Option<Item>)>;
}

macro_rules! written {
    ($($error:ident),*) => {
        $(impl<T> Written for Result<T, aws_sdk_dynamodb::error::SdkError<$error>> {
            fn written(self, place: Place<'_>) -> Result<(), (StoreError, Option<Item>)> {
                let Err(error) = self else { return Ok(()) };
                Err(match error.as_service_error() {
                    Some($error::ConditionalCheckFailedException(refused)) => {
                        let item = refused.item().filter(|item| !item.is_empty());
                        (StoreError::Conflict(None), item.cloned())
                    }
                    _ => (place.told(store_error(&error)), None),
                })
            }
        })*
    };
}

written!(PutItemError, UpdateItemError, DeleteItemError);
