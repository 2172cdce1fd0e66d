//! RemoveTagsFromStream.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, StreamRef};
use super::stamp::Stamp;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RemoveTagsFromStreamRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) tag_keys: Vec<String>,
}

impl Kinesis {
    pub(crate) fn remove_tags_from_stream(
        &mut self,
        now: SystemTime,
        remove: RemoveTagsFromStreamRequest,
    ) -> Result<Empty, KinesisError> {
        let stream = self.stream(Stamp::of(now), &remove.stream)?;
        stream.tags.retain(|key, _| !remove.tag_keys.contains(key));
        Ok(Empty {})
    }
}
