//! AddTagsToStream.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;

use super::error::KinesisError;
use super::shapes::{Empty, StreamRef};
use super::stamp::Stamp;
use super::{Kinesis, request};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct AddTagsToStreamRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Kinesis {
    pub(crate) fn add_tags_to_stream(
        &mut self,
        now: SystemTime,
        add: AddTagsToStreamRequest,
    ) -> Result<Empty, KinesisError> {
        let stream = self.stream(Stamp::of(now), &add.stream)?;
        request::add_tags(&mut stream.tags, add.tags)?;
        Ok(Empty {})
    }
}
