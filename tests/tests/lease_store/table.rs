//! The lease table: what it is like, what is asked of it, and what happens when it is not as it should be.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use serde_json::{Value, json};
use shardflow_consumer::{
    Checkpoint, CreateTable, DynamoDbLeases, LeaseChange, LeaseRow, LeaseStore, Member, ShardId, StoreError,
};
use shardflow_local::{Config, Local};
use shardflow_tests::clients::Place;
use shardflow_tests::wire::{answer, between, operation};

pub(crate) type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// An application whose requests are written down, and some of which another service answers.
pub(crate) struct Watched {
    local: Local,
    asked: Asked,
    pub(crate) store: DynamoDbLeases,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Self::with(|_, _| None)
    }

    /// `instead` may give a status and a body.
    fn with(instead: impl Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static) -> Self {
        let local = Local::new(Config::default()).unwrap();
        let asked = Asked::default();
        let writes = Arc::clone(&asked);
        let place = Place::inside(&local).through(|http| {
            between(http, move |request, on| {
                let what = operation(&request).to_owned();
                let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap();
                writes.lock().unwrap().push((what.clone(), body.clone()));
                match instead(&what, &body) {
                    Some((status, body)) => HttpConnectorFuture::ready(Ok(answer(status, body.to_string()))),
                    None => on.call(request),
                }
            })
        });
        let store = DynamoDbLeases::new(place.dynamodb(), "billing".parse().unwrap());
        Self { local, asked, store }
    }

    /// What was asked last.
    pub(crate) fn last(&self) -> (String, Value) {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }

    /// Everything asked with that name.
    fn asked(&self, operation: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(what, _)| what == operation).map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        Place::inside(&self.local).dynamodb()
    }

    /// Makes the table by hand, of such a key.
    async fn table(&self, key: &[(&str, KeyType, ScalarAttributeType)], units: Option<i64>) {
        let mut create = self.dynamodb().create_table().table_name("billing");
        for (name, kind, attribute) in key {
            let schema = KeySchemaElement::builder().attribute_name(*name).key_type(kind.clone());
            let attribute =
                AttributeDefinition::builder().attribute_name(*name).attribute_type(attribute.clone());
            create =
                create.key_schema(schema.build().unwrap()).attribute_definitions(attribute.build().unwrap());
        }
        let throughput = units.map(|units| {
            let throughput = aws_sdk_dynamodb::types::ProvisionedThroughput::builder();
            throughput.read_capacity_units(units).write_capacity_units(units).build().unwrap()
        });
        let mode = if units.is_some() { BillingMode::Provisioned } else { BillingMode::PayPerRequest };
        create.billing_mode(mode).set_provisioned_throughput(throughput).send().await.unwrap();
    }
}

fn lease(number: u64) -> LeaseRow {
    LeaseRow::new(ShardId::numbered(number), Checkpoint::TrimHorizon)
}

fn refused(error: &StoreError) -> (&str, &str) {
    match error {
        StoreError::Refused { code, message } => (code, message),
        error => panic!("{error}"),
    }
}

const LEASE_KEY: (&str, KeyType, ScalarAttributeType) = ("leaseKey", KeyType::Hash, ScalarAttributeType::S);

