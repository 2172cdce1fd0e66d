//! CreateStream.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;
use shardflow_core::limits::ON_DEMAND_SHARDS;

use super::error::{ErrorCode, KinesisError};
use super::limits::Limits;
use super::shapes::{Empty, RecordDistributionStrategy, StreamMode, StreamModeDetails, StreamStatus};
use super::stamp::Stamp;
use super::stream::{Change, StreamState};
use super::{Kinesis, request, update_max_record_size, update_stream_record_distribution_strategy};

/// What CreateStream takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateStreamRequest {
    /// Its name: 1 to 128 of the characters `a-z A-Z 0-9 _ . -`.
    pub stream_name: String,
    /// Its open shards, equal in size. Needed for a provisioned stream; four for an on-demand one.
    pub shard_count: Option<u32>,
    /// Provisioned when absent.
    pub stream_mode_details: Option<StreamModeDetails>,
    /// Its tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// Its largest record: 1,024 KiB when absent.
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub max_record_size_in_kib: Option<u32>,
    /// Who distributes records: the producer, by partition key, when absent.
    pub record_distribution_strategy: Option<RecordDistributionStrategy>,
}

impl Kinesis {
    /// Creates a stream. It is CREATING, without shards, until its transition time is over.
    ///
    /// # Errors
    ///
    /// When the name is taken (`ResourceInUse`), the region would have more than [`Limits::SHARDS`] open shards
    /// (`LimitExceeded`), or a value breaks its rule.
    pub fn create_stream(
        &mut self,
        now: SystemTime,
        create: CreateStreamRequest,
    ) -> Result<Empty, KinesisError> {
        let now = Stamp::of(now);
        let name = create.stream_name.as_str();
        request::identifier(name, "streamName")?;
        let mode = create.stream_mode_details.unwrap_or_default().stream_mode;
        let shards = match (mode, create.shard_count) {
            (StreamMode::Provisioned, None) => return Err(KinesisError::missing("shardCount")),
            (_, Some(0)) => {
                return Err(KinesisError::constraint(
                    0,
                    "shardCount",
                    "have value greater than or equal to 1",
                ));
            }
            (StreamMode::Provisioned, Some(count)) => count,
            (StreamMode::OnDemand, _) => ON_DEMAND_SHARDS,
        };
        if self.stream_named(now, name).is_ok() {
            return Err(KinesisError::in_use(format!(
                "Stream {name} under account {} already exists.",
                self.account
            )));
        }
        self.require_room(now, shards)?;

        let mut stream = StreamState::new(name, self.stream_arn(name), &self.account, now, shards);
        self.streams_ever += 1;
        stream.incarnation = self.streams_ever;
        stream.mode = mode;
        if let Some(kib) = create.max_record_size_in_kib {
            stream.max_record_bytes = update_max_record_size::bytes(kib)?;
        }
        if let Some(strategy) = create.record_distribution_strategy {
            update_stream_record_distribution_strategy::set(&mut stream, strategy)?;
        }
        request::add_tags(&mut stream.tags, create.tags.unwrap_or_default())?;
        stream.begin(now, self.transition, StreamStatus::Creating, Change::Activate);
        self.streams.insert(name.to_owned(), stream);
        Ok(Empty {})
    }

    /// Refuses when `more` open shards would be too many.
    pub(super) fn require_room(&mut self, now: Stamp, more: u32) -> Result<(), KinesisError> {
        self.settle(now);
        let open: usize = self.streams.values().map(StreamState::open_shards).sum();
        if open + more as usize <= Limits::SHARDS as usize {
            return Ok(());
        }
        Err(KinesisError::new(
            ErrorCode::LimitExceeded,
            format!(
                "This request would exceed the shard limit for the account {} in {}. Current shard count for the \
                 account: {open}. Limit: {}. Number of additional shards that would have resulted from this request: \
                 {more}.",
                self.account,
                self.region,
                Limits::SHARDS
            ),
        ))
    }
}
