//! The streams: shards and their ranges, nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use shardflow_core::{HashKey, HashKeyRange};

/// All streams that were ever named.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<BTreeMap<String, Arc<Stream>>>);

impl Streams {
    /// The stream of that name, which is made if it is not there.
    pub(crate) fn named(&self, name: &str) -> Arc<Stream> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match streams.get(name) {
            Some(stream) => Arc::clone(stream),
            None => Arc::clone(streams.entry(name.to_owned()).or_insert_with(|| Arc::new(Stream::new(name)))),
        }
    }
}

/// A stream of equal shards.
#[derive(Debug)]
pub(crate) struct Stream {
    name: String,
    shards: Vec<Shard>,
}

/// A shard.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) id: String,
    pub(crate) range: HashKeyRange,
}

impl Stream {
    fn new(name: &str) -> Self {
        let count = name.rsplit_once('-').and_then(|(_, count)| count.parse().ok()).unwrap_or(1);
        let shard = |(n, range)| Shard { id: format!("shardId-{n:012}"), range };
        Self {
            name: name.to_owned(),
            shards: (0_u32..).zip(HashKeyRange::divide(count.clamp(1, 10_000))).map(shard).collect(),
        }
    }

    /// The shard that owns a key.
    pub(crate) fn shard_of(&self, key: HashKey) -> &Shard {
        &self.shards[self.shards.partition_point(|shard| shard.range.end() < key)]
    }

    /// Its shards as ListShards gives them.
    pub(crate) fn list(&self) -> Value {
        let shard = |shard: &Shard| {
            json!({
                "ShardId": shard.id,
                "HashKeyRange": {
                    "StartingHashKey": shard.range.start().to_string(),
                    "EndingHashKey": shard.range.end().to_string(),
                },
                "SequenceNumberRange": { "StartingSequenceNumber": "4965" },
            })
        };
        self.shards.iter().map(shard).collect()
    }

    /// The stream as DescribeStream gives it, which has everything that DescribeStreamSummary gives.
    pub(crate) fn describe(&self) -> Value {
        json!({
            "StreamName": self.name,
            "StreamARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}", self.name),
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": { "StreamMode": "PROVISIONED" },
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 1_700_000_000,
            "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
            "EncryptionType": "NONE",
            "OpenShardCount": self.shards.len(),
            "ConsumerCount": 0,
            "HasMoreShards": false,
            "Shards": self.list(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_many_shards_there_are() {
        for (name, shards) in [("orders", 1), ("bench-16", 16), ("a-b", 1), ("x-0", 1)] {
            assert_eq!(Stream::new(name).shards.len(), shards, "{name}");
        }
        let stream = Stream::new("bench-4");
        assert_eq!(stream.shard_of(HashKey::MIN).id, "shardId-000000000000");
        assert_eq!(stream.shard_of(HashKey::MAX).id, "shardId-000000000003");
        assert!(stream.shards.iter().all(|shard| stream.shard_of(shard.range.start()).id == shard.id));
    }
}
