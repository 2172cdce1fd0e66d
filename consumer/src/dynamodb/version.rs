//! For which KCL the leases are kept.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_core::{ClientVersion, Invalid, WorkerId};

use super::item::{Item, VERSION, integer, needed, text};
use super::place::{Place, Written as _};
use crate::StoreError;

/// Says it, if nothing says so yet.
pub(super) async fn claim(
    place: Place<'_>,
    version: &ClientVersion,
    worker: &WorkerId,
) -> Result<(), StoreError> {
    #[expect(clippy::disallowed_methods, reason = "people read it, nobody counts with it")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut item = write(version, worker, u64::try_from(now.as_millis()).unwrap_or_default());
    item.insert(place.key.into(), text(VERSION));
    place.create(item).send().await.written(place).map_err(|(error, _)| error)
}

/// Reads it, or tells in the log why it cannot be read.
pub(super) fn read_or_skip(place: Place<'_>, item: &Item) -> Option<ClientVersion> {
    read(item).map_err(|error| place.unreadable(item, &error)).ok()
}

fn read(item: &Item) -> Result<ClientVersion, Invalid> {
    Ok(ClientVersion::from(needed(item, "cv")?))
}

/// The attributes of the row, without its key: the KCL enters it as changed from a first state that is stored nowhere.
fn write(version: &ClientVersion, worker: &WorkerId, millis: u64) -> Item {
    let state = |version: &str| {
        Item::from([
            ("cv".into(), text(version)),
            ("mb".into(), text(worker)),
            ("mts".into(), integer(millis)),
        ])
    };
    let mut item = state(version.as_str());
    item.insert("entityType".into(), text("CLIENT_VERSION_MIGRATION"));
    let first = AttributeValue::M(state("CLIENT_VERSION_INIT"));
    item.insert("h".into(), AttributeValue::L(vec![first]));
    item
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::super::item::{number, string};
    use super::*;

    #[test]
    fn the_row_is_the_kcls() {
        let fixture =
            Fixture::new(include_str!("../../tests/fixtures/java-kcl-3.5.1/10-worker-metrics.json"));
        let mut item =
            fixture.leases().iter().find(|item| item["leaseKey"] == text(VERSION)).unwrap().clone();
        assert_eq!(read(&item), Ok(ClientVersion::V3));
        // Java took the time twice.
        let AttributeValue::L(history) = &item["h"] else { panic!("a history") };
        let first = number(history[0].as_m().unwrap(), "mts").unwrap();
        let worker = string(&item, "mb").unwrap().parse().unwrap();
        let mut written = write(&ClientVersion::V3, &worker, first);
        written.insert("leaseKey".into(), text(VERSION));
        item.insert("mts".into(), integer(first));
        assert_eq!(written, item);
    }
}
