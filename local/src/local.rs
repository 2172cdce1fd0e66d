//! The service as a value: made in a microsecond, plugged into an SDK, or listening on a port.

use std::sync::Arc;
use std::time::SystemTime;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use shardflow_core::aggregation::deaggregate;
use shardflow_core::{HashKey, KinesisRecord, Record, SequenceNumber, Shard, ShardId, StreamArn, UserRecord};

use crate::cloudwatch::MetricDatum;
use crate::control::Control;
use crate::http::Endpoint;
use crate::kinesis::{
    CreateStreamRequest, Kinesis, KinesisError, MergeShardsRequest, PutRecordRequest, PutRecordsEntry,
    SplitShardRequest, UpdateShardCountRequest,
};
use crate::server::{Listen, Server};
use crate::{Config, StartError, client};

/// Kinesis, DynamoDB and a CloudWatch sink. Cheap to clone: all clones are one service, which lives as long as any of
/// them, a server or a client does.
///
/// The methods that name a stream act in the configuration's region, at once, without a word to the rules of
/// [`Control`]: they set a test up and look at what came of it.
#[derive(Clone, Debug)]
pub struct Local {
    endpoint: Arc<Endpoint>,
}

/// A shard and all that it holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShardRecords {
    /// The shard.
    pub shard: Shard,
    /// Its records, in order.
    pub records: Vec<KinesisRecord>,
}

impl ShardRecords {
    /// The records as applications put them: aggregates are taken apart.
    pub fn user_records(&self) -> impl Iterator<Item = UserRecord> + '_ {
        self.records.iter().cloned().flat_map(deaggregate)
    }
}

