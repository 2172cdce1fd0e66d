//! The leader's lock, in the format of the DynamoDB lock client.

use std::time::Duration;

use shardflow_core::{Invalid, LeaderLock, LockChange};

use super::item::{Item, LEADER, needed, string, text};
use super::place::{Place, Written as _};
use crate::StoreError;

/// Carries a change of the lock out.
pub(super) async fn change(place: Place<'_>, change: &LockChange) -> Result<(), StoreError> {
    let written = match change {
        LockChange::Create(lock) => {
            let mut item = write(lock);
            item.insert(place.key.into(), text(LEADER));
            place.create(item).send().await.written(place)
        }
        LockChange::Replace { version, by } => {
            let mut update = "SET ownerName = :ownerName, leaseDuration = :leaseDuration, \
                 recordVersionNumber = :recordVersionNumber, entityType = :entityType"
                .to_owned();
            update.push_str(if by.released { ", isReleased = :isReleased" } else { " REMOVE isReleased" });
            let mut request = place
                .update(LEADER, &update, "attribute_exists(#key) AND recordVersionNumber = :expected")
                .expression_attribute_values(":expected", text(version));
            for (attribute, value) in write(by) {
                request = request.expression_attribute_values(format!(":{attribute}"), value);
            }
            request.send().await.written(place)
        }
        LockChange::Release { owner, version } => {
            let condition =
                "attribute_exists(#key) AND recordVersionNumber = :expected AND ownerName = :ownerName";
            let request = place
                .delete(LEADER, condition)
                .expression_attribute_values(":expected", text(version))
                .expression_attribute_values(":ownerName", text(owner));
            request.send().await.written(place)
        }
    };
    written.map_err(|(error, _)| error)
}

/// Reads the lock, or tells in the log why an item is none.
pub(super) fn read_or_skip(place: Place<'_>, item: &Item) -> Option<LeaderLock> {
    read(item).map_err(|error| place.unreadable(item, &error)).ok()
}

fn read(item: &Item) -> Result<LeaderLock, Invalid> {
    let owner = needed(item, "ownerName")?.parse()?;
    let version = needed(item, "recordVersionNumber")?.to_owned();
    let lasts = needed(item, "leaseDuration")?;
    let lasts = lasts
        .parse()
        .map_err(|_| Invalid::new("leaseDuration", format_args!("{lasts:?}"), "milliseconds, as a text"))?;
    let mut lock = LeaderLock::new(owner, version, Duration::from_millis(lasts));
    lock.released = string(item, "isReleased").is_some();
    Ok(lock)
}

/// The attributes of a lock, without its key.
fn write(lock: &LeaderLock) -> Item {
    let mut item = Item::from([
        ("ownerName".into(), text(&lock.owner)),
        ("recordVersionNumber".into(), text(&lock.version)),
        ("leaseDuration".into(), text(lock.lasts.as_millis())),
        ("entityType".into(), text("LEADER")),
    ]);
    if lock.released {
        item.insert("isReleased".into(), text("1"));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn the_lock_of_a_java_leader_is_read_and_written_as_it_is() {
        let fixture =
            Fixture::new(include_str!("../../tests/fixtures/java-kcl-3.5.1/10-worker-metrics.json"));
        let item = fixture.leases().iter().find(|item| item["leaseKey"] == text(LEADER)).unwrap();
        let lock = read(item).unwrap();
        assert_eq!((lock.owner.as_str(), lock.lasts), ("worker-1", Duration::from_secs(120)));
        let mut written = write(&lock);
        written.insert("leaseKey".into(), text(LEADER));
        assert_eq!(&written, item);
    }

    #[test]
    fn a_lock_that_was_given_back_says_so() {
        let mut lock = LeaderLock::new("w".parse().unwrap(), "1".into(), Duration::from_millis(1_500));
        lock.released = true;
        assert_eq!(read(&write(&lock)), Ok(lock.clone()));
        for attribute in ["ownerName", "recordVersionNumber", "leaseDuration"] {
            let mut item = write(&lock);
            item.remove(attribute);
            assert_eq!(read(&item).unwrap_err().what(), attribute);
        }
    }
}
