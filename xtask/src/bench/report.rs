//! What was measured, as JSON and as a table.

use serde_json::{Map, Value, json};

use super::case::{Load, Pace};

/// The results of one program's runs.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Value>);

impl Runs {
    pub(super) fn push(&mut self, result: Value) {
        self.0.push(result);
    }

    /// The median of a number; nothing if it was not measured.
    pub(super) fn median(&self, key: &str) -> Option<f64> {
        let numbers = self.sorted(key);
        let middle = numbers.len().checked_sub(1)? / 2;
        // Of an even number, the two in the middle count alike.
        Some((numbers[middle] + numbers[numbers.len() / 2]) / 2.0)
    }

    fn range(&self, key: &str) -> Option<[f64; 2]> {
        let numbers = self.sorted(key);
        Some([*numbers.first()?, *numbers.last()?])
    }

    fn sorted(&self, key: &str) -> Vec<f64> {
        let mut numbers: Vec<f64> = self.0.iter().filter_map(|run| run[key].as_f64()).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    }
}

const CPU: &str = "cpu_s_per_M";

/// What came of one load, or of the floor by itself.
#[derive(Debug)]
pub(super) enum Measured {
    Load {
        load: Load,
        ours: Runs,
        kpl: Runs,
        kpl_best: Runs,
        floor: Runs,
    },
    /// For each size the floor, and what of it is sending.
    Floor(Vec<(usize, Runs, Runs)>),
}

impl Measured {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Load { load, .. } => &load.name,
            Self::Floor(_) => "floor",
        }
    }

    /// CPU seconds for a million records: ours, the KPL's, and the floor. Nothing for what is to be compared with others of
    /// ours only.
    pub(super) fn costs(&self) -> Option<[Option<f64>; 3]> {
        match self {
            Self::Load { load, ours, kpl, floor, .. } if load.with_floor => {
                Some([ours, kpl, floor].map(|runs| runs.median(CPU)))
            }
            Self::Load { .. } | Self::Floor(_) => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Floor(of_size) => {
                let mut floor = Map::from_iter([("case".to_owned(), "floor".into())]);
                for (size, runs, sending) in of_size {
                    let value = json!({
                        "floor_cpu_s_per_M": rounded(runs.median(CPU)),
                        "sending_cpu_s_per_M": rounded(sending.median(CPU)),
                        "records_per_s": rounded(runs.median("records_per_s")),
                        "records_per_aggregate": runs.median("records_per_aggregate"),
                    });
                    floor.insert(format!("{size}B"), value);
                }
                floor.into()
            }
            Self::Load { load, ours, kpl, kpl_best, floor } => {
                let per = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a / b);
                let (cost, floor_cost) = (ours.median(CPU), floor.median(CPU));
                let over_linger = |runs: &Runs| Some(runs.median("latency_ms_p99")? - f64::from(load.linger));
                let mut told = json!({
                    "case": load.name,
                    "shardflow_cpu_s_per_M": rounded(cost),
                    "kpl_cpu_s_per_M": rounded(kpl.median(CPU)),
                    "ratio": rounded(per(kpl.median(CPU), cost)),
                    "floor_cpu_s_per_M": rounded(floor_cost),
                    "over_floor": rounded(per(cost, floor_cost)),
                    "shardflow_range": ours.range(CPU).map(|range| range.map(|end| rounded(Some(end)))),
                    "kpl_range": kpl.range(CPU).map(|range| range.map(|end| rounded(Some(end)))),
                    "size": load.size,
                    "shards": load.shards,
                    "outstanding": load.outstanding,
                    "threads": load.threads,
                    "linger_ms": load.linger,
                    "runs": ours.0.len(),
                });
                for (prefix, runs) in [("", ours), ("kpl_", kpl)] {
                    for key in [
                        "records_per_s",
                        "rss_mb",
                        "user_records_per_kinesis_record",
                        "kinesis_records_per_request",
                        "latency_ms_p50",
                        "latency_ms_p99",
                    ] {
                        told[format!("{prefix}{key}")] = rounded(runs.median(key));
                    }
                }
                told["driver_cpu_s_per_M"] = rounded(ours.median("driver_cpu_s_per_M"));
                told["kpl_native_share"] = rounded(per(kpl.median("cpu_native_s"), kpl.median("cpu_s")));
                if load.with_best {
                    told["kpl_best_cpu_s_per_M"] = rounded(kpl_best.median(CPU));
                    told["kpl_best_outstanding"] = Load::KPL_BEST.into();
                    told["kpl_best_records_per_s"] = rounded(kpl_best.median("records_per_s"));
                    told["ratio_best"] = rounded(per(kpl_best.median(CPU), cost));
                }
                if load.pace != Pace::Full {
                    told["p99_over_linger_ms"] = rounded(over_linger(ours));
                }
                told
            }
        }
    }
}

