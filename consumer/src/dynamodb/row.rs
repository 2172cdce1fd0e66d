//! Lease rows as DynamoDB items.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use shardflow_core::{
    Checkpoint, HashKeyRange, Invalid, LeaseKey, LeaseRow, PendingCheckpoint, ShardId, WorkerId,
};

pub(super) type Item = HashMap<String, AttributeValue>;

/// The item of a new row.
pub(super) fn write(row: &LeaseRow) -> Item {
    let text = |text: &dyn ToString| AttributeValue::S(text.to_string());
    let number = |number: u64| AttributeValue::N(number.to_string());
    let mut item = Item::from([
        ("leaseKey".into(), text(&row.key)),
        // From KCL 3.5 on, rows of other kinds share the table. Older ones do not look at it.
        ("entityType".into(), text(&"LEASE")),
        ("leaseCounter".into(), number(row.counter)),
        ("ownerSwitchesSinceCheckpoint".into(), number(row.owner_switches)),
        ("checkpoint".into(), text(&row.checkpoint.as_str())),
        ("checkpointSubSequenceNumber".into(), number(row.checkpoint.sub_sequence_number())),
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
    if let Some(range) = row.hash_key_range {
        item.insert("startingHashKey".into(), text(&range.start()));
        item.insert("endingHashKey".into(), text(&range.end()));
    }
    item
}

/// Reads a lease, or tells in the log why an item is none. Items of other kinds are passed over in silence.
pub(super) fn read_or_skip(item: &Item) -> Option<LeaseRow> {
    if string(item, "entityType").is_some_and(|kind| kind != "LEASE") {
        return None;
    }
    match read(item) {
        Ok(row) => Some(row),
        Err(error) => {
            tracing::warn!(%error, lease_key = ?string(item, "leaseKey"), "a row of the lease table is no lease");
            None
        }
    }
}

fn read(item: &Item) -> Result<LeaseRow, Invalid> {
    let missing = |what| Invalid::new(what, "nothing", "an attribute of every lease");
    let key = string(item, "leaseKey").ok_or_else(|| missing("leaseKey"))?;
    // Applications of several streams keep the shard apart from the key.
    let shard_id: ShardId = string(item, "shardId").unwrap_or(key).parse()?;
    let checkpoint = string(item, "checkpoint").ok_or_else(|| missing("checkpoint"))?;
    let sub_sequence_number = number(item, "checkpointSubSequenceNumber").unwrap_or_default();
    let mut row = LeaseRow::new(shard_id, Checkpoint::parse(checkpoint, sub_sequence_number)?);
    row.key = LeaseKey::from(&key.parse::<ShardId>()?);
    row.owner = worker(item, "leaseOwner")?;
    row.checkpoint_owner = worker(item, "checkpointOwner")?;
    row.counter = number(item, "leaseCounter").ok_or_else(|| missing("leaseCounter"))?;
    row.owner_switches = number(item, "ownerSwitchesSinceCheckpoint").unwrap_or_default();
    row.parents = shards(item, "parentShardId")?;
    row.children = shards(item, "childShardIds")?;
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

fn string<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute).and_then(|value| value.as_s().ok()).map(String::as_str)
}

fn number(item: &Item, attribute: &str) -> Option<u64> {
    item.get(attribute).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok())
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
    use super::*;
    use serde_json::Value;

    /// The rows of a table of the Java KCL 3.5.1, as captured. See `tests/fixtures/README.md`.
    fn captured(fixture: &str) -> Vec<Item> {
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let table = &fixture["tables"][fixture["app"].as_str().unwrap()];
        table["scan"].as_array().unwrap().iter().map(item).collect()
    }

    fn item(row: &Value) -> Item {
        row.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
    }

    fn attribute(value: &Value) -> AttributeValue {
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| value.as_array().unwrap().clone();
        match kind.as_str() {
            "S" => AttributeValue::S(text(value)),
            "N" => AttributeValue::N(text(value)),
            "B" => AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(text(value))),
            "SS" => AttributeValue::Ss(list(value).iter().map(text).collect()),
            "L" => AttributeValue::L(list(value).iter().map(attribute).collect()),
            "M" => AttributeValue::M(item(value)),
            other => panic!("{other}"),
        }
    }

    fn leases(fixture: &str) -> Vec<LeaseRow> {
        captured(fixture).iter().filter_map(read_or_skip).collect()
    }

    #[test]
    fn leases_of_the_java_kcl_are_read_and_its_other_rows_passed_over() {
        let fixture = include_str!("../../tests/fixtures/java-kcl-3.5.1/01-startup-4-shards.json");
        assert!(captured(fixture).len() > 4, "the leader's row, the worker's, the migration's");
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
        for item in captured(fixture) {
            if item.get("leaseCounter") == Some(&AttributeValue::N("0".into())) {
                let row = read(&item).unwrap();
                assert_eq!(write(&row), item);
                return;
            }
        }
        panic!("the fixture has a lease that was just entered");
    }

    #[test]
    fn a_row_that_is_no_lease_is_passed_over() {
        for item in [
            Item::new(),
            Item::from([("leaseKey".into(), AttributeValue::S("Leader".into()))]),
            Item::from([
                ("leaseKey".into(), AttributeValue::S("shardId-000000000000".into())),
                ("checkpoint".into(), AttributeValue::S("yesterday".into())),
                ("leaseCounter".into(), AttributeValue::N("1".into())),
            ]),
        ] {
            assert_eq!(read_or_skip(&item), None);
        }
    }
}
