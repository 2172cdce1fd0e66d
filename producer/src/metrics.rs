//! The KPL's metrics, by its names, through the `metrics` facade.
//!
//! The table is in `docs/metrics.md`, and a test compares it with what is recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, SharedString, Unit, with_recorder};
use shardflow_core::{ShardId, Stream};
use shardflow_engine::produce::{EntryEnd, Measure, RecordsEnd};

use crate::{Config, MetricsDimension, MetricsGranularity, MetricsLevel};

/// The metrics of one producer.
///
/// A recorder is asked for a handle once for each stream, shard and error code, not for each record.
#[derive(Debug)]
pub(crate) struct Metrics {
    source: Source,
    of_stream: OfStream,
    /// None is for what goes to a shard that is not known, and for all where shards are not told apart.
    of_shards: BTreeMap<Option<ShardId>, OfShard>,
    by_code: BTreeMap<(Option<ShardId>, String), Counter>,
    /// What the gauge was last told. Producers of one stream share it.
    pending: u64,
}

impl Metrics {
    /// The metrics of a stream, if they are wanted and somebody listens.
    pub(crate) fn start(stream: &Stream, config: &Config) -> Option<Self> {
        if config.metrics_level == MetricsLevel::None || !somebody_listens() {
            return None;
        }
        let stream = Label::new("StreamName", SharedString::from_owned(stream.name().as_str().to_owned()));
        let (stream, by_shard) = match config.metrics_granularity {
            MetricsGranularity::Global => (None, false),
            MetricsGranularity::Stream => (Some(stream), false),
            MetricsGranularity::Shard => (Some(stream), true),
        };
        let source = Source {
            level: config.metrics_level,
            stream,
            by_shard,
            added: config.metrics_dimensions.clone(),
        };
        Some(Self {
            of_stream: OfStream::new(&source),
            source,
            of_shards: BTreeMap::new(),
            by_code: BTreeMap::new(),
            pending: 0,
        })
    }

    /// Records have arrived.
    pub(crate) fn received(&self, records: usize) {
        self.of_stream.received.increment(records as u64);
    }

    /// So many records are not settled.
    pub(crate) fn pending(&mut self, records: u64) {
        let before = std::mem::replace(&mut self.pending, records);
        if records != before {
            self.of_stream.pending.increment(records as f64 - before as f64);
        }
    }

    pub(crate) fn record(&mut self, measure: Measure) {
        match measure {
            Measure::Request { took, entries, records, failure } => {
                self.of_stream.request_time.record(millis(took));
                self.of_stream.entries.record(entries as f64);
                self.of_stream.records.record(records as f64);
                if let Some(code) = failure {
                    // Rare, and of no shard: a handle for each shard that is not known would show as one.
                    self.source.histogram(&ALL_ERRORS, None).record(1.0);
                    self.failed(None, code);
                }
            }
            Measure::Entry { shard, records, waited, end } => {
                let of_shard = self.of_shard(shard.as_ref());
                of_shard.records_per_entry.record(records as f64);
                for (waited, count) in waited {
                    of_shard.buffering_time.record_many(millis(waited), count);
                }
                match end {
                    EntryEnd::Put(bytes) => {
                        of_shard.entries_put.record(1.0);
                        of_shard.entries_bytes.increment(bytes as u64);
                        of_shard.errors.record(0.0);
                    }
                    EntryEnd::Failed(code) => {
                        of_shard.entries_put.record(0.0);
                        of_shard.errors.record(1.0);
                        self.failed(shard, code);
                    }
                    EntryEnd::Unanswered => {}
                }
            }
            Measure::Settled { shard, retries, end } => {
                let of_shard = self.of_shard(shard.as_ref());
                let records = retries.iter().map(|(_, count)| count).sum();
                for (retries, count) in retries {
                    of_shard.retries.record_many(f64::from(retries), count);
                }
                match end {
                    RecordsEnd::Delivered(bytes) => {
                        of_shard.records_put.record_many(1.0, records);
                        of_shard.records_bytes.increment(bytes as u64);
                    }
                    RecordsEnd::Expired => {
                        of_shard.records_put.record_many(0.0, records);
                        of_shard.expired.increment(records as u64);
                    }
                    RecordsEnd::Failed => of_shard.records_put.record_many(0.0, records),
                }
            }
        }
    }

