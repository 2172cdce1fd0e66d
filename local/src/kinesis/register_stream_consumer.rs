//! RegisterStreamConsumer.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shardflow_core::limits::CONSUMERS_PER_STREAM;

use super::consumer::{Consumer, ConsumerDescription};
use super::error::{ErrorCode, KinesisError};
use super::shapes::StreamRef;
use super::stamp::Stamp;
use super::{Kinesis, request};

/// What RegisterStreamConsumer takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegisterStreamConsumerRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// The consumer's name, its own among those of the stream.
    pub consumer_name: String,
    /// Its tags.
    pub tags: Option<BTreeMap<String, String>>,
}

/// What RegisterStreamConsumer answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegisterStreamConsumerResponse {
    consumer: ConsumerDescription,
}

impl RegisterStreamConsumerResponse {
    /// The ARN that the consumer subscribes with.
    #[must_use]
    pub fn consumer_arn(&self) -> &str {
        &self.consumer.consumer_arn
    }
}

impl Kinesis {
    /// Registers a consumer for SubscribeToShard. It is CREATING until its transition time is over.
    ///
    /// # Errors
    ///
    /// When there is no such stream (`ResourceNotFound`), it is being created or deleted or has a consumer of that name
    /// (`ResourceInUse`), or it has twenty (`LimitExceeded`).
    pub fn register_stream_consumer(
        &mut self,
        now: SystemTime,
        register: RegisterStreamConsumerRequest,
    ) -> Result<RegisterStreamConsumerResponse, KinesisError> {
        let now = Stamp::of(now);
        let due = now.plus(self.transition);
        let name = register.consumer_name.as_str();
        let stream = self.stream(now, &register.stream)?;
        request::identifier(name, "consumerName")?;
        stream.require_listable()?;
        if stream.consumers.contains_key(name) {
            return Err(KinesisError::in_use(format!(
                "Consumer {name} of stream {} under account {} already exists.",
                stream.name, stream.account
            )));
        }
        if stream.consumers.len() >= CONSUMERS_PER_STREAM {
            return Err(KinesisError::new(
                ErrorCode::LimitExceeded,
                format!("Stream {} cannot have more than {CONSUMERS_PER_STREAM} consumers.", stream.name),
            ));
        }
        let mut consumer = Consumer::new(name, &stream.arn, now, due);
        request::add_tags(&mut consumer.tags, register.tags.unwrap_or_default())?;
        let description = ConsumerDescription::of(&consumer);
        consumer.settle(now);
        stream.consumers.insert(name.to_owned(), consumer);
        Ok(RegisterStreamConsumerResponse { consumer: description })
    }
}
