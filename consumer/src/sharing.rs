//! How workers share the leases out among them.

use std::time::Duration;

use shardflow_engine::lease;

use crate::Config;

impl Config {
    /// By what the leases are parted while this worker leads. Default [`Balance::Count`]. The KCL's
    /// `leaseAssignmentStrategy`, whose default is by utilisation.
    #[must_use]
    pub fn balance(mut self, balance: Balance) -> Self {
        self.lease.balance = match balance {
            Balance::Count => lease::Balance::Count,
            Balance::Utilisation { threshold, dampening, floor } => {
                self.told.weighing = lease::Weighing { threshold, dampening, floor };
                lease::Balance::Utilisation(self.told.weighing)
            }
        };
        self
    }

    /// What this worker tells of its host to whoever leads. Default [`WorkerMetrics::None`].
    #[must_use]
    pub fn worker_metrics(mut self, metrics: WorkerMetrics) -> Self {
        self.worker_metrics = metrics;
        self
    }

    /// Longest time that a handler may take to let go of a shard that another worker is to have. Default 30 s; then it
    /// loses the lease. The KCL's `gracefulLeaseHandoffTimeoutMillis`.
    #[must_use]
    pub fn handoff_timeout(mut self, timeout: Duration) -> Self {
        self.lease.handoff_timeout = timeout;
        self
    }

    /// Whether leases of shards that have ended are deleted, once their children have been begun. Default true. The KCL's
    /// `cleanupLeasesUponShardCompletion`.
    #[must_use]
    pub fn clean_up_leases(mut self, cleans_up: bool) -> Self {
        self.lease.cleans_up = cleans_up;
        self
    }
}

/// By what a leader parts the leases among the workers. Only the leader's own setting counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Balance {
    /// By their number: two workers differ by one at most, seconds after one has come or gone. An even fleet is left alone.
    /// The KCL's `LEASE_COUNT_BASED`.
    #[default]
    Count,
    /// By how busy workers are: by the metric that all of them report, or else by the bytes that their leases bring. Once a
    /// minute the busiest give some leases away, each of which then stays for two minutes. The KCL's
    /// `WORKER_UTILIZATION_AWARE`, with a floor below which nothing moves.
    Utilisation {
        /// How much busier than the average a worker must be to give leases away, in per cent of the average. The KCL's
        /// `reBalanceThresholdPercentage`, 10 there.
        threshold: f64,
        /// How much of what is too much it gives away at once, in per cent. The KCL's `dampeningPercentage`, 60 there.
        dampening: f64,
        /// How many points of utilisation it must be above the average in any case. The KCL has none, and moves leases for
        /// ever where everybody idles; 5 is what suits most.
        floor: f64,
    },
}

impl Balance {
    /// By utilisation, weighed so.
    pub(crate) fn weighed(weighing: lease::Weighing) -> Self {
        let lease::Weighing { threshold, dampening, floor } = weighing;
        Self::Utilisation { threshold, dampening, floor }
    }
}

/// What a worker tells of its host, in its row of worker metrics.
///
/// Leaders of the KCL for Java balance by the metric that workers report. **A worker of this library that reads the same
/// shards is far less busy than a Java one, so among those that balance by CPU it draws every lease until it has them
/// all.** Workers that report nothing are balanced by the bytes that their leases bring.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WorkerMetrics {
    /// Nothing but that it lives: fits a fleet of Java workers that is to be replaced, and is all that
    /// [`Balance::Count`] needs.
    #[default]
    None,
    /// How much of the processor time that its container or host may use is used, every 30 s. For fleets of this library
    /// alone that balance by utilisation, and whose handlers differ in what they need. On ECS and Fargate from the task's
    /// metadata endpoint (`ECS_CONTAINER_METADATA_URI_V4`), asked for a second at most; elsewhere from the files of control
    /// groups of either version, else `/proc/stat`; where there is none, nothing is reported.
    Cpu,
}
