//! DeleteResourcePolicy.

use std::time::SystemTime;

use super::Kinesis;
use super::error::KinesisError;
use super::get_resource_policy::ResourcePolicyRequest;
use super::shapes::{Empty, StreamRef};
use super::stamp::Stamp;

impl Kinesis {
    pub(crate) fn delete_resource_policy(
        &mut self,
        now: SystemTime,
        delete: ResourcePolicyRequest,
    ) -> Result<Empty, KinesisError> {
        let stream = StreamRef { stream_name: None, stream_arn: Some(delete.resource_arn) };
        self.stream(Stamp::of(now), &stream)?.policy = None;
        Ok(Empty {})
    }
}
