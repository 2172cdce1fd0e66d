//! The service of one account in one region: its streams, and how a request finds the one it names.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use shardflow_core::StreamArn;

use super::error::KinesisError;
use super::limits::Limits;
use super::request;
use super::shapes::StreamRef;
use super::stamp::Stamp;
use super::stream::{StreamState, not_found};
use super::subscribe_to_shard::{Subscription, SubscriptionId};
use crate::Config;

/// Kinesis Data Streams of one account in one region.
///
/// A call takes the time as its first argument. Time may stand still; a step back does no harm. Iterators and tokens
/// are made of counters and that time, so the same calls at the same times give the same answers.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use shardflow_local::Config;
/// use shardflow_local::kinesis::{CreateStreamRequest, Kinesis, PutRecordsEntry, PutRecordsRequest};
///
/// let mut kinesis = Kinesis::new("eu-west-1", &Config::default());
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let orders = CreateStreamRequest { stream_name: "orders".into(), shard_count: Some(2), ..Default::default() };
/// kinesis.create_stream(now, orders)?;
///
/// let later = now + Duration::from_secs(1); // the stream is ACTIVE by now
/// let records = vec![PutRecordsEntry::new("user-1".parse().unwrap(), "clicked")];
/// let answer = kinesis.put_records(later, PutRecordsRequest { stream: "orders".into(), records })?;
/// assert_eq!(answer.failed_record_count(), 0);
/// # Ok::<(), shardflow_local::kinesis::KinesisError>(())
/// ```
#[derive(Debug)]
pub struct Kinesis {
    pub(super) region: String,
    pub(super) account: String,
    pub(super) limits: Limits,
    /// How long a stream is CREATING, UPDATING or DELETING.
    pub(super) transition: Duration,
    pub(super) streams: BTreeMap<String, StreamState>,
    pub(super) streams_ever: u64,
    /// Iterators of an earlier generation have expired, whatever their age.
    pub(super) iterator_generation: u64,
    pub(super) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) subscriptions_ever: u64,
}

impl Kinesis {
    /// A service without streams, with the account, the limits and the transition time of `config`.
    #[must_use]
    pub fn new(region: &str, config: &Config) -> Self {
        Self {
            region: region.to_owned(),
            account: config.account.clone(),
            limits: config.limits,
            transition: config.transition,
            streams: BTreeMap::new(),
            streams_ever: 0,
            iterator_generation: 0,
            subscriptions: BTreeMap::new(),
            subscriptions_ever: 0,
        }
    }

    /// Expires every shard iterator that was given out so far.
    pub fn expire_iterators(&mut self) {
        self.iterator_generation += 1;
    }

    /// When a stream next changes by itself, if it is about to: the end of CREATING, UPDATING or DELETING.
    #[must_use]
    pub fn next_change(&self, stream: &str) -> Option<SystemTime> {
        self.streams.get(stream).and_then(StreamState::next_change).map(Stamp::time)
    }

    /// Carries out at once what is under way on a stream, as if its transition time were over.
    pub(crate) fn finish_change(&mut self, stream: &str) {
        if let Some(stream) = self.streams.get_mut(stream)
            && let Some(due) = stream.next_change()
        {
            stream.settle(due);
        }
    }

    /// Carries out what is due on every stream.
    pub(super) fn settle(&mut self, now: Stamp) {
        self.streams.retain(|_, stream| {
            stream.settle(now);
            !stream.is_gone(now)
        });
    }

    /// The stream that a request names, whatever its status.
    pub(super) fn stream(
        &mut self,
        now: Stamp,
        stream: &StreamRef,
    ) -> Result<&mut StreamState, KinesisError> {
        let name = match (&stream.stream_name, &stream.stream_arn) {
            (None, None) => {
                return Err(KinesisError::invalid_argument("Either StreamName or StreamARN is required."));
            }
            (Some(name), None) => name.as_str(),
            (name, Some(arn)) => {
                let named = self.name_in_arn(arn)?;
                if name.as_ref().is_some_and(|name| name != named) {
                    return Err(KinesisError::invalid_argument(
                        "StreamName and StreamARN name different streams.",
                    ));
                }
                named
            }
        };
        self.stream_named(now, name)
    }

    pub(super) fn stream_named(&mut self, now: Stamp, name: &str) -> Result<&mut StreamState, KinesisError> {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.settle(now);
            if stream.is_gone(now) {
                self.streams.remove(name);
            }
        }
        match self.streams.get_mut(name) {
            Some(stream) => Ok(stream),
            None => {
                request::identifier(name, "streamName")?;
                Err(not_found(name, &self.account))
            }
        }
    }

    /// The stream and consumer names of a consumer's ARN.
    pub(super) fn consumer(
        &mut self,
        now: Stamp,
        consumer_arn: &str,
    ) -> Result<(&mut StreamState, String), KinesisError> {
        let missing = || KinesisError::not_found(format!("Consumer {consumer_arn} not found."));
        let (stream_arn, tail) = consumer_arn.split_once("/consumer/").ok_or_else(|| {
            KinesisError::constraint(consumer_arn, "consumerARN", "be the ARN of a consumer")
        })?;
        let stream = self.name_in_arn(stream_arn)?.to_owned();
        let stream = self.stream_named(now, &stream)?;
        let name = tail.split_once(':').map_or(tail, |(name, _)| name);
        match stream.consumers.get(name) {
            Some(consumer) if consumer.arn == consumer_arn => Ok((stream, name.to_owned())),
            Some(_) | None => Err(missing()),
        }
    }

    pub(crate) fn stream_arn(&self, name: &str) -> String {
        let partition = if self.region.starts_with("cn-") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        };
        format!("arn:{partition}:kinesis:{}:{}:stream/{name}", self.region, self.account)
    }

    fn name_in_arn<'a>(&self, text: &'a str) -> Result<&'a str, KinesisError> {
        let arn: StreamArn = text
            .parse()
            .map_err(|_| KinesisError::constraint(text, "streamARN", "be the ARN of a stream"))?;
        let (_, name) = text.split_once(":stream/").expect("it was parsed as the ARN of a stream");
        if arn.region() == self.region && arn.account() == self.account {
            Ok(name)
        } else {
            Err(not_found(name, arn.account()))
        }
    }
}
