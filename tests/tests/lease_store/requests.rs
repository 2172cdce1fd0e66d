//! Our writes beside those of the Java KCL: the same attributes on the same conditions, but for what is said here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use shardflow_consumer::{
    Checkpoint, ClientVersion, LeaderLock, LeaseChange, LeaseRow, LeaseStore, LockChange, Member, ShardId,
    WorkerId,
};

use crate::captured::create;
use crate::table::Watched;

/// What a write does: to each attribute, and on which conditions. That the row must be there goes without saying.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Write {
    /// The ending of the table's name, if it is not the lease table.
    table: String,
    creates: bool,
    deletes: bool,
    attributes: BTreeMap<String, &'static str>,
    conditions: BTreeSet<String>,
}

const KEYS: [&str; 3] = ["leaseKey", "key", "wid"];

impl Write {
    fn new(operation: &str, request: &Value) -> Self {
        let name = request["TableName"].as_str().unwrap();
        let table =
            ["-CoordinatorState", "-WorkerMetricStats"].into_iter().find(|ending| name.ends_with(ending));
        let mut write = Self {
            table: table.unwrap_or_default().to_owned(),
            creates: false,
            deletes: operation == "DeleteItem",
            attributes: BTreeMap::new(),
            conditions: BTreeSet::new(),
        };
        for name in request["Item"].as_object().into_iter().flat_map(|item| item.keys()) {
            write.attribute(name, "put");
        }
        for (name, update) in request["AttributeUpdates"].as_object().into_iter().flatten() {
            let action = match update["Action"].as_str().unwrap() {
                "PUT" => "put",
                "ADD" => "add",
                "DELETE" => "remove",
                other => panic!("{other}"),
            };
            write.attribute(name, action);
        }
        for (name, expected) in request["Expected"].as_object().into_iter().flatten() {
            let absent = expected["Exists"] == false;
            write.condition(&if absent {
                format!("attribute_not_exists({name})")
            } else {
                format!("{name} = ")
            });
        }
        let named = |text: &str| {
            let names = request["ExpressionAttributeNames"].as_object().into_iter().flatten();
            names.fold(text.to_owned(), |text, (name, stands_for)| {
                text.replace(name, stands_for.as_str().unwrap())
            })
        };
        if let Some(update) = request["UpdateExpression"].as_str() {
            write.update(&named(update));
        }
        if let Some(condition) = request["ConditionExpression"].as_str() {
            for condition in named(condition).split(" AND ") {
                write.condition(condition);
            }
        }
        write
    }

    fn attribute(&mut self, name: &str, action: &'static str) {
        if !KEYS.contains(&name) {
            self.attributes.insert(name.to_owned(), action);
        }
    }

    fn update(&mut self, expression: &str) {
        let mut action = "";
        for word in expression.replace(',', " ").split_whitespace() {
            match word {
                "SET" => action = "put",
                "ADD" => action = "add",
                "REMOVE" => action = "remove",
                word if word == "=" || word.starts_with(':') => {}
                name => self.attribute(name, action),
            }
        }
    }

    fn condition(&mut self, condition: &str) {
        let inside =
            |text: &str| condition.strip_prefix(text).map(|rest| rest.trim_end_matches(')').to_owned());
        let condition = match (inside("attribute_not_exists("), inside("attribute_exists(")) {
            (Some(name), _) if KEYS.contains(&name.as_str()) => {
                self.creates = true;
                return;
            }
            (Some(name), _) => format!("no {name}"),
            (_, Some(name)) => format!("some {name}"),
            _ => format!("{} as seen", condition.split(" = ").next().unwrap()),
        };
        if !KEYS.iter().any(|key| condition.split(' ').any(|word| word == *key)) {
            self.conditions.insert(condition);
        }
    }
}

/// The distinct writes of the Java KCL.
fn javas() -> Vec<Write> {
    let path = "../consumer/tests/fixtures/java-kcl-requests.jsonl";
    let text = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| Write::new(line["op"].as_str().unwrap(), &line["request"])).collect()
}

/// Asserts that Java writes the same, but for `less` that only Java writes, `more` that only we write, and `stricter`
/// conditions of ours.
fn assert_javas(watched: &Watched, less: &[&str], more: &[&str], stricter: &[&str]) {
    let (operation, request) = watched.last();
    let mut ours = Write::new(&operation, &request);
    ours.attributes.retain(|name, _| !more.contains(&name.as_str()));
    for condition in stricter {
        assert!(ours.conditions.remove(*condition), "{condition} in {request}");
    }
    let javas = javas().into_iter().map(|mut write| {
        write.attributes.retain(|name, _| !less.contains(&name.as_str()));
        write
    });
    assert!(javas.collect::<BTreeSet<_>>().contains(&ours), "{ours:#?}\nof {request}");
}

fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn leases_are_changed_as_java_changes_them() {
    let watched = Watched::new();
    let store = &watched.store;
    store.prepare().await.unwrap();
    let stream = "123456789012:orders:1700000000".parse().ok();
    let mut row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
    row.hash_key_range = shardflow_core::HashKeyRange::divide(2).next();
    store.create(&row.clone().of_stream(stream)).await.unwrap();
    assert_javas(&watched, &[], &[], &[]);
    store.create(&row).await.unwrap();
    assert_javas(&watched, &[], &[], &[]);
    let (a, b) = (worker("a"), worker("b"));
    let checkpoint = Checkpoint::at("7".parse().unwrap(), 0);
    let throughput = "1.5".parse().ok();
    let assign =
        |to: &WorkerId, owner: Option<&WorkerId>, checkpoint_owner: Option<&WorkerId>| LeaseChange::Assign {
            to: to.clone(),
            owner: owner.cloned(),
            checkpoint_owner: checkpoint_owner.cloned(),
        };
    // Java writes again what a checkpoint does not change. Its taker looks at the counter only, but works in fleets of
    // 2.x only, where nobody assigns without it.
    let unchanged = ["startingHashKey", "endingHashKey"];
    let children = [ShardId::numbered(1), ShardId::numbered(2)].into();
    // And it writes with renewals only what a shard brings.
    let measured = ["throughputKBps"];
    for (change, less, stricter) in [
        (assign(&a, None, None), &[][..], &[][..]),
        (LeaseChange::Renew { counter: 1, handing_over: false, throughput: None }, &[], &[]),
        (LeaseChange::Renew { counter: 2, handing_over: false, throughput }, &[], &[]),
        (LeaseChange::Checkpoint { counter: 3, checkpoint, throughput }, &unchanged, &[]),
        (LeaseChange::StartHandoff { from: a.clone(), to: b.clone() }, &[], &[]),
        (LeaseChange::Renew { counter: 4, handing_over: true, throughput }, &[], &[]),
        (assign(&b, Some(&b), Some(&a)), &[], &[]),
        (assign(&a, Some(&b), None), &[], &[]),
        (
            LeaseChange::Take { worker: b.clone(), counter: 7, owner: Some(a), checkpoint_owner: None },
            &[],
            &["leaseOwner as seen", "no checkpointOwner"],
        ),
        (LeaseChange::Children { children }, &[], &[]),
    ] {
        store.write(&row.key, &change).await.unwrap_or_else(|error| panic!("{change:?}: {error}"));
        let is_checkpoint = matches!(change, LeaseChange::Checkpoint { .. });
        assert_javas(&watched, less, if is_checkpoint { &measured } else { &[] }, stricter);
    }
}

#[tokio::test(start_paused = true)]
async fn members_the_lock_and_the_version_are_written_as_java_writes_them() {
    for legacy in [false, true] {
        let watched = Watched::new();
        if legacy {
            create(&watched.dynamodb(), "billing-CoordinatorState", "key").await;
            create(&watched.dynamodb(), "billing-WorkerMetricStats", "wid").await;
        }
        let store = &watched.store;
        store.prepare().await.unwrap();
        store.put_member(&Member::new(worker("a"), 7)).await.unwrap();
        // Members and leases may share a table.
        let guard = if legacy { &[][..] } else { &["no leaseCounter"] };
        assert_javas(&watched, &[], &[], guard);
        let lock = |version: &str| LeaderLock::new(worker("a"), version.into(), Duration::from_secs(120));
        store.change_lock(&LockChange::Create(lock("1"))).await.unwrap();
        assert_javas(&watched, &[], &[], &[]);
        store.change_lock(&LockChange::Replace { version: "1".into(), by: lock("2") }).await.unwrap();
        // Java puts the whole row, and what others wrote into it is lost. The legacy row was captured of the KCL 3.4 alone.
        let more = if legacy { &["isReleased", "entityType"][..] } else { &["isReleased"] };
        assert_javas(&watched, &[], more, &[]);
        store.change_lock(&LockChange::Release { owner: worker("a"), version: "2".into() }).await.unwrap();
        assert_javas(&watched, &[], &[], &[]);
        store.claim(&ClientVersion::V3, &worker("a")).await.unwrap();
        // The KCL 3.4 had no other kinds to tell it from.
        assert_javas(&watched, &[], if legacy { &["entityType"] } else { &[] }, &[]);
    }
}
