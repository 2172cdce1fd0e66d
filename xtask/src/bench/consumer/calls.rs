//! What the lease table costs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::bench::Bench;
use super::figure::Figure;
use super::fleet::Fleet;

const SHARDS: u32 = 64;
/// Time after which all is as it stays.
const SETTLES: Duration = Duration::from_secs(10);
/// Leases that were taken together are renewed together: of one minute it would be chance whether eight rounds fall into it or
/// seven.
const MEASURED: Duration = Duration::from_secs(120);

/// Nothing to read.
pub(super) fn idle(bench: &Bench, workers: usize) -> Result<Vec<Figure>, String> {
    let case = if workers == 1 {
        "dynamodb/64-idle".to_owned()
    } else {
        format!("dynamodb/64-idle-{workers}-workers")
    };
    // Of the KCL for Java 3.5.1, idle, 1,165 calls and 1,156 units a minute.
    measure(&mut Fleet::new(bench, SHARDS)?, workers, &case, (1_165.0 / 2.0, 1_156.0 / 2.0))
}

/// As many batches as when the KCL was measured: 16 a minute for each lease, each of them checkpointed.
pub(super) fn busy(bench: &Bench) -> Result<Vec<Figure>, String> {
    let mut fleet = Fleet::new(bench, SHARDS)?;
    fleet.feed(3_750, 100)?;
    // Of the KCL for Java 3.5.1, 2,200 calls, of which 1,152 renew and 1,034 checkpoint.
    measure(&mut fleet, 1, "dynamodb/64-busy", (2_200.0 / 2.0, 2_188.0 / 2.0))
}

fn measure(
    fleet: &mut Fleet<'_>,
    workers: usize,
    case: &str,
    (calls, units): (f64, f64),
) -> Result<Vec<Figure>, String> {
    for _ in 0..workers {
        fleet.join()?;
    }
    fleet.balance()?;
    fleet.listen(SETTLES);
    let before = fleet.service.dynamodb_calls()?;
    fleet.listen(MEASURED);
    let after = fleet.service.dynamodb_calls()?;
    let made: BTreeMap<_, _> = after
        .into_iter()
        .map(|(operation, count)| {
            let made = count - before.get(&operation).copied().unwrap_or(0);
            (operation, made as f64 * 60.0 / MEASURED.as_secs_f64())
        })
        .filter(|(_, made)| *made > 0.0)
        .collect();
    // No row is larger than a unit, and nothing that the index holds changes while owners stay.
    let written: f64 =
        ["DeleteItem", "PutItem", "UpdateItem"].into_iter().filter_map(|name| made.get(name)).sum();
    let by_type: Value =
        made.iter().map(|(operation, made)| (operation.clone(), Value::from(*made))).collect();
    Ok(vec![
        Figure::new(case, made.values().sum(), "calls/min").at_most(calls).with("by_type", by_type),
        Figure::new(format!("{case}/write-units"), written, "WRU/min").at_most(units),
    ])
}
