//! All metrics that are in use, each with the cell that its handles record to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use metrics::{CounterFn, GaugeFn, HistogramFn, Key, Metadata, Unit};

use crate::Config;
use crate::cell::{Cell, CounterCell, GaugeCell, HistogramCell};
use crate::metric::Metric;
use crate::unit::standard;
use crate::waiting::{Datum, Waiting};

/// What recorder and publisher share.
#[derive(Debug)]
pub(crate) struct Registry {
    config: Config,
    /// By name. Locked before the shelves where both are.
    units: Mutex<HashMap<String, Unit>>,
    shelves: Mutex<Shelves>,
    pub(crate) crowded: Arc<Lost>,
    pub(crate) illegal: Arc<Lost>,
}

/// Metrics by kind.
#[derive(Debug, Default)]
pub(crate) struct Shelves {
    pub(crate) counters: Shelf<CounterCell>,
    pub(crate) gauges: Shelf<GaugeCell>,
    pub(crate) histograms: Shelf<HistogramCell>,
}

/// Metrics of one kind.
type Shelf<C> = HashMap<Key, Series<C>>;

#[derive(Debug)]
pub(crate) struct Series<C> {
    /// Shared with the handles. When nobody else has it, nobody can record to it.
    cell: Arc<C>,
    metrics: Arc<[Arc<Metric>]>,
}

/// What a handle records to.
#[derive(Debug)]
pub(crate) enum Place<C> {
    Nowhere,
    Cell(Arc<C>),
    Lost(Arc<Lost>),
}

/// Values that are lost, since there is no room for their metric, or since CloudWatch would not take it.
#[derive(Debug, Default)]
pub(crate) struct Lost(AtomicU64);

impl Registry {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            units: Mutex::default(),
            shelves: Mutex::default(),
            crowded: Arc::default(),
            illegal: Arc::default(),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// How many metrics there can be in a publication.
    pub(crate) fn most_data(&self) -> usize {
        self.config.max_metrics.saturating_mul(1 + self.config.rolled_up.len())
    }

    pub(crate) fn describe(&self, name: &str, unit: Option<Unit>) {
        let Some(unit) = unit else { return };
        let mut units = self.units();
        if let Some(known) = units.get_mut(name) {
            *known = unit;
        } else if units.len() < self.config.max_metrics {
            units.insert(name.to_owned(), unit);
        }
    }

    /// Where a handle for a key records to. Allocates only for a key that is new.
    pub(crate) fn register<C: Cell>(
        &self,
        shelf: impl FnOnce(&mut Shelves) -> &mut HashMap<Key, Series<C>>,
        key: &Key,
        metadata: &Metadata<'_>,
    ) -> Place<C> {
        if !self.config.wants(metadata) {
            return Place::Nowhere;
        }
        let mut shelves = self.shelves();
        let in_use = shelves.counters.len() + shelves.gauges.len() + shelves.histograms.len();
        let shelf = shelf(&mut shelves);
        if let Some(series) = shelf.get(key) {
            return Place::Cell(Arc::clone(&series.cell));
        }
        if in_use >= self.config.max_metrics {
            return Place::Lost(Arc::clone(&self.crowded));
        }
        let Ok(metrics) = Metric::of(key, &self.config) else {
            return Place::Lost(Arc::clone(&self.illegal));
        };
        let cell: Arc<C> = Arc::default();
        let metrics = metrics.into_iter().map(Arc::new).collect();
        shelf.insert(key.clone(), Series { cell: Arc::clone(&cell), metrics });
        Place::Cell(cell)
    }

    /// Looks at each gauge.
    pub(crate) fn look(&self) {
        self.shelves().gauges.values().for_each(|series| series.cell.look());
    }

    /// Moves all that was recorded to what waits for publication, and forgets metrics that nobody has a handle to.
    pub(crate) fn take(&self, waiting: &mut Waiting) {
        // Merging compares names: not while the locks are held, on which those wait who ask for a handle.
        for (metrics, datum) in self.take_data() {
            for metric in &*metrics {
                if !waiting.add(metric, &datum) {
                    self.crowded.add(datum.statistics.count);
                }
            }
        }
    }

    fn take_data(&self) -> Vec<Taken> {
        let units = self.units();
        let mut shelves = self.shelves();
        let mut taken = Vec::new();
        take_from(&mut shelves.counters, &units, &mut taken);
        take_from(&mut shelves.gauges, &units, &mut taken);
        take_from(&mut shelves.histograms, &units, &mut taken);
        taken
    }

    fn units(&self) -> MutexGuard<'_, HashMap<String, Unit>> {
        self.units.lock().expect("nothing panics while it holds the units")
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().expect("nothing panics while it holds the shelves")
    }
}

/// What was recorded to a cell, and the metrics that get it.
type Taken = (Arc<[Arc<Metric>]>, Datum);

fn take_from<C: Cell>(
    shelf: &mut HashMap<Key, Series<C>>,
    units: &HashMap<String, Unit>,
    taken: &mut Vec<Taken>,
) {
    shelf.retain(|key, series| {
        // Asked first: what is recorded after the taking is by a handle that there is now.
        let held = Arc::strong_count(&series.cell) > 1;
        let statistics = series.cell.take();
        if !statistics.is_empty() {
            let (unit, factor) = units.get(key.name()).map(|&unit| standard(unit)).unzip();
            let datum = Datum { statistics: statistics.scaled(factor.unwrap_or(1.0)), unit };
            taken.push((Arc::clone(&series.metrics), datum));
        }
        held || series.cell.is_kept()
    });
}

impl Lost {
    pub(crate) fn values(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count; the cast saturates"
    )]
    pub(crate) fn add(&self, values: f64) {
        self.0.fetch_add(values as u64, Ordering::Relaxed);
    }
}

impl CounterFn for Lost {
    fn increment(&self, _: u64) {
        self.add(1.0);
    }

    fn absolute(&self, _: u64) {
        self.add(1.0);
    }
}

impl GaugeFn for Lost {
    fn increment(&self, _: f64) {
        self.add(1.0);
    }

    fn decrement(&self, _: f64) {
        self.add(1.0);
    }

    fn set(&self, _: f64) {
        self.add(1.0);
    }
}

impl HistogramFn for Lost {
    fn record(&self, _: f64) {
        self.add(1.0);
    }

    fn record_many(&self, _: f64, count: usize) {
        self.add(count as f64);
    }
}
