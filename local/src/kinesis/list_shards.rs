//! ListShards.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shardflow_core::limits::{LIST_SHARDS_RESULTS_DEFAULT, NEXT_TOKEN_LIFE};

use super::error::{ErrorCode, KinesisError};
use super::shapes::{ShardDescription, StreamRef};
use super::shard::ShardState;
use super::stamp::{Stamp, epoch_seconds};
use super::stream::StreamState;
use super::{Kinesis, request, token};

/// What ListShards takes: a stream, or the token of the page before and nothing else but `max_results`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListShardsRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// Where the page before ended. It remembers stream and filter.
    pub next_token: Option<String>,
    /// Shards up to this one are left out.
    pub exclusive_start_shard_id: Option<String>,
    /// Shards of a page, 1,000 when absent. Up to 10,000 can be asked for, but a page has no more than 1,000.
    pub max_results: Option<u32>,
    /// Which shards. Without one: all that are open or still within retention.
    pub shard_filter: Option<ShardFilter>,
}

/// Which shards ListShards gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ShardFilter {
    /// The kind.
    pub r#type: ShardFilterType,
    /// For [`AfterShardId`](ShardFilterType::AfterShardId).
    #[serde(default)]
    pub shard_id: Option<String>,
    /// For [`AtTimestamp`](ShardFilterType::AtTimestamp) and [`FromTimestamp`](ShardFilterType::FromTimestamp).
    #[serde(default, deserialize_with = "epoch_seconds::option")]
    pub timestamp: Option<SystemTime>,
}

/// The kinds of shard filter.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ShardFilterType {
    /// Those with a greater id.
    AfterShardId,
    /// Those that were open at the oldest moment within retention. They cover every hash key once.
    AtTrimHorizon,
    /// All.
    FromTrimHorizon,
    /// The open ones.
    AtLatest,
    /// Those that were open at a moment. They cover every hash key once.
    AtTimestamp,
    /// Those that were open at a moment or later.
    FromTimestamp,
}

/// What ListShards answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListShardsResponse {
    /// The shards of this page, by id.
    pub shards: Vec<ShardDescription>,
    /// Present if there are more. Lives for five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// A filter whose arguments are there.
#[derive(Clone, Debug)]
enum Filter {
    All,
    After(String),
    TrimHorizon,
    Latest,
    At(Stamp),
    From(Stamp),
}

impl Kinesis {
    /// Lists a stream's shards, page by page.
    ///
    /// # Errors
    ///
    /// When there is no such stream (`ResourceNotFound`), it is being created or deleted (`ResourceInUse`), the token is
    /// garbage, comes with a stream, or a filter lacks its argument (`InvalidArgument`), or the token is too old
    /// (`ExpiredNextToken`).
    pub fn list_shards(
        &mut self,
        now: SystemTime,
        list: ListShardsRequest,
    ) -> Result<ListShardsResponse, KinesisError> {
        let now = Stamp::of(now);
        let size = request::page_size(list.max_results, LIST_SHARDS_RESULTS_DEFAULT, "maxResults")?;
        let (stream, filter, after) = match &list.next_token {
            Some(token) => self.continue_page(now, &list, token)?,
            None => {
                if let Some(id) = &list.exclusive_start_shard_id {
                    request::identifier(id, "exclusiveStartShardId")?;
                }
                let filter = list.shard_filter.map_or(Ok(Filter::All), Filter::check)?;
                (self.stream(now, &list.stream)?, filter, list.exclusive_start_shard_id.unwrap_or_default())
            }
        };
        stream.require_listable()?;
        let horizon = stream.horizon(now).max(stream.created);
        let mut matching = stream
            .shards(now)
            .filter(|shard| shard.id.as_str() > after.as_str() && filter.admits(shard, horizon));
        let shards: Vec<_> = matching.by_ref().take(size).map(ShardDescription::of).collect();
        let next_token = matching.next().and_then(|_| shards.last()).map(|last| {
            let incarnation = stream.incarnation.to_string();
            let issued = now.millis().to_string();
            token::seal(TOKEN, &[&stream.name, &incarnation, &last.shard_id, &filter.to_text(), &issued])
        });
        Ok(ListShardsResponse { shards, next_token })
    }

