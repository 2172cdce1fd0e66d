//! DescribeStreamConsumer, and how requests name a consumer.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::consumer::ConsumerDescription;
use super::error::KinesisError;
use super::shapes::StreamRef;
use super::stamp::Stamp;
use super::stream::StreamState;
use super::{Kinesis, request};

/// A consumer by its ARN, or by its name and its stream's ARN.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ConsumerRef {
    #[serde(rename = "ConsumerARN")]
    pub(crate) consumer_arn: Option<String>,
    pub(crate) consumer_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeStreamConsumerResponse {
    pub(crate) consumer_description: ConsumerDescription,
}

impl Kinesis {
    pub(crate) fn describe_stream_consumer(
        &mut self,
        now: SystemTime,
        describe: ConsumerRef,
    ) -> Result<DescribeStreamConsumerResponse, KinesisError> {
        let (stream, name) = self.named_consumer(Stamp::of(now), &describe)?;
        let consumer = stream.consumers.get(&name).expect("it was just found");
        let mut description = ConsumerDescription::of(consumer);
        description.stream_arn = Some(stream.arn.clone());
        Ok(DescribeStreamConsumerResponse { consumer_description: description })
    }

    pub(super) fn named_consumer(
        &mut self,
        now: Stamp,
        named: &ConsumerRef,
    ) -> Result<(&mut StreamState, String), KinesisError> {
        match (&named.consumer_arn, &named.consumer_name, &named.stream_arn) {
            (Some(arn), _, _) => self.consumer(now, arn),
            (None, Some(name), Some(arn)) => {
                request::identifier(name, "consumerName")?;
                let stream = StreamRef { stream_name: None, stream_arn: Some(arn.clone()) };
                let stream = self.stream(now, &stream)?;
                if stream.consumers.contains_key(name) {
                    Ok((stream, name.clone()))
                } else {
                    Err(KinesisError::not_found(format!(
                        "Consumer {name} of stream {} under account {} not found.",
                        stream.name, stream.account
                    )))
                }
            }
            (None, _, _) => Err(KinesisError::invalid_argument(
                "Either ConsumerARN, or both ConsumerName and StreamARN are required.",
            )),
        }
    }
}
