//! StartStreamEncryption. A flag: nothing is encrypted.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, EncryptionType, StreamRef, StreamStatus};
use super::stamp::Stamp;
use super::stream::Change;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EncryptionRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) encryption_type: EncryptionType,
    pub(crate) key_id: String,
}

impl Kinesis {
    pub(crate) fn start_stream_encryption(
        &mut self,
        now: SystemTime,
        start: EncryptionRequest,
    ) -> Result<Empty, KinesisError> {
        let encrypted = (EncryptionType::Kms, Some(start.key_id.clone()));
        self.set_encryption(now, &start, encrypted)
    }

    pub(super) fn set_encryption(
        &mut self,
        now: SystemTime,
        request: &EncryptionRequest,
        (encryption, key_id): (EncryptionType, Option<String>),
    ) -> Result<Empty, KinesisError> {
        let (now, transition) = (Stamp::of(now), self.transition);
        let stream = self.stream(now, &request.stream)?;
        stream.require_active()?;
        if request.encryption_type != EncryptionType::Kms {
            return Err(KinesisError::constraint("NONE", "encryptionType", "be KMS"));
        }
        stream.encryption = encryption;
        stream.key_id = key_id;
        stream.begin(now, transition, StreamStatus::Updating, Change::Activate);
        Ok(Empty {})
    }
}
