//! ListStreamConsumers.

use std::ops::Bound;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shardflow_core::limits::{LIST_STREAM_CONSUMERS_RESULTS_DEFAULT, NEXT_TOKEN_LIFE};

use super::consumer::ConsumerDescription;
use super::error::{ErrorCode, KinesisError};
use super::shapes::StreamRef;
use super::stamp::Stamp;
use super::{Kinesis, request, token};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListStreamConsumersRequest {
    #[serde(flatten)]
    pub(crate) stream: StreamRef,
    pub(crate) next_token: Option<String>,
    pub(crate) max_results: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListStreamConsumersResponse {
    pub(crate) consumers: Vec<ConsumerDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
}

const TOKEN: &str = "consumers";

impl Kinesis {
    pub(crate) fn list_stream_consumers(
        &mut self,
        now: SystemTime,
        list: ListStreamConsumersRequest,
    ) -> Result<ListStreamConsumersResponse, KinesisError> {
        let (now, expiry) = (Stamp::of(now), self.limits.expiry);
        let size = request::page_size(list.max_results, LIST_STREAM_CONSUMERS_RESULTS_DEFAULT, "maxResults")?;
        let after = match &list.next_token {
            Some(token) => last_seen(now, expiry, token)?,
            None => String::new(),
        };
        let stream = self.stream(now, &list.stream)?;
        let mut following =
            stream.consumers.range::<str, _>((Bound::Excluded(after.as_str()), Bound::Unbounded));
        let page: Vec<_> = following.by_ref().take(size).map(|(_, consumer)| consumer).collect();
        let next_token = following
            .next()
            .and_then(|_| page.last())
            .map(|last| token::seal(TOKEN, &[&last.name, &now.millis().to_string()]));
        let consumers = page.into_iter().map(ConsumerDescription::of).collect();
        Ok(ListStreamConsumersResponse { consumers, next_token })
    }
}

fn last_seen(now: Stamp, expiry: bool, token: &str) -> Result<String, KinesisError> {
    let invalid = || KinesisError::invalid_argument("Invalid NextToken.");
    let [last, issued] = token::open(TOKEN, token).ok_or_else(invalid)?;
    let issued = issued.parse().map(Stamp::from_millis).map_err(|_| invalid())?;
    if expiry && now.since(issued) > NEXT_TOKEN_LIFE {
        return Err(KinesisError::new(
            ErrorCode::ExpiredNextToken,
            "The NextToken was given out more than 300 seconds ago.",
        ));
    }
    Ok(last)
}
