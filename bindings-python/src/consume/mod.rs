//! The consumer: batches for a loop, and calls of an application's handlers.

mod batch;
mod checkpointer;
mod delivery;
mod health;
mod policy;
mod processor;
mod settings;
mod shard;
mod threads;
mod user_record;
mod work;
mod worker;

pub(crate) use batch::{Batch, BatchRecords};
pub(crate) use checkpointer::{AsyncCheckpointer, Checkpointer};
pub(crate) use delivery::{AsyncDelivery, Delivery};
pub(crate) use shard::ShardInfo;
pub(crate) use user_record::UserRecord;
pub(crate) use work::Work;
pub(crate) use worker::Worker;
