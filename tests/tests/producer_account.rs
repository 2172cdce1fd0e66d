//! The account of a million records over a real socket, with every fault on while shards split and merge. As many as
//! `SHARDFLOW_ACCOUNT_RECORDS` says; with less than 400,000 there are too few requests for every fault.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardflow_local::{Config as LocalConfig, Entries, Fault, Listen, Local, Operation, Outcome};
use shardflow_local::{ShardRecords, kinesis::Limits};
use shardflow_producer::{
    AggregateSize, BufferSize, Config, Fate, Ordering, Producer, RateLimit, Receipt, Record, RecordError,
    RequestEntries,
};
use shardflow_tests::clients::Place;
use shardflow_tests::sent::{End, Entry, Event, Sent, entries, number};
use tokio::sync::mpsc;

const KEYS: usize = 5_000;

/// Entries of requests whose answers were lost after they had been stored, by the order of those requests.
type LostAnswers = Arc<Mutex<Vec<usize>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_closes_without_order() {
    run(records(5), Config::default().aggregate(AggregateSize::try_from(4_096).unwrap()), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_closes_and_each_key_keeps_its_order() {
    let aggregate = AggregateSize::try_from(4_096).unwrap();
    run(records(4), Config::default().aggregate(aggregate).ordering(Ordering::PerKey), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_closes_without_aggregates() {
    let entries = RequestEntries::try_from(400).unwrap();
    run(records(1), Config::default().aggregate(None).request_entries(entries), false).await;
}

/// So many tenths of all.
fn records(tenths: usize) -> usize {
    let all = std::env::var("SHARDFLOW_ACCOUNT_RECORDS").map_or(1_000_000, |all| all.parse().unwrap());
    all / 10 * tenths
}

fn record(number: usize) -> Record {
    Record::new(format!("key-{}", number % KEYS), format!("{number} is its number")).unwrap()
}

async fn run(count: usize, config: Config, ordered: bool) {
    let local = Local::new(LocalConfig::default().limits(Limits::unthrottled())).unwrap();
    local.create_stream("orders", 12).unwrap();
    let server = local.serve(Listen::default().port(0)).await.unwrap();
    let lost_answers = faults(&local);
    let sent = Sent::default();
    let kinesis = Place::at(server.endpoint()).through(|http| sent.over(http)).kinesis();
    let config = config
        .rate_limit(RateLimit::OFF)
        // A busy machine is no fault that this counts.
        .request_timeout(Duration::from_secs(60))
        .record_ttl(Duration::from_secs(300))
        .max_buffered_bytes(BufferSize::try_from(16 << 20).unwrap());
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), config);

    let (tickets, mut put) = mpsc::channel(count);
    let puts = async {
        for number in 0..count {
            if number % (count / 40) == 0 {
                reshard(&local, number / (count / 40));
            }
            tickets.try_send(producer.put(record(number)).await.unwrap()).unwrap();
        }
        drop(tickets);
    };
    let settles = async {
        let mut outcomes = Vec::with_capacity(count);
        while let Some(ticket) = put.recv().await {
            outcomes.push(ticket.await);
        }
        outcomes
    };
    let ((), outcomes) = tokio::join!(puts, settles);
    drop(producer);
    server.shutdown().await;

    let shards = local.records("orders").unwrap();
    every_record_is_delivered_or_returned(&shards, &outcomes);
    let events = sent.events();
    let tally = Tally::of(&shards, &events, &outcomes);
    let aggregated =
        |event: &Event| matches!(event, Event::Request(entries) if entries.iter().any(|e| e.aggregated));
    assert_eq!(
        tally.misplaced > 0,
        events.iter().any(aggregated),
        "a split is heard of by an aggregate that it catches"
    );
    tally.agrees_with(&local, &shards, &lost_answers.lock().unwrap());
    if ordered {
        each_key_is_in_order(&shards);
    }
}

/// Puts every fault on, and remembers how many entries were stored whose answer was lost.
fn faults(local: &Local) -> LostAnswers {
    let lost_answers = LostAnswers::default();
    let (lost, calls) = (Arc::clone(&lost_answers), AtomicUsize::new(0));
    drop(local.control().intercept(move |call| {
        if call.operation != Operation::PutRecords {
            return None;
        }
        let refuse = |code: &str, status| {
            Some(Fault::Refuse { code: code.to_owned(), status, message: "on request".to_owned() })
        };
        match calls.fetch_add(1, Relaxed) {
            50 => refuse("AccessDeniedException", 400),
            nth => match nth % 61 {
                3 => Some(Fault::throttle_entries(Entries::Every(3))),
                6 => Some(Fault::FailEntries { entries: Entries::Every(2), code: "InternalFailure".into() }),
                9 => Some(Fault::internal_failure()),
                12 => Some(Fault::DropRequest),
                15 | 45 => {
                    lost.lock().unwrap().push(entries(call.body).len());
                    Some(Fault::DropResponse)
                }
                18 => Some(Fault::Delay(Duration::from_millis(30))),
                21 => refuse("ServiceUnavailable", 503),
                24 => Some(Fault::Throttle),
                _ => None,
            },
        }
    }));
    lost_answers
}

/// Splits a shard, or merges two.
fn reshard(local: &Local, step: usize) {
    let mut open = local.shards("orders").unwrap();
    open.retain(|shard| shard.is_open());
    open.sort_by_key(|shard| shard.hash_key_range.start());
    let at = step * 5 % (open.len() - 1);
    match step % 4 {
        1 => drop(local.split("orders", &open[at].id, None).unwrap()),
        3 => drop(local.merge("orders", &open[at].id, &open[at + 1].id).unwrap()),
        _ => {}
    }
}

/// Records that a KCL would give to its application: those of aggregates only within their shard's range.
fn seen_by_a_kcl(shard: &ShardRecords) -> impl Iterator<Item = usize> + '_ {
    let range = shard.shard.hash_key_range;
    let seen = shard.user_records().filter(move |r| !r.aggregated || range.contains(r.hash_key().unwrap()));
    seen.map(|record| number(&record.data))
}

fn every_record_is_delivered_or_returned(shards: &[ShardRecords], outcomes: &[Result<Receipt, RecordError>]) {
    let (mut seen, mut stored) = (vec![false; outcomes.len()], vec![false; outcomes.len()]);
    let mut places = BTreeMap::new();
    for shard in shards {
        seen_by_a_kcl(shard).for_each(|number| seen[number] = true);
        for record in shard.user_records() {
            let number = number(&record.data);
            stored[number] = true;
            places
                .entry(record.sequence_number.to_string())
                .or_insert_with(|| (shard.shard.id.clone(), Vec::new()))
                .1
                .push(number);
        }
    }
    let mut returned = 0;
    for (number, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(Receipt { shard_id, sequence_number, sub_sequence_number, .. }) => {
                let (shard, numbers) = &places[sequence_number.as_str()];
                let sub = usize::try_from(sub_sequence_number.unwrap_or_default()).unwrap();
                assert_eq!((shard, numbers[sub]), (shard_id, number), "it is where its receipt says");
                assert!(seen[number], "a KCL gets {number}");
            }
            Err(error) => {
                returned += 1;
                assert!(matches!(error, RecordError::Refused { .. }), "{number}: {error}");
                assert_eq!(*error.record(), record(number));
                assert!(error.fate() == Fate::Unknown || !stored[number], "{number} is absent");
            }
        }
    }
    assert!(returned > 0 && returned < outcomes.len() / 2, "{returned} returned: one request was refused");
}

