//! CPU time for a million records, and the least that it could be.

use serde_json::Value;

use super::bench::{Bench, median};
use super::figure::Figure;
use super::note;
use super::service::Service;

/// Records of the short run and of the long one: what both have, the start among it, is not in their difference.
const FEW: u32 = 1_000_000;
const MANY: u32 = 3_000_000;

pub(super) fn aggregated(bench: &Bench) -> Result<Vec<Figure>, String> {
    let few = Service::start(4, &["--no-limits"])?;
    let many = Service::start(4, &["--no-limits"])?;
    let fill = |service: &Service, records: u32| {
        let records = records.to_string();
        bench.result(&["fill", "--endpoint", &service.endpoint, "--stream", "bench", "--records", &records])
    };
    fill(&few, FEW)?;
    let filled = fill(&many, MANY)?;
    let consume = |service: &Service, records: u32, run: usize| {
        let (records, table, name) = (records.to_string(), format!("run-{run}"), format!("worker-{run}"));
        let options = ["--endpoint", &service.endpoint, "--stream", "bench", "--until", &records];
        let result = bench.result(&[&["work", "--table", &table, "--name", &name][..], &options].concat())?;
        if number(&result, "records") != records.parse().unwrap_or(f64::NAN) {
            return Err(format!("{records} records were put, and {} came", result["records"]));
        }
        Ok(result)
    };
    let (mut costs, mut floors, mut without_keys) = (Vec::new(), Vec::new(), Vec::new());
    let (mut whole, mut peaks) = (Vec::new(), Vec::new());
    for run in 1..=bench.runs {
        let (short, long) = (consume(&few, FEW, run)?, consume(&many, MANY, run)?);
        let slope =
            (number(&long, "cpu_s") - number(&short, "cpu_s")) / (f64::from(MANY) - f64::from(FEW)) * 1e6;
        let floor = number(&bench.result(&["floor"])?, "cpu_s_per_M");
        without_keys.push(number(&bench.result(&["floor", "--no-keys"])?, "cpu_s_per_M"));
        note(&format!(
            "cpu/aggregated-100B, run {run} of {}: {slope:.3}, floor {floor:.3} CPU s/M",
            bench.runs
        ));
        costs.push(slope);
        floors.push(floor);
        whole.push(number(&short, "cpu_s"));
        peaks.push(number(&long, "peak_mb"));
    }
    let range = |of: &[f64]| -> Value {
        let ends = [of.iter().copied().fold(f64::INFINITY, f64::min), of.iter().copied().fold(0.0, f64::max)];
        ends.map(|end| (end * 1e3).round() / 1e3).to_vec().into()
    };
    let java = bench.kcl(&["--endpoint", &many.endpoint, "--stream", "bench", "--application", "java"]);
    let java = java.map(|mut command| {
        // Its compiler takes half a minute or so until what is hot is compiled.
        Bench::result_of(command.args(["--warm", &FEW.to_string(), "--until", &MANY.to_string()]))
    });
    let java = java.transpose()?.map(|result| {
        Figure::new("cpu/aggregated-100B/kcl-java", number(&result, "warm_cpu_s_per_M"), "CPU s/M")
            .with("whole_run", number(&result, "cpu_s"))
            .with("over_ours", number(&result, "warm_cpu_s_per_M") / median(costs.clone()))
    });
    let packed = number(&filled, "records") / number(&filled, "kinesis_records");
    let (costs_range, floors_range) = (range(&costs), range(&floors));
    let (cost, floor) = (median(costs), median(floors));
    let figures = [
        Figure::new("cpu/aggregated-100B", cost, "CPU s/M")
            .at_most(0.7)
            .with("range", costs_range)
            .with("first_million_with_start", median(whole))
            .with("peak_mb", median(peaks))
            .with("user_records_per_kinesis_record", packed),
        Figure::new("floor/aggregated-100B", floor, "CPU s/M")
            .with("range", floors_range)
            .with("without_keys", median(without_keys)),
        Figure::new("cpu/aggregated-100B/over-floor", cost / floor, "x").at_most(1.5),
    ];
    Ok(figures.into_iter().chain(java).collect())
}

fn number(result: &Value, key: &str) -> f64 {
    result[key].as_f64().unwrap_or(f64::NAN)
}
