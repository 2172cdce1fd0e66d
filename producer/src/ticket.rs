//! What an application holds of a record that was accepted.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use shardflow_core::{SequenceNumber, ShardId};
use tokio::sync::oneshot;

use crate::RecordError;

/// The handle of an accepted record: a future of what becomes of it.
///
/// Dropping it changes nothing: the record is delivered all the same, and its failure goes to
/// [`Config::on_failure`](crate::Config::on_failure) or the log. Polling it is cancel safe.
#[derive(Debug)]
#[must_use = "await it for the outcome, or drop it explicitly"]
pub struct Ticket(pub(crate) oneshot::Receiver<Settled>);

pub(crate) type Settled = Result<Receipt, Box<RecordError>>;

impl Future for Ticket {
    type Output = Result<Receipt, RecordError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let settled = ready!(Pin::new(&mut self.0).poll(context));
        let settled = settled.expect("every accepted record is settled, even when its producer is dropped");
        Poll::Ready(settled.map_err(|error| *error))
    }
}

/// Where a record was put.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Receipt {
    /// The shard that took it.
    pub shard_id: ShardId,
    /// The place of the Kinesis record that carries it. Records of one aggregate share it.
    pub sequence_number: SequenceNumber,
    /// Its place within the aggregate; `None` if it travelled alone.
    pub sub_sequence_number: Option<u64>,
    /// Tries that it took, the last one included.
    pub attempts: u32,
}
