//! StopStreamEncryption.

use std::time::SystemTime;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, EncryptionType};
use super::start_stream_encryption::EncryptionRequest;

impl Kinesis {
    pub(crate) fn stop_stream_encryption(
        &mut self,
        now: SystemTime,
        stop: EncryptionRequest,
    ) -> Result<Empty, KinesisError> {
        self.set_encryption(now, &stop, (EncryptionType::None, None))
    }
}
