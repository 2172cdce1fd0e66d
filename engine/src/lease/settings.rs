//! What a lease coordinator can be told.

use std::time::Duration;

use shardflow_core::InitialPosition;

pub use crate::leader::Weighing;

/// By what a leader parts the leases.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Balance {
    /// By their number.
    #[default]
    Count,
    /// By how busy workers are, and how much leases bring.
    Utilisation(Weighing),
}

/// What becomes of the leases of streams that are not read any more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Former {
    /// They stay, and nobody reads by them.
    #[default]
    Keep,
    /// They stay, and their shards are read.
    Read,
    /// The leader deletes them when nobody has kept one of them for so long.
    DeleteAfter(Duration),
    /// The same, of those streams that were named for it.
    DeleteNamedAfter(Duration),
}

/// Times and bounds of lease keeping. The public configuration lives in `shardflow-consumer`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a lease is believed, and how long others must see it unchanged before they take it. The KCL's
    /// `failoverTimeMillis`; must be the same for all workers of an application.
    pub failover: Duration,
    /// Time between two looks at the table, as long as that holds no more leases than [`Self::PAGE`].
    pub look_every: Duration,
    /// Time between two rows that say that this worker is there. A KCL leader gives nothing to one whose row is older
    /// than 60 s.
    pub report_every: Duration,
    /// How long the leader's lock lasts that is not renewed; it is renewed three times in that time.
    pub lock_lasts: Duration,
    /// Longest time that a worker may take to let go of a lease that was asked of it. The KCL's 30 s.
    pub handoff_timeout: Duration,
    /// Time between two looks for leases that nobody needs any more.
    pub tidy_every: Duration,
    /// Time between two looks of a leader for leases of shards that have left the stream. The KCL's
    /// `garbageLeaseCleanupIntervalMillis`.
    pub garbage_every: Duration,
    /// By what leases are parted if this worker leads.
    pub balance: Balance,
    /// Time between two rounds in which a leader moves leases between busy and idle workers, and the time for which a
    /// lease stays where it came to. By count they are moved at once, and never twice.
    pub balance_every: Duration,
    /// Most leases of one worker.
    pub max_leases: usize,
    /// Whether this worker competes for the leader's lock.
    pub may_lead: bool,
    /// Whether the leases of shards are deleted once their children have been begun.
    pub cleans_up: bool,
    /// Where the application starts if the table is empty, and it reads one stream.
    pub initial_position: InitialPosition,
    /// What becomes of the leases of streams that are not read any more, where there are several.
    pub former: Former,
    /// Whether leases of one stream and of several may be beside each other. Those of the other kind are left alone.
    pub mixed_keys: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failover: Duration::from_secs(10),
            look_every: Duration::from_secs(3),
            report_every: Duration::from_secs(30),
            lock_lasts: Duration::from_secs(30),
            handoff_timeout: Duration::from_secs(30),
            tidy_every: Duration::from_secs(60),
            garbage_every: Duration::from_secs(30 * 60),
            balance: Balance::Count,
            balance_every: Duration::from_secs(60),
            max_leases: usize::MAX,
            may_lead: true,
            cleans_up: true,
            initial_position: InitialPosition::TrimHorizon,
            former: Former::Keep,
            mixed_keys: false,
        }
    }
}

impl Settings {
    /// So many leases are one page of a scan, of 1 MB. A table of more is looked at less often, and the leases that were
    /// given to this worker are found by the index meanwhile.
    pub const PAGE: usize = 1_000;

    /// Time from a write that proved a lease to the next one.
    ///
    /// The KCL renews every third of a failover time, and pays for each renewal. Here the first try comes late, and two
    /// more fit in before the lease ends. Where answers take long, it comes earlier by that.
    pub(super) fn renew_after(&self, slowest: Duration) -> Duration {
        self.failover.mul_f64(0.79).saturating_sub(slowest * 2).max(self.failover / 3)
    }

    /// Time after which a write that is not answered yet is tried again beside it.
    pub(super) fn hedge_after(&self) -> Duration {
        self.failover.mul_f64(0.06)
    }

    /// Time between two measurements of what a shard brings, if checkpoints are made more often than that: as long as the
    /// KCL's, so that the averages of both mean the same.
    pub(super) fn measure_every(&self) -> Duration {
        self.failover / 3
    }

    /// Longest time that a worker waits beyond the failover time, by chance, before it takes what nobody keeps: a
    /// leader goes first, and survivors not all at once.
    pub(super) fn jitter(&self) -> Duration {
        self.failover / 10
    }
}
