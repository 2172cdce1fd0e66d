//! Rows that the Java KCL wrote: all of them are read, and nothing of them is lost by what we change.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_consumer::{
    Checkpoint, ClientVersion, LeaderLock, LeaseChange, LeaseRow, LeaseStore, LockChange, ShardId, View,
    WorkerId,
};

use crate::captured::{Captured, Item, read};

/// Every fixture, and how many leases and members it has.
const FIXTURES: &[(&str, usize, usize)] = &[
    ("java-kcl-3.5.1/00-leases-created-unassigned", 4, 1),
    ("java-kcl-3.5.1/01-startup-4-shards", 4, 1),
    ("java-kcl-3.5.1/02b-after-checkpoints-aggregated", 4, 1),
    ("java-kcl-3.5.1/03a-during-graceful-handoff", 4, 2),
    ("java-kcl-3.5.1/05c-after-merge-child-created", 7, 2),
    ("java-kcl-3.5.1/08a-pending-checkpoint-with-state", 1, 1),
    ("java-kcl-3.5.1/09a-multi-stream", 4, 1),
    ("java-kcl-3.5.1/10-worker-metrics", 4, 2),
    ("java-kcl-3.5.1/13-lease-count-based", 4, 2),
    ("java-kcl-3.4.2/02b-after-checkpoints-aggregated", 4, 1),
    ("java-kcl-3.4.2/03a-during-graceful-handoff", 4, 2),
    ("java-kcl-3.4.2/05c-after-merge-child-created", 7, 2),
    ("java-kcl-3.4.2/08a-pending-checkpoint-with-state", 1, 1),
    ("java-kcl-3.4.2/09a-multi-stream", 4, 1),
    ("java-kcl-3.4.2/10-worker-metrics", 4, 2),
    ("java-kcl-3.1.0/07a-checkpoint-inside-an-aggregate", 2, 1),
    ("java-kcl-migration-3.4-to-3.5/1-mixed-3.4.2-and-3.5.1", 4, 2),
    ("java-kcl-migration-3.4-to-3.5/2-both-3.5.1-INIT", 4, 2),
    ("java-kcl-migration-3.4-to-3.5/3-DEPLOYED", 4, 2),
    ("java-kcl-migration-3.4-to-3.5/5-PENDING", 4, 2),
    ("java-kcl-migration-3.4-to-3.5/6a-COMPLETE", 4, 2),
    ("java-kcl-migration-2x-to-3.5.1/1-compatible-with-2x", 4, 2),
    ("java-kcl-migration-2x-to-3.5.1/2-3x-with-rollback", 4, 2),
    ("java-kcl-migration-2x-to-3.5.1/3-3x", 4, 2),
    // One more row beside them would be a member if it said so. Java does not count it either.
    ("java-kcl-mixed-versions/3-foreign-workers-LEASE_COUNT_BASED", 8, 5),
    ("java-kcl-mixed-versions/3-foreign-workers", 8, 5),
    ("java-kcl-mixed-versions/4-foreign-leader", 4, 3),
];

/// An attribute that no KCL writes today.
const UNKNOWN: &str = "ofALaterKcl";

fn worker() -> WorkerId {
    "ours".parse().unwrap()
}

async fn view(captured: &Captured) -> View {
    let store = captured.leases();
    store.prepare().await.unwrap();
    store.view().await.unwrap()
}

/// A row with something in it that nobody here knows.
async fn marked(captured: &Captured, ending: &str, key: &str) -> Item {
    let mut item = captured.items(ending).await.unwrap().remove(key).unwrap();
    item.insert(UNKNOWN.into(), AttributeValue::Bool(true));
    captured.put(&format!("{}{ending}", captured.app), item.clone()).await;
    item
}