    fn failed(&mut self, shard: Option<ShardId>, code: String) {
        let key = (shard.filter(|_| self.source.by_shard), code);
        let source = &self.source;
        let by_code = self.by_code.entry(key);
        by_code.or_insert_with_key(|(shard, code)| source.errors_by_code(shard.as_ref(), code)).increment(1);
    }

    fn of_shard(&mut self, shard: Option<&ShardId>) -> &OfShard {
        let (source, key) = (&self.source, shard.filter(|_| self.source.by_shard).cloned());
        self.of_shards.entry(key).or_insert_with_key(|shard| OfShard::new(source, shard.as_ref()))
    }
}

/// Whether a recorder is installed, for the process or this thread.
///
/// The facade does not tell; but what it has when there is none is a value without size.
fn somebody_listens() -> bool {
    with_recorder(|recorder| size_of_val(recorder) > 0)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Where handles come from.
#[derive(Debug)]
struct Source {
    level: MetricsLevel,
    stream: Option<Label>,
    by_shard: bool,
    added: Vec<MetricsDimension>,
}

impl Source {
    fn counter(&self, metric: &Metric, shard: Option<&ShardId>) -> Counter {
        self.counter_with(metric, self.labels(shard))
    }

    fn errors_by_code(&self, shard: Option<&ShardId>, code: &str) -> Counter {
        let mut labels = self.labels(shard);
        labels.push(Label::new("ErrorCode", code.to_owned()));
        self.counter_with(&ERRORS_BY_CODE, labels)
    }

    fn counter_with(&self, metric: &Metric, labels: Vec<Label>) -> Counter {
        if metric.level > self.level {
            return Counter::noop();
        }
        with_recorder(|recorder| {
            recorder.describe_counter(metric.name.into(), Some(metric.unit), metric.what.into());
            recorder.register_counter(&Key::from_parts(metric.name, labels), &metric.metadata())
        })
    }

    fn gauge(&self, metric: &Metric) -> Gauge {
        if metric.level > self.level {
            return Gauge::noop();
        }
        with_recorder(|recorder| {
            recorder.describe_gauge(metric.name.into(), Some(metric.unit), metric.what.into());
            recorder.register_gauge(&Key::from_parts(metric.name, self.labels(None)), &metric.metadata())
        })
    }

    fn histogram(&self, metric: &Metric, shard: Option<&ShardId>) -> Histogram {
        if metric.level > self.level {
            return Histogram::noop();
        }
        with_recorder(|recorder| {
            recorder.describe_histogram(metric.name.into(), Some(metric.unit), metric.what.into());
            recorder.register_histogram(&Key::from_parts(metric.name, self.labels(shard)), &metric.metadata())
        })
    }

    fn labels(&self, shard: Option<&ShardId>) -> Vec<Label> {
        let shard = shard.filter(|_| self.by_shard);
        let shard = shard.map(|shard| Label::new("ShardId", shard.as_str().to_owned()));
        let granularity = match (&self.stream, &shard) {
            (None, None) => MetricsGranularity::Global,
            (Some(_), None) => MetricsGranularity::Stream,
            (_, Some(_)) => MetricsGranularity::Shard,
        };
        let added = self.added.iter().filter(|dimension| dimension.of <= granularity);
        let added = added.map(|dimension| Label::new(dimension.name.clone(), dimension.value.clone()));
        self.stream.iter().cloned().chain(shard).chain(added).collect()
    }
}

#[derive(Debug)]
struct OfStream {
    received: Counter,
    pending: Gauge,
    request_time: Histogram,
    entries: Histogram,
    records: Histogram,
}

impl OfStream {
    fn new(source: &Source) -> Self {
        Self {
            received: source.counter(&USER_RECORDS_RECEIVED, None),
            pending: source.gauge(&USER_RECORDS_PENDING),
            request_time: source.histogram(&REQUEST_TIME, None),
            entries: source.histogram(&KINESIS_RECORDS_PER_PUT_RECORDS_REQUEST, None),
            records: source.histogram(&USER_RECORDS_PER_PUT_RECORDS_REQUEST, None),
        }
    }
}

#[derive(Debug)]
struct OfShard {
    records_put: Histogram,
    records_bytes: Counter,
    expired: Counter,
    entries_put: Histogram,
    entries_bytes: Counter,
    errors: Histogram,
    retries: Histogram,
    buffering_time: Histogram,
    records_per_entry: Histogram,
}

impl OfShard {
    fn new(source: &Source, shard: Option<&ShardId>) -> Self {
        Self {
            records_put: source.histogram(&USER_RECORDS_PUT, shard),
            records_bytes: source.counter(&USER_RECORDS_DATA_PUT, shard),
            expired: source.counter(&USER_RECORD_EXPIRED, shard),
            entries_put: source.histogram(&KINESIS_RECORDS_PUT, shard),
            entries_bytes: source.counter(&KINESIS_RECORDS_DATA_PUT, shard),
            errors: source.histogram(&ALL_ERRORS, shard),
            retries: source.histogram(&RETRIES_PER_RECORD, shard),
            buffering_time: source.histogram(&BUFFERING_TIME, shard),
            records_per_entry: source.histogram(&USER_RECORDS_PER_KINESIS_RECORD, shard),
        }
    }
}

/// A metric as the KPL has it.
struct Metric {
    name: &'static str,
    level: MetricsLevel,
    unit: Unit,
    what: &'static str,
}

impl Metric {
    /// Tells the recorder the level too: it may want less than is recorded for others.
    fn metadata(&self) -> Metadata<'static> {
        let level = match self.level {
            MetricsLevel::None | MetricsLevel::Summary => Level::INFO,
            MetricsLevel::Detailed => Level::DEBUG,
        };
        Metadata::new("shardflow_producer", level, Some("shardflow_producer"))
    }
}

