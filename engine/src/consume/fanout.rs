//! Reading by subscription: the service sends what there is, over a connection for each shard.
//!
//! ```text
//!  find the consumer ─► subscribe ─► receive ─► receive ─► … ─► end of shard
//!                          ▲            │ over, cut, taken over, silent: again behind the last event,
//!                          └────────────┘ five seconds after the subscription before at the earliest
//! ```
//!
//! The service ends a subscription after five minutes. Before it does, another one is opened, and the old one is read until
//! that stands, so that no record waits; what then comes twice is left out by [`Place`](super::place::Place).

use std::sync::Arc;
use std::time::Duration;

use shardflow_core::limits::{SUBSCRIPTION_LIFE, SUBSCRIPTION_PAUSE};

use super::fetch::{Arrived, Next, Reading};
use super::read::{Delivery, ReadAnswer, ReadRequest};
use crate::request::RequestIds;
use crate::{Failure, Moment, RequestId};

/// How far a subscription is.
#[derive(Debug)]
pub(super) enum FanOut {
    Find { at: Moment, gone: Option<Arc<str>> },
    Finding { id: RequestId, gone: Option<Arc<str>> },
    Subscribe { consumer: Arc<str>, at: Moment },
    Subscribing { consumer: Arc<str>, id: RequestId },
    Open(Subscription),
}

/// An open subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    consumer: Arc<str>,
    id: RequestId,
    since: Moment,
    event: Event,
    renewal: Renewal,
}

#[derive(Debug)]
enum Event {
    Wanted { since: Moment },
    Awaited { id: RequestId },
}

#[derive(Debug)]
enum Renewal {
    Due { at: Moment },
    Asked { id: RequestId },
}

impl FanOut {
    pub(super) fn new(now: Moment) -> Self {
        Self::Find { at: now, gone: None }
    }

    /// Reading goes on at that time. If the service did not know what it was asked for, it may be the consumer that is
    /// not there any more.
    pub(super) fn again(&mut self, at: Moment, unknown: bool) {
        let consumer = match self {
            Self::Find { .. } | Self::Finding { .. } => None,
            Self::Subscribe { consumer, .. } | Self::Subscribing { consumer, .. } => Some(consumer),
            Self::Open(subscription) => Some(&mut subscription.consumer),
        };
        *self = match consumer.map(|consumer| Arc::clone(consumer)) {
            Some(consumer) if !unknown => Self::Subscribe { consumer, at },
            gone => Self::Find { at, gone },
        };
    }

    /// Reading begins anew elsewhere: what is subscribed to is of no use any more.
    pub(super) fn rewind(&mut self, now: Moment) {
        let (consumer, at) = match self {
            // The place is told when the subscription is asked for.
            Self::Find { .. } | Self::Finding { .. } | Self::Subscribe { .. } => return,
            Self::Open(Subscription { consumer, since, renewal: Renewal::Due { .. }, .. }) => {
                (consumer, since.after(SUBSCRIPTION_PAUSE).max(now))
            }
            // One may have been opened just now.
            Self::Subscribing { consumer, .. } | Self::Open(Subscription { consumer, .. }) => {
                (consumer, now.after(SUBSCRIPTION_PAUSE))
            }
        };
        *self = Self::Subscribe { consumer: Arc::clone(consumer), at };
    }

    /// When it wants to ask.
    pub(super) fn due(&self) -> Option<Moment> {
        let event = match self {
            Self::Open(Subscription { event: Event::Wanted { since }, .. }) => Some(*since),
            Self::Open(_)
            | Self::Find { .. }
            | Self::Finding { .. }
            | Self::Subscribe { .. }
            | Self::Subscribing { .. } => None,
        };
        event.into_iter().chain(self.due_without_records()).min()
    }

    /// When it wants to ask for something other than records.
    pub(super) fn due_without_records(&self) -> Option<Moment> {
        match self {
            Self::Find { at, .. }
            | Self::Subscribe { at, .. }
            | Self::Open(Subscription { renewal: Renewal::Due { at }, .. }) => Some(*at),
            Self::Finding { .. } | Self::Subscribing { .. } | Self::Open(_) => None,
        }
    }