/// Four digits are more than runs agree in.
fn rounded(number: Option<f64>) -> Value {
    let Some(number) = number.filter(|number| number.is_finite()) else { return Value::Null };
    let digits = if number.abs() >= 1_000.0 { 0 } else { 3 };
    let scale = 10_f64.powi(digits);
    ((number * scale).round() / scale).into()
}

/// The columns of the table: title, key in JSON, digits behind the point.
const COLUMNS: &[(&str, &str, usize)] = &[
    ("Shardflow", "shardflow_cpu_s_per_M", 2),
    ("KPL", "kpl_cpu_s_per_M", 2),
    ("KPL best", "kpl_best_cpu_s_per_M", 2),
    ("Ratio", "ratio", 1),
    ("Floor", "floor_cpu_s_per_M", 2),
    ("Over floor", "over_floor", 2),
    ("Records/s", "records_per_s", 0),
    ("MiB", "rss_mb", 0),
    ("KPL's", "kpl_rss_mb", 0),
    ("Packed", "user_records_per_kinesis_record", 0),
    ("KPL's", "kpl_user_records_per_kinesis_record", 0),
    ("p50 ms", "latency_ms_p50", 1),
    ("p99 ms", "latency_ms_p99", 1),
    ("KPL's", "kpl_latency_ms_p99", 1),
];

/// A line a load.
pub(super) fn table(measured: &[Measured]) -> String {
    let mut rows = vec![vec!["Case".to_owned()]];
    rows[0].extend(COLUMNS.iter().map(|(title, ..)| (*title).to_owned()));
    let mut text = "CPU seconds for a million records; ratio: the KPL's to ours.\n\n".to_owned();
    for case in measured {
        let told = case.to_json();
        let cell = |number: &Value, digits: usize| {
            number.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
        };
        match case {
            Measured::Load { .. } => {
                let mut row = vec![case.name().to_owned()];
                row.extend(COLUMNS.iter().map(|&(_, key, digits)| cell(&told[key], digits)));
                rows.push(row);
            }
            Measured::Floor(of_size) => {
                for (size, floor, sending) in of_size {
                    for (name, runs) in [("floor", floor), ("sending", sending)] {
                        let cost = |key| if key == "floor_cpu_s_per_M" { runs.median(CPU) } else { None };
                        let mut row = vec![format!("{name}/{size}B")];
                        row.extend(COLUMNS.iter().map(|&(_, key, digits)| cell(&rounded(cost(key)), digits)));
                        rows.push(row);
                    }
                }
            }
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=COLUMNS.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(n, (cell, &width))| {
            if n == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::Case;

    fn runs(costs: &[f64]) -> Runs {
        Runs(costs.iter().map(|cost| json!({ CPU: cost, "latency_ms_p99": 101.5 })).collect())
    }

    #[test]
    fn medians_and_ratios_are_told() {
        let load = Case::Full { size: 100, shards: 16 }.loads().pop().unwrap();
        let ours = runs(&[1.2, 1.0, 1.1]);
        let measured =
            Measured::Load { load, ours, kpl: runs(&[22.0, 11.0]), kpl_best: runs(&[]), floor: runs(&[0.5]) };
        let told = measured.to_json();
        assert_eq!((&told["case"], &told["shardflow_cpu_s_per_M"]), (&json!("100B/16"), &json!(1.1)));
        assert_eq!((&told["ratio"], &told["over_floor"]), (&json!(15.0), &json!(2.2)));
        assert_eq!((&told["kpl_best_cpu_s_per_M"], &told["kpl_range"]), (&Value::Null, &json!([11.0, 22.0])));
        let table = table(&[measured]);
        assert!(table.contains("100B/16       1.10  16.50         -   15.0   0.50"), "{table}");
    }

    #[test]
    fn without_a_kpl_there_is_no_ratio() {
        let load = Case::Full { size: 100, shards: 1 }.loads().pop().unwrap();
        let none = || runs(&[]);
        let measured =
            Measured::Load { load, ours: runs(&[1.0]), kpl: none(), kpl_best: none(), floor: none() };
        assert_eq!(measured.to_json()["ratio"], Value::Null);
    }
}
