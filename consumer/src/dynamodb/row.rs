//! Lease rows as DynamoDB items.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use shardflow_core::{
    Checkpoint, HashKeyRange, Invalid, LeaseKey, LeaseRow, PendingCheckpoint, ShardId, WorkerId,
};

use super::item::{Item, Kind, integer, missing, needed, number, string, text};

/// The item of a new row.
pub(super) fn write(row: &LeaseRow) -> Item {
    let mut item = Item::from([
        ("leaseKey".into(), text(&row.key)),
        // From KCL 3.5 on, rows of other kinds share the table. Older ones do not look at it.
        ("entityType".into(), text("LEASE")),
        ("leaseCounter".into(), integer(row.counter)),
        ("ownerSwitchesSinceCheckpoint".into(), integer(row.owner_switches)),
        ("checkpoint".into(), text(row.checkpoint.as_str())),
        ("checkpointSubSequenceNumber".into(), integer(row.checkpoint.sub_sequence_number())),
    ]);
    // DynamoDB knows no empty sets: what there is none of is left out.
    for (attribute, shards) in [("parentShardId", &row.parents), ("childShardIds", &row.children)] {
        if !shards.is_empty() {
            item.insert(
                attribute.into(),
                AttributeValue::Ss(shards.iter().map(ToString::to_string).collect()),
            );
        }
    }
    // A child that is its parent's reader's from the start.
    if let Some(owner) = &row.owner {
        item.insert("leaseOwner".into(), text(owner));
    }
    if let Some(range) = row.hash_key_range {
        item.insert("startingHashKey".into(), text(range.start()));
        item.insert("endingHashKey".into(), text(range.end()));
    }
    if let Some(stream) = &row.stream {
        item.insert("streamName".into(), text(stream));
        item.insert("shardId".into(), text(&row.shard_id));
    }
    item
}

/// Reads a lease.
pub(super) fn read(item: &Item) -> Result<LeaseRow, Invalid> {
    if Kind::of(item, "leaseKey", Kind::Lease) != Kind::Lease {
        return Err(Invalid::new("entityType", format_args!("{:?}", string(item, "entityType")), "LEASE"));
    }
    let key = needed(item, "leaseKey")?;
    // Applications of several streams keep the shard apart from the key.
    let shard_id: ShardId = string(item, "shardId").unwrap_or(key).parse()?;
    let sub_sequence_number = number(item, "checkpointSubSequenceNumber").unwrap_or_default();
    let checkpoint = Checkpoint::parse(needed(item, "checkpoint")?, sub_sequence_number)?;
    let stream = string(item, "streamName").map(str::parse).transpose()?;
    let mut row = LeaseRow::new(shard_id, checkpoint).of_stream(stream);
    if row.key.as_str() != key {
        return Err(Invalid::new(
            "leaseKey",
            format_args!("{key:?}"),
            "the shard, behind its stream if there are several",
        ));
    }
    row.owner = worker(item, "leaseOwner")?;
    row.checkpoint_owner = worker(item, "checkpointOwner")?;
    row.counter = number(item, "leaseCounter").ok_or_else(|| missing("leaseCounter"))?;
    row.owner_switches = number(item, "ownerSwitchesSinceCheckpoint").unwrap_or_default();
    row.parents = shards(item, "parentShardId")?;
    row.children = shards(item, "childShardIds")?;
    row.throughput = item.get("throughputKBps").and_then(|n| n.as_n().ok()).map(|n| n.parse()).transpose()?;
    if let (Some(start), Some(end)) = (string(item, "startingHashKey"), string(item, "endingHashKey")) {
        row.hash_key_range = Some(HashKeyRange::new(start.parse()?, end.parse()?)?);
    }
    if let Some(pending) = string(item, "pendingCheckpoint").filter(|pending| !pending.is_empty()) {
        let sub_sequence_number = number(item, "pendingCheckpointSubSequenceNumber").unwrap_or_default();
        let state = item.get("pendingCheckpointState").and_then(|state| state.as_b().ok());
        let state = state.map(|state| Bytes::copy_from_slice(state.as_ref()));
        row.pending = Some(PendingCheckpoint::new(Checkpoint::parse(pending, sub_sequence_number)?, state));
    }
    Ok(row)
}

/// The key alone, which is all that an index has.
pub(super) fn key(item: &Item) -> Result<LeaseKey, Invalid> {
    let key = needed(item, "leaseKey")?;
    Ok(match key.rsplit_once(':') {
        Some((stream, shard)) => LeaseKey::of(Some(&stream.parse()?), &shard.parse()?),
        None => LeaseKey::from(&key.parse()?),
    })
}

fn worker(item: &Item, attribute: &str) -> Result<Option<WorkerId>, Invalid> {
    string(item, attribute).map(str::parse).transpose()
}

