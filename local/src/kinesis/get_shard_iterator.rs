//! GetShardIterator, and what an iterator is.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shardflow_core::limits::ITERATOR_LIFE;
use shardflow_core::{SequenceNumber, ShardPosition};

use super::error::{ErrorCode, KinesisError};
use super::sequence::Sequence;
use super::shapes::StreamRef;
use super::shard::ShardState;
use super::stamp::{Stamp, epoch_seconds};
use super::stream::StreamState;
use super::{Kinesis, token};

/// What GetShardIterator takes.
#[derive(Clone, Debug)]
pub struct GetShardIteratorRequest {
    /// The stream.
    pub stream: StreamRef,
    /// The shard.
    pub shard_id: String,
    /// Where reading starts.
    pub position: ShardPosition,
}

/// What GetShardIterator answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetShardIteratorResponse {
    /// The iterator. Lives for five minutes.
    pub shard_iterator: String,
}

/// Where reading starts, as requests carry it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PositionShape {
    #[serde(alias = "ShardIteratorType")]
    r#type: PositionType,
    #[serde(alias = "StartingSequenceNumber", default)]
    sequence_number: Option<String>,
    #[serde(default, deserialize_with = "epoch_seconds::option")]
    timestamp: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum PositionType {
    AtSequenceNumber,
    AfterSequenceNumber,
    TrimHorizon,
    Latest,
    AtTimestamp,
}

/// A place in a shard, and when an iterator to it was given out.
#[derive(Clone, Debug)]
pub(crate) struct ShardIterator {
    pub(crate) stream: String,
    pub(super) incarnation: u64,
    pub(super) shard: u32,
    pub(super) position: u64,
    issued: Stamp,
    generation: u64,
}

impl Kinesis {
    /// Gives an iterator to a place in a shard.
    ///
    /// # Errors
    ///
    /// When there is no such stream or shard (`ResourceNotFound`), the sequence number is not of this shard or the time
    /// lies ahead (`InvalidArgument`).
    pub fn get_shard_iterator(
        &mut self,
        now: SystemTime,
        get: GetShardIteratorRequest,
    ) -> Result<GetShardIteratorResponse, KinesisError> {
        let (now, generation) = (Stamp::of(now), self.iterator_generation);
        let stream = self.stream(now, &get.stream)?;
        stream.require_usable()?;
        let number = stream.find_shard(now, &get.shard_id)?;
        let position = position_in(stream, number, now, &get.position, "GetShardIterator")?;
        let iterator = ShardIterator {
            stream: stream.name.clone(),
            incarnation: stream.incarnation,
            shard: number,
            position,
            issued: now,
            generation,
        };
        Ok(GetShardIteratorResponse { shard_iterator: iterator.seal() })
    }
}

/// Finds a position in a shard, without what has left retention.
pub(super) fn position_in(
    stream: &mut StreamState,
    number: u32,
    now: Stamp,
    position: &ShardPosition,
    call: &str,
) -> Result<u64, KinesisError> {
    let place = format!("in stream {} under account {}", stream.name, stream.account);
    let shard = stream.shard_mut(now, number).expect("the caller found it");
    match position {
        ShardPosition::TrimHorizon => Ok(shard.start()),
        ShardPosition::Latest => Ok(shard.end()),
        ShardPosition::AtTimestamp(time) => {
            let time = Stamp::of(*time);
            if time > now {
                return Err(KinesisError::invalid_argument(format!(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                     timestampInMillis: {}, currentTimestampInMillis: {}",
                    time.millis(),
                    now.millis()
                )));
            }
            Ok(shard.position_at(time))
        }
        ShardPosition::AtSequenceNumber(text) => {
            let sequence = own_sequence(shard, text, &place, call)?;
            Ok(shard.position_of(sequence, false))
        }
        ShardPosition::AfterSequenceNumber(text) => {
            let sequence = own_sequence(shard, text, &place, call)?;
            Ok(shard.position_of(sequence, true))
        }
    }
}