fn each_key_is_in_order(shards: &[ShardRecords]) {
    let mut seen = vec![false; shards.iter().flat_map(seen_by_a_kcl).max().unwrap() + 1];
    let mut last = [None; KEYS];
    // Children come after their parents.
    for number in shards.iter().flat_map(seen_by_a_kcl) {
        if !std::mem::replace(&mut seen[number], true) {
            let before = last[number % KEYS].replace(number);
            assert!(before < Some(number), "{number} comes after {before:?}");
        }
    }
}

/// What came back for what was sent.
#[derive(Debug, Default)]
struct Tally {
    /// Sequence numbers of entries that were answered with one.
    placed: BTreeSet<String>,
    /// Aggregates with a sequence number that no KCL would take apart for good.
    misplaced: usize,
    /// Entries that failed by themselves.
    failed: usize,
    refused: usize,
    cut: usize,
    given_up: usize,
}

impl Tally {
    /// Follows each record from request to request: it is never in two at a time, and never in one more after it got a
    /// sequence number for good.
    fn of(shards: &[ShardRecords], events: &[Event], outcomes: &[Result<Receipt, RecordError>]) -> Self {
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        enum State {
            Held,
            UnderWay,
            Placed,
        }
        let ranges: BTreeMap<_, _> =
            shards.iter().map(|shard| (shard.shard.id.as_str(), shard.shard.hash_key_range)).collect();
        let mut tally = Self::default();
        let mut records = vec![(State::Held, 0); outcomes.len()];
        let mut requests: BTreeMap<usize, &[Entry]> = BTreeMap::new();
        for (place, event) in events.iter().enumerate() {
            match event {
                Event::Request(entries) => {
                    for &number in entries.iter().flat_map(|entry| &entry.numbers) {
                        let (state, sent) = &mut records[number];
                        assert_eq!(*state, State::Held, "{number} is sent again");
                        (*state, *sent) = (State::UnderWay, *sent + 1);
                    }
                    requests.insert(place, entries);
                }
                Event::End(request, end) => {
                    let entries = requests.remove(request).unwrap();
                    let results = match end {
                        End::Answered(results) => results.clone(),
                        End::Refused | End::Cut | End::GivenUp => vec![None; entries.len()],
                    };
                    match end {
                        End::Answered(_) => tally.failed += results.iter().filter(|r| r.is_none()).count(),
                        End::Refused => tally.refused += 1,
                        End::Cut => tally.cut += 1,
                        End::GivenUp => tally.given_up += 1,
                    }
                    for (entry, result) in entries.iter().zip(results) {
                        let placed = result.is_some_and(|(shard, sequence)| {
                            assert!(tally.placed.insert(sequence), "a sequence number is given once");
                            let range = ranges[shard.as_str()];
                            let inside =
                                range.contains(entry.range.start()) && range.contains(entry.range.end());
                            tally.misplaced += usize::from(!inside);
                            assert!(inside || entry.aggregated, "a lone record is where it belongs");
                            inside
                        });
                        let state = if placed { State::Placed } else { State::Held };
                        entry.numbers.iter().for_each(|&number| records[number].0 = state);
                    }
                }
            }
        }
        for ((state, sent), outcome) in records.into_iter().zip(outcomes) {
            match outcome {
                Ok(receipt) => assert_eq!((state, sent), (State::Placed, receipt.attempts)),
                Err(error) => assert_eq!((state, sent as usize), (State::Held, error.attempts().len())),
            }
        }
        tally
    }

