//! What a lease table is to be like, and how it is used.

use std::num::NonZeroU32;
use std::sync::Arc;

use shardflow_sdk::Word;

use super::{CreateTable, DynamoDbLeases, TableName};
use crate::{ConfigError, ConfigKey};

/// The KCL's billing modes.
pub(crate) const BILLING: &[Word<DynamoDbLeases>] = &[
    ("PAY_PER_REQUEST", |leases| leases.paid_by_units(false)),
    ("PROVISIONED", |leases| leases.paid_by_units(true)),
];

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
        self.options.provisioned = true;
        self.options.read = read;
        self.options.write = write;
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

    /// Takes part in the move of a fleet of three tables to one, by writing this worker's own row beside the leases. Default:
    /// no. Without effect where there is one table already.
    ///
    /// As with the KCL 3.5 a fleet moves in two steps: all workers run on the KCL 3.5, or on this library, without this for
    /// an hour at least; then each is replaced by one that has it. A worker that has it before the fleet is that far is
    /// refused with `MigrationNotDeployed`. A leader of the KCL does the rest; while a worker of this library leads, the move
    /// stands still, so let it not lead meanwhile: [`Config::may_lead`](crate::Config::may_lead).
    ///
    /// The KCL's `migrateAllEntitiesToLeaseTable`.
    #[must_use]
    pub fn move_to_one_table(mut self, moves: bool) -> Self {
        self.options.moves = moves;
        self.forget_layout()
    }

    /// Sets one value from text, under its KCL name. Options may be set in any order.
    ///
    /// # Errors
    ///
    /// When the text does not parse or is out of bounds, and when the option is not the lease table's.
    pub fn set(self, key: ConfigKey, text: &str) -> Result<Self, ConfigError> {
        key.apply_to_table(self, text)
    }

    fn paid_by_units(mut self, provisioned: bool) -> Self {
        self.options.provisioned = provisioned;
        self
    }

    pub(crate) fn read_units(mut self, units: u64) -> Option<Self> {
        self.options.read = u32::try_from(units).ok()?.try_into().ok()?;
        Some(self)
    }

    pub(crate) fn write_units(mut self, units: u64) -> Option<Self> {
        self.options.write = u32::try_from(units).ok()?.try_into().ok()?;
        Some(self)
    }

    pub(crate) fn scan_parts(mut self, parts: u64) -> Option<Self> {
        self.segments = NonZeroU32::new(u32::try_from(parts).ok()?);
        Some(self)
    }

    /// Those of a text, in place of those there were.
    pub(crate) fn tags(mut self, text: &str) -> Option<Self> {
        let tag = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            Some((key.trim().to_owned(), value.trim().to_owned())).filter(|(key, _)| !key.is_empty())
        };
        self.options.tags =
            text.split(',').filter(|pair| !pair.trim().is_empty()).map(tag).collect::<Option<_>>()?;
        Some(self)
    }

    /// By other names it may be another one than a clone has found.
    fn forget_layout(mut self) -> Self {
        self.layout = Arc::default();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Applies;

    fn leases() -> DynamoDbLeases {
        let config = aws_sdk_dynamodb::Config::builder().behavior_version_latest().build();
        DynamoDbLeases::new(aws_sdk_dynamodb::Client::from_conf(config), "billing".parse().unwrap())
    }

    fn set(key: &str, text: &str) -> DynamoDbLeases {
        leases().set(key.parse().unwrap(), text).unwrap()
    }

    #[test]
    fn every_key_sets_its_value() {
        assert!(set("billingMode", "PROVISIONED").options.provisioned);
        assert_eq!(set("initialLeaseTableReadCapacity", "7").options.read.get(), 7);
        assert_eq!(set("initialLeaseTableWriteCapacity", "9").options.write.get(), 9);
        let tags = [("a".to_owned(), "b=c".to_owned()), ("d".to_owned(), String::new())];
        assert_eq!(set("tags", "a=b=c, d=").options.tags, tags);
        assert!(set("leaseTableDeletionProtectionEnabled", "true").options.deletion_protection);
        assert!(set("leaseTablePitrEnabled", "true").options.point_in_time_recovery);
        assert_eq!(set("leaseTableScanTotalSegments", "4").segments.map(NonZeroU32::get), Some(4));
        assert_eq!(set("workerMetricsTableName", "members").metrics_table.as_str(), "members");
        assert_eq!(set("coordinatorStateTableName", "state").state_table.as_str(), "state");
        let of_table = ConfigKey::ALL.iter().filter(|key| key.applies() == Applies::Table);
        assert!(set("migrateAllEntitiesToLeaseTable", "true").options.moves);
        assert_eq!(of_table.count(), 10, "each of them is above");
    }

    #[test]
    fn a_default_is_what_its_text_says_and_the_kcls() {
        let seen = |leases: &DynamoDbLeases| format!("{:?} {:?}", leases.options, leases.segments);
        for &key in ConfigKey::ALL.iter().filter(|key| key.applies() == Applies::Table) {
            assert_eq!(key.default_text(), key.kcl_default_text());
            let Some(text) = key.default_text() else { continue };
            assert_eq!(seen(&leases().set(key, text).unwrap()), seen(&leases()), "{key}");
        }
    }

    #[test]
    fn what_is_not_the_tables_is_refused_with_its_place() {
        for &key in ConfigKey::ALL.iter().filter(|key| key.applies() != Applies::Table) {
            let error = ConfigError::Elsewhere { key, applies: key.applies() };
            assert_eq!(leases().set(key, "1").unwrap_err(), error);
        }
        let error = leases().set(ConfigKey::InitialLeaseTableReadCapacity, "0").unwrap_err();
        let rule = r#"initialLeaseTableReadCapacity cannot be "0": it takes 1 to 4294967295 units"#;
        assert_eq!(error.to_string(), rule);
    }
}
