//! Workers of several streams over the embedded service, under a paused clock.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardflow_consumer::{
    Checkpoint, Config, FanOutConsumer, FormerStreams, InitialPosition, Leases, Problem, Retrieval, RunError,
    Stop, Stream, StreamConfig, StreamError, StreamIdentifier, Streams, Worker,
};
use shardflow_local::{Fault, Operation, Service};
use shardflow_tests::application::{Application, shard, until};
use shardflow_tests::clients::Place;
use shardflow_tests::ledger::{Line, What};
use tokio::time::{Instant, sleep};

fn stream(name: &str) -> Stream {
    name.parse().unwrap()
}

fn streams(names: &[&str]) -> Streams {
    Streams::new(names.iter().map(|name| stream(name)))
}

/// An application of these streams, of so many shards.
fn application(of: &[(&str, u32)]) -> Application {
    let app = Application::new(1);
    for (name, shards) in of {
        app.local.create_stream(name, *shards).unwrap();
    }
    app
}

/// The numbers of a stream's records, in the order in which they were processed.
fn records(app: &Application, name: &str) -> Vec<usize> {
    let of = |line: Line| match line.what {
        What::Record { data, .. } if line.stream.name().as_str() == name => Some(data.parse().unwrap()),
        _ => None,
    };
    app.ledger.lines().into_iter().filter_map(of).collect()
}

/// Waits until all of these numbers have come of a stream, each once.
async fn came(app: &Application, name: &str, numbers: std::ops::Range<usize>) {
    let wanted: BTreeSet<_> = numbers.clone().collect();
    until(|| records(app, name).into_iter().collect::<BTreeSet<_>>() == wanted).await;
    assert_eq!(records(app, name).len(), numbers.len(), "each once");
}

/// The identifier that the leases of a stream are called after.
async fn identifier(app: &Application, name: &str) -> StreamIdentifier {
    let described =
        Place::inside(&app.local).kinesis().describe_stream_summary().stream_name(name).send().await;
    let created = described.unwrap().stream_description_summary.unwrap().stream_creation_timestamp.secs();
    format!("000000000000:{name}:{created}").parse().unwrap()
}

async fn stop(worker: Worker) {
    worker.stopper().graceful();
    worker.await.unwrap();
}