fn own_sequence(
    shard: &ShardState,
    text: &SequenceNumber,
    place: &str,
    call: &str,
) -> Result<Sequence, KinesisError> {
    Sequence::parse(text.as_str()).filter(|sequence| sequence.is_of(shard.epoch(), shard.number)).ok_or_else(|| {
        KinesisError::invalid_argument(format!(
            "StartingSequenceNumber {text} used in {call} on shard {} {place} is invalid because it did not come \
             from this stream.",
            shard.id
        ))
    })
}

impl TryFrom<PositionShape> for ShardPosition {
    type Error = KinesisError;

    fn try_from(shape: PositionShape) -> Result<Self, KinesisError> {
        let sequence = || {
            let text = shape.sequence_number.as_deref().ok_or_else(|| {
                KinesisError::invalid_argument(
                    "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber \
                     or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber.",
                )
            })?;
            text.parse::<SequenceNumber>().map_err(|_| {
                KinesisError::constraint(
                    text,
                    "startingSequenceNumber",
                    "satisfy regular expression pattern: 0|([1-9]\\d{0,128})",
                )
            })
        };
        Ok(match shape.r#type {
            PositionType::AtSequenceNumber => Self::AtSequenceNumber(sequence()?),
            PositionType::AfterSequenceNumber => Self::AfterSequenceNumber(sequence()?),
            PositionType::AtTimestamp => Self::AtTimestamp(shape.timestamp.ok_or_else(|| {
                KinesisError::invalid_argument(
                    "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has \
                     no timestamp parameter.",
                )
            })?),
            PositionType::TrimHorizon | PositionType::Latest if shape.sequence_number.is_some() => {
                return Err(KinesisError::invalid_argument(
                    "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber \
                     or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber.",
                ));
            }
            PositionType::TrimHorizon => Self::TrimHorizon,
            PositionType::Latest => Self::Latest,
        })
    }
}

impl ShardIterator {
    const TOKEN: &str = "iterator";

    /// The same place further on, from a fresh start of its five minutes.
    pub(super) fn advanced(&self, position: u64, now: Stamp) -> Self {
        Self { position, issued: now, ..self.clone() }
    }

    pub(super) fn seal(&self) -> String {
        let numbers =
            [self.incarnation, self.shard.into(), self.position, self.issued.millis(), self.generation]
                .map(|number| number.to_string());
        let [incarnation, shard, position, issued, generation] = numbers.each_ref().map(String::as_str);
        token::seal(Self::TOKEN, &[&self.stream, incarnation, shard, position, issued, generation])
    }

    pub(crate) fn open(text: &str) -> Result<Self, KinesisError> {
        let invalid = || KinesisError::invalid_argument("Invalid ShardIterator.");
        let [stream, numbers @ ..] = token::open::<6>(Self::TOKEN, text).ok_or_else(invalid)?;
        let mut parsed = [0_u64; 5];
        for (value, text) in parsed.iter_mut().zip(&numbers) {
            *value = text.parse().map_err(|_| invalid())?;
        }
        let [incarnation, shard, position, issued, generation] = parsed;
        Ok(Self {
            stream,
            incarnation,
            shard: u32::try_from(shard).map_err(|_| invalid())?,
            position,
            issued: Stamp::from_millis(issued),
            generation,
        })
    }

    pub(super) fn require_fresh(
        &self,
        now: Stamp,
        generation: u64,
        expiry: bool,
    ) -> Result<(), KinesisError> {
        let aged = expiry && now.since(self.issued) > ITERATOR_LIFE;
        if !aged && self.generation == generation {
            return Ok(());
        }
        Err(KinesisError::new(
            ErrorCode::ExpiredIterator,
            format!(
                "Iterator expired. The iterator was created at time {} while right now it is {} which is further in \
                 the future than the tolerated delay of 300000 milliseconds.",
                self.issued.millis(),
                now.millis()
            ),
        ))
    }
}
