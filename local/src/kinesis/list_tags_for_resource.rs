//! ListTagsForResource.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::Tag;
use super::stamp::Stamp;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListTagsForResourceRequest {
    #[serde(rename = "ResourceARN")]
    pub(crate) resource_arn: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListTagsForResourceResponse {
    pub(crate) tags: Vec<Tag>,
}

impl Kinesis {
    pub(crate) fn list_tags_for_resource(
        &mut self,
        now: SystemTime,
        list: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, KinesisError> {
        let tags = self.tags_of(Stamp::of(now), &list.resource_arn)?;
        let tags = tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
        Ok(ListTagsForResourceResponse { tags })
    }
}