/// Deletes a stream, and waits until it is gone.
async fn delete(app: &Application, name: &str) {
    let kinesis = Place::inside(&app.local).kinesis();
    kinesis.delete_stream().stream_name(name).enforce_consumer_deletion(true).send().await.unwrap();
    while kinesis.describe_stream_summary().stream_name(name).send().await.is_ok() {
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_workers_read_what_there_is_to_read_while_streams_come_and_go_and_reshard() {
    let app = application(&[("a", 2), ("b", 4), ("c", 2), ("d", 2)]);
    let wanted = streams(&["a", "b", "c"]);
    let one = app.worker_of(&wanted, "one", Config::default());
    let two = app.worker_of(&wanted, "two", Config::default());
    app.shared(&[("one", 4), ("two", 4)]).await;
    for name in ["a", "b", "c", "d"] {
        app.put_to(name, 0..300);
    }
    for name in ["a", "b", "c"] {
        came(&app, name, 0..300).await;
    }
    // One comes, one goes, one is split and merged.
    wanted.add(stream("d"), StreamConfig::default());
    wanted.remove(&stream("c"));
    app.local.split("a", &shard(0), None).unwrap();
    app.local.merge("b", &shard(2), &shard(3)).unwrap();
    let before = Instant::now();
    came(&app, "d", 0..300).await;
    assert!(before.elapsed() < Duration::from_secs(15), "{:?}", before.elapsed());
    for name in ["a", "b", "c", "d"] {
        app.put_to(name, 300..600);
    }
    for name in ["a", "b", "d"] {
        came(&app, name, 0..600).await;
    }
    // Three of a, three of b, two of d: shared as one lot.
    app.shared(&[("one", 4), ("two", 4)]).await;
    assert_eq!(records(&app, "c").len(), 300, "nobody reads it any more");
    let (b, c) = (identifier(&app, "b").await, identifier(&app, "c").await);
    let rows = app.rows().await;
    let of_c: Vec<_> = rows.iter().filter(|row| row.stream.as_ref() == Some(&c)).collect();
    assert!(of_c.len() == 2 && of_c.iter().all(|row| row.owner.is_none()), "{of_c:?}");
    assert!(of_c.iter().all(|row| matches!(row.checkpoint, Checkpoint::At { .. })));
    let merged = rows.iter().find(|row| row.stream.as_ref() == Some(&b) && row.shard_id == shard(4)).unwrap();
    assert_eq!(merged.parents, BTreeSet::from([shard(2), shard(3)]));
    // It goes on where it was when it comes back.
    wanted.add(stream("c"), StreamConfig::default());
    came(&app, "c", 0..600).await;
    stop(one).await;
    stop(two).await;
    let gone: Vec<_> = app.ledger.lines().into_iter().filter(|line| line.stream == stream("c")).collect();
    assert!(gone.iter().any(|line| line.what == What::Stopped(Stop::Shutdown)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_there_is_told_of_and_read_when_it_is() {
    let app = application(&[("a", 1)]);
    let worker = app.worker_of(&streams(&["a", "later"]), "one", Config::default());
    app.put_to("a", 0..10);
    came(&app, "a", 0..10).await;
    let problems = worker.health().problems();
    assert!(
        matches!(&problems[..], [Problem::StreamFails { stream, error: StreamError::Missing, .. }] if stream.name().as_str() == "later"),
        "{problems:?}"
    );
    assert!(!worker.health().is_healthy());
    let told = problems[0].to_string();
    assert!(
        told.starts_with("later cannot be had for ") && told.ends_with(": there is no such stream"),
        "{told}"
    );
    app.local.create_stream("later", 2).unwrap();
    app.put_to("later", 0..10);
    came(&app, "later", 0..10).await;
    assert!(worker.health().is_healthy(), "{:?}", worker.health().problems());
    let health = worker.health();
    let known: Vec<_> = health.streams.iter().map(|stream| stream.identifier.clone().unwrap()).collect();
    assert_eq!(known, [identifier(&app, "a").await, identifier(&app, "later").await]);
    assert!(health.shards.iter().all(|shard| known.contains(shard.stream.as_ref().unwrap())));
    stop(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_not_be_read_does_not_keep_the_others() {
    let app = application(&[("a", 1), ("b", 1)]);
    let denied = Fault::Refuse { code: "AccessDeniedException".into(), message: "no".into(), status: 400 };
    let rule = app.local.control().on(Operation::DescribeStreamSummary).stream("b").then(denied);
    let worker = app.worker_of(&streams(&["a", "b"]), "one", Config::default());
    app.put_to("a", 0..10);
    came(&app, "a", 0..10).await;
    sleep(Duration::from_secs(120)).await;
    let problems = worker.health().problems();
    assert!(
        matches!(&problems[..], [Problem::StreamFails { error: StreamError::Refused { code, .. }, .. }] if code == "AccessDeniedException"),
        "{problems:?}"
    );
    assert!((5..20).contains(&rule.hits()), "with growing waits: {}", rule.hits());
    rule.remove();
    app.put_to("b", 0..10);
    came(&app, "b", 0..10).await;
    stop(worker).await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_other_accounts_go_by_their_arns_and_those_of_other_regions_are_refused() {
    let app = application(&[("a", 2)]);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/a";
    let far = "arn:aws:kinesis:eu-west-1:000000000000:stream/a";
    let without: Arc<Mutex<Vec<Operation>>> = Arc::default();
    let seen = Arc::clone(&without);
    app.local.control().intercept(move |call| {
        let body = String::from_utf8_lossy(call.body);
        if call.operation.service() == Service::Kinesis && !body.contains(arn) {
            seen.lock().unwrap().push(call.operation);
        }
        None
    });
    let worker = app.worker_of(&streams(&[arn, far]), "one", Config::default());
    app.put_to("a", 0..50);
    came(&app, "a", 0..50).await;
    let problems = worker.health().problems();
    assert!(
        matches!(&problems[..], [Problem::StreamFails { stream, error: StreamError::OtherRegion { .. }, .. }] if stream.to_string() == far),
        "{problems:?}"
    );
    assert_eq!(*without.lock().unwrap(), [], "each says whose stream it means");
    assert!(app.ledger.lines().iter().all(|line| line.stream.to_string() == arn));
    stop(worker).await;
}

#[tokio::test(start_paused = true)]
async fn each_stream_has_its_own_consumer_of_enhanced_fan_out_and_its_own_beginning() {
    let app = application(&[("a", 2), ("b", 1)]);
    for name in ["a", "b"] {
        app.put_to(name, 0..20);
    }
    let named = StreamConfig::default().consumer(FanOutConsumer::Named("special".parse().unwrap()));
    let wanted = streams(&["a"]);
    wanted.add(stream("b"), named.initial_position(InitialPosition::Latest));
    let fan_out = Config::default().retrieval(Retrieval::FanOut { consumer: FanOutConsumer::default() });
    let worker = app.worker_of(&wanted, "one", fan_out);
    until(|| app.local.control().open_subscriptions() == 3).await;
    came(&app, "a", 0..20).await;
    for name in ["a", "b"] {
        app.put_to(name, 20..40);
    }
    came(&app, "a", 0..40).await;
    came(&app, "b", 20..40).await;
    let kinesis = Place::inside(&app.local).kinesis();
    for (name, consumer) in [("a", "billing"), ("b", "special")] {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}");
        let listed = kinesis.list_stream_consumers().stream_arn(arn).send().await.unwrap();
        let names: Vec<_> = listed.consumers().iter().map(|found| found.consumer_name.as_str()).collect();
        assert_eq!(names, [consumer]);
    }
    assert_eq!(app.local.control().totals().get(&Operation::GetRecords), None);
    stop(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_deleted_and_created_again_is_another_one() {
    let app = application(&[("a", 2), ("b", 1)]);
    let worker = app.worker_of(&streams(&["a", "b"]), "one", Config::default());
    app.put_to("a", 0..50);
    came(&app, "a", 0..50).await;
    let old = identifier(&app, "a").await;
    delete(&app, "a").await;
    sleep(Duration::from_secs(30)).await;
    let missing = worker.health().problems();
    assert!(missing.iter().any(|problem| matches!(problem, Problem::StreamFails { .. })), "{missing:?}");
    app.local.create_stream("a", 1).unwrap();
    app.put_to("a", 50..80);
    let new = identifier(&app, "a").await;
    until(|| records(&app, "a").into_iter().collect::<BTreeSet<_>>().len() == 80).await;
    until(|| worker.health().shards.iter().any(|shard| shard.stream.as_ref() == Some(&new))).await;
    until(|| worker.health().shards.iter().all(|shard| shard.stream.as_ref() != Some(&old))).await;
    sleep(Duration::from_secs(60)).await;
    let rows = app.rows().await;
    let of =
        |id: &StreamIdentifier| rows.iter().filter(|row| row.stream.as_ref() == Some(id)).collect::<Vec<_>>();
    assert_eq!((of(&old).len(), of(&new).len()), (2, 1));
    assert!(of(&old).iter().all(|row| row.owner.is_none() || row.checkpoint.is_shard_end()), "{rows:?}");
    assert!(worker.health().is_healthy(), "{:?}", worker.health().problems());
    stop(worker).await;
}

#[tokio::test(start_paused = true)]
async fn leases_of_former_streams_are_deleted_or_read_by_policy() {
    let wait = Duration::from_secs(300);
    for (policy, stay, are_read) in [
        (FormerStreams::Keep, true, false),
        (FormerStreams::Read, true, true),
        (FormerStreams::DeleteAfter(wait), false, false),
    ] {
        let app = application(&[("a", 1), ("b", 2)]);
        let first = app.worker_of(&streams(&["a", "b"]), "one", Config::default());
        app.put_to("b", 0..10);
        came(&app, "b", 0..10).await;
        stop(first).await;
        // A later version of the application does not know the stream any more.
        let later = app.worker_of(&streams(&["a"]), "two", Config::default().former_streams(policy));
        app.put_to("b", 10..20);
        sleep(wait + Duration::from_secs(60)).await;
        let b = identifier(&app, "b").await;
        let rows = app.rows().await;
        assert_eq!(rows.iter().any(|row| row.stream.as_ref() == Some(&b)), stay, "{policy:?}");
        assert_eq!(rows.iter().filter(|row| row.stream.as_ref() != Some(&b)).count(), 1);
        assert_eq!(records(&app, "b").len(), if are_read { 20 } else { 10 }, "{policy:?}");
        stop(later).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_of_one_stream_does_not_become_one_of_several_by_accident() {
    for several_first in [false, true] {
        let app = application(&[]);
        let several = streams(&["orders"]);
        app.put(0..10);
        let run = |several_now: bool, config: Config| match several_now {
            true => app.worker_of(&several, "w", config),
            false => app.worker("w", config),
        };
        let first = run(several_first, Config::default());
        app.processed(10).await;
        stop(first).await;
        let before = app.rows().await;
        let error = run(!several_first, Config::default()).await.unwrap_err();
        let RunError::Refused { code, message } = error else { unreachable!("{error}") };
        assert_eq!(code, if several_first { "LeasesOfSeveralStreams" } else { "LeasesOfOneStream" });
        assert!(message.contains(before[0].key.as_str()), "{message}");
        assert_eq!(app.rows().await, before);
        assert_eq!(app.ledger.records().len(), 10);
        let allowed = run(!several_first, Config::default().mixed_leases(true));
        until(|| app.ledger.records().len() == 20).await;
        stop(allowed).await;
        assert!(before.iter().all(|row| row.owner.is_none()));
    }
}

#[tokio::test(start_paused = true)]
async fn leases_of_one_stream_are_rewound_and_the_others_left() {
    let app = application(&[("a", 2), ("b", 1)]);
    let worker = app.worker_of(&streams(&["a", "b"]), "one", Config::default());
    for name in ["a", "b"] {
        app.put_to(name, 0..20);
    }
    came(&app, "a", 0..20).await;
    came(&app, "b", 0..20).await;
    let a = identifier(&app, "a").await;
    let set = Leases::of(app.leases()).rewind_all(Some(&a), &Checkpoint::TrimHorizon).await.unwrap();
    assert_eq!(set.len(), 2);
    until(|| records(&app, "a").len() == 40).await;
    assert_eq!(records(&app, "b").len(), 20);
    stop(worker).await;
}

#[tokio::test(start_paused = true)]
async fn many_streams_cost_no_more_looks_than_one_and_one_description_each() {
    let app = application(&[]);
    let names: Vec<_> = (0..40).map(|n| format!("s{n:02}")).collect();
    for name in &names {
        app.local.create_stream(name, 1).unwrap();
    }
    let wanted = Streams::new(names.iter().map(|name| stream(name)));
    let worker = app.worker_of(&wanted, "one", Config::default());
    app.shared(&[("one", 40)]).await;
    sleep(Duration::from_secs(60)).await;
    let totals: BTreeMap<_, _> = app.local.control().totals();
    assert_eq!(totals[&Operation::DescribeStreamSummary], 40);
    assert_eq!(totals[&Operation::ListShards], 40);
    assert!(totals[&Operation::Scan] < 40, "{totals:?}");
    stop(worker).await;
}
