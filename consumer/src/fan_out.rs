//! Enhanced fan-out with the AWS SDK: the consumer, and the subscriptions of one shard.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::describe_stream_consumer::builders::DescribeStreamConsumerFluentBuilder;
use aws_sdk_kinesis::operation::register_stream_consumer::builders::RegisterStreamConsumerFluentBuilder;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError as EventError;
use aws_sdk_kinesis::types::{ConsumerStatus, SubscribeToShardEventStream};
use shardflow_core::Stream;
use shardflow_engine::consume::{
    Found, ReadAnswer, Registration, RegistrationAnswer, RegistrationRequest, RegistrationStep,
};
use shardflow_engine::{Failure, RequestId};
use shardflow_sdk::{bounded, classify, seed, unreadable};
use tokio::time::{Instant, sleep};

use crate::client::delivery;
use crate::{FanOutConsumer, Retrieval};

/// Finds the consumer of a worker, once for all its shards.
#[derive(Debug)]
pub(crate) struct ConsumerFinder {
    kinesis: aws_sdk_kinesis::Client,
    stream: Stream,
    timeout: Duration,
    consumer: FanOutConsumer,
    register: bool,
    /// Held while it is looked for: the other shards wait for what comes of that, and do not ask as well.
    known: tokio::sync::Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    stream_arn: Option<String>,
    found: Option<(Found, Instant)>,
}

/// How long it is believed that there is no consumer.
const NONE_FOR: Duration = Duration::from_secs(60);

/// Longest search, with the waits for other shards' searches.
const SEARCH: Duration = Duration::from_secs(180);

impl ConsumerFinder {
    /// None where there is nothing to find. `application` is what the consumer is called if it has no name of its own.
    pub(crate) fn new(
        kinesis: aws_sdk_kinesis::Client,
        stream: Stream,
        timeout: Duration,
        retrieval: &Retrieval,
        application: Option<&str>,
    ) -> Option<Self> {
        let (consumer, register) = match retrieval {
            Retrieval::Polling => return None,
            Retrieval::FanOut { consumer } => (consumer, true),
            Retrieval::Auto { consumer } => (consumer, false),
        };
        let named = || application.and_then(|name| name.parse().ok()).map(FanOutConsumer::Named);
        let consumer = match consumer {
            FanOutConsumer::Application => named().unwrap_or_default(),
            FanOutConsumer::Named(_) | FanOutConsumer::Arn(_) => consumer.clone(),
        };
        let register = register && !matches!(consumer, FanOutConsumer::Arn(_));
        let known = Known { stream_arn: stream.arn().map(ToString::to_string), found: None };
        Some(Self { kinesis, stream, timeout, consumer, register, known: tokio::sync::Mutex::new(known) })
    }

    /// The consumer, unless it is the one that is `gone`.
    pub(crate) async fn find(&self, gone: Option<Arc<str>>) -> Result<ReadAnswer, Failure> {
        if self.consumer == FanOutConsumer::Application {
            let reason = "the application has no name that a consumer can have".to_owned();
            return Ok(ReadAnswer::NoConsumer { reason });
        }
        // Boxed, since it is large and rare: every read has room for what the largest one needs.
        let search = Box::pin(async {
            let mut known = self.known.lock().await;
            match &known.found {
                Some((found @ Found::Consumer(arn), _)) if Some(arn) != gone.as_ref() => {
                    return Ok(found.clone());
                }
                Some((found @ Found::None { .. }, at)) if at.elapsed() < NONE_FOR => return Ok(found.clone()),
                Some(_) | None => {}
            }
            let found = self.search(&mut known.stream_arn).await?;
            known.found = Some((found.clone(), Instant::now()));
            Ok(found)
        });
        Ok(match bounded(SEARCH, search).await? {
            Found::Consumer(arn) => ReadAnswer::Consumer(arn),
            Found::None { reason } => ReadAnswer::NoConsumer { reason },
        })
    }

    async fn search(&self, stream_arn: &mut Option<String>) -> Result<Found, Failure> {
        let arn_known = stream_arn.is_some() || matches!(self.consumer, FanOutConsumer::Arn(_));
        let mut way = Registration::new(arn_known, self.register, seed());
        loop {
            match way.poll_step() {
                RegistrationStep::Ask(request) => {
                    way.answered(bounded(self.timeout, self.ask(request, stream_arn)).await);
                }
                RegistrationStep::Wait(wait) => sleep(wait).await,
                RegistrationStep::End(end) => return end,
            }
        }
    }

