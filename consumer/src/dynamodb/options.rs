//! What a lease table is to be like, and how it is used.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{CreateTable, DynamoDbLeases, TableName};

impl DynamoDbLeases {
    /// Whether the lease table is created if it is not there. Default: it is, and an index that is missing is added.
    #[must_use]
    pub fn create_table(mut self, create: CreateTable) -> Self {
        self.options.create = create;
        self
    }

    /// Creates the table with so many units of reading and writing a second, and the index with as many. Default: on demand,
    /// which costs what is used; an idle lease costs a write every few seconds.
    ///
    /// The KCL's `billingMode`, `initialLeaseTableReadCapacity` and `initialLeaseTableWriteCapacity`.
    #[must_use]
    pub fn provisioned(mut self, read: NonZeroU32, write: NonZeroU32) -> Self {
        self.options.provisioned = Some((read, write));
        self
    }

    /// Creates the table with one more tag. Default: none. Needs the right to `TagResource`.
    ///
    /// The KCL's `tags`.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.tags.push((key.into(), value.into()));
        self
    }

    /// Creates the table so that it cannot be deleted before this is taken back. Default: no.
    ///
    /// The KCL's `leaseTableDeletionProtectionEnabled`.
    #[must_use]
    pub fn deletion_protection(mut self, protected: bool) -> Self {
        self.options.deletion_protection = protected;
        self
    }

    /// Turns point-in-time recovery on whenever a worker starts, of a table that was there too; it is never turned off.
    /// Default: no. Costs by the size of the table, and needs the right to `UpdateContinuousBackups`. A table that is not
    /// created is left as it is.
    ///
    /// The KCL's `leaseTablePitrEnabled`.
    #[must_use]
    pub fn point_in_time_recovery(mut self, on: bool) -> Self {
        self.options.point_in_time_recovery = on;
        self
    }

    /// Reads the whole table in so many parts at once, 1 to 1,000,000. Default: one for each 0.2 GiB that the table had when
    /// the worker started, 32 at most, so nearly always one. More is faster with hundreds of thousands of leases, and costs
    /// more the less there are.
    ///
    /// The KCL's `leaseTableScanTotalSegments`.
    #[must_use]
    pub fn scan_segments(mut self, segments: NonZeroU32) -> Self {
        self.segments = Some(segments);
        self
    }

    /// The table in which a fleet of the KCL 3.0 to 3.4 keeps its members, if its name is not the KCL's default: the lease
    /// table's with `-WorkerMetricStats`. It is never created.
    ///
    /// The KCL's `workerUtilizationAwareAssignmentConfig.workerMetricsTableConfig.tableName`.
    #[must_use]
    pub fn worker_metrics_table(mut self, table: TableName) -> Self {
        self.metrics_table = table;
        self.forget_layout()
    }

    /// The table in which a fleet of the KCL 3.0 to 3.4 keeps its leader's lock, if its name is not the KCL's default: the
    /// lease table's with `-CoordinatorState`. It is never created; where it is, and does not say that the fleet has left
    /// it, the application is taken for such a fleet.
    ///
    /// The KCL's `coordinatorStateTableConfig.tableName`.
    #[must_use]
    pub fn coordinator_state_table(mut self, table: TableName) -> Self {
        self.state_table = table;
        self.forget_layout()
    }

    /// By other names it may be another one than a clone has found.
    fn forget_layout(mut self) -> Self {
        self.layout = Arc::default();
        self
    }
}
