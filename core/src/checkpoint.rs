//! How far a shard has been processed, as a lease row stores it.

use std::cmp::Ordering;
use std::fmt;

use crate::{Invalid, SequenceNumber, UserRecord};

/// A position in a shard up to which everything is done, or one of the sentinels that stand for "not begun" and "all".
///
/// Ordered as the KCL orders its extended sequence numbers: `AtTimestamp < TrimHorizon < Latest < any At < ShardEnd`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Checkpoint {
    /// Not begun; reading starts at the time that the application was configured with. The time is not stored.
    AtTimestamp,
    /// Not begun; reading starts at the oldest record.
    TrimHorizon,
    /// Not begun; reading starts behind the newest record.
    Latest,
    /// Done up to and including this user record.
    At {
        /// The Kinesis record.
        sequence_number: SequenceNumber,
        /// The user record's index in it when it is an aggregate, 0 otherwise.
        sub_sequence_number: u64,
    },
    /// Everything is done, and the shard will get no more records.
    ShardEnd,
}

impl Checkpoint {
    /// A checkpoint at a user record.
    #[must_use]
    pub fn at(sequence_number: SequenceNumber, sub_sequence_number: u64) -> Self {
        Self::At { sequence_number, sub_sequence_number }
    }

    /// Reads the two attributes of a lease row.
    ///
    /// # Errors
    ///
    /// When the text is neither a number nor a sentinel.
    pub fn parse(checkpoint: &str, sub_sequence_number: u64) -> Result<Self, Invalid> {
        Ok(match checkpoint {
            "AT_TIMESTAMP" => Self::AtTimestamp,
            "TRIM_HORIZON" => Self::TrimHorizon,
            "LATEST" => Self::Latest,
            "SHARD_END" => Self::ShardEnd,
            digits => Self::At {
                sequence_number: digits.parse().map_err(|_| {
                    let rule = "a sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END";
                    Invalid::text("checkpoint", digits, rule)
                })?,
                sub_sequence_number,
            },
        })
    }

    /// The text of the `checkpoint` attribute.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::AtTimestamp => "AT_TIMESTAMP",
            Self::TrimHorizon => "TRIM_HORIZON",
            Self::Latest => "LATEST",
            Self::At { sequence_number, .. } => sequence_number.as_str(),
            Self::ShardEnd => "SHARD_END",
        }
    }

    /// The number of the `checkpointSubSequenceNumber` attribute.
    #[must_use]
    pub fn sub_sequence_number(&self) -> u64 {
        match self {
            Self::At { sub_sequence_number, .. } => *sub_sequence_number,
            Self::AtTimestamp | Self::TrimHorizon | Self::Latest | Self::ShardEnd => 0,
        }
    }

    /// Whether the shard is done.
    #[must_use]
    pub fn is_shard_end(&self) -> bool {
        matches!(self, Self::ShardEnd)
    }

    fn rank(&self) -> u8 {
        match self {
            Self::AtTimestamp => 0,
            Self::TrimHorizon => 1,
            Self::Latest => 2,
            Self::At { .. } => 3,
            Self::ShardEnd => 4,
        }
    }
}

/// Everything up to and including the record is done.
impl From<&UserRecord> for Checkpoint {
    fn from(record: &UserRecord) -> Self {
        record.checkpoint()
    }
}

impl Ord for Checkpoint {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (
                Self::At { sequence_number: a, sub_sequence_number: i },
                Self::At { sequence_number: b, sub_sequence_number: j },
            ) => a.cmp(b).then(i.cmp(j)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Checkpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { sequence_number, sub_sequence_number } => {
                write!(f, "{sequence_number}/{sub_sequence_number}")
            }
            Self::AtTimestamp | Self::TrimHorizon | Self::Latest | Self::ShardEnd => {
                f.write_str(self.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_the_kcls() {
        let at = |number: &str, sub| Checkpoint::at(number.parse().unwrap(), sub);
        let ascending = [
            Checkpoint::AtTimestamp,
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            at("0", 0),
            at("9", 0),
            at("9", 1),
            at("10", 0),
            Checkpoint::ShardEnd,
        ];
        assert!(ascending.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn rows_are_read_and_written_without_loss() {
        for (text, sub) in
            [("TRIM_HORIZON", 0), ("LATEST", 0), ("AT_TIMESTAMP", 0), ("SHARD_END", 0), ("4963", 7)]
        {
            let checkpoint = Checkpoint::parse(text, sub).unwrap();
            assert_eq!((checkpoint.as_str(), checkpoint.sub_sequence_number()), (text, sub));
        }
        for text in ["", "trim_horizon", "12a"] {
            assert_eq!(Checkpoint::parse(text, 0).unwrap_err().what(), "checkpoint");
        }
    }
}
