//! PutResourcePolicy. A text that is kept: nobody is refused by it.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, StreamRef};
use super::stamp::Stamp;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct PutResourcePolicyRequest {
    #[serde(rename = "ResourceARN")]
    pub(crate) resource_arn: String,
    pub(crate) policy: String,
}

impl Kinesis {
    pub(crate) fn put_resource_policy(
        &mut self,
        now: SystemTime,
        put: PutResourcePolicyRequest,
    ) -> Result<Empty, KinesisError> {
        let stream = StreamRef { stream_name: None, stream_arn: Some(put.resource_arn) };
        self.stream(Stamp::of(now), &stream)?.policy = Some(put.policy);
        Ok(Empty {})
    }
}
