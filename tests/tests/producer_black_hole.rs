//! A service that does not answer for two minutes, under a paused clock: what that costs, and what comes after. Alone in
//! its process, whose memory it looks at.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpClient};
use shardflow_local::{Config as LocalConfig, Local, kinesis::Limits};
use shardflow_producer::{Config, Fate, Producer, Receipt, Record, RecordError, Ticket};
use shardflow_tests::clients::Place;
use shardflow_tests::process::Usage;
use shardflow_tests::wire::{between, operation};
use tokio::time::{Instant, timeout_at};

const BUDGET: usize = 64 << 20;
const DURATION: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn two_minutes_without_an_answer_cost_the_budget_and_no_more() {
    let local = Local::new(LocalConfig::default().limits(Limits::unthrottled())).unwrap();
    local.create_stream("orders", 4).unwrap();
    let swallows = Arc::new(AtomicBool::new(false));
    let kinesis = Place::inside(&local).through(|http| hole(http, &swallows)).kinesis();
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), Config::default());
    producer.put(record(0)).await.unwrap().await.unwrap();
    swallows.store(true, Relaxed);

    let before = Usage::now();
    let mut most = before;
    let recovers = Instant::now() + DURATION;
    let (mut tickets, mut settled) = (Vec::new(), Settled::default());
    let (mut count, mut buffered) = (1, 0);
    while Instant::now() < recovers {
        let Ok(ticket) = timeout_at(recovers, producer.put(record(count))).await else { break };
        tickets.push((count, ticket.unwrap()));
        let before = std::mem::replace(&mut buffered, producer.buffered_bytes());
        assert!(buffered <= BUDGET);
        // What was returned is the application's, which takes it before it puts more.
        if buffered < before {
            settled.take(&mut tickets);
        }
        if count % 1_000 == 0 {
            most = most.zip(Usage::now()).map(|(most, now)| most.most(now));
        }
        count += 1;
    }
    swallows.store(false, Relaxed);
    for number in count..count + 1_000 {
        producer.put(record(number)).await.unwrap().await.unwrap();
    }
    for (number, ticket) in tickets {
        settled.note(number, ticket.await);
    }
    assert_eq!(settled.delivered + settled.expired, count - 1, "every record is settled once");
    // All that the buffer holds expires after 30 s, so that is some of them.
    assert!(settled.expired > 40_000 && settled.tried > 1_000 && settled.delivered > 1_000, "{settled:?}");
    if let Some((before, most)) = before.zip(most) {
        let grown = most.resident - before.resident;
        assert!(grown < BUDGET + (40 << 20), "{grown} bytes more than before");
        assert_eq!(most.threads, before.threads);
    }
}

/// A client that keeps PutRecords requests, as long as somebody waits for them, while the switch is on.
fn hole(http: SharedHttpClient, swallows: &Arc<AtomicBool>) -> SharedHttpClient {
    let swallows = Arc::clone(swallows);
    between(http, move |request, on| {
        if operation(&request) == "PutRecords" && swallows.load(Relaxed) {
            return HttpConnectorFuture::new(async move {
                let _kept = request;
                std::future::pending().await
            });
        }
        on.call(request)
    })
}

fn record(number: usize) -> Record {
    Record::new(format!("key-{number}"), format!("{number} {}", "x".repeat(1_000))).unwrap()
}

#[derive(Debug, Default)]
struct Settled {
    delivered: usize,
    expired: usize,
    /// Of those that expired.
    tried: usize,
}

impl Settled {
    /// Notes and removes those that are settled by now.
    fn take(&mut self, tickets: &mut Vec<(usize, Ticket)>) {
        let mut context = Context::from_waker(Waker::noop());
        tickets.retain_mut(|(number, ticket)| match Pin::new(ticket).poll(&mut context) {
            Poll::Ready(outcome) => {
                self.note(*number, outcome);
                false
            }
            Poll::Pending => true,
        });
    }

    fn note(&mut self, number: usize, outcome: Result<Receipt, RecordError>) {
        let Err(error) = outcome else {
            self.delivered += 1;
            return;
        };
        assert!(matches!(error, RecordError::Expired { .. }), "{error}");
        assert_eq!(*error.record(), record(number));
        // What stood behind others for all its time was never sent, and is told to be absent.
        let tried = !error.attempts().is_empty();
        assert_eq!(error.fate(), if tried { Fate::Unknown } else { Fate::Absent });
        self.expired += 1;
        self.tried += usize::from(tried);
    }
}
