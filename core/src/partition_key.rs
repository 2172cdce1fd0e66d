//! Partition keys, the text by which records are grouped.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::limits::PARTITION_KEY_CHARS;
use crate::{HashKey, Invalid};

/// A partition key: 1 to 256 Unicode characters. Cheap to clone; shares the memory it was read from.
///
/// Keys that come from a stream or out of an aggregate were written by others and are not checked again: they can be
/// empty or longer.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PartitionKey(Bytes);

impl PartitionKey {
    /// A key that cannot be wrong, since it is part of the program.
    ///
    /// # Panics
    ///
    /// When `key` is empty or longer than 256 characters.
    #[must_use]
    pub fn from_static(key: &'static str) -> Self {
        check(key).expect("a key written into the program is 1 to 256 characters long");
        Self(Bytes::from_static(key.as_bytes()))
    }

    /// A key as another writer left it, whatever its length. Bytes that are not UTF-8 are replaced, as the KCL does.
    #[must_use]
    pub fn as_written(bytes: Bytes) -> Self {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Self(bytes),
            Err(_) => Self(String::from_utf8_lossy(&bytes).into_owned().into()),
        }
    }

    /// The key as text.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot: every constructor checks")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a key is checked to be UTF-8 where it is made")
    }

    /// The key's bytes in UTF-8, which is what the service counts and hashes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash key that the service derives from it.
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        HashKey::of(self.as_str())
    }
}

fn check(key: &str) -> Result<(), Invalid> {
    // Bytes bound characters from above: most keys are settled without counting.
    let fits =
        !key.is_empty() && (key.len() <= PARTITION_KEY_CHARS || key.chars().count() <= PARTITION_KEY_CHARS);
    if fits { Ok(()) } else { Err(Invalid::text("partition key", key, "1 to 256 Unicode characters")) }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PartitionKey {
    type Err = Invalid;

    fn from_str(key: &str) -> Result<Self, Invalid> {
        check(key)?;
        Ok(Self(Bytes::copy_from_slice(key.as_bytes())))
    }
}

impl TryFrom<&str> for PartitionKey {
    type Error = Invalid;

    fn try_from(key: &str) -> Result<Self, Invalid> {
        key.parse()
    }
}

impl TryFrom<String> for PartitionKey {
    type Error = Invalid;

    fn try_from(key: String) -> Result<Self, Invalid> {
        check(&key)?;
        Ok(Self(key.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_count_and_not_bytes() {
        assert!("".parse::<PartitionKey>().is_err());
        assert!("é".repeat(256).parse::<PartitionKey>().is_ok());
        let error = "é".repeat(257).parse::<PartitionKey>().unwrap_err();
        assert_eq!(error.rule(), "1 to 256 Unicode characters");
        assert!(error.to_string().contains("of 257 characters"), "{error}");
    }

    #[test]
    fn what_others_wrote_is_kept() {
        assert_eq!(PartitionKey::as_written(Bytes::new()).as_str(), "");
        assert_eq!(PartitionKey::as_written(Bytes::from_static(b"a\xff")).as_str(), "a\u{fffd}");
    }
}