    /// Compares it with what the service knows.
    fn agrees_with(&self, local: &Local, shards: &[ShardRecords], lost_answers: &[usize]) {
        let mut calls = local.control().calls();
        assert!(calls.len() < 10_000, "the service remembers no more");
        calls.retain(|call| call.operation == Operation::PutRecords);
        let count = |is: fn(&Outcome) -> bool| calls.iter().filter(|call| is(&call.outcome)).count();
        let failed = calls.iter().map(|call| match call.outcome {
            Outcome::PartlyFailed { entries } => entries,
            _ => 0,
        });
        assert_eq!(self.failed, failed.sum::<usize>());
        assert_eq!(self.refused, count(|outcome| matches!(outcome, Outcome::Refused { .. })));
        assert_eq!(self.given_up, 0);
        let lost = count(|outcome| *outcome == Outcome::ResponseDropped);
        assert_eq!(self.cut, lost + count(|outcome| *outcome == Outcome::RequestDropped));
        assert_eq!(lost, lost_answers.len());

        let stored = shards.iter().flat_map(|shard| &shard.records);
        let known = |sequence: &str| self.placed.contains(sequence);
        let unknown = stored.clone().filter(|record| !known(record.sequence_number.as_str())).count();
        assert_eq!(
            unknown,
            lost_answers.iter().sum::<usize>(),
            "entries that were stored without anybody hearing of it"
        );
        assert_eq!(stored.count(), self.placed.len() + unknown);

        let misplaced: BTreeSet<_> = shards
            .iter()
            .flat_map(|shard| {
                let range = shard.shard.hash_key_range;
                shard.user_records().filter(move |r| r.aggregated && !range.contains(r.hash_key().unwrap()))
            })
            .map(|record| record.sequence_number.to_string())
            .filter(|sequence| known(sequence))
            .collect();
        assert_eq!(misplaced.len(), self.misplaced);
        assert!([self.failed, self.refused, self.cut, lost].iter().all(|&n| n > 0), "{self:?}");
    }
}
