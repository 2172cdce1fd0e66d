//! Small shapes of DynamoDB requests and answers.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// An item.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A text.
pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number.
pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The key of a row in a table of leases.
pub(crate) fn key(value: &str) -> Item {
    item([("leaseKey", text(value))])
}

/// An item of these attributes.
pub(crate) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
