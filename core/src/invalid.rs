//! The errors of text or numbers that no value of a type can stand for.

use std::convert::Infallible;
use std::fmt;

/// A value breaks a rule of Kinesis. Says what it was to be, what it was and which rule it breaks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} {value} is not valid: {rule}")]
pub struct Invalid {
    what: &'static str,
    value: String,
    rule: &'static str,
}

impl Invalid {
    /// An error about `value`, which was to be a `what` and breaks `rule`.
    #[must_use]
    pub fn new(what: &'static str, value: impl fmt::Display, rule: &'static str) -> Self {
        Self { what, value: value.to_string(), rule }
    }

    /// The same for text, quoted and cut to a length that suits a log line.
    pub(crate) fn text(what: &'static str, text: &str, rule: &'static str) -> Self {
        const SHOWN: usize = 80;
        let length = text.chars().count();
        let value = if length > SHOWN {
            let start: String = text.chars().take(SHOWN).collect();
            format!("{start:?}… of {length} characters")
        } else {
            format!("{text:?}")
        };
        Self { what, value, rule }
    }

    /// What the value was to be, such as `partition key`.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The rule that it breaks, such as `1 to 256 characters`.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

/// No setting has that name. Their names are those of the KPL and KCL, and read exactly so.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no setting is called {0:?}")]
pub struct UnknownKey(String);

impl UnknownKey {
    /// The error about a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// Lets `TryInto` bounds take a value that already has the right type.
impl From<Infallible> for Invalid {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
