//! Leases of several streams beside the Java KCL's.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_consumer::{Config, Consumer, LeaseThread, Streams, WorkerId};
use shardflow_tests::application::until;
use shardflow_tests::clients::Place;
use shardflow_tests::ledger::Ledger;

use crate::captured::{Captured, Item, read};

/// What changes in a lease that is read on.
const MOVING: [&str; 4] = ["leaseOwner", "leaseCounter", "ownerSwitchesSinceCheckpoint", "throughputKBps"];

#[tokio::test(start_paused = true)]
async fn what_java_wrote_of_several_streams_is_read_on_and_what_is_entered_is_alike() {
    for (fixture, name) in
        [("java-kcl-3.5.1/09a-multi-stream", "fx351"), ("java-kcl-3.4.2/09a-multi-stream", "fx342")]
    {
        let local = shardflow_local::Local::new(shardflow_local::Config::default()).unwrap();
        let kinesis = Place::inside(&local).kinesis();
        let mut text = read(fixture).to_string();
        let (a, b) = (format!("{name}-multi-a"), format!("{name}-multi-b"));
        for stream in [&a, &b] {
            local.create_stream(stream, 2).unwrap();
            let described = kinesis.describe_stream_summary().stream_name(stream).send().await.unwrap();
            let created = described.stream_description_summary.unwrap().stream_creation_timestamp.secs();
            let (_, after) = text.split_once(&format!(":{stream}:")).unwrap();
            let before: String = after.chars().take_while(char::is_ascii_digit).collect();
            text = text.replace(&format!("{stream}:{before}"), &format!("{stream}:{created}"));
        }
        local.create_stream("new", 2).unwrap();
        let captured = Captured::within(local, &serde_json::from_str(&text).unwrap()).await;
        // Something that a later KCL may keep there.
        let mut before = leases(&captured).await;
        assert_eq!(before.len(), 4);
        for item in before.values_mut() {
            item.insert("ofLaterOnes".into(), AttributeValue::S("kept".into()));
            captured.put(&captured.app, item.clone()).await;
        }
        let streams = [a, b, "new".into()].map(|stream| stream.parse().unwrap());
        let id: WorkerId = "ours".parse().unwrap();
        let config = Config::default().worker_id(id).lease_thread(LeaseThread::Caller);
        let consumer = Consumer::streams(kinesis, captured.leases(), Streams::new(streams), config);
        let ledger = Ledger::default();
        let worker = consumer.run(ledger.writer("ours")).unwrap();
        until(|| worker.health().shards.len() == 6).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let after = leases(&captured).await;
        let (theirs, ours): (Vec<_>, Vec<_>) = after.iter().partition(|(key, _)| before.contains_key(*key));
        assert_eq!((theirs.len(), ours.len()), (4, 2));
        for (key, item) in theirs {
            assert_eq!(item["leaseOwner"], AttributeValue::S("ours".into()));
            assert_eq!(still(item), still(&before[key]), "{key}");
        }
        let names = |item: &Item| -> BTreeSet<String> { still(item).into_keys().collect() };
        let java = before.values().next().unwrap();
        for (key, item) in ours {
            let (mut ours, mut theirs) = (names(item), names(java));
            theirs.remove("ofLaterOnes");
            // Rows of KCL 3.4 do not say what they are; ours say it in any table.
            for attributes in [&mut ours, &mut theirs] {
                attributes.insert("entityType".into());
            }
            assert_eq!(ours, theirs, "{key}");
            let stream = item["streamName"].as_s().unwrap();
            assert_eq!(*key, format!("{stream}:{}", item["shardId"].as_s().unwrap()));
        }
        worker.stopper().graceful();
        worker.await.unwrap();
    }
}

async fn leases(captured: &Captured) -> HashMap<String, Item> {
    let mut items = captured.items("").await.unwrap();
    items.retain(|_, item| item.contains_key("checkpoint"));
    items
}

/// What does not change.
fn still(item: &Item) -> Item {
    let mut item = item.clone();
    item.retain(|name, _| !MOVING.contains(&name.as_str()));
    item
}
