//! The spans of the producer's and the consumer's requests, and of batches.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardflow_consumer::{
    Batch, Checkpointer, Config as ConsumerConfig, ErrorPolicy, RecordProcessor, ShardInfo,
};
use shardflow_local::{Config as LocalConfig, Entries, Fault, Local, Operation};
use shardflow_producer::{Config, Producer, Record};
use shardflow_tests::application::Application;
use shardflow_tests::clients::Place;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Level, Metadata, Subscriber};

type Fields = BTreeMap<&'static str, String>;

/// Keeps the spans of one crate with their fields.
#[derive(Clone, Debug)]
struct Kept {
    target: &'static str,
    spans: Arc<Mutex<Vec<(&'static str, Fields)>>>,
}

impl Kept {
    fn of(target: &'static str) -> Self {
        Self { target, spans: Arc::default() }
    }

    fn named(&self, name: &str) -> Vec<Fields> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|(of, _)| *of == name).map(|(_, fields)| fields.clone()).collect()
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with(self.target)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        assert_eq!(*span.metadata().level(), Level::DEBUG);
        let mut spans = self.spans.lock().unwrap();
        let mut fields = Fields::new();
        span.record(&mut Noting(&mut fields));
        spans.push((span.metadata().name(), fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Values<'_>) {
        let place = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut Noting(&mut self.spans.lock().unwrap()[place].1));
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, _event: &Event<'_>) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

struct Noting<'a>(&'a mut Fields);

impl Visit for Noting<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_has_a_span_that_tells_what_it_carries_and_how_it_ended() {
    let kept = Kept::of("shardflow_producer");
    let _kept = tracing::subscriber::set_default(kept.clone());
    let local = Local::new(LocalConfig::default()).unwrap();
    local.create_stream("orders", 1).unwrap();
    let config = Config::default().aggregate(None);
    let producer = Producer::new(Place::inside(&local).kinesis(), "orders".parse().unwrap(), config);
    drop(local.control().on(Operation::PutRecords).times(1).then(Fault::DropResponse));
    drop(
        local
            .control()
            .on(Operation::PutRecords)
            .times(1)
            .then(Fault::throttle_entries(Entries::At(vec![0]))),
    );
    let tickets = [
        producer.put(Record::new("k", "one").unwrap()).await.unwrap(),
        producer.put(Record::new("k", "two").unwrap()).await.unwrap(),
    ];
    for ticket in tickets {
        ticket.await.unwrap();
    }
    for name in ["list_shards", "describe_stream_summary", "put_records"] {
        assert!(!kept.named(name).is_empty(), "{name}");
        for fields in kept.named(name) {
            assert!(fields["stream"] == "orders" && fields.contains_key("took"), "{name} {fields:?}");
        }
    }
    let puts = kept.named("put_records");
    let told = |field: &str| -> Vec<&str> {
        puts.iter().map(|fields| fields.get(field).map_or("", String::as_str)).collect()
    };
    assert_eq!(told("entries"), ["2", "2", "1"]);
    assert_eq!(told("bytes"), ["8", "8", "4"]);
    assert_eq!(told("failed"), ["", "1", "0"]);
    assert_eq!(told("outcome")[1..], ["answered", "answered"]);
    assert!(!told("outcome")[0].is_empty() && told("outcome")[0] != "answered", "{puts:?}");
}

/// A handler that checkpoints, and fails at what is bad.
struct Spanning;

impl RecordProcessor for Spanning {
    type Error = String;

    async fn process(&mut self, batch: &Batch, checkpointer: &Checkpointer) -> Result<(), String> {
        if batch.iter().any(|record| record.data == "bad") {
            return Err("bad".into());
        }
        checkpointer.batch(batch).await.map_err(|error| error.to_string())
    }
}

#[tokio::test(start_paused = true)]
async fn each_batch_and_request_of_a_consumer_has_a_span_that_tells_what_it_was_and_how_it_ended() {
    let kept = Kept::of("shardflow_consumer");
    let _kept = tracing::subscriber::set_default(kept.clone());
    let app = Application::new(1);
    app.put(0..3);
    let policy = ErrorPolicy::dead_letter_after(1, |_| async { Ok::<(), String>(()) });
    let config = ConsumerConfig::default().on_error(policy);
    let worker = app.consumer(config).run(|_: &ShardInfo| Spanning).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let throttle = app.local.control().on(Operation::GetRecords).times(1).then(Fault::Throttle);
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(throttle);
    app.local.put("orders", &Record::new("k", "bad").unwrap()).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    worker.stopper().graceful();
    worker.await.unwrap();

    let stored = &app.local.records("orders").unwrap()[0].records;
    let numbers: Vec<_> = stored.iter().map(|record| record.sequence_number.to_string()).collect();
    let batches = kept.named("process");
    let of = |fields: &Fields| ["first", "last", "records", "outcome"].map(|name| fields[name].clone());
    let expected = |first: &str, last: &str, records: &str, outcome: &str| {
        [first, last, records, outcome].map(str::to_owned)
    };
    assert_eq!(
        batches.iter().map(of).collect::<Vec<_>>(),
        [
            expected(&numbers[0], &numbers[2], "3", "done"),
            expected(&numbers[3], &numbers[3], "1", "HandlerFailed"),
        ]
    );
    let reads = kept.named("get_records");
    let outcomes: BTreeSet<_> = reads.iter().map(|fields| fields["outcome"].as_str()).collect();
    assert!(outcomes.contains("answered") && outcomes.len() == 2, "{outcomes:?}");
    assert!(reads.iter().any(|fields| fields.get("records").is_some_and(|records| records == "3")));
    for name in ["process", "initialize", "stopping", "dead_letter", "get_records", "get_shard_iterator"] {
        assert!(!kept.named(name).is_empty(), "{name}");
        for fields in kept.named(name) {
            assert_eq!(
                (fields["shard_id"].as_str(), fields["stream"].as_str()),
                ("shardId-000000000000", "orders")
            );
            assert!(fields.contains_key("took") && fields.contains_key("outcome"), "{name} {fields:?}");
        }
    }
    let words: BTreeSet<_> =
        kept.named("lease_table").into_iter().map(|mut fields| fields.remove("what").unwrap()).collect();
    for what in ["look", "create", "take", "renew", "checkpoint", "report", "lock", "evict"] {
        assert!(words.contains(what), "{what} {words:?}");
    }
    assert_eq!(kept.named("list_shards")[0]["outcome"], "answered");
}
