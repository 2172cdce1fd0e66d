//! Both layouts of the tables, and the way from one to the other.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_consumer::conformance::converse;
use shardflow_consumer::{ClientVersion, LeaderLock, LeaseStore, LockChange, Member, StoreError, WorkerId};

use crate::captured::{Captured, Item};

const STATE: &str = "-CoordinatorState";
const METRICS: &str = "-WorkerMetricStats";

fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

fn migration(key: &str, status: &str) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let status = format!("TABLE_MIGRATION_STATUS_{status}");
    let entity = text("TABLE_MIGRATION");
    Item::from([
        (key.into(), text("TableMigration3.5")),
        ("tm".into(), text(&status)),
        ("entityType".into(), entity),
    ])
}

/// An application of three tables without rows.
async fn legacy() -> Captured {
    let captured = Captured::empty("billing");
    captured.table("billing-CoordinatorState", "key").await;
    captured.table("billing-WorkerMetricStats", "wid").await;
    captured
}

fn code(error: StoreError) -> String {
    match error {
        StoreError::Refused { code, .. } => code,
        error => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn three_tables_mean_what_the_words_mean() {
    for seed in 0..2 {
        let captured = legacy().await;
        converse(&captured.leases(), seed).await.unwrap();
        let leases = captured.items("").await.unwrap();
        assert!(
            leases.values().all(|item| item["entityType"].as_s().unwrap() == "LEASE"),
            "leases and nothing else"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_application_has_one_table() {
    let captured = Captured::empty("billing");
    let store = captured.leases();
    store.prepare().await.unwrap();
    store.put_member(&Member::new(worker("a"), 1)).await.unwrap();
    assert_eq!(captured.tables().await, ["billing"]);
    assert!(captured.items("").await.unwrap().contains_key("a"));
}

#[tokio::test(start_paused = true)]
async fn a_fleet_of_three_tables_is_seen_whole_and_joined_in_its_tables() {
    for fixture in [
        "java-kcl-3.4.2/10-worker-metrics",
        "java-kcl-migration-3.4-to-3.5/1-mixed-3.4.2-and-3.5.1",
        "java-kcl-migration-3.4-to-3.5/3-DEPLOYED",
    ] {
        let captured = Captured::new(fixture).await;
        let tables = captured.tables().await;
        let store = captured.leases();
        store.prepare().await.unwrap();
        let view = store.view().await.unwrap();
        assert_eq!((view.leases.len(), view.members.len()), (4, 2), "{fixture}");
        let lock = view.lock.unwrap();
        assert_eq!((lock.owner.as_str(), lock.lasts), ("worker-1", Duration::from_secs(120)), "{fixture}");
        assert_eq!(view.version, Some(ClientVersion::V3), "{fixture}");
        store.put_member(&Member::new(worker("ours"), 1_800_000_000)).await.unwrap();
        let next = LeaderLock::new(worker("ours"), "next".into(), Duration::from_secs(30));
        store.change_lock(&LockChange::Replace { version: lock.version, by: next }).await.unwrap();
        assert!(captured.items(METRICS).await.unwrap().contains_key("ours"));
        assert_eq!(
            captured.items(STATE).await.unwrap()["Leader"]["leaseDuration"],
            AttributeValue::S("30000".into())
        );
        assert_eq!(captured.items("").await.unwrap().len(), 4, "leases and nothing else");
        assert_eq!(captured.tables().await, tables);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_fleet_on_its_way_has_moved_is_seen_where_it_is() {
    let captured = Captured::new("java-kcl-migration-3.4-to-3.5/5-PENDING").await;
    let moved = captured.items("").await.unwrap();
    assert!(moved.contains_key("Migration3.0") && moved.contains_key("worker-1"), "{:?}", moved.keys());
    let view = captured.leases().view().await.unwrap();
    assert_eq!((view.leases.len(), view.members.len()), (4, 2));
    assert_eq!(view.version, Some(ClientVersion::V3));
    assert_eq!(view.lock.unwrap().owner, worker("worker-1"), "the lock is the last to move");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_has_moved_has_one_table() {
    let captured = Captured::new("java-kcl-migration-3.4-to-3.5/6a-COMPLETE").await;
    let store = captured.leases();
    store.prepare().await.unwrap();
    let view = store.view().await.unwrap();
    assert_eq!((view.leases.len(), view.members.len()), (4, 2));
    assert!(view.members.iter().all(|member| member.updated >= 1_795_418_296), "the legacy rows are older");
    store.put_member(&Member::new(worker("ours"), 1)).await.unwrap();
    assert!(captured.items("").await.unwrap().contains_key("ours"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_moves_with_its_fleet_while_it_runs() {
    let captured = legacy().await;
    let store = captured.leases();
    store.prepare().await.unwrap();
    store.put_member(&Member::new(worker("ours"), 1)).await.unwrap();
    assert_eq!(store.view().await.unwrap().members.len(), 1);
    for status in ["INIT", "DEPLOYED", "PENDING"] {
        captured.put("billing-CoordinatorState", migration("key", status)).await;
        assert_eq!(store.view().await.unwrap().members.len(), 1, "{status}");
    }
    captured.put("billing-CoordinatorState", migration("key", "COMPLETE")).await;
    captured.put("billing", migration("leaseKey", "COMPLETE")).await;
    assert_eq!(store.view().await.unwrap().members, [], "the legacy rows count no more");
    store.put_member(&Member::new(worker("ours"), 2)).await.unwrap();
    assert_eq!(store.view().await.unwrap().members.len(), 1);
    assert_eq!(captured.items(METRICS).await.unwrap()["ours"]["lut"], AttributeValue::N("1".into()));
    // Clones move along, and so does a worker that finds the tables gone.
    let (clone, late) = (store.clone(), captured.leases());
    assert_eq!(clone.view().await.unwrap().members.len(), 1);
    for ending in [STATE, METRICS] {
        captured.dynamodb.delete_table().table_name(format!("billing{ending}")).send().await.unwrap();
    }
    assert_eq!(late.view().await.unwrap().members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_to_move_writes_beside_the_leases_and_the_lock_where_it_was() {
    for fixture in ["4-DEPLOYED-one-worker-phase-2", "5-PENDING"] {
        let captured = Captured::new(&format!("java-kcl-migration-3.4-to-3.5/{fixture}")).await;
        let members = captured.items(METRICS).await.unwrap();
        let store = captured.leases().move_to_one_table(true);
        store.prepare().await.unwrap();
        let view = store.view().await.unwrap();
        assert_eq!((view.leases.len(), view.members.len()), (4, 2), "{fixture}");
        store.put_member(&Member::new(worker("ours"), 1_800_000_000)).await.unwrap();
        let lock = view.lock.unwrap();
        let next = LeaderLock::new(worker("ours"), "next".into(), Duration::from_secs(30));
        store.change_lock(&LockChange::Replace { version: lock.version, by: next }).await.unwrap();
        // As Java's row there.
        let rows = captured.items("").await.unwrap();
        let names = |worker: &str| rows[worker].keys().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names("ours"), names("worker-1"), "{fixture}");
        let number = |name: &str| rows["ours"][name].as_n().unwrap().as_str();
        assert_eq!((number("lut"), number("slu"), number("sup")), ("1800000000", "1800000000", "1"));
        assert!(!rows.contains_key("Leader"), "{fixture}");
        let state = captured.items(STATE).await.unwrap();
        assert_eq!(state["Leader"]["ownerName"].as_s().unwrap(), "ours", "{fixture}");
        assert_eq!(
            captured.items(METRICS).await.unwrap(),
            members,
            "a row there would stop the move: {fixture}"
        );
        assert_eq!(store.view().await.unwrap().members.len(), 3, "{fixture}");
        store.delete_member(&worker("ours"), None).await.unwrap();
        assert_eq!(store.view().await.unwrap().members.len(), 2, "{fixture}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_to_move_too_early_is_refused_and_goes_back_with_its_fleet() {
    let captured = legacy().await;
    for status in [None, Some("INIT")] {
        if let Some(status) = status {
            captured.put("billing-CoordinatorState", migration("key", status)).await;
        }
        let error = captured.leases().move_to_one_table(true).prepare().await.unwrap_err();
        assert_eq!(code(error), "MigrationNotDeployed");
    }
    captured.put("billing-CoordinatorState", migration("key", "DEPLOYED")).await;
    let store = captured.leases().move_to_one_table(true);
    store.prepare().await.unwrap();
    store.put_member(&Member::new(worker("ours"), 1)).await.unwrap();
    let where_is_it = async || {
        let tables = ["", METRICS].map(|ending| captured.items(ending));
        let [leases, metrics] = tables;
        (leases.await.unwrap().contains_key("ours"), metrics.await.unwrap().contains_key("ours"))
    };
    assert_eq!(where_is_it().await, (true, false));
    // The KCL deletes the row when a worker comes that does not understand the move.
    let dynamodb = &captured.dynamodb;
    let row = ("key", AttributeValue::S("TableMigration3.5".into()));
    dynamodb.delete_item().table_name("billing-CoordinatorState").key(row.0, row.1).send().await.unwrap();
    assert_eq!(store.view().await.unwrap().members.len(), 1);
    store.put_member(&Member::new(worker("ours"), 2)).await.unwrap();
    assert_eq!(where_is_it().await, (false, true));
    captured.put("billing-CoordinatorState", migration("key", "COMPLETE")).await;
    store.view().await.unwrap();
    store.put_member(&Member::new(worker("ours"), 3)).await.unwrap();
    assert!(where_is_it().await.0, "and on when that has gone");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_has_not_seen_the_end_of_the_move_finds_the_tables_gone() {
    let captured = legacy().await;
    let store = captured.leases();
    store.prepare().await.unwrap();
    for ending in [STATE, METRICS] {
        captured.dynamodb.delete_table().table_name(format!("billing{ending}")).send().await.unwrap();
    }
    store.view().await.unwrap();
    store.put_member(&Member::new(worker("ours"), 2)).await.unwrap();
    assert!(captured.items("").await.unwrap().contains_key("ours"));
}

#[tokio::test(start_paused = true)]
async fn a_stray_table_of_an_old_worker_is_told_of_and_nothing_is_done() {
    let captured =
        Captured::new("java-kcl-mixed-versions/1-3.4.2-cannot-join-a-single-table-application").await;
    let tables = captured.tables().await;
    let store = captured.leases();
    let error = store.prepare().await.unwrap_err();
    assert!(
        error.to_string().contains("-CoordinatorState") && error.to_string().contains("delete it"),
        "{error}"
    );
    assert_eq!(code(error), "IncompleteLayout");
    assert_eq!(
        code(store.put_member(&Member::new(worker("ours"), 1)).await.unwrap_err()),
        "IncompleteLayout"
    );
    assert_eq!(captured.tables().await, tables);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_has_not_made_all_of_its_tables_yet_is_not_joined() {
    let captured = Captured::new("java-kcl-3.4.2/00-leases-created-unassigned").await;
    let store = captured.leases();
    assert_eq!(code(store.prepare().await.unwrap_err()), "IncompleteLayout");
    captured.table(&format!("{}{METRICS}", captured.app), "wid").await;
    store.prepare().await.unwrap();
    assert_eq!(store.view().await.unwrap().leases.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_state_of_the_move_that_nobody_knows_stops_a_worker() {
    let captured = legacy().await;
    captured.put("billing-CoordinatorState", migration("key", "BEGUN")).await;
    assert_eq!(code(captured.leases().prepare().await.unwrap_err()), "UnknownLayout");
    assert!(!captured.tables().await.contains(&"billing".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_tables_of_an_old_fleet_may_have_other_names() {
    let captured = Captured::empty("billing");
    captured.table("coordination", "key").await;
    captured.table("billing-workers", "wid").await;
    let store = captured
        .leases()
        .coordinator_state_table("coordination".parse().unwrap())
        .worker_metrics_table("billing-workers".parse().unwrap());
    store.prepare().await.unwrap();
    store.put_member(&Member::new(worker("ours"), 1)).await.unwrap();
    let rows = captured.dynamodb.scan().table_name("billing-workers").send().await.unwrap();
    assert_eq!(rows.count(), 1);
    assert_eq!(captured.items("").await.unwrap().len(), 0);
}
