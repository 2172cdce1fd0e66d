//! What an application implements.

use std::error::Error as StdError;

use shardflow_core::{Checkpoint, HashKeyRange, PendingCheckpoint, ShardId, Stream, StreamIdentifier};
use shardflow_engine::consume;

use crate::{Batch, Checkpointer};

/// Processes the records of one shard. A worker makes one for each shard that it gets; its calls never overlap.
///
/// **Schemas.** Data comes as it was put. What a serializer of the Glue schema registry has written is taken apart by
/// [`GlueEncoded`](crate::GlueEncoded), and decoded here, where a client of the registry can be awaited. So a record that
/// cannot be decoded is one that the handler fails at: it is tried again, skipped, or goes to the dead letters as it was
/// put, as [`Config::on_error`](crate::Config::on_error) says. The KCL's `glueSchemaRegistryDeserializer` passes it on.
///
/// ```
/// use shardflow_consumer::{Batch, Checkpointer, GlueEncoded, RecordProcessor, SchemaVersionId};
/// # use bytes::Bytes;
/// # type Error = Box<dyn std::error::Error + Send + Sync>;
/// # struct Order;
/// # struct Schemas; // a client of the registry, with what it has answered before
/// # impl Schemas {
/// #     async fn decode(&mut self, _version: SchemaVersionId, _payload: Bytes) -> Result<Order, Error> { Ok(Order) }
/// # }
///
/// struct Orders { schemas: Schemas }
///
/// impl RecordProcessor for Orders {
///     type Error = Error;
///
///     async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), Error> {
///         for record in batch {
///             let encoded = GlueEncoded::parse(&record.data).ok_or("it was written without the registry")?;
///             let order = self.schemas.decode(encoded.schema_version_id, encoded.payload).await?;
/// #           let Order = order;
///             // …
///         }
///         Ok(checkpointer.batch(batch).await?)
///     }
/// }
/// ```
pub trait RecordProcessor: Send + 'static {
    /// What can go wrong in it. It is logged, and the call repeated.
    type Error: Into<Box<dyn StdError + Send + Sync>> + Send;

    /// Is called once, before any records. An error repeats the call after a while.
    fn initialize(&mut self, shard: &ShardInfo) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _unused = shard;
        async { Ok(()) }
    }

    /// Processes records, in the order of the shard.
    ///
    /// An error repeats the call with the same batch, after 100 ms at first and up to 30 s later, unless
    /// [`Config::on_error`](crate::Config::on_error) says otherwise. A panic counts as an error, after which the shard gets
    /// a new processor, from the last checkpoint on. While a call runs, a few batches are read ahead.
    fn process(
        &mut self,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Is called when there will be no more records, and why. Checkpoint what is done but for [`Stop::LeaseLost`], which
    /// comes too late for that.
    ///
    /// At [`Stop::ShardEnd`] an error repeats the call: the shard's children are not begun before it succeeds. The worker
    /// checkpoints the end itself.
    fn stopping(
        &mut self,
        why: Stop,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _unused = (why, checkpointer);
        async { Ok(()) }
    }
}

/// What a processor is made for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ShardInfo {
    /// The stream, as it was given.
    pub stream: Stream,
    /// Which one that is, where the consumer reads several: its account, its name, and when it was created.
    pub stream_identifier: Option<StreamIdentifier>,
    /// The shard.
    pub shard_id: ShardId,
    /// Where it goes on: everything up to here is done.
    pub checkpoint: Checkpoint,
    /// A checkpoint that was noted by [`Checkpointer::prepare`] and not made, with the state that came with it.
    pub pending: Option<PendingCheckpoint>,
    /// The hash keys that it owns, if its lease says so.
    pub hash_key_range: Option<HashKeyRange>,
}

/// Why a shard is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Stop {
    /// All its records have been processed, and there will be no more: it was split or merged.
    ShardEnd,
    /// The worker shuts down, or its stream is not in [`Streams`](crate::Streams) any more. The lease goes to another worker
    /// afterwards, if one reads the stream.
    Shutdown,
    /// Another worker is to have it, since it has fewer. It gets it when this call returns, or 30 s after it was asked for.
    Handoff,
    /// Another worker has it, or may have it: it could not be renewed in time. A checkpoint would be refused.
    LeaseLost,
}

impl From<consume::Stop> for Stop {
    fn from(stop: consume::Stop) -> Self {
        match stop {
            consume::Stop::ShardEnd => Self::ShardEnd,
            consume::Stop::Shutdown => Self::Shutdown,
            consume::Stop::Handoff => Self::Handoff,
            consume::Stop::LeaseLost => Self::LeaseLost,
        }
    }
}