    fn continue_page(
        &mut self,
        now: Stamp,
        list: &ListShardsRequest,
        token: &str,
    ) -> Result<(&mut StreamState, Filter, String), KinesisError> {
        if list.stream != StreamRef::default()
            || list.shard_filter.is_some()
            || list.exclusive_start_shard_id.is_some()
        {
            return Err(KinesisError::invalid_argument(
                "NextToken and StreamName cannot be provided together.",
            ));
        }
        let invalid = || KinesisError::invalid_argument("Invalid NextToken.");
        let [name, incarnation, last, filter, issued] = token::open(TOKEN, token).ok_or_else(invalid)?;
        let filter = Filter::from_text(&filter).ok_or_else(invalid)?;
        let issued = issued.parse().map(Stamp::from_millis).map_err(|_| invalid())?;
        if self.limits.expiry && now.since(issued) > NEXT_TOKEN_LIFE {
            return Err(KinesisError::new(
                ErrorCode::ExpiredNextToken,
                "The NextToken was given out more than 300 seconds ago.",
            ));
        }
        let stream = self.stream_named(now, &name)?;
        if stream.incarnation.to_string() != incarnation {
            return Err(invalid());
        }
        Ok((stream, filter, last))
    }
}

const TOKEN: &str = "shards";

impl Filter {
    fn check(filter: ShardFilter) -> Result<Self, KinesisError> {
        let time = || {
            filter
                .timestamp
                .map(Stamp::of)
                .ok_or_else(|| KinesisError::invalid_argument("This type of ShardFilter needs a Timestamp."))
        };
        Ok(match filter.r#type {
            ShardFilterType::AfterShardId => {
                let id = filter.shard_id.ok_or_else(|| {
                    KinesisError::invalid_argument("This type of ShardFilter needs a ShardId.")
                })?;
                request::identifier(&id, "shardFilter.shardId")?;
                Self::After(id)
            }
            ShardFilterType::AtTrimHorizon => Self::TrimHorizon,
            ShardFilterType::FromTrimHorizon => Self::All,
            ShardFilterType::AtLatest => Self::Latest,
            ShardFilterType::AtTimestamp => Self::At(time()?),
            ShardFilterType::FromTimestamp => Self::From(time()?),
        })
    }

    fn admits(&self, shard: &ShardState, horizon: Stamp) -> bool {
        // A shard that closes at a moment was not open then, its children were: so they cover each key once.
        let open_at = |at: Stamp| shard.created <= at && shard.closed.is_none_or(|closed| closed > at);
        match self {
            Self::All => true,
            Self::After(id) => shard.id.as_str() > id.as_str(),
            Self::TrimHorizon => open_at(horizon),
            Self::Latest => shard.is_open(),
            // Before the oldest moment within retention there is nothing: it counts as that moment.
            Self::At(at) => open_at(*at.max(&horizon)),
            Self::From(at) => shard.closed.is_none_or(|closed| closed >= *at),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::All => "all:".to_owned(),
            Self::After(id) => format!("after:{id}"),
            Self::TrimHorizon => "horizon:".to_owned(),
            Self::Latest => "latest:".to_owned(),
            Self::At(at) => format!("at:{}", at.millis()),
            Self::From(at) => format!("from:{}", at.millis()),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let (kind, argument) = text.split_once(':')?;
        let time = || argument.parse().ok().map(Stamp::from_millis);
        match kind {
            "all" => Some(Self::All),
            "after" => Some(Self::After(argument.to_owned())),
            "horizon" => Some(Self::TrimHorizon),
            "latest" => Some(Self::Latest),
            "at" => time().map(Self::At),
            "from" => time().map(Self::From),
            _ => None,
        }
    }
}
