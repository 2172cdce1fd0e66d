//! Which of the service's limits are kept.

use shardflow_core::limits::SHARDS_PER_STREAM;

/// The limits that the service keeps. All of them by default, with the numbers of [`shardflow_core::limits`]; each can
/// be switched off. What cannot is the shape of an answer: 10,000 records or 10 MiB for GetRecords.
///
/// Quotas of an account (streams, calls per second of the control plane) are not modelled, except for
/// [`SHARDS`](Self::SHARDS).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    pub(super) writes: bool,
    pub(super) reads: bool,
    pub(super) fan_out: bool,
    pub(super) expiry: bool,
    pub(super) subscriptions: bool,
    pub(super) sizes: bool,
}

impl Limits {
    /// Most open shards of one region, over all streams: as many as UpdateShardCount allows for one. AWS gives an account
    /// less until it asks for more. It guards the memory of this process and cannot be switched off.
    pub const SHARDS: u32 = SHARDS_PER_STREAM;

    /// No throttling: writes, reads and fan-out go as fast as they can. Sizes and lifetimes are kept.
    #[must_use]
    pub fn unthrottled() -> Self {
        Self::default().writes(false).reads(false).fan_out(false)
    }

    /// 1,000 records and 1 MiB each second into a shard; entries beyond that are refused with
    /// `ProvisionedThroughputExceededException`.
    #[must_use]
    pub fn writes(mut self, kept: bool) -> Self {
        self.writes = kept;
        self
    }

    /// Five GetRecords calls and 2 MiB each second out of a shard.
    #[must_use]
    pub fn reads(mut self, kept: bool) -> Self {
        self.reads = kept;
        self
    }

    /// 2 MiB each second out of a shard to each consumer that subscribed to it.
    #[must_use]
    pub fn fan_out(mut self, kept: bool) -> Self {
        self.fan_out = kept;
        self
    }

    /// Iterators and page tokens that live for five minutes.
    #[must_use]
    pub fn expiry(mut self, kept: bool) -> Self {
        self.expiry = kept;
        self
    }

    /// Subscriptions that end after five minutes, and the five seconds in which a consumer cannot subscribe to the
    /// same shard again.
    #[must_use]
    pub fn subscriptions(mut self, kept: bool) -> Self {
        self.subscriptions = kept;
        self
    }

    /// 500 entries and 10 MiB in a PutRecords request, and the stream's largest record.
    #[must_use]
    pub fn sizes(mut self, kept: bool) -> Self {
        self.sizes = kept;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { writes: true, reads: true, fan_out: true, expiry: true, subscriptions: true, sizes: true }
    }
}