#[tokio::test(start_paused = true)]
async fn a_table_is_made_on_demand_with_its_index() {
    let watched = Watched::new();
    watched.store.prepare().await.unwrap();
    let [asked] = <[Value; 1]>::try_from(watched.asked("CreateTable")).unwrap();
    assert_eq!(asked["BillingMode"], "PAY_PER_REQUEST");
    let index = &asked["GlobalSecondaryIndexes"][0];
    assert_eq!(
        (&index["IndexName"], &index["Projection"]["ProjectionType"]),
        (&json!("LeaseOwnerToLeaseKeyIndex"), &json!("KEYS_ONLY"))
    );
    for absent in ["Tags", "DeletionProtectionEnabled", "ProvisionedThroughput", "StreamSpecification"] {
        assert_eq!(asked[absent], Value::Null, "{absent}");
    }
    assert_eq!(watched.asked("UpdateContinuousBackups"), Vec::<Value>::new());
    watched.store.prepare().await.unwrap();
    assert_eq!((watched.asked("CreateTable").len(), watched.asked("UpdateTable").len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn options_are_those_of_the_table() {
    let watched = Watched::with(|what, _| (what == "UpdateContinuousBackups").then(|| (200, json!({}))));
    let units = |units| NonZeroU32::new(units).unwrap();
    let store = watched.store.clone().provisioned(units(7), units(9)).tag("team", "orders").tag("cost", "42");
    store.deletion_protection(true).point_in_time_recovery(true).prepare().await.unwrap();
    let asked = &watched.asked("CreateTable")[0];
    let throughput = json!({ "ReadCapacityUnits": 7, "WriteCapacityUnits": 9 });
    assert_eq!(asked["BillingMode"], "PROVISIONED");
    assert_eq!(asked["ProvisionedThroughput"], throughput);
    assert_eq!(asked["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"], throughput);
    assert_eq!(
        asked["Tags"],
        json!([{ "Key": "team", "Value": "orders" }, { "Key": "cost", "Value": "42" }])
    );
    assert_eq!(asked["DeletionProtectionEnabled"], true);
    let recovery = json!({ "PointInTimeRecoveryEnabled": true });
    assert_eq!(watched.asked("UpdateContinuousBackups")[0]["PointInTimeRecoverySpecification"], recovery);
}

#[tokio::test(start_paused = true)]
async fn a_table_too_new_for_recovery_is_asked_again_later() {
    let code = "ContinuousBackupsUnavailableException";
    let watched = Watched::with(move |what, _| {
        (what == "UpdateContinuousBackups")
            .then(|| (400, json!({ "__type": code, "message": "being enabled" })))
    });
    let error = watched.store.clone().point_in_time_recovery(true).prepare().await.unwrap_err();
    assert!(matches!(error, StoreError::Throttled(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_must_be_there_takes_rights_to_items_only() {
    let watched = Watched::new();
    let store = watched.store.clone().create_table(CreateTable::Never).point_in_time_recovery(true);
    store.prepare().await.unwrap();
    for error in [
        store.view().await.unwrap_err(),
        store.get(&lease(0).key).await.unwrap_err(),
        store.assigned(&"a".parse().unwrap()).await.unwrap_err(),
        store.create(&lease(0)).await.unwrap_err(),
        store.put_member(&Member::new("a".parse().unwrap(), 1)).await.unwrap_err(),
    ] {
        let (code, message) = refused(&error);
        assert_eq!((code, message.contains("billing")), ("ResourceNotFoundException", true), "{error}");
    }
    watched.table(&[LEASE_KEY], None).await;
    store.create(&lease(0)).await.unwrap();
    let take =
        LeaseChange::Take { worker: "a".parse().unwrap(), counter: 0, owner: None, checkpoint_owner: None };
    store.write(&lease(0).key, &take).await.unwrap();
    store.put_member(&Member::new("a".parse().unwrap(), 1)).await.unwrap();
    assert_eq!(store.view().await.unwrap().leases.len(), 1);
    // There is no index.
    assert_eq!(store.assigned(&"a".parse().unwrap()).await.unwrap(), [lease(0).key]);
    let asked = watched.asked.lock().unwrap();
    let items = ["Scan", "Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem"];
    assert!(asked.iter().all(|(what, _)| items.contains(&what.as_str())), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_table_without_the_index_gets_it_and_is_scanned_until_then() {
    // Of a table that is billed by units the index has as many.
    for (units, copied) in
        [(None, Value::Null), (Some(5), json!({ "ReadCapacityUnits": 5, "WriteCapacityUnits": 5 }))]
    {
        let watched = Watched::with(|what, body| {
            let message = "Cannot read from backfilling global secondary index: LeaseOwnerToLeaseKeyIndex";
            let error = json!({ "__type": "ValidationException", "message": message });
            (what == "Query" && body["IndexName"] == "LeaseOwnerToLeaseKeyIndex").then_some((400, error))
        });
        watched.table(&[LEASE_KEY], units).await;
        watched.store.prepare().await.unwrap();
        let create = &watched.asked("UpdateTable")[0]["GlobalSecondaryIndexUpdates"][0]["Create"];
        assert_eq!(
            (&create["IndexName"], &create["ProvisionedThroughput"]),
            (&json!("LeaseOwnerToLeaseKeyIndex"), &copied)
        );
        let mut row = lease(0);
        watched.store.create(&row).await.unwrap();
        row.owner = Some("a".parse().unwrap());
        let take = LeaseChange::Take {
            worker: "a".parse().unwrap(),
            counter: 0,
            owner: None,
            checkpoint_owner: None,
        };
        watched.store.write(&row.key, &take).await.unwrap();
        assert_eq!(watched.store.assigned(&"a".parse().unwrap()).await.unwrap(), [row.key]);
        watched.store.prepare().await.unwrap();
        assert_eq!(watched.asked("UpdateTable").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_whose_index_is_refused_is_used_without() {
    let denied = json!({ "__type": "AccessDeniedException", "message": "no" });
    let watched = Watched::with(move |what, _| (what == "UpdateTable").then(|| (400, denied.clone())));
    watched.table(&[LEASE_KEY], None).await;
    watched.store.prepare().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_table_of_something_else_is_refused_and_left_alone() {
    use ScalarAttributeType::{N, S};
    for key in [
        vec![("id", KeyType::Hash, S)],
        vec![LEASE_KEY, ("range", KeyType::Range, S)],
        vec![("leaseKey", KeyType::Hash, N)],
    ] {
        let watched = Watched::new();
        watched.table(&key, None).await;
        let error = watched.store.prepare().await.unwrap_err();
        assert_eq!(refused(&error).0, "NotALeaseTable", "{error}");
        assert_eq!(watched.asked("UpdateTable"), Vec::<Value>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_is_said_in_the_services_words() {
    for operation in ["DescribeTable", "CreateTable"] {
        let message = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: dynamodb:it";
        let denied = json!({ "__type": "AccessDeniedException", "message": message });
        let watched = Watched::with(move |what, _| (what == operation).then(|| (400, denied.clone())));
        let error = watched.store.prepare().await.unwrap_err();
        assert_eq!(refused(&error), ("AccessDeniedException", message), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_become_ready_is_not_waited_for_without_end() {
    for status in ["CREATING", "DELETING", "ARCHIVED"] {
        let watched = Watched::with(move |what, body| {
            let table = json!({
                "TableStatus": status,
                "KeySchema": [{ "AttributeName": "leaseKey", "KeyType": "HASH" }],
                "AttributeDefinitions": [{ "AttributeName": "leaseKey", "AttributeType": "S" }],
            });
            (what == "DescribeTable" && body["TableName"] == "billing")
                .then(|| (200, json!({ "Table": table })))
        });
        let before = tokio::time::Instant::now();
        let error = watched.store.prepare().await.unwrap_err();
        assert_eq!(refused(&error).0, "TableNotActive", "{error}");
        let waited = before.elapsed().as_secs();
        assert!(
            if status == "ARCHIVED" { waited < 5 } else { (600..620).contains(&waited) },
            "{status}: {waited} s"
        );
        assert!(watched.asked("DescribeTable").len() < 400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_in_parts_sees_every_row_once() {
    let watched = Watched::new();
    let store = watched.store.clone().scan_segments(NonZeroU32::new(4).unwrap());
    store.prepare().await.unwrap();
    for number in 0..50 {
        store.create(&lease(number)).await.unwrap();
    }
    let mut keys: Vec<_> = store.view().await.unwrap().leases.into_iter().map(|row| row.key).collect();
    keys.sort();
    assert_eq!(keys, (0..50).map(|number| lease(number).key).collect::<Vec<_>>());
    let scans = watched.asked("Scan");
    assert_eq!(scans.len(), 4);
    assert!(scans.iter().all(|scan| scan["TotalSegments"] == 4), "{scans:?}");
    watched.store.view().await.unwrap();
    assert_eq!(watched.asked("Scan")[4]["TotalSegments"], Value::Null, "a small table is read in one piece");
}

#[tokio::test(start_paused = true)]
async fn a_worker_named_after_a_shard_does_not_overwrite_its_lease() {
    let watched = Watched::new();
    watched.store.prepare().await.unwrap();
    watched.store.create(&lease(0)).await.unwrap();
    let namesake: shardflow_consumer::WorkerId = lease(0).key.as_str().parse().unwrap();
    let error = watched.store.put_member(&Member::new(namesake.clone(), 1)).await.unwrap_err();
    assert_eq!(refused(&error).0, "WorkerIdIsALease");
    for updated in [None, Some(1)] {
        let error = watched.store.delete_member(&namesake, updated).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict(None)), "{error}");
    }
    assert_eq!(watched.store.get(&lease(0).key).await.unwrap(), Some(lease(0)));
}

#[tokio::test(start_paused = true)]
async fn rows_that_nobody_understands_are_left_out_and_left_alone() {
    let watched = Watched::new();
    watched.store.prepare().await.unwrap();
    watched.store.create(&lease(0)).await.unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    for (key, attributes) in [
        ("stream", vec![("entityType", text("STREAM")), ("streamId", text("x"))]),
        ("later", vec![("entityType", text("SOMETHING_NEW"))]),
        ("TableMigration3.5", vec![("tm", text("TABLE_MIGRATION_STATUS_COMPLETE"))]),
        ("shardId-000000000001", vec![("checkpoint", text("yesterday"))]),
        ("w", vec![("entityType", text("WORKER_METRIC_STATS"))]),
    ] {
        let put = watched.dynamodb().put_item().table_name("billing").item("leaseKey", text(key));
        let put = attributes.into_iter().fold(put, |put, (name, value)| put.item(name, value));
        put.send().await.unwrap();
    }
    let view = watched.store.view().await.unwrap();
    assert_eq!((view.leases, view.members), (vec![lease(0)], vec![]));
    let key = lease(1).key;
    assert_eq!(refused(&watched.store.get(&key).await.unwrap_err()).0, "NotALease");
    assert!(matches!(watched.store.create(&lease(1)).await.unwrap_err(), StoreError::Conflict(None)));
}