fn shards(item: &Item, attribute: &str) -> Result<BTreeSet<ShardId>, Invalid> {
    let ids = item.get(attribute).and_then(|value| value.as_ss().ok());
    ids.into_iter().flatten().map(|id| id.parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn leases(fixture: &str) -> Vec<LeaseRow> {
        Fixture::new(fixture).leases().iter().filter_map(|item| read(item).ok()).collect()
    }

    #[test]
    fn leases_of_the_java_kcl_are_read_and_its_other_rows_passed_over() {
        let fixture = include_str!("../../tests/fixtures/java-kcl-3.5.1/01-startup-4-shards.json");
        assert!(Fixture::new(fixture).leases().len() > 4, "the leader's row, the worker's, the migration's");
        let rows = leases(fixture);
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.owner == Some("worker-1".parse().unwrap()) && row.counter == 1));
        assert!(rows.iter().all(|row| row.checkpoint == Checkpoint::TrimHorizon));
        assert_eq!(rows[3].hash_key_range.unwrap().end(), shardflow_core::HashKey::MAX);
    }

    #[test]
    fn a_lease_that_java_hands_over_has_a_holder_and_an_owner() {
        let rows =
            leases(include_str!("../../tests/fixtures/java-kcl-3.5.1/03a-during-graceful-handoff.json"));
        let row = rows.iter().find(|row| row.checkpoint_owner.is_some()).unwrap();
        assert_eq!(row.holder(), Some(&"worker-1".parse().unwrap()));
        assert_eq!(row.owner, Some("worker-2".parse().unwrap()));
    }

    #[test]
    fn the_family_of_a_shard_is_read() {
        let rows =
            leases(include_str!("../../tests/fixtures/java-kcl-3.5.1/05c-after-merge-child-created.json"));
        let row = |number| rows.iter().find(|row| row.shard_id == ShardId::numbered(number)).unwrap();
        assert_eq!(row(0).checkpoint, Checkpoint::ShardEnd);
        assert_eq!(row(0).children, BTreeSet::from([ShardId::numbered(4), ShardId::numbered(5)]));
        assert_eq!(row(6).parents, BTreeSet::from([ShardId::numbered(1), ShardId::numbered(2)]));
        assert_eq!(row(6).owner, None);
    }

    #[test]
    fn checkpoints_inside_aggregates_and_prepared_ones_are_read() {
        let rows =
            leases(include_str!("../../tests/fixtures/java-kcl-3.5.1/02b-after-checkpoints-aggregated.json"));
        assert!(rows.iter().any(|row| row.checkpoint.sub_sequence_number() == 4));
        let rows = leases(include_str!(
            "../../tests/fixtures/java-kcl-3.5.1/08a-pending-checkpoint-with-state.json"
        ));
        let pending = rows[0].pending.as_ref().unwrap();
        assert_eq!(pending.checkpoint.sub_sequence_number(), 2);
        assert!(pending.state.is_some());
    }

    #[test]
    fn what_java_entered_for_a_new_shard_we_would_enter_too() {
        let fixture = include_str!("../../tests/fixtures/java-kcl-3.5.1/05c-after-merge-child-created.json");
        for item in Fixture::new(fixture).leases() {
            if item.get("leaseCounter") == Some(&AttributeValue::N("0".into())) {
                let row = read(item).unwrap();
                assert_eq!(&write(&row), item);
                return;
            }
        }
        panic!("the fixture has a lease that was just entered");
    }

    #[test]
    fn a_lease_that_is_entered_with_an_owner_has_one() {
        let mut row = LeaseRow::new(ShardId::numbered(1), Checkpoint::TrimHorizon);
        row.owner = Some("a".parse().unwrap());
        assert_eq!(read(&write(&row)).unwrap(), row);
    }

    #[test]
    fn leases_of_several_streams_name_theirs() {
        let fixture = include_str!("../../tests/fixtures/java-kcl-3.5.1/09a-multi-stream.json");
        for item in Fixture::new(fixture).leases().iter().filter(|item| item["entityType"] == text("LEASE")) {
            let row = read(item).unwrap();
            let stream = row.stream.as_ref().unwrap();
            assert_eq!(row.key.as_str(), format!("{stream}:{}", row.shard_id));
            assert_eq!(key(item), Ok(row.key.clone()));
            let written = write(&row);
            for attribute in ["leaseKey", "streamName", "shardId"] {
                assert_eq!(written[attribute], item[attribute]);
            }
            assert!(
                read(
                    &item
                        .iter()
                        .filter(|(name, _)| *name != "streamName")
                        .map(|(n, v)| (n.clone(), v.clone()))
                        .collect()
                )
                .is_err()
            );
        }
    }

    #[test]
    fn throughput_is_read_as_java_writes_it() {
        let mut item = write(&LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon));
        assert_eq!(read(&item).unwrap().throughput, None);
        item.insert("throughputKBps".into(), AttributeValue::N("2.6E-5".into()));
        assert_eq!(read(&item).unwrap().throughput.unwrap().millionths(), 26);
    }

    #[test]
    fn a_row_that_is_no_lease_is_not_taken_for_one() {
        for item in [
            Item::new(),
            Item::from([("leaseKey".into(), AttributeValue::S("Leader".into()))]),
            Item::from([
                ("leaseKey".into(), AttributeValue::S("shardId-000000000000".into())),
                ("checkpoint".into(), AttributeValue::S("yesterday".into())),
                ("leaseCounter".into(), AttributeValue::N("1".into())),
            ]),
        ] {
            assert!(read(&item).is_err(), "{item:?}");
        }
    }
}
