//! ListTagsForStream.

use std::ops::Bound;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shardflow_core::limits::TAGS;

use super::error::KinesisError;
use super::shapes::{StreamRef, Tag};
use super::stamp::Stamp;
use super::{Kinesis, request};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListTagsForStreamRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) exclusive_start_tag_key: Option<String>,
    pub(crate) limit: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListTagsForStreamResponse {
    pub(crate) tags: Vec<Tag>,
    pub(crate) has_more_tags: bool,
}

impl Kinesis {
    pub(crate) fn list_tags_for_stream(
        &mut self,
        now: SystemTime,
        list: ListTagsForStreamRequest,
    ) -> Result<ListTagsForStreamResponse, KinesisError> {
        if let Some(limit) = list.limit.filter(|limit| *limit as usize > TAGS) {
            return Err(KinesisError::constraint(limit, "limit", "have value less than or equal to 50"));
        }
        let size = request::page_size(list.limit, TAGS, "limit")?;
        let stream = self.stream(Stamp::of(now), &list.stream)?;
        let after = list.exclusive_start_tag_key.unwrap_or_default();
        let mut following = stream.tags.range::<str, _>((Bound::Excluded(after.as_str()), Bound::Unbounded));
        let tags = following
            .by_ref()
            .take(size)
            .map(|(key, value)| Tag { key: key.clone(), value: value.clone() })
            .collect();
        Ok(ListTagsForStreamResponse { tags, has_more_tags: following.next().is_some() })
    }
}
