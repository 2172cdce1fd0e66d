//! ListStreams.

use std::ops::Bound;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shardflow_core::limits::LIST_STREAMS_RESULTS_DEFAULT;

use super::error::KinesisError;
use super::shapes::{StreamModeDetails, StreamStatus, Timestamp};
use super::stamp::Stamp;
use super::{Kinesis, request, token};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListStreamsRequest {
    pub(crate) limit: Option<u32>,
    pub(crate) exclusive_start_stream_name: Option<String>,
    pub(crate) next_token: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListStreamsResponse {
    pub(crate) stream_names: Vec<String>,
    pub(crate) has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
    pub(crate) stream_summaries: Vec<StreamSummary>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamSummary {
    pub(crate) stream_name: String,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: String,
    pub(crate) stream_status: StreamStatus,
    pub(crate) stream_mode_details: StreamModeDetails,
    pub(crate) stream_creation_timestamp: Timestamp,
}

const TOKEN: &str = "streams";

impl Kinesis {
    pub(crate) fn list_streams(
        &mut self,
        now: SystemTime,
        list: ListStreamsRequest,
    ) -> Result<ListStreamsResponse, KinesisError> {
        let now = Stamp::of(now);
        let size = request::page_size(list.limit, LIST_STREAMS_RESULTS_DEFAULT, "limit")?;
        let after = match &list.next_token {
            Some(token) => {
                let [last] = token::open(TOKEN, token)
                    .ok_or_else(|| KinesisError::invalid_argument("Invalid NextToken."))?;
                last
            }
            None => list.exclusive_start_stream_name.unwrap_or_default(),
        };
        self.settle(now);
        let mut following = self.streams.range::<str, _>((Bound::Excluded(after.as_str()), Bound::Unbounded));
        let page: Vec<_> = following.by_ref().take(size).map(|(_, stream)| stream).collect();
        let stream_names: Vec<_> = page.iter().map(|stream| stream.name.clone()).collect();
        let has_more_streams = following.next().is_some();
        Ok(ListStreamsResponse {
            next_token: stream_names
                .last()
                .filter(|_| has_more_streams)
                .map(|last| token::seal(TOKEN, &[last.as_str()])),
            has_more_streams,
            stream_summaries: page
                .iter()
                .map(|stream| StreamSummary {
                    stream_name: stream.name.clone(),
                    stream_arn: stream.arn.clone(),
                    stream_status: stream.status,
                    stream_mode_details: StreamModeDetails { stream_mode: stream.mode },
                    stream_creation_timestamp: Timestamp(stream.created.time()),
                })
                .collect(),
            stream_names,
        })
    }
}
