//! UntagResource.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::Empty;
use super::stamp::Stamp;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct UntagResourceRequest {
    #[serde(rename = "ResourceARN")]
    pub(crate) resource_arn: String,
    pub(crate) tag_keys: Vec<String>,
}

impl Kinesis {
    pub(crate) fn untag_resource(
        &mut self,
        now: SystemTime,
        untag: UntagResourceRequest,
    ) -> Result<Empty, KinesisError> {
        let tags = self.tags_of(Stamp::of(now), &untag.resource_arn)?;
        tags.retain(|key, _| !untag.tag_keys.contains(key));
        Ok(Empty {})
    }
}
