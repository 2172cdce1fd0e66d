//! Everything that a producer sent, entry by entry, and what came back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpClient};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::Value;
use shardflow_core::aggregation::decode;
use shardflow_core::{HashKey, HashKeyRange};

use crate::wire::{between, collect, operation};

/// What went over the wire, in the order in which it did.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<Mutex<Vec<Event>>>);

/// A PutRecords request, or its end.
#[derive(Clone, Debug)]
pub enum Event {
    /// The request with this number, which is its place among all events.
    Request(Vec<Entry>),
    /// How that request ended.
    End(usize, End),
}

/// An entry of a request.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The numbers of its records: each begins its data with one.
    pub numbers: Vec<usize>,
    /// What decides its shard.
    pub hash_key: HashKey,
    /// The hash keys between which its records lie.
    pub range: HashKeyRange,
    /// Whether it is an aggregate.
    pub aggregated: bool,
}

/// How a request ended, for who sent it.
#[derive(Clone, Debug)]
pub enum End {
    /// Answered: for each entry shard and sequence number, or none.
    Answered(Vec<Option<(String, String)>>),
    /// Answered by a status that is none of success.
    Refused,
    /// The connection was cut.
    Cut,
    /// Nobody waits for it any more.
    GivenUp,
}

impl Sent {
    /// A client that writes down what goes through it.
    #[must_use]
    pub fn over(&self, http: SharedHttpClient) -> SharedHttpClient {
        let sent = self.clone();
        between(http, move |request, on| {
            if operation(&request) != "PutRecords" {
                return on.call(request);
            }
            let mut pending = sent.begin(request.body().bytes().unwrap_or_default());
            let answered = on.call(request);
            HttpConnectorFuture::new(async move {
                let (response, body) = match answered.await {
                    Ok(response) => collect(response).await?,
                    Err(error) => {
                        pending.end(End::Cut);
                        return Err(error);
                    }
                };
                let ok = response.status().is_success();
                pending.end(if ok { End::Answered(results(&body)) } else { End::Refused });
                Ok(response)
            })
        })
    }

    /// All of it.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    fn begin(&self, body: &[u8]) -> Pending {
        let entries = entries(body);
        let mut events = self.lock();
        events.push(Event::Request(entries));
        Pending { sent: self.clone(), number: events.len() - 1, end: End::GivenUp }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way. Its end is written down when this is dropped, whoever drops it.
struct Pending {
    sent: Sent,
    number: usize,
    end: End,
}

impl Pending {
    fn end(&mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, End::GivenUp);
        self.sent.lock().push(Event::End(self.number, end));
    }
}

/// The number with which a record's data begins.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "data that is no number fails the test")]
pub fn number(data: &[u8]) -> usize {
    let digits = data.split(|&byte| byte == b' ').next().and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).expect("data begins with a number")
}

/// The entries of a PutRecords request.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "a request that cannot be read fails the test")]
pub fn entries(body: &[u8]) -> Vec<Entry> {
    let body: Value = serde_json::from_slice(body).expect("a body of JSON");
    body["Records"].as_array().into_iter().flatten().map(entry).collect()
}

fn entry(entry: &Value) -> Entry {
    let text = |name: &str| entry[name].as_str();
    let data = BASE64_STANDARD.decode(text("Data").expect("data")).expect("base64");
    let data = Bytes::from(data);
    let hash_key = match text("ExplicitHashKey") {
        Some(key) => key.parse().expect("a hash key"),
        None => HashKey::of(text("PartitionKey").expect("a partition key")),
    };
    let (records, aggregated) = match decode(&data) {
        Ok(records) => {
            let record = |record: shardflow_core::aggregation::SubRecord| {
                (number(&record.data), record.into_record().hash_key())
            };
            (records.into_iter().map(record).collect(), true)
        }
        Err(_plain) => (vec![(number(&data), hash_key)], false),
    };
    let keys = || records.iter().map(|&(_, key)| key);
    let (least, most) = (keys().min().expect("a record"), keys().max().expect("a record"));
    Entry {
        numbers: records.iter().map(|&(number, _)| number).collect(),
        hash_key,
        range: HashKeyRange::new(least, most).expect("the least is not above the most"),
        aggregated,
    }
}

fn results(body: &[u8]) -> Vec<Option<(String, String)>> {
    let body: Value = serde_json::from_slice(body).expect("an answer of JSON");
    let result = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        text("ShardId").zip(text("SequenceNumber"))
    };
    body["Records"].as_array().into_iter().flatten().map(result).collect()
}
