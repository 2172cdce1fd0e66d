//! Shapes that several calls share, as the JSON protocol writes them.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::shard::ShardState;
use super::stamp::epoch_seconds;
use super::stream::StreamState;

/// How a request names its stream: by name, by ARN, or by both.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct StreamRef {
    /// Its name, in the region of the service that is asked.
    pub stream_name: Option<String>,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
}

/// A name, or an ARN where the text starts like one.
impl From<&str> for StreamRef {
    fn from(text: &str) -> Self {
        if text.starts_with("arn:") {
            Self { stream_name: None, stream_arn: Some(text.to_owned()) }
        } else {
            Self { stream_name: Some(text.to_owned()), stream_arn: None }
        }
    }
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StreamStatus {
    /// Being created: it has no shards yet.
    Creating,
    /// Ready.
    Active,
    /// Changing. Its records are read and written as before.
    Updating,
    /// On its way out.
    Deleting,
}

impl StreamStatus {
    /// The word that the service uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}

/// How a stream's capacity is chosen.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StreamMode {
    /// By its owner, as a number of shards.
    #[default]
    Provisioned,
    /// By the service. Here such a stream keeps the four shards it starts with until it is resharded by hand.
    OnDemand,
}

/// The mode in a shape of its own, as requests and answers carry it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamModeDetails {
    /// The mode.
    pub stream_mode: StreamMode,
}

/// Who decides which shard a record goes to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecordDistributionStrategy {
    /// The service: partition keys are optional and decide nothing.
    Auto,
    /// The producer, by partition key or explicit hash key.
    #[default]
    UserPartitionKey,
}

/// Whether records are encrypted at rest. A flag here: nothing is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EncryptionType {
    /// They are not.
    #[default]
    None,
    /// With a key of the key management service.
    Kms,
}

impl EncryptionType {
    /// The type where answers mention it at all: they leave it out unless there is a key.
    pub(crate) fn shown(self) -> Option<Self> {
        match self {
            Self::None => None,
            Self::Kms => Some(self),
        }
    }
}

/// One shard, as ListShards and DescribeStream give it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ShardDescription {
    /// Its name.
    pub shard_id: String,
    /// The shard it came from, or the one with the lower range of the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_shard_id: Option<String>,
    /// The other one, after a merge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjacent_parent_shard_id: Option<String>,
    /// The hash keys that it owns.
    pub hash_key_range: HashKeyRangeDescription,
    /// The numbers that it gives out.
    pub sequence_number_range: SequenceNumberRange,
}

/// A range of hash keys in decimal, both ends included.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HashKeyRangeDescription {
    /// The least.
    pub starting_hash_key: String,
    /// The greatest.
    pub ending_hash_key: String,
}

/// The sequence numbers of a shard.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SequenceNumberRange {
    /// Below that of its first record.
    pub starting_sequence_number: String,
    /// Above that of its last record; absent while the shard is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending_sequence_number: Option<String>,
}

impl ShardDescription {
    pub(super) fn of(shard: &ShardState) -> Self {
        // A parent stays named when it has left retention, as at AWS.
        let parent = |index: usize| shard.parents.get(index).map(|number| id_text(*number));
        Self {
            shard_id: shard.id.to_string(),
            parent_shard_id: parent(0),
            adjacent_parent_shard_id: parent(1),
            hash_key_range: HashKeyRangeDescription::of(shard),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: shard.starting_sequence().to_string(),
                ending_sequence_number: shard.ending_sequence().map(|ending| ending.to_string()),
            },
        }
    }
}

impl HashKeyRangeDescription {
    fn of(shard: &ShardState) -> Self {
        Self {
            starting_hash_key: shard.range.start().to_string(),
            ending_hash_key: shard.range.end().to_string(),
        }
    }
}

/// A shard that continues one that was read to its end.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChildShard {
    /// Its name.
    pub shard_id: String,
    /// One after a split, two after a merge.
    pub parent_shards: Vec<String>,
    /// The hash keys that it owns.
    pub hash_key_range: HashKeyRangeDescription,
}

impl ChildShard {
    pub(super) fn all_of(shard: &ShardState, stream: &StreamState) -> Vec<Self> {
        shard.children.iter().filter_map(|number| stream.shard_ever(*number)).map(Self::of).collect()
    }

    fn of(shard: &ShardState) -> Self {
        Self {
            shard_id: shard.id.to_string(),
            parent_shards: shard.parents.iter().map(|number| id_text(*number)).collect(),
            hash_key_range: HashKeyRangeDescription::of(shard),
        }
    }
}

/// A tag as answers carry it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// The metrics that are switched on, in the shape that answers carry.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnhancedMetrics {
    /// Their names.
    pub shard_level_metrics: Vec<String>,
}

/// An answer without content.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Empty {}

/// A timestamp as answers carry it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Timestamp(#[serde(serialize_with = "epoch_seconds::serialize")] pub SystemTime);

fn id_text(number: u32) -> String {
    shardflow_core::ShardId::numbered(number.into()).to_string()
}
