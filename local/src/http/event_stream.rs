//! The events of a subscription as the body of an answer, framed as AWS event streams are.
//!
//! There is no task: the client's reading drives it, so that a client which does not read costs nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Bytes, BytesMut};

use super::answer::to_json;
use super::get_records::{room_for, write_records};
use crate::clock::RunningClock;
use crate::kinesis::{SubscribeToShardEvent, SubscriptionId, SubscriptionStep};
use crate::regions::{Regions, Watch};

/// One side of a subscription: asks the machine what to send, and waits where it has nothing to say.
#[derive(Debug)]
pub(super) struct Subscriber {
    clock: Arc<RunningClock>,
    regions: Arc<Regions>,
    region: String,
    id: SubscriptionId,
    watch: Watch,
    said: Said,
}

/// How far a subscription has come.
#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    Hello,
    /// Its last words.
    Everything,
}

/// A body that is the subscription's events.
pub(crate) struct EventStream {
    /// The subscriber at work on the next frame; none when there are no more. In a mutex because a body has to be
    /// `Sync`; it is never locked.
    turn: Mutex<Option<Turn>>,
}

type Frame = Option<io::Result<Bytes>>;
type Turn = Pin<Box<dyn Future<Output = (Subscriber, Frame)> + Send>>;

impl EventStream {
    pub(super) fn new(subscriber: Subscriber) -> Self {
        Self { turn: Mutex::new(Some(Box::pin(subscriber.turn()))) }
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Frame> {
        let slot = self.turn.get_mut().expect("it is never locked, so never poisoned");
        let Some(turn) = slot else { return Poll::Ready(None) };
        let Poll::Ready((subscriber, frame)) = turn.as_mut().poll(context) else { return Poll::Pending };
        *slot = match frame {
            Some(Ok(_)) => Some(Box::pin(subscriber.turn())),
            Some(Err(_)) | None => None,
        };
        Poll::Ready(frame)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl Subscriber {
    pub(super) fn new(
        clock: Arc<RunningClock>,
        regions: Arc<Regions>,
        region: &str,
        id: SubscriptionId,
        watch: Watch,
    ) -> Self {
        Self { clock, regions, region: region.to_owned(), id, watch, said: Said::Nothing }
    }

    async fn turn(mut self) -> (Self, Frame) {
        let frame = self.next().await;
        (self, frame)
    }

    async fn next(&mut self) -> Frame {
        match self.said {
            Said::Nothing => {
                self.said = Said::Hello;
                return Some(Ok(event("initial-response", Bytes::from_static(b"{}"))));
            }
            Said::Everything => return None,
            Said::Hello => {}
        }
        loop {
            if self.watch.is_cut() {
                return Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut on request")));
            }
            let now = self.clock.now();
            match self.regions.with(&self.region, |kinesis| kinesis.next_event(now, self.id)) {
                SubscriptionStep::Event(next) => {
                    return Some(Ok(event("SubscribeToShardEvent", encode(&next).into())));
                }
                SubscriptionStep::Failed(error) => {
                    self.said = Said::Everything;
                    let payload = to_json(&serde_json::json!({ "message": error.message() }));
                    return Some(Ok(exception(error.code().as_str(), payload)));
                }
                SubscriptionStep::End => return None,
                SubscriptionStep::Wait { until } => {
                    let wait = until.duration_since(now).unwrap_or_default();
                    tokio::select! {
                        biased;
                        // News first: it is looked at, and then waiting goes on.
                        () = self.watch.rung() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.regions.with(&self.region, |kinesis| kinesis.unsubscribe(self.id));
    }
}

fn encode(event: &SubscribeToShardEvent) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + room_for(&event.records));
    out.extend(br#"{"Records":"#);
    write_records(&mut out, &event.records, event.encryption);
    out.extend(br#","MillisBehindLatest":"#);
    out.extend(event.millis_behind_latest.to_string().as_bytes());
    if let Some(continuation) = event.continuation {
        out.extend(br#","ContinuationSequenceNumber":""#);
        continuation.write_to(&mut out);
        out.push(b'"');
    }
    if let Some(children) = &event.child_shards {
        out.extend(br#","ChildShards":"#);
        out.extend::<Bytes>(to_json(children));
    }
    out.push(b'}');
    out
}

fn event(kind: &'static str, payload: Bytes) -> Bytes {
    frame("event", ":event-type", kind, payload)
}

fn exception(code: &'static str, payload: Bytes) -> Bytes {
    frame("exception", ":exception-type", code, payload)
}

fn frame(kind: &'static str, name_header: &'static str, name: &'static str, payload: Bytes) -> Bytes {
    let text = |value: &'static str| HeaderValue::String(value.into());
    let message = Message::new(payload)
        .add_header(Header::new(":message-type", text(kind)))
        .add_header(Header::new(name_header, text(name)))
        .add_header(Header::new(":content-type", text("application/json")));
    let mut bytes = BytesMut::new();
    write_message_to(&message, &mut bytes).expect("an event is far below the frame's 16 MiB");
    bytes.freeze()
}