impl Local {
    /// Starts the service, without a socket. Takes well under a millisecond, most of it for DynamoDB.
    ///
    /// Its clock is tokio's, as it runs where this is called: under a paused runtime it is paused.
    ///
    /// # Errors
    ///
    /// When account or region of the configuration are none.
    pub fn new(config: Config) -> Result<Self, StartError> {
        if config.account.len() != 12 || !config.account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(StartError::Account { account: config.account });
        }
        let named = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if config.region.is_empty() || !config.region.bytes().all(named) {
            return Err(StartError::Region { region: config.region });
        }
        Ok(Self { endpoint: Arc::new(Endpoint::new(config)?) })
    }

    /// Listens on a loopback port. One service can listen on several, say with TLS and without.
    ///
    /// Cancel safe: nothing is left listening.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub async fn serve(&self, listen: Listen) -> Result<Server, StartError> {
        Server::start(Arc::clone(&self.endpoint), listen).await
    }

    /// An HTTP client for the SDK that ends in this service, in the same process. It waits for nothing but tokio's
    /// clock, so a test under a paused one runs in no time.
    ///
    /// A test that lets a call hang under a paused clock should switch the SDK's stalled-stream protection off: that goes
    /// by the wall's clock in part, and ends the call or not as the machine has time. Shardflow's own crates do.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        client::http_client(Arc::clone(&self.endpoint))
    }

    /// The endpoint URL to go with [`http_client`](Self::http_client). It leads nowhere else.
    #[must_use]
    pub fn endpoint_url(&self) -> &'static str {
        "http://shardflow-local.invalid"
    }

    /// What makes calls fail and sees every call.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.endpoint.control
    }

    /// The service's time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.endpoint.clock.now()
    }

    /// Creates a provisioned stream that is ACTIVE at once.
    ///
    /// # Errors
    ///
    /// When the name is taken or no name, or there would be too many shards.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: what the service gives out is well formed")]
    pub fn create_stream(&self, name: &str, shards: u32) -> Result<StreamArn, KinesisError> {
        let create = CreateStreamRequest {
            stream_name: name.to_owned(),
            shard_count: Some(shards),
            ..Default::default()
        };
        self.change(name, |kinesis, now| kinesis.create_stream(now, create))?;
        let arn = self.kinesis(|kinesis| kinesis.stream_arn(name));
        Ok(arn.parse().expect("the ARN of a stream whose name is one"))
    }

    /// Writes a record, and tells where it went.
    ///
    /// # Errors
    ///
    /// When there is no such stream, or its shard has taken enough for now.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: what the service gives out is well formed")]
    pub fn put(&self, stream: &str, record: &Record) -> Result<(ShardId, SequenceNumber), KinesisError> {
        let put = PutRecordRequest {
            stream: stream.into(),
            record: PutRecordsEntry {
                data: record.data().clone(),
                partition_key: Some(record.partition_key().clone()),
                explicit_hash_key: record.explicit(),
            },
            sequence_number_for_ordering: None,
        };
        let answer = self.change(stream, |kinesis, now| kinesis.put_record(now, put))?;
        let shard = answer.shard_id.parse().expect("the id of a shard");
        Ok((shard, answer.sequence_number.parse().expect("a sequence number")))
    }

    /// Splits a shard in its middle, or where `at` says, at once. Gives the children.
    ///
    /// # Errors
    ///
    /// When there is no such stream or open shard, or `at` is not within it.
    pub fn split(
        &self,
        stream: &str,
        shard: &ShardId,
        at: Option<HashKey>,
    ) -> Result<Vec<ShardId>, KinesisError> {
        let middle = || {
            let shards = self.shards(stream)?;
            let range = shards.iter().find(|found| found.id == *shard).map(|found| found.hash_key_range);
            let middle = |range: shardflow_core::HashKeyRange| {
                HashKey(range.start().0 + (range.end().0 - range.start().0) / 2 + 1)
            };
            Ok(range.map(middle).unwrap_or_default())
        };
        let at = at.map_or_else(middle, Ok)?;
        let split = SplitShardRequest {
            stream: stream.into(),
            shard_to_split: shard.to_string(),
            new_starting_hash_key: at.to_string(),
        };
        self.change(stream, |kinesis, now| kinesis.split_shard(now, split))?;
        self.children(stream, shard)
    }

    /// Merges two adjacent shards, in either order, at once. Gives the child.
    ///
    /// # Errors
    ///
    /// When there is no such stream or open shards, or they do not touch.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: what the service gives out is well formed")]
    pub fn merge(&self, stream: &str, one: &ShardId, other: &ShardId) -> Result<ShardId, KinesisError> {
        let shards = self.shards(stream)?;
        let start = |id: &ShardId| {
            shards.iter().find(|shard| shard.id == *id).map(|shard| shard.hash_key_range.start())
        };
        let (lower, upper) = if start(one) <= start(other) { (one, other) } else { (other, one) };
        let merge = MergeShardsRequest {
            stream: stream.into(),
            shard_to_merge: lower.to_string(),
            adjacent_shard_to_merge: upper.to_string(),
        };
        self.change(stream, |kinesis, now| kinesis.merge_shards(now, merge))?;
        Ok(self.children(stream, lower)?.pop().expect("a merge has a child"))
    }

    /// Makes a stream's shards equal and as many as asked, half to double of what it has, at once.
    ///
    /// # Errors
    ///
    /// When there is no such stream, or the count is out of bounds.
    pub fn resize(&self, stream: &str, shards: u32) -> Result<(), KinesisError> {
        let update = UpdateShardCountRequest { stream: stream.into(), target_shard_count: shards };
        self.change(stream, |kinesis, now| kinesis.update_shard_count(now, update))?;
        Ok(())
    }

    /// A stream's shards, open or within retention, by id.
    ///
    /// # Errors
    ///
    /// When there is no such stream.
    pub fn shards(&self, stream: &str) -> Result<Vec<Shard>, KinesisError> {
        let records = self.records(stream)?;
        Ok(records.into_iter().map(|held| held.shard).collect())
    }

    /// Everything that a stream holds, shard by shard.
    ///
    /// # Errors
    ///
    /// When there is no such stream.
    pub fn records(&self, stream: &str) -> Result<Vec<ShardRecords>, KinesisError> {
        let now = self.now();
        let held = self.kinesis(|kinesis| kinesis.holdings(now, stream))?;
        Ok(held.into_iter().map(|(shard, records)| ShardRecords { shard, records }).collect())
    }

    /// The CloudWatch data that came in, the oldest first: 100,000 at most.
    #[must_use]
    pub fn metrics(&self) -> Vec<MetricDatum> {
        self.endpoint.metrics.all()
    }

    fn children(&self, stream: &str, parent: &ShardId) -> Result<Vec<ShardId>, KinesisError> {
        let mut shards = self.shards(stream)?;
        shards.retain(|shard| shard.parents().any(|id| id == parent));
        Ok(shards.into_iter().map(|shard| shard.id).collect())
    }

    /// Makes a change and carries it out without its transition time.
    fn change<T>(
        &self,
        stream: &str,
        change: impl FnOnce(&mut Kinesis, SystemTime) -> Result<T, KinesisError>,
    ) -> Result<T, KinesisError> {
        let now = self.now();
        let result = self.kinesis(|kinesis| {
            let result = change(kinesis, now)?;
            kinesis.finish_change(stream);
            Ok(result)
        });
        self.endpoint.regions.wake(&self.endpoint.regions.config().region, stream);
        result
    }

    fn kinesis<T>(&self, act: impl FnOnce(&mut Kinesis) -> T) -> T {
        self.endpoint.regions.with(&self.endpoint.regions.config().region, act)
    }
}
