//! Partition keys, the text by which records are grouped.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::str::FromStr;

use bytes::Bytes;

use crate::limits::PARTITION_KEY_CHARS;
use crate::{HashKey, Invalid};

/// A partition key: 1 to 256 Unicode characters. Cheap to clone: up to 38 bytes, which a UUID has less than, it takes no
/// memory of its own, and beyond that it shares what it was read from.
///
/// Keys that come from a stream or out of an aggregate were written by others and are not checked again: they can be
/// empty or longer.
#[derive(Clone)]
pub struct PartitionKey(Text);

#[derive(Clone)]
enum Text {
    Short { len: u8, bytes: [u8; Self::SHORT] },
    Long(Bytes),
}

impl Text {
    const SHORT: usize = 38;

    fn short(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self::Short { len: u8::try_from(text.len()).ok()?, bytes })
    }

    /// The first bytes of what was read. Where there are enough, all that fit are copied, whatever they are: a number of
    /// bytes that the compiler knows takes two instructions.
    fn start_of(bytes: &[u8], len: usize) -> Option<Self> {
        match bytes.first_chunk() {
            Some(bytes) if len <= Self::SHORT => {
                Some(Self::Short { len: u8::try_from(len).ok()?, bytes: *bytes })
            }
            _ => Self::short(&bytes[..len]),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Text {
    fn from(bytes: Bytes) -> Self {
        Self::short(&bytes).unwrap_or(Self::Long(bytes))
    }
}

impl PartitionKey {
    /// A key that cannot be wrong, since it is part of the program.
    ///
    /// # Panics
    ///
    /// When `key` is empty or longer than 256 characters.
    #[must_use]
    pub fn from_static(key: &'static str) -> Self {
        check(key).expect("a key written into the program is 1 to 256 characters long");
        Self(Bytes::from_static(key.as_bytes()).into())
    }

    /// A key as another writer left it, whatever its length. Bytes that are not UTF-8 are replaced, as the KCL does.
    #[must_use]
    pub fn as_written(bytes: Bytes) -> Self {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Self(bytes.into()),
            Err(_) => Self(Bytes::from(String::from_utf8_lossy(&bytes).into_owned()).into()),
        }
    }

    /// [`Self::as_written`], of a part of what was read. Nothing is shared, and so nothing counted, for a key that is short.
    pub(crate) fn within(bytes: &Bytes, range: Range<usize>) -> Self {
        let text = &bytes[range.clone()];
        match Text::start_of(&bytes[range.start..], text.len()) {
            // Most keys are ASCII, which is asked a word at a time.
            Some(short) if text.is_ascii() || std::str::from_utf8(text).is_ok() => Self(short),
            _ => Self::as_written(bytes.slice(range)),
        }
    }

    /// The key as text.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot: every constructor checks")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.as_bytes()).expect("a key is checked to be UTF-8 where it is made")
    }

    /// The key's bytes in UTF-8, which is what the service counts and hashes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
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

impl PartialEq for PartitionKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PartitionKey {}

impl Hash for PartitionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Ord for PartitionKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for PartitionKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
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
        let short = Text::short(key.as_bytes());
        Ok(Self(short.unwrap_or_else(|| Text::Long(Bytes::copy_from_slice(key.as_bytes())))))
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
        Ok(Self(Text::short(key.as_bytes()).unwrap_or_else(|| Text::Long(key.into()))))
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
    fn short_and_long_keys_are_the_same_however_they_were_made() {
        for length in 1..=256 {
            let text = "k".repeat(length);
            let parsed: PartitionKey = text.parse().unwrap();
            assert_eq!(parsed.as_str(), text);
            assert_eq!(parsed, PartitionKey::try_from(text.clone()).unwrap());
            assert_eq!(parsed, PartitionKey::as_written(text.into()));
            assert!(parsed < PartitionKey::from_static("kl"), "in the order of their bytes");
        }
        assert_eq!(size_of::<PartitionKey>(), 40);
    }

    #[test]
    fn what_others_wrote_is_kept() {
        assert_eq!(PartitionKey::as_written(Bytes::new()).as_str(), "");
        assert_eq!(PartitionKey::as_written(Bytes::from_static(b"a\xff")).as_str(), "a\u{fffd}");
    }
}
