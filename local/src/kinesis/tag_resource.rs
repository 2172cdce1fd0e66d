//! TagResource, and how its kin name a stream or a consumer.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;

use super::error::KinesisError;
use super::shapes::{Empty, StreamRef};
use super::stamp::Stamp;
use super::{Kinesis, request};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct TagResourceRequest {
    #[serde(rename = "ResourceARN")]
    pub(crate) resource_arn: String,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Kinesis {
    pub(crate) fn tag_resource(
        &mut self,
        now: SystemTime,
        tag: TagResourceRequest,
    ) -> Result<Empty, KinesisError> {
        let tags = self.tags_of(Stamp::of(now), &tag.resource_arn)?;
        request::add_tags(tags, tag.tags)?;
        Ok(Empty {})
    }

    /// The tags of the stream or consumer with this ARN.
    pub(super) fn tags_of(
        &mut self,
        now: Stamp,
        arn: &str,
    ) -> Result<&mut BTreeMap<String, String>, KinesisError> {
        if arn.contains("/consumer/") {
            let (stream, name) = self.consumer(now, arn)?;
            return Ok(&mut stream.consumers.get_mut(&name).expect("it was just found").tags);
        }
        let stream = StreamRef { stream_name: None, stream_arn: Some(arn.to_owned()) };
        Ok(&mut self.stream(now, &stream)?.tags)
    }
}