const fn summary(name: &'static str, unit: Unit, what: &'static str) -> Metric {
    Metric { name, level: MetricsLevel::Summary, unit, what }
}

const fn detailed(name: &'static str, unit: Unit, what: &'static str) -> Metric {
    Metric { name, level: MetricsLevel::Detailed, unit, what }
}

const USER_RECORDS_RECEIVED: Metric = detailed("UserRecordsReceived", Unit::Count, "Records accepted");
const USER_RECORDS_PENDING: Metric =
    detailed("UserRecordsPending", Unit::Count, "Records accepted and not settled");
const USER_RECORDS_PUT: Metric =
    summary("UserRecordsPut", Unit::Count, "1 for a record that was delivered, 0 for one that was not");
const USER_RECORDS_DATA_PUT: Metric =
    detailed("UserRecordsDataPut", Unit::Bytes, "Data of records that were delivered");
const USER_RECORD_EXPIRED: Metric =
    summary("UserRecordExpired", Unit::Count, "Records whose time to live ran out");
const KINESIS_RECORDS_PUT: Metric =
    summary("KinesisRecordsPut", Unit::Count, "1 for an entry that a shard took, 0 for one that it did not");
const KINESIS_RECORDS_DATA_PUT: Metric =
    detailed("KinesisRecordsDataPut", Unit::Bytes, "Data and partition keys of entries that a shard took");
const ERRORS_BY_CODE: Metric =
    summary("ErrorsByCode", Unit::Count, "Entries and requests that failed, by error code");
const ALL_ERRORS: Metric =
    summary("AllErrors", Unit::Count, "1 for an entry or request that failed, 0 for an entry that did not");
const RETRIES_PER_RECORD: Metric =
    detailed("RetriesPerRecord", Unit::Count, "How often a record was tried again");
const BUFFERING_TIME: Metric =
    summary("BufferingTime", Unit::Milliseconds, "How long a record waited for a try, since the one before");
const REQUEST_TIME: Metric =
    detailed("RequestTime", Unit::Milliseconds, "How long a PutRecords request took");
const USER_RECORDS_PER_KINESIS_RECORD: Metric =
    detailed("UserRecordsPerKinesisRecord", Unit::Count, "Records in an entry that was sent");
const KINESIS_RECORDS_PER_PUT_RECORDS_REQUEST: Metric =
    detailed("KinesisRecordsPerPutRecordsRequest", Unit::Count, "Entries in a PutRecords request");
const USER_RECORDS_PER_PUT_RECORDS_REQUEST: Metric =
    detailed("UserRecordsPerPutRecordsRequest", Unit::Count, "Records in a PutRecords request");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_is_told_from_none() {
        assert!(!somebody_listens());
        assert!(metrics::with_local_recorder(&Box::new(metrics::NoopRecorder), somebody_listens));
    }
}