    /// Whether what it asks for next brings records.
    pub(super) fn wants_records(&self, now: Moment) -> bool {
        matches!(self, Self::Open(Subscription { event: Event::Wanted { .. }, .. }))
            && self.due_without_records().is_none_or(|at| at > now)
    }

    /// Whether records are on their way.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::Open(Subscription { event: Event::Awaited { .. }, .. }))
    }

    /// Asks what is to be asked next.
    pub(super) fn ask(
        &mut self,
        now: Moment,
        reading: &Reading,
        ids: &mut RequestIds,
    ) -> Option<(RequestId, ReadRequest)> {
        let id = ids.next();
        let position = reading.place.position();
        match self {
            Self::Find { gone, .. } => {
                let gone = gone.take();
                *self = Self::Finding { id, gone: gone.clone() };
                Some((id, ReadRequest::FindConsumer { gone }))
            }
            Self::Subscribe { consumer, .. } => {
                let consumer = Arc::clone(consumer);
                *self = Self::Subscribing { consumer: Arc::clone(&consumer), id };
                Some((id, ReadRequest::Subscribe { consumer, position }))
            }
            Self::Open(open) => match (&open.renewal, &open.event) {
                (Renewal::Due { at }, _) if *at <= now => {
                    open.renewal = Renewal::Asked { id };
                    let consumer = Arc::clone(&open.consumer);
                    Some((id, ReadRequest::Subscribe { consumer, position }))
                }
                (_, Event::Wanted { .. }) => {
                    open.event = Event::Awaited { id };
                    Some((id, ReadRequest::Receive { subscription: open.id, within: SILENCE }))
                }
                (_, Event::Awaited { .. }) => None,
            },
            Self::Finding { .. } | Self::Subscribing { .. } => None,
        }
    }

    /// One of its requests was answered.
    pub(super) fn answered(
        &mut self,
        now: Moment,
        id: RequestId,
        answer: Result<ReadAnswer, Failure>,
        reading: &mut Reading,
    ) -> Next {
        match self {
            Self::Finding { id: asked, gone } if *asked == id => {
                let gone = gone.take();
                self.found(now, gone, answer, reading)
            }
            Self::Subscribing { id: asked, consumer } if *asked == id => {
                let consumer = Arc::clone(consumer);
                self.subscribed(now, id, consumer, answer, reading)
            }
            Self::Open(open) => match (&open.event, &open.renewal) {
                (Event::Awaited { id: asked }, _) if *asked == id => self.received(now, answer, reading),
                (_, Renewal::Asked { id: asked }) if *asked == id => {
                    match answer {
                        Ok(ReadAnswer::Subscribed { .. }) => open.renew(now, id, reading),
                        // The one that is open goes on for as long as it does.
                        other => {
                            let wait = reading.failed(Failure::instead_of(other)).max(SUBSCRIPTION_PAUSE);
                            open.renewal = Renewal::Due { at: now.after(wait) };
                        }
                    }
                    Next::Nothing
                }
                // Of a subscription that was read before.
                _ => Next::Nothing,
            },
            // Of no step that still waits.
            Self::Find { .. } | Self::Finding { .. } | Self::Subscribe { .. } | Self::Subscribing { .. } => {
                Next::Nothing
            }
        }
    }

    fn found(
        &mut self,
        now: Moment,
        gone: Option<Arc<str>>,
        answer: Result<ReadAnswer, Failure>,
        reading: &mut Reading,
    ) -> Next {
        match answer {
            Ok(ReadAnswer::Consumer(consumer)) => *self = Self::Subscribe { consumer, at: now },
            Ok(ReadAnswer::NoConsumer { reason }) => return Next::NoConsumer { reason },
            other => {
                let wait = reading.failed(Failure::instead_of(other)).max(PATIENCE);
                *self = Self::Find { at: now.after(wait), gone };
            }
        }
        Next::Nothing
    }

    fn subscribed(
        &mut self,
        now: Moment,
        id: RequestId,
        consumer: Arc<str>,
        answer: Result<ReadAnswer, Failure>,
        reading: &mut Reading,
    ) -> Next {
        let failure = match answer {
            Ok(ReadAnswer::Subscribed { asked }) => {
                reading.place.opened(asked);
                *self = Self::Open(Subscription::new(now, id, consumer, reading));
                return Next::Nothing;
            }
            other => Failure::instead_of(other),
        };
        if failure.code == "ResourceNotFoundException" {
            return Next::Unknown(failure);
        }
        let foreign = reading.is_foreign(&failure);
        let wait = if foreign { Duration::ZERO } else { reading.failed(failure).max(PATIENCE) };
        *self = Self::Subscribe { consumer, at: now.after(wait) };
        Next::Nothing
    }

    fn received(&mut self, now: Moment, answer: Result<ReadAnswer, Failure>, reading: &mut Reading) -> Next {
        let Self::Open(open) = self else { return Next::Nothing };
        let failure = match answer {
            Ok(ReadAnswer::Delivered(delivery)) => {
                open.event = Event::Wanted { since: now };
                return Next::Arrived(delivery.into());
            }
            Ok(ReadAnswer::SubscriptionEnded) => None,
            other => Some(Failure::instead_of(other)),
        };
        let consumer = Arc::clone(&open.consumer);
        if let Renewal::Asked { id } = open.renewal {
            // The next one takes over; it may well be why this one has ended.
            *self = Self::Subscribing { consumer, id };
            return Next::Nothing;
        }
        let since = open.since;
        let wait = match failure {
            None => Duration::ZERO,
            Some(failure) if failure.code == "ResourceNotFoundException" => return Next::Unknown(failure),
            // Somebody else subscribes with the same consumer: the shard's next worker, most likely, or the one before.
            // Whoever has lost the lease is about to notice.
            Some(failure) if failure.code == "ResourceInUseException" => {
                reading.failed(failure).max(2 * SUBSCRIPTION_PAUSE)
            }
            Some(failure) => reading.failed(failure),
        };
        let at = now.after(wait).max(since.after(SUBSCRIPTION_PAUSE));
        *self = Self::Subscribe { consumer, at };
        Next::Nothing
    }
}

