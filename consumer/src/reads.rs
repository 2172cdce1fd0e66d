//! Carries out what reading a shard asks for, and decides nothing.

use shardflow_core::ShardId;
use shardflow_engine::consume::{ReadAnswer, ReadEvent, ReadRequest};
use shardflow_engine::shards::ShardFilter;
use shardflow_engine::{Failure, RequestId};

use crate::client::Client;
use crate::clock::Clock;
use crate::fan_out::Subscriptions;

/// The reads of one shard.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    client: Client,
    shard: ShardId,
    clock: Clock,
    subscriptions: Subscriptions,
}

impl Reads {
    pub(crate) fn new(client: Client, shard: ShardId, clock: Clock) -> Self {
        Self { client, shard, clock, subscriptions: Subscriptions::default() }
    }

    /// Carries a request out. Ends in bounded time.
    pub(crate) async fn carry_out(self, id: RequestId, request: ReadRequest) -> Result<ReadAnswer, Failure> {
        let Self { client, shard, clock, subscriptions } = self;
        match request {
            ReadRequest::OpenIterator(position) => {
                let asked = clock.wall();
                let iterator = client.open_iterator(&shard, position).await?;
                Ok(ReadAnswer::Iterator { iterator, asked })
            }
            ReadRequest::GetRecords { iterator, limit } => {
                client.get_records(iterator, limit).await.map(ReadAnswer::Page)
            }
            ReadRequest::ListShards => client.list_shards(ShardFilter::All).await.map(ReadAnswer::Shards),
            ReadRequest::FindConsumer { gone } => client.find_consumer(gone).await,
            ReadRequest::Subscribe { consumer, position } => {
                let asked = clock.wall();
                let events = client.subscribe(&consumer, &shard, position).await?;
                subscriptions.opened(id, events);
                Ok(ReadAnswer::Subscribed { asked })
            }
            ReadRequest::Receive { subscription, within } => {
                subscriptions.receive(subscription, within).await
            }
        }
    }
}

/// Tells what a shard's reading has to tell.
pub(crate) fn tell(shard_id: &str, event: ReadEvent) {
    match event {
        ReadEvent::Failed { failure: Failure { code, message, .. }, times } => {
            // Throttling is the everyday business of shards that several applications read.
            if times > 3 {
                tracing::warn!(shard_id, code, message, times, "a shard cannot be read");
            } else {
                tracing::debug!(shard_id, code, message, times, "a shard cannot be read");
            }
        }
        ReadEvent::StreamMissing => {
            tracing::warn!(shard_id, "the stream is not there; it is looked for again and again");
        }
        ReadEvent::LeftRetention => {
            tracing::warn!(shard_id, "the shard has left retention; what was not read of it is lost");
        }
        ReadEvent::ForeignPosition { number } => {
            let sequence_number = number.as_str();
            tracing::warn!(
                shard_id,
                sequence_number,
                "the checkpoint is another stream's; the shard is read anew"
            );
        }
        ReadEvent::FellBack { reason } => {
            tracing::info!(shard_id, reason, "the shard cannot be subscribed to and is polled");
        }
        ReadEvent::CorruptAggregate { at } => {
            tracing::warn!(shard_id, %at, "an aggregate cannot be read and is delivered as it is");
        }
        ReadEvent::AggregateDropped { at, records } => {
            tracing::warn!(shard_id, %at, records, "an aggregate with a record of another shard is left out");
        }
    }
}
