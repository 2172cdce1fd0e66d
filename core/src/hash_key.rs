//! Hash keys, the 128-bit numbers that decide which shard a record goes to.

use std::fmt;
use std::str::FromStr;

use shardflow_md5::{Digest, digest, digest_all};

use crate::{Invalid, Record};

/// A point of the hash key space, 0 to 2^128 − 1. A record goes to the open shard whose range contains it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HashKey(pub u128);

impl HashKey {
    /// The least hash key.
    pub const MIN: Self = Self(0);
    /// The greatest hash key.
    pub const MAX: Self = Self(u128::MAX);

    /// The hash key that the service derives from a partition key: its MD5, read as a big-endian number.
    #[must_use]
    pub fn of(partition_key: &str) -> Self {
        Self(u128::from_be_bytes(digest(partition_key.as_bytes())))
    }

    /// The [`Record::hash_key`] of each record. Many at once take a small part of the time of one by one.
    #[must_use]
    pub fn of_all<'a>(records: impl ExactSizeIterator<Item = &'a Record>) -> Vec<Self> {
        let mut keys = vec![Digest::default(); records.len()];
        digest_all(records.zip(&mut keys).filter_map(|(record, key)| {
            let Some(explicit) = record.explicit() else {
                return Some((record.partition_key().as_bytes(), key));
            };
            *key = explicit.0.to_be_bytes();
            None
        }));
        keys.into_iter().map(|key| Self(u128::from_be_bytes(key))).collect()
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u128> for HashKey {
    fn from(key: u128) -> Self {
        Self(key)
    }
}

impl FromStr for HashKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::text("hash key", text, "a decimal number of 0 to 2^128 - 1");
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        text.parse().map(Self).map_err(|_| invalid())
    }
}

/// A range of hash keys, both ends included, as the service writes it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HashKeyRange {
    start: HashKey,
    end: HashKey,
}

impl HashKeyRange {
    /// The whole space.
    pub const ALL: Self = Self { start: HashKey::MIN, end: HashKey::MAX };

    /// The range from `start` to `end`, both included.
    ///
    /// # Errors
    ///
    /// When `end` lies before `start`.
    pub fn new(start: HashKey, end: HashKey) -> Result<Self, Invalid> {
        if start <= end {
            Ok(Self { start, end })
        } else {
            Err(Invalid::new(
                "hash key range",
                format_args!("{start} to {end}"),
                "starts no later than it ends",
            ))
        }
    }

    /// The least key in it.
    #[must_use]
    pub fn start(&self) -> HashKey {
        self.start
    }

    /// The greatest key in it.
    #[must_use]
    pub fn end(&self) -> HashKey {
        self.end
    }

    /// Whether it owns `key`.
    #[must_use]
    pub fn contains(&self, key: HashKey) -> bool {
        (self.start..=self.end).contains(&key)
    }

    /// Whether the two have a key in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The key behind its last one, where the next range starts; none at the end of the space.
    #[must_use]
    pub fn next(&self) -> Option<HashKey> {
        self.end.0.checked_add(1).map(HashKey)
    }

    /// Cuts the whole space into `count` ranges that differ in size by less than `count` keys, as CreateStream does.
    ///
    /// Gives none for a count of 0.
    pub fn divide(count: u32) -> impl Iterator<Item = Self> {
        // The whole part of 2^128 / count, which has no room in 128 bits for one range: it wraps to 0 and is not used.
        let divisor = u128::from(count.max(1));
        let exact = u128::MAX % divisor == divisor - 1;
        let size = (u128::MAX / divisor).wrapping_add(u128::from(exact));
        (0..count).map(move |i| {
            let start = size * u128::from(i);
            let end = if i + 1 == count { u128::MAX } else { start + size - 1 };
            Self { start: HashKey(start), end: HashKey(end) }
        })
    }
}

impl fmt::Display for HashKeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_key_hashes_as_the_service_hashes_it() {
        // md5("a") is 0cc175b9c0f1b6a831c399e269772661.
        assert_eq!(HashKey::of("a"), HashKey(0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661));
    }

    #[test]
    fn text_is_decimal_and_nothing_else() {
        assert_eq!("340282366920938463463374607431768211455".parse(), Ok(HashKey::MAX));
        assert_eq!("007".parse(), Ok(HashKey(7)));
        for text in ["", "-1", "+1", "0x1", " 1", "340282366920938463463374607431768211456"] {
            assert!(text.parse::<HashKey>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges_know_their_ends() {
        let range = HashKeyRange::new(HashKey(10), HashKey(20)).unwrap();
        assert!(range.contains(HashKey(10)) && range.contains(HashKey(20)));
        assert!(!range.contains(HashKey(9)) && !range.contains(HashKey(21)));
        assert!(range.overlaps(&HashKeyRange::new(HashKey(20), HashKey(30)).unwrap()));
        assert!(!range.overlaps(&HashKeyRange::new(HashKey(21), HashKey(30)).unwrap()));
        assert_eq!((range.next(), HashKeyRange::ALL.next()), (Some(HashKey(21)), None));
        assert!(HashKeyRange::new(HashKey(2), HashKey(1)).is_err());
    }

    #[test]
    fn dividing_covers_the_space_without_gaps() {
        assert_eq!(HashKeyRange::divide(0).count(), 0);
        for count in [1, 2, 3, 4, 7, 1000] {
            let ranges: Vec<_> = HashKeyRange::divide(count).collect();
            assert_eq!(ranges[0].start(), HashKey::MIN);
            assert_eq!(ranges.last().unwrap().end(), HashKey::MAX);
            assert!(ranges.windows(2).all(|pair| pair[0].next() == Some(pair[1].start())), "{count}");
        }
        // What AWS gives the second of two and of three shards.
        let second = |count| HashKeyRange::divide(count).nth(1).map(|range| range.start().to_string());
        assert_eq!(second(2).unwrap(), "170141183460469231731687303715884105728");
        assert_eq!(second(3).unwrap(), "113427455640312821154458202477256070485");
    }
}