impl Subscription {
    fn new(now: Moment, id: RequestId, consumer: Arc<str>, reading: &mut Reading) -> Self {
        // Subscriptions that began together need not be renewed together.
        let early = RENEW_EARLY.0 + (RENEW_EARLY.1 - RENEW_EARLY.0).mul_f64(reading.rng.f64());
        Self {
            consumer,
            id,
            since: now,
            event: Event::Wanted { since: now },
            renewal: Renewal::Due { at: now.after(SUBSCRIPTION_LIFE - early) },
        }
    }

    fn renew(&mut self, now: Moment, id: RequestId, reading: &mut Reading) {
        *self = Self::new(now, id, Arc::clone(&self.consumer), reading);
    }
}

impl From<Delivery> for Arrived {
    fn from(delivery: Delivery) -> Self {
        let Delivery { records, continuation, behind, children } = delivery;
        let end = continuation.is_none().then_some(children);
        let last = records.last().map(|record| record.sequence_number.clone());
        let read_to = continuation.or(last).filter(|_| !bug!(ResubscribedAtStart));
        Self { records, read_to, behind, end }
    }
}

/// How long a subscription may say nothing: the service speaks every five seconds, so two of its words may get lost.
const SILENCE: Duration = Duration::from_secs(16);

/// Shortest wait after a request that was refused. A consumer may subscribe to a shard five times a second (API), and the
/// refusal that is to be expected, another worker's subscription, lasts for five seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long before the service ends a subscription another one is opened: between these two.
const RENEW_EARLY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));
