//! The operations of Kinesis: which request each takes and which method carries it out.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::answer::{Protocol, to_json};
use super::endpoint::{Endpoint, Incoming, Reply};
use super::exchange::Applied;
use super::put_records;
use crate::control::{Call, Operation};
use crate::kinesis::{
    ErrorCode, GetRecordsRequest, GetShardIteratorRequest, Kinesis, KinesisError, PositionShape,
    ShardIterator, StreamRef,
};

impl Endpoint {
    pub(super) async fn kinesis(&self, incoming: Incoming<'_>) -> Reply {
        match incoming.operation {
            Operation::PutRecords => self.put_records(incoming).await,
            Operation::PutRecord => self.call(incoming, put_records::decode_one, Kinesis::put_record).await,
            Operation::GetRecords => self.get_records(incoming).await,
            Operation::SubscribeToShard => self.subscribe_to_shard(incoming).await,
            Operation::GetShardIterator => {
                self.call(incoming, decode_position, Kinesis::get_shard_iterator).await
            }

            Operation::AddTagsToStream => self.call(incoming, decode, Kinesis::add_tags_to_stream).await,
            Operation::CreateStream => self.call(incoming, decode, Kinesis::create_stream).await,
            Operation::DecreaseStreamRetentionPeriod => {
                self.call(incoming, decode, Kinesis::decrease_stream_retention_period).await
            }
            Operation::DeleteResourcePolicy => {
                self.call(incoming, decode, Kinesis::delete_resource_policy).await
            }
            Operation::DeleteStream => self.call(incoming, decode, Kinesis::delete_stream).await,
            Operation::DeregisterStreamConsumer => {
                self.call(incoming, decode, Kinesis::deregister_stream_consumer).await
            }
            Operation::DescribeLimits => self.call(incoming, decode, Kinesis::describe_limits).await,
            Operation::DescribeStream => self.call(incoming, decode, Kinesis::describe_stream).await,
            Operation::DescribeStreamConsumer => {
                self.call(incoming, decode, Kinesis::describe_stream_consumer).await
            }
            Operation::DescribeStreamSummary => {
                self.call(incoming, decode, Kinesis::describe_stream_summary).await
            }
            Operation::DisableEnhancedMonitoring => {
                self.call(incoming, decode, Kinesis::disable_enhanced_monitoring).await
            }
            Operation::EnableEnhancedMonitoring => {
                self.call(incoming, decode, Kinesis::enable_enhanced_monitoring).await
            }
            Operation::GetResourcePolicy => self.call(incoming, decode, Kinesis::get_resource_policy).await,
            Operation::IncreaseStreamRetentionPeriod => {
                self.call(incoming, decode, Kinesis::increase_stream_retention_period).await
            }
            Operation::ListShards => self.call(incoming, decode, Kinesis::list_shards).await,
            Operation::ListStreamConsumers => {
                self.call(incoming, decode, Kinesis::list_stream_consumers).await
            }
            Operation::ListStreams => self.call(incoming, decode, Kinesis::list_streams).await,
            Operation::ListTagsForResource => {
                self.call(incoming, decode, Kinesis::list_tags_for_resource).await
            }
            Operation::ListTagsForStream => self.call(incoming, decode, Kinesis::list_tags_for_stream).await,
            Operation::MergeShards => self.call(incoming, decode, Kinesis::merge_shards).await,
            Operation::PutResourcePolicy => self.call(incoming, decode, Kinesis::put_resource_policy).await,
            Operation::RegisterStreamConsumer => {
                self.call(incoming, decode, Kinesis::register_stream_consumer).await
            }
            Operation::RemoveTagsFromStream => {
                self.call(incoming, decode, Kinesis::remove_tags_from_stream).await
            }
            Operation::SplitShard => self.call(incoming, decode, Kinesis::split_shard).await,
            Operation::StartStreamEncryption => {
                self.call(incoming, decode, Kinesis::start_stream_encryption).await
            }
            Operation::StopStreamEncryption => {
                self.call(incoming, decode, Kinesis::stop_stream_encryption).await
            }
            Operation::TagResource => self.call(incoming, decode, Kinesis::tag_resource).await,
            Operation::UntagResource => self.call(incoming, decode, Kinesis::untag_resource).await,
            Operation::UpdateMaxRecordSize => {
                self.call(incoming, decode, Kinesis::update_max_record_size).await
            }
            Operation::UpdateShardCount => self.call(incoming, decode, Kinesis::update_shard_count).await,
            Operation::UpdateStreamMode => self.call(incoming, decode, Kinesis::update_stream_mode).await,
            Operation::UpdateStreamRecordDistributionStrategy => {
                self.call(incoming, decode, Kinesis::update_stream_record_distribution_strategy).await
            }
            other => unreachable!("{other} is not an operation of Kinesis"),
        }
    }

