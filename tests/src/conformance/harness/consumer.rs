//! A consumer of a stream, and what it is sent.

use std::time::Duration;

use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardError;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{
    ChildShard, ConsumerStatus, Record, ShardIteratorType, StartingPosition, SubscribeToShardEvent,
    SubscribeToShardEventStream,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use shardflow_core::{ShardId, ShardPosition};
use tokio::time::timeout;

use super::{Context, Stream, told};

/// A consumer of a check's own, deleted with its stream.
#[derive(Debug)]
pub(crate) struct Consumer<'a> {
    context: &'a Context,
    /// Its name.
    pub(crate) name: String,
    /// Its ARN.
    pub(crate) arn: String,
}

/// An open subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    output: SubscribeToShardOutput,
}

/// A subscription that was read until it had nothing more to say.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) records: Vec<Record>,
    /// Where the last event with a number says that reading goes on.
    pub(crate) continuation: String,
    pub(crate) children: Vec<ChildShard>,
}

/// Longest that a server is given for the next event: AWS sends one every five seconds at least.
const SILENCE: Duration = Duration::from_secs(20);

/// Events without records after which nothing more is expected of a subscription.
const IDLE_EVENTS: u32 = 20;

impl<'a> Consumer<'a> {
    /// Registers a consumer, which is CREATING.
    pub(super) async fn register(stream: &Stream<'a>) -> Result<Self, String> {
        let context = stream.context;
        let name = context.name();
        let register = context.kinesis.register_stream_consumer().stream_arn(&stream.arn);
        let answer = register.consumer_name(&name).send().await.map_err(told)?;
        let arn = answer.consumer.ok_or("an answer without a consumer")?.consumer_arn;
        Ok(Self { context, name, arn })
    }

    /// Waits until it is ACTIVE.
    pub(super) async fn active(self) -> Result<Self, String> {
        let mut tries = self.context.tries("a consumer to be ACTIVE");
        while self.status().await? != ConsumerStatus::Active {
            tries.again().await?;
        }
        Ok(self)
    }

    /// One of another name, which nobody has registered.
    pub(crate) fn renamed(&self, name: &str) -> Self {
        Self { context: self.context, name: name.to_owned(), arn: self.arn.replace(&self.name, name) }
    }

    /// Its status.
    async fn status(&self) -> Result<ConsumerStatus, String> {
        let describe = self.context.kinesis.describe_stream_consumer().consumer_arn(&self.arn);
        let answer = describe.send().await.map_err(told)?;
        Ok(answer.consumer_description.ok_or("an answer without a consumer")?.consumer_status)
    }

    /// Asks for a subscription.
    pub(crate) async fn ask(
        &self,
        shard: &ShardId,
        at: ShardPosition,
    ) -> Result<SubscribeToShardOutput, SdkError<SubscribeToShardError, HttpResponse>> {
        let subscribe = self.context.kinesis.subscribe_to_shard().consumer_arn(&self.arn);
        subscribe.shard_id(shard.as_str()).starting_position(position(at)).send().await
    }

    /// Subscribes.
    pub(crate) async fn subscribe(&self, shard: &ShardId, at: ShardPosition) -> Result<Subscription, String> {
        Ok(Subscription { output: self.ask(shard, at).await.map_err(told)? })
    }
}

impl Subscription {
    /// The next event; none when the subscription is over and all is well.
    pub(crate) async fn next(&mut self) -> Result<Option<SubscribeToShardEvent>, String> {
        loop {
            match self.receive().await? {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                    return Ok(Some(event));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(format!("the subscription broke: {error}")),
            }
        }
    }

    /// The code with which the subscription breaks.
    pub(crate) async fn failure(&mut self) -> Result<String, String> {
        for _ in 0..IDLE_EVENTS {
            match self.receive().await? {
                Ok(Some(_)) => {}
                Ok(None) => return Err("the subscription ended without an error".to_owned()),
                Err(code) => return Ok(code),
            }
        }
        Err("the subscription goes on".to_owned())
    }

    /// Reads until so many records are there, or the subscription is over.
    pub(crate) async fn records(&mut self, count: usize) -> Result<Received, String> {
        let (mut received, mut idle) = (Received::default(), 0);
        while received.records.len() < count {
            let Some(event) = self.next().await? else { break };
            idle = if event.records.is_empty() { idle + 1 } else { 0 };
            if idle > IDLE_EVENTS {
                return Err(format!("{} records, and then only events without any", received.records.len()));
            }
            received.add(event);
        }
        Ok(received)
    }

    /// Reads to the end of the subscription.
    pub(crate) async fn rest(&mut self) -> Result<Received, String> {
        self.records(usize::MAX).await
    }

    async fn receive(&mut self) -> Result<Result<Option<SubscribeToShardEventStream>, String>, String> {
        let received = timeout(SILENCE, self.output.event_stream.recv()).await;
        let received = received.map_err(|_| format!("no event in {SILENCE:?}, and no end"))?;
        Ok(received.map_err(|error| match error.as_service_error() {
            // The SDK keeps no code of an error that comes as an event.
            Some(SubscribeToShardEventStreamError::ResourceInUseException(_)) => {
                "ResourceInUseException".to_owned()
            }
            Some(SubscribeToShardEventStreamError::ResourceNotFoundException(_)) => {
                "ResourceNotFoundException".to_owned()
            }
            Some(other) => other.to_string(),
            None => error.to_string(),
        }))
    }
}

impl Received {
    fn add(&mut self, event: SubscribeToShardEvent) {
        self.records.extend(event.records);
        self.children.extend(event.child_shards.unwrap_or_default());
        if !event.continuation_sequence_number.is_empty() {
            self.continuation = event.continuation_sequence_number;
        }
    }
}

fn position(at: ShardPosition) -> StartingPosition {
    let position = StartingPosition::builder();
    let position = match at {
        ShardPosition::TrimHorizon => position.r#type(ShardIteratorType::TrimHorizon),
        ShardPosition::Latest => position.r#type(ShardIteratorType::Latest),
        ShardPosition::AtTimestamp(time) => {
            position.r#type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from(time))
        }
        ShardPosition::AtSequenceNumber(number) => {
            position.r#type(ShardIteratorType::AtSequenceNumber).sequence_number(number.as_str())
        }
        ShardPosition::AfterSequenceNumber(number) => {
            position.r#type(ShardIteratorType::AfterSequenceNumber).sequence_number(number.as_str())
        }
    };
    position.build().expect("a type is all that it needs")
}
