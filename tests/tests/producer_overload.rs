//! Twenty times what a shard takes, under a paused clock. Alone in its process, whose memory it looks at.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shardflow_local::{Config as LocalConfig, Local};
use shardflow_producer::{Config, Fate, Producer, PutError, Record, RecordError};
use shardflow_tests::clients::Place;
use shardflow_tests::process::Usage;
use tokio::time::Instant;

const BUDGET: usize = 64 << 20;
/// Records of 1 KiB that are offered each 50 ms: 20 MiB a second.
const OFFERED: usize = 1_024;
const DURATION: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn twenty_times_what_a_shard_takes_costs_the_budget_and_comes_back() {
    let local = Local::new(LocalConfig::default()).unwrap();
    local.create_stream("orders", 1).unwrap();
    let producer =
        Producer::new(Place::inside(&local).kinesis(), "orders".parse().unwrap(), Config::default());
    producer.put(record(0)).await.unwrap().await.unwrap();

    let before = Usage::now();
    let mut most = before;
    let (mut tickets, mut no_room) = (Vec::new(), 0);
    let start = Instant::now();
    for number in 1.. {
        match producer.try_put(record(number)) {
            Ok(ticket) => tickets.push((number, ticket)),
            Err(PutError::Full { .. }) => no_room += 1,
            Err(error) => unreachable!("{error}"),
        }
        assert!(producer.buffered_bytes() <= BUDGET);
        if number % OFFERED == 0 {
            most = most.zip(Usage::now()).map(|(most, now)| most.most(now));
            if start.elapsed() >= DURATION {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(no_room > 50_000, "{no_room} found no room");

    let closes = Instant::now();
    assert!(producer.close(Duration::from_secs(5)).await.is_err());
    assert!(closes.elapsed() < Duration::from_secs(6), "{:?}", closes.elapsed());
    assert_eq!(producer.buffered_bytes(), 0);
    most = most.zip(Usage::now()).map(|(most, now)| most.most(now));

    let mut context = Context::from_waker(Waker::noop());
    let (mut delivered, mut returned, mut absent) = (1, 0, 0);
    for (number, mut ticket) in tickets {
        let Poll::Ready(settled) = Pin::new(&mut ticket).poll(&mut context) else {
            unreachable!("settled when close returns")
        };
        match settled {
            Ok(_receipt) => delivered += 1,
            Err(error) => {
                assert!(matches!(error, RecordError::Abandoned { .. }), "{error}");
                assert_eq!(*error.record(), record(number));
                absent += usize::from(error.fate() == Fate::Absent);
                returned += 1;
            }
        }
    }
    assert!(absent > 10_000 && returned - absent < 10_000, "{absent} absent of {returned}");
    let shards = local.records("orders").unwrap();
    let stored = shards.iter().flat_map(|shard| shard.user_records()).count();
    assert!(
        delivered <= stored && stored <= delivered + returned - absent,
        "{delivered} delivered, {stored} stored"
    );
    let bytes: usize = shards.iter().flat_map(|shard| &shard.records).map(|record| record.data.len()).sum();
    assert!(bytes > 14 << 20, "the shard takes what it can: {bytes} bytes");
    if let Some((before, most)) = before.zip(most) {
        // The service is in this process too.
        let grown = most.resident.saturating_sub(before.resident + bytes);
        assert!(grown < BUDGET + (40 << 20), "{grown} bytes more than before");
        assert_eq!(most.threads, before.threads);
    }
}

fn record(number: usize) -> Record {
    Record::new(format!("key-{number}"), format!("{number} {}", "x".repeat(1_000))).unwrap()
}
