//! A shard: its identity, the keys it owns and where it stands in the stream's history.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::stream::{IDENTIFIER, is_identifier};
use crate::{HashKeyRange, Invalid, SequenceNumber};

/// The name of a shard within its stream, such as `shardId-000000000004`. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// The name that the service gives its shard number `number`: twelve digits at least.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        Self(format!("shardId-{number:012}").into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ShardId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_identifier(text) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::text("shard id", text, IDENTIFIER))
        }
    }
}

/// What ListShards tells of one shard.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// The shard it was split from, or the first of the two that it was merged from, if that is still listed.
    pub parent: Option<ShardId>,
    /// The second of the two shards that it was merged from.
    pub adjacent_parent: Option<ShardId>,
    /// The hash keys that it owns.
    pub hash_key_range: HashKeyRange,
    /// The least sequence number that one of its records can have.
    pub starting_sequence_number: Option<SequenceNumber>,
    /// Present once it is closed. Servers other than AWS fill it with numbers that cannot be compared: only its
    /// presence means anything.
    pub ending_sequence_number: Option<SequenceNumber>,
}

impl Shard {
    /// An open shard without parents.
    #[must_use]
    pub fn new(id: ShardId, hash_key_range: HashKeyRange) -> Self {
        Self {
            id,
            parent: None,
            adjacent_parent: None,
            hash_key_range,
            starting_sequence_number: None,
            ending_sequence_number: None,
        }
    }

    /// Whether it still takes records.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ending_sequence_number.is_none()
    }

    /// The shards that it came from: none, one after a split, two after a merge.
    pub fn parents(&self) -> impl Iterator<Item = &ShardId> {
        self.parent.iter().chain(self.adjacent_parent.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_becomes_the_services_name() {
        assert_eq!(ShardId::numbered(4).as_str(), "shardId-000000000004");
        assert_eq!(ShardId::numbered(4), "shardId-000000000004".parse().unwrap());
        assert!("".parse::<ShardId>().is_err());
    }

    #[test]
    fn parents_are_listed_in_the_services_order() {
        let mut shard = Shard::new(ShardId::numbered(3), HashKeyRange::ALL);
        assert_eq!(shard.parents().count(), 0);
        shard.parent = Some(ShardId::numbered(1));
        shard.adjacent_parent = Some(ShardId::numbered(2));
        let parents: Vec<_> = shard.parents().map(ShardId::as_str).collect();
        assert_eq!(parents, ["shardId-000000000001", "shardId-000000000002"]);
    }
}