/// What a change may touch, and nothing else has changed.
fn assert_kept(before: &Item, after: &Item, touched: &[&str], what: &str) {
    let rest = |item: &Item| -> HashMap<String, AttributeValue> {
        let kept = item.iter().filter(|(name, _)| !touched.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    assert_eq!(rest(before), rest(after), "{what}");
}

#[tokio::test(start_paused = true)]
async fn every_row_is_read() {
    for &(fixture, leases, members) in FIXTURES {
        let view = view(&Captured::new(fixture).await).await;
        assert_eq!((view.leases.len(), view.members.len()), (leases, members), "{fixture}");
        let leaderless = ["6a-COMPLETE", "1-compatible-with-2x"].iter().any(|part| fixture.contains(part));
        assert_eq!(view.lock.is_some(), !leaderless, "{fixture}");
        let version = match fixture {
            "java-kcl-migration-2x-to-3.5.1/1-compatible-with-2x" => ClientVersion::UpgradeFrom2,
            "java-kcl-migration-2x-to-3.5.1/2-3x-with-rollback" => ClientVersion::V3WithRollback,
            _ => ClientVersion::V3,
        };
        assert_eq!(view.version, Some(version), "{fixture}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_lease_touches_what_it_is_about() {
    let checkpoint = || Checkpoint::at("4968".parse().unwrap(), 3);
    let progress = ["checkpoint", "checkpointSubSequenceNumber", "ownerSwitchesSinceCheckpoint"];
    let pending = ["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"];
    let owners = ["leaseOwner", "checkpointOwner", "ownerSwitchesSinceCheckpoint"];
    for &(fixture, ..) in FIXTURES {
        let captured = Captured::new(fixture).await;
        let store = captured.leases();
        for row in view(&captured).await.leases {
            let before = marked(&captured, "", row.key.as_str()).await;
            let (owner, checkpoint_owner) = (row.owner.clone(), row.checkpoint_owner.clone());
            let counter = row.counter;
            let change = [
                LeaseChange::Renew { counter, handing_over: true, throughput: "1.5".parse().ok() },
                LeaseChange::Checkpoint {
                    counter: counter + 1,
                    checkpoint: checkpoint(),
                    throughput: "2.5".parse().ok(),
                },
                LeaseChange::Take { worker: worker(), counter: counter + 2, owner, checkpoint_owner },
                LeaseChange::StartHandoff { from: worker(), to: "next".parse().unwrap() },
                LeaseChange::Assign {
                    to: "next".parse().unwrap(),
                    owner: "next".parse().ok(),
                    checkpoint_owner: Some(worker()),
                },
                LeaseChange::Children {
                    children: BTreeSet::from([ShardId::numbered(8), ShardId::numbered(9)]),
                },
                LeaseChange::Evict { owner: "next".parse().ok(), checkpoint_owner: None },
                LeaseChange::Rewind { counter: counter + 5, checkpoint: Checkpoint::TrimHorizon },
            ];
            let mut meant = row.clone();
            for change in change {
                meant =
                    change.apply_to(&meant).unwrap_or_else(|| panic!("{fixture}: {change:?} of {meant:?}"));
                store.write(&row.key, &change).await.unwrap();
                assert_eq!(
                    store.get(&row.key).await.unwrap().as_ref(),
                    Some(&meant),
                    "{fixture}: {change:?}"
                );
                let touched = match change {
                    LeaseChange::Renew { .. } => vec!["throughputKBps", "leaseCounter"],
                    LeaseChange::Checkpoint { .. } | LeaseChange::Rewind { .. } => [
                        &["throughputKBps", "leaseCounter"][..],
                        &progress,
                        &pending,
                        &owners,
                        &["childShardIds"],
                    ]
                    .concat(),
                    _ => [
                        &["throughputKBps", "leaseCounter", "childShardIds"][..],
                        &owners,
                        &progress,
                        &pending,
                    ]
                    .concat(),
                };
                let after = captured.items("").await.unwrap().remove(row.key.as_str()).unwrap();
                assert_kept(&before, &after, &touched, fixture);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_word_of_a_member_and_of_the_leader_leaves_the_rest_of_the_row() {
    for (fixture, members, state) in [
        ("java-kcl-3.5.1/10-worker-metrics", "", ""),
        ("java-kcl-3.4.2/10-worker-metrics", "-WorkerMetricStats", "-CoordinatorState"),
    ] {
        let captured = Captured::new(fixture).await;
        let store = captured.leases();
        let seen = view(&captured).await;
        let before = marked(&captured, members, "worker-1").await;
        let mut member =
            seen.members.iter().find(|member| member.worker.as_str() == "worker-1").unwrap().clone();
        member.updated += 30;
        store.put_member(&member).await.unwrap();
        let after = captured.items(members).await.unwrap().remove("worker-1").unwrap();
        assert_kept(&before, &after, &["lut", "slu", "sup", "entityType", "sts", "opr"], fixture);
        let before = marked(&captured, state, "Leader").await;
        let lock = seen.lock.unwrap();
        let by = LeaderLock::new(worker(), "another".into(), lock.lasts);
        store.change_lock(&LockChange::Replace { version: lock.version, by: by.clone() }).await.unwrap();
        let after = captured.items(state).await.unwrap().remove("Leader").unwrap();
        assert_kept(&before, &after, &["ownerName", "recordVersionNumber", "entityType"], fixture);
        assert_eq!(store.view().await.unwrap().lock, Some(by));
    }
}

/// The kinds of a row's attributes: what is left of it without its values.
fn shape(item: &Item) -> Vec<(String, &'static str)> {
    let kind = |value: &AttributeValue| match value {
        AttributeValue::S(_) => "S",
        AttributeValue::N(_) => "N",
        AttributeValue::Ss(_) => "SS",
        AttributeValue::L(_) => "L",
        AttributeValue::M(_) => "M",
        other => panic!("{other:?}"),
    };
    let mut shape: Vec<_> = item.iter().map(|(name, value)| (name.clone(), kind(value))).collect();
    shape.sort();
    shape
}

#[tokio::test(start_paused = true)]
async fn what_we_create_is_what_java_created_but_for_the_values() {
    for (version, members, state) in [("3.5.1", "", ""), ("3.4.2", "-WorkerMetricStats", "-CoordinatorState")]
    {
        let fresh = format!("java-kcl-{version}/00-leases-created-unassigned");
        let (fresh, busy) = (
            Captured::new(&fresh).await,
            Captured::new(&format!("java-kcl-{version}/10-worker-metrics")).await,
        );
        let ours = Captured::empty("ours");
        if !state.is_empty() {
            ours.table("ours-CoordinatorState", "key").await;
            ours.table("ours-WorkerMetricStats", "wid").await;
        }
        let store = ours.leases();
        store.prepare().await.unwrap();
        // The tables of members and of the lock are not all there yet; leases are read without.
        for item in fresh.items("").await.unwrap().values().filter(|item| item.contains_key("leaseCounter")) {
            let shard: ShardId = item["leaseKey"].as_s().unwrap().parse().unwrap();
            let row = fresh.leases().get(&(&shard).into()).await.unwrap().unwrap();
            store.create(&row).await.unwrap();
        }
        let seen = view(&busy).await;
        store.change_lock(&LockChange::Create(seen.lock.unwrap())).await.unwrap();
        store.claim(&ClientVersion::V3, &worker()).await.unwrap();
        for member in seen.members {
            store.put_member(&member).await.unwrap();
        }
        for (java, ending, leases) in [(&fresh, "", true), (&busy, members, false), (&busy, state, false)] {
            let written = ours.items(ending).await.unwrap();
            let captured = java.items(ending).await.unwrap().into_iter();
            for (key, item) in captured.filter(|(_, item)| item.contains_key("leaseCounter") == leases) {
                let mut written = written[&key].clone();
                // The KCL 3.4 does not write it and does not look at it; 3.5 writes it in either layout.
                if !item.contains_key("entityType") {
                    assert!(written.remove("entityType").is_some());
                    written.retain(|name, _| !["sup", "slu"].contains(&name.as_str()));
                }
                assert_eq!(shape(&item), shape(&written), "{version}{ending}: {key}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_index_we_create_is_javas() {
    let java = read("java-kcl-3.5.1/00-leases-created-unassigned");
    let java = &java["tables"][java["app"].as_str().unwrap()]["describe"]["GlobalSecondaryIndexes"][0];
    let ours = Captured::empty("ours");
    ours.leases().prepare().await.unwrap();
    let table = ours.dynamodb.describe_table().table_name("ours").send().await.unwrap().table.unwrap();
    let index = &table.global_secondary_indexes()[0];
    assert_eq!(index.index_name(), java["IndexName"].as_str());
    let keys = index.key_schema().iter();
    let keys: Vec<_> = keys.map(|key| (key.attribute_name(), key.key_type().as_str())).collect();
    let javas = java["KeySchema"].as_array().unwrap().iter();
    let javas: Vec<_> =
        javas.map(|key| (key["AttributeName"].as_str().unwrap(), key["KeyType"].as_str().unwrap())).collect();
    assert_eq!(keys, javas);
    let projection = index.projection().and_then(|projection| projection.projection_type());
    assert_eq!(
        projection.map(|projection| projection.as_str()),
        java["Projection"]["ProjectionType"].as_str()
    );
}

#[tokio::test(start_paused = true)]
async fn an_ended_lease_of_java_is_deleted_if_it_is_as_it_was_seen() {
    let captured = Captured::new("java-kcl-3.5.1/05c-after-merge-child-created").await;
    let store = captured.leases();
    let ended: Vec<LeaseRow> =
        view(&captured).await.leases.into_iter().filter(|row| row.checkpoint.is_shard_end()).collect();
    assert!(!ended.is_empty());
    for row in ended {
        let mut earlier = row.clone();
        earlier.counter -= 1;
        assert!(store.delete(&row.key, &earlier).await.is_err());
        store.delete(&row.key, &row).await.unwrap();
        assert_eq!(store.get(&row.key).await.unwrap(), None);
    }
}