    async fn ask(
        &self,
        request: RegistrationRequest,
        stream_arn: &mut Option<String>,
    ) -> Result<RegistrationAnswer, Failure> {
        match request {
            RegistrationRequest::DescribeStream => {
                let call = self.kinesis.describe_stream_summary().stream_name(self.stream.name().as_str());
                let answer = call.send().await.map_err(|error| classify(&error))?;
                *stream_arn = answer.stream_description_summary.map(|summary| summary.stream_arn);
                Ok(RegistrationAnswer::Stream)
            }
            RegistrationRequest::DescribeConsumer => {
                let call = self.describe(self.kinesis.describe_stream_consumer(), stream_arn.as_ref());
                let answer = call.send().await.map_err(|error| classify(&error))?;
                let described = answer.consumer_description.ok_or_else(nothing)?;
                let active = described.consumer_status == ConsumerStatus::Active;
                Ok(RegistrationAnswer::Consumer { arn: described.consumer_arn.into(), active })
            }
            RegistrationRequest::Register => {
                let call = self.register(self.kinesis.register_stream_consumer(), stream_arn.as_ref());
                let answer = call.send().await.map_err(|error| classify(&error))?;
                let registered = answer.consumer.ok_or_else(nothing)?;
                let active = registered.consumer_status == ConsumerStatus::Active;
                Ok(RegistrationAnswer::Consumer { arn: registered.consumer_arn.into(), active })
            }
        }
    }

    fn describe(
        &self,
        call: DescribeStreamConsumerFluentBuilder,
        stream_arn: Option<&String>,
    ) -> DescribeStreamConsumerFluentBuilder {
        match &self.consumer {
            FanOutConsumer::Application => call,
            FanOutConsumer::Named(name) => {
                call.consumer_name(name.as_str()).set_stream_arn(stream_arn.cloned())
            }
            FanOutConsumer::Arn(arn) => call.consumer_arn(arn.as_str()),
        }
    }

    fn register(
        &self,
        call: RegisterStreamConsumerFluentBuilder,
        stream_arn: Option<&String>,
    ) -> RegisterStreamConsumerFluentBuilder {
        match &self.consumer {
            FanOutConsumer::Application | FanOutConsumer::Arn(_) => call,
            FanOutConsumer::Named(name) => {
                call.consumer_name(name.as_str()).set_stream_arn(stream_arn.cloned())
            }
        }
    }
}

fn nothing() -> Failure {
    Failure::unknown("Unreadable", "an answer without a consumer")
}

/// The events of a subscription.
pub(crate) type Events = EventReceiver<SubscribeToShardEventStream, EventError>;

/// The subscriptions of a shard. Only the newest is read; the others end when nobody reads them any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriptions(Arc<Mutex<Newest>>);

#[derive(Debug, Default)]
struct Newest {
    id: Option<RequestId>,
    /// Away while its next event is waited for.
    events: Option<Events>,
}

impl Subscriptions {
    /// A subscription is open.
    pub(crate) fn opened(&self, id: RequestId, events: Events) {
        *self.newest() = Newest { id: Some(id), events: Some(events) };
    }

    /// The next event of a subscription.
    pub(crate) async fn receive(&self, id: RequestId, within: Duration) -> Result<ReadAnswer, Failure> {
        let events = {
            let mut newest = self.newest();
            if newest.id == Some(id) { newest.events.take() } else { None }
        };
        let mut events =
            events.ok_or_else(|| Failure::refused("NotSubscribed", "it is not open any more"))?;
        let received = bounded(within, async {
            loop {
                match events.recv().await.map_err(|error| failure(&error))? {
                    Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => {
                        return delivery(event).map(Some).map_err(|error| unreadable(&error));
                    }
                    // A kind of event that is not known yet.
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
        });
        let Some(delivery) = received.await? else { return Ok(ReadAnswer::SubscriptionEnded) };
        let mut newest = self.newest();
        if newest.id == Some(id) {
            newest.events = Some(events);
        }
        Ok(ReadAnswer::Delivered(delivery))
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        // Held for an assignment only; a panic cannot leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it means that a subscription breaks. The SDK keeps no code of an error that comes as an event.
fn failure<R: std::fmt::Debug>(error: &SdkError<EventError, R>) -> Failure {
    let message = match error.as_service_error() {
        Some(error) => error.to_string(),
        None => format!("{error:?}"),
    };
    let code = match error.as_service_error() {
        Some(EventError::ResourceNotFoundException(_)) => "ResourceNotFoundException",
        Some(EventError::ResourceInUseException(_)) => "ResourceInUseException",
        Some(EventError::KmsDisabledException(_)) => "KMSDisabledException",
        Some(EventError::KmsInvalidStateException(_)) => "KMSInvalidStateException",
        Some(EventError::KmsAccessDeniedException(_)) => "KMSAccessDeniedException",
        Some(EventError::KmsNotFoundException(_)) => "KMSNotFoundException",
        Some(EventError::KmsOptInRequired(_)) => "KMSOptInRequired",
        Some(EventError::KmsThrottlingException(_)) => "KMSThrottlingException",
        Some(_) => "InternalFailureException",
        None => "ConnectionFailed",
    };
    Failure::unknown(code, message)
}
