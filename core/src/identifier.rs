//! How a stream is told from its namesakes, in the keys of leases.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Invalid, StreamName};

/// A stream of an account, as it was created at one time: `account:name:seconds`, the KCL's way to name streams where one
/// application reads several. A stream that is deleted and created again is another one. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamIdentifier {
    text: Arc<str>,
    name: StreamName,
}

impl StreamIdentifier {
    /// A stream of an account that was created so many seconds after 1970.
    ///
    /// # Errors
    ///
    /// When the account is not made of digits, or the time is zero.
    pub fn new(account: &str, name: &StreamName, created: u64) -> Result<Self, Invalid> {
        format!("{account}:{name}:{created}").parse()
    }

    /// Its text, as it stands in lease keys.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> &str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        &self.name
    }
}

impl fmt::Display for StreamIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for StreamIdentifier {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::text("stream identifier", text, "<account>:<name>:<seconds since 1970>");
        let [account, name, created]: [&str; 3] =
            text.split(':').collect::<Vec<_>>().try_into().map_err(|_| invalid())?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let began = created.bytes().any(|b| b != b'0');
        if !digits(account) || !digits(created) || !began {
            return Err(invalid());
        }
        Ok(Self { text: text.into(), name: name.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_the_kcls() {
        let text = "000000000000:fx351-multi-a:1795417010";
        let identifier: StreamIdentifier = text.parse().unwrap();
        assert_eq!((identifier.account(), identifier.name().as_str()), ("000000000000", "fx351-multi-a"));
        let name = "fx351-multi-a".parse().unwrap();
        assert_eq!(StreamIdentifier::new("000000000000", &name, 1_795_417_010), Ok(identifier));
        for wrong in ["", "a:b:1", "1:b:0", "1:b:", "1:b", "1:b:2:3", "1::2"] {
            assert!(wrong.parse::<StreamIdentifier>().is_err(), "{wrong:?}");
        }
    }
}
