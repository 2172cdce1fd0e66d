//! Items of a lease table: what each is about, and how its attributes are read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_core::Invalid;

pub(super) type Item = HashMap<String, AttributeValue>;

/// What an item is about. From KCL 3.5 on it says so itself; older ones are told by their keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Lease,
    Member,
    Lock,
    Version,
    /// How far the move of a legacy fleet's rows into the lease table has come.
    Layout,
    /// Of a later KCL, perhaps.
    Other,
}

impl Kind {
    /// The kind of an item, or what it would be if it says nothing and its key says nothing.
    pub(super) fn of(item: &Item, key: &str, otherwise: Self) -> Self {
        match (string(item, "entityType"), string(item, key)) {
            (Some("LEASE"), _) => Self::Lease,
            (Some("WORKER_METRIC_STATS"), _) => Self::Member,
            (Some("LEADER"), _) | (None, Some(LEADER)) => Self::Lock,
            (Some("CLIENT_VERSION_MIGRATION"), _) | (None, Some(VERSION)) => Self::Version,
            (Some("TABLE_MIGRATION"), _) | (None, Some(LAYOUT)) => Self::Layout,
            (Some(_), _) => Self::Other,
            (None, _) => otherwise,
        }
    }
}

/// The keys of rows of which a table has one each.
pub(super) const LEADER: &str = "Leader";
pub(super) const VERSION: &str = "Migration3.0";
pub(super) const LAYOUT: &str = "TableMigration3.5";

pub(super) fn text(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

pub(super) fn integer(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn string<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute).and_then(|value| value.as_s().ok()).map(String::as_str)
}

pub(super) fn number(item: &Item, attribute: &str) -> Option<u64> {
    item.get(attribute).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok())
}

/// An attribute without which the item cannot be read.
pub(super) fn needed<'a>(item: &'a Item, attribute: &'static str) -> Result<&'a str, Invalid> {
    string(item, attribute).ok_or_else(|| missing(attribute))
}

pub(super) fn missing(attribute: &'static str) -> Invalid {
    Invalid::new(attribute, "nothing", "an attribute of every row of its kind")
}
