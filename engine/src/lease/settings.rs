//! What a lease coordinator can be told.

use std::time::Duration;

use shardflow_core::InitialPosition;

/// Times and bounds of lease keeping. The public configuration lives in `shardflow-consumer`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a lease is believed, and how long others must see it unchanged before they take it. The KCL's
    /// `failoverTimeMillis`; must be the same for all workers of an application.
    pub failover: Duration,
    /// Time between two looks at the whole table.
    pub scan_every: Duration,
    /// Longest time that a worker may take to let go of a lease that was asked of it. The KCL's 30 s.
    pub handoff_timeout: Duration,
    /// Most leases of one worker.
    pub max_leases: usize,
    /// Where the application starts if the table is empty.
    pub initial_position: InitialPosition,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failover: Duration::from_secs(10),
            scan_every: Duration::from_secs(5),
            handoff_timeout: Duration::from_secs(30),
            max_leases: usize::MAX,
            initial_position: InitialPosition::TrimHorizon,
        }
    }
}

impl Settings {
    /// Time between two renewals: three fit into the life of a lease. The KCL's `failover / 3 - 25 ms`.
    pub(super) fn renew_every(&self) -> Duration {
        self.failover / 3
    }
}
