//! The spans of the producer's requests.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use shardflow_local::{Config as LocalConfig, Entries, Fault, Local, Operation};
use shardflow_producer::{Config, Producer, Record};
use shardflow_tests::clients::Place;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Level, Metadata, Subscriber};

type Fields = BTreeMap<&'static str, String>;

/// Keeps the producer's spans with their fields.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<(&'static str, Fields)>>>);

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("shardflow_producer")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        assert_eq!(*span.metadata().level(), Level::DEBUG);
        let mut spans = self.0.lock().unwrap();
        let mut fields = Fields::new();
        span.record(&mut Noting(&mut fields));
        spans.push((span.metadata().name(), fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Values<'_>) {
        let place = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut Noting(&mut self.0.lock().unwrap()[place].1));
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
    let kept = Kept::default();
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
    let spans = kept.0.lock().unwrap().clone();
    let told = |name: &str| -> Vec<Fields> {
        spans.iter().filter(|(of, _)| *of == name).map(|(_, fields)| fields.clone()).collect()
    };
    for name in ["list_shards", "describe_stream_summary", "put_records"] {
        assert!(!told(name).is_empty(), "{name}");
        for fields in told(name) {
            assert!(fields["stream"] == "orders" && fields.contains_key("took"), "{name} {fields:?}");
        }
    }
    let puts = told("put_records");
    let told = |field: &str| -> Vec<&str> {
        puts.iter().map(|fields| fields.get(field).map_or("", String::as_str)).collect()
    };
    assert_eq!(told("entries"), ["2", "2", "1"]);
    assert_eq!(told("bytes"), ["8", "8", "4"]);
    assert_eq!(told("failed"), ["", "1", "0"]);
    assert_eq!(told("outcome")[1..], ["answered", "answered"]);
    assert!(!told("outcome")[0].is_empty() && told("outcome")[0] != "answered", "{puts:?}");
}
