//! DeleteStream.

use std::time::SystemTime;

use serde::Deserialize;

use super::Kinesis;
use super::error::KinesisError;
use super::shapes::{Empty, StreamRef, StreamStatus};
use super::stamp::Stamp;
use super::stream::Change;

/// What DeleteStream takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeleteStreamRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// Whether it goes even if it has consumers.
    pub enforce_consumer_deletion: Option<bool>,
}

impl Kinesis {
    /// Deletes a stream and its records. It is DELETING until its transition time is over.
    ///
    /// # Errors
    ///
    /// When there is none (`ResourceNotFound`), it is not ACTIVE or has consumers (`ResourceInUse`).
    pub fn delete_stream(
        &mut self,
        now: SystemTime,
        delete: DeleteStreamRequest,
    ) -> Result<Empty, KinesisError> {
        let (now, transition) = (Stamp::of(now), self.transition);
        let stream = self.stream(now, &delete.stream)?;
        stream.require_active()?;
        if !stream.consumers.is_empty() && !delete.enforce_consumer_deletion.unwrap_or_default() {
            return Err(KinesisError::in_use(format!(
                "Stream {} under account {} has consumers. Set EnforceConsumerDeletion to delete them with it.",
                stream.name, stream.account
            )));
        }
        stream.begin(now, transition, StreamStatus::Deleting, Change::Delete);
        Ok(Empty {})
    }
}
