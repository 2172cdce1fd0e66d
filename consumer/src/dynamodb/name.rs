//! Names of tables.

use std::fmt;
use std::str::FromStr;

use shardflow_core::Invalid;

/// The name of a DynamoDB table: 3 to 255 of the characters `a-z A-Z 0-9 _ . -`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TableName(String);

impl TableName {
    /// The name of a table beside this one. One that is too long is no table's, and DynamoDB says so.
    pub(super) fn with(&self, suffix: &str) -> Self {
        Self(format!("{self}{suffix}"))
    }

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