    async fn call<Q: Send, A: Serialize>(
        &self,
        incoming: Incoming<'_>,
        decode: fn(&[u8]) -> Result<Q, KinesisError>,
        carry_out: fn(&mut Kinesis, SystemTime, Q) -> Result<A, KinesisError>,
    ) -> Reply {
        let request = match decode(&incoming.body) {
            Ok(request) => request,
            Err(error) => return self.unread(&incoming, Protocol::Json11, &error.into()),
        };
        let stream = named_stream(&incoming.body);
        let Incoming { operation, region, body } = &incoming;
        let resource = stream.as_deref();
        let call = Call { operation: *operation, resource, region, at: self.clock.now(), body };
        self.carry_out(call, Protocol::Json11, |_| {
            let now = self.clock.now();
            let answer = self.regions.with(region, |kinesis| carry_out(kinesis, now, request))?;
            if let Some(stream) = resource {
                self.regions.wake(region, stream);
            }
            Ok(Applied::fully(Protocol::Json11.answer(to_json(&answer))))
        })
        .await
    }
}

/// Reads a request from JSON.
pub(super) fn decode<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, KinesisError> {
    // A call without members may well have no body.
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

/// What the service says to a body that is not the request's shape.
pub(super) fn unreadable(error: &serde_json::Error) -> KinesisError {
    let text = error.to_string();
    // A member that is missing, or a word that is not one of several, is the validator's to refuse at AWS.
    let shape = text.starts_with("missing field") || text.starts_with("unknown variant");
    KinesisError::new(if shape { ErrorCode::Validation } else { ErrorCode::Serialization }, text)
}

fn decode_position(body: &[u8]) -> Result<GetShardIteratorRequest, KinesisError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shape {
        #[serde(flatten)]
        stream: StreamRef,
        shard_id: String,
        #[serde(flatten)]
        position: PositionShape,
    }
    let Shape { stream, shard_id, position } = decode(body)?;
    Ok(GetShardIteratorRequest { stream, shard_id, position: position.try_into()? })
}

/// The stream that a request names, in whichever way; none if the body is no JSON.
pub(super) fn named_stream(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Names<'a> {
        #[serde(borrow)]
        stream_name: Option<Cow<'a, str>>,
        #[serde(borrow, rename = "StreamARN", alias = "ConsumerARN", alias = "ResourceARN")]
        arn: Option<Cow<'a, str>>,
    }
    let names: Names<'_> = serde_json::from_slice(body).ok()?;
    match (names.stream_name, names.arn) {
        (Some(name), _) => Some(name.into_owned()),
        (None, Some(arn)) => stream_in_arn(&arn).map(str::to_owned),
        (None, None) => None,
    }
}

/// The stream's name in its own ARN or a consumer's.
pub(super) fn stream_in_arn(arn: &str) -> Option<&str> {
    let (_, resource) = arn.split_once(":stream/")?;
    resource.split('/').next()
}

/// The stream that an iterator leads to.
pub(super) fn iterated_stream(request: &GetRecordsRequest) -> Option<String> {
    ShardIterator::open(&request.shard_iterator).ok().map(|iterator| iterator.stream)
}
