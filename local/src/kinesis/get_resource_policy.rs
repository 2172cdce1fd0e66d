//! GetResourcePolicy.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::StreamRef;
use super::stamp::Stamp;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ResourcePolicyRequest {
    #[serde(rename = "ResourceARN")]
    pub(crate) resource_arn: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetResourcePolicyResponse {
    pub(crate) policy: String,
}

impl Kinesis {
    pub(crate) fn get_resource_policy(
        &mut self,
        now: SystemTime,
        get: ResourcePolicyRequest,
    ) -> Result<GetResourcePolicyResponse, KinesisError> {
        let stream = StreamRef { stream_name: None, stream_arn: Some(get.resource_arn) };
        let stream = self.stream(Stamp::of(now), &stream)?;
        let policy = stream.policy.clone().ok_or_else(|| {
            KinesisError::not_found(format!("Stream {} has no resource policy.", stream.name))
        })?;
        Ok(GetResourcePolicyResponse { policy })
    }
}
