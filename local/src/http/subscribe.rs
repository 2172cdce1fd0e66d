//! SubscribeToShard: opens the subscription, and hands its events to the client.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde::Deserialize;

use super::Body;
use super::answer::Protocol;
use super::endpoint::{Endpoint, Incoming, Reply};
use super::event_stream::{EventStream, Subscriber};
use super::exchange::Applied;
use super::kinesis::{decode, stream_in_arn};
use crate::control::Call;
use crate::kinesis::{KinesisError, PositionShape, SubscribeToShardRequest};

impl Endpoint {
    pub(super) async fn subscribe_to_shard(&self, incoming: Incoming<'_>) -> Reply {
        let request = match decode_subscription(&incoming.body) {
            Ok(request) => request,
            Err(error) => return self.unread(&incoming, Protocol::Json11, &error.into()),
        };
        let stream = stream_in_arn(&request.consumer_arn).map(str::to_owned);
        let Incoming { operation, region, body } = &incoming;
        let resource = stream.as_deref();
        let call = Call { operation: *operation, resource, region, at: self.clock.now(), body };
        self.carry_out(call, Protocol::Json11, |_| {
            let now = self.clock.now();
            let id = self.regions.with(region, |kinesis| kinesis.subscribe_to_shard(now, request))?;
            let stream = resource.unwrap_or_default();
            // The subscription that this one may have taken over from is to hear of it.
            self.regions.wake(region, stream);
            let watch = self.regions.watch(region, stream);
            let subscriber =
                Subscriber::new(Arc::clone(&self.clock), Arc::clone(&self.regions), region, id, watch);
            let mut response = Response::new(Body::Events(EventStream::new(subscriber)));
            let kind = HeaderValue::from_static("application/vnd.amazon.eventstream");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            Ok(Applied::fully(response))
        })
        .await
    }
}

fn decode_subscription(body: &[u8]) -> Result<SubscribeToShardRequest, KinesisError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shape {
        #[serde(rename = "ConsumerARN")]
        consumer_arn: String,
        shard_id: String,
        starting_position: PositionShape,
    }
    let Shape { consumer_arn, shard_id, starting_position } = decode(body)?;
    Ok(SubscribeToShardRequest { consumer_arn, shard_id, starting_position: starting_position.try_into()? })
}
