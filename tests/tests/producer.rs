//! The producer over the embedded service, under a paused clock where the wire is not the point.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardflow_local::{Config as LocalConfig, Entries, Fault, Local, kinesis::Limits};
use shardflow_local::{Listen, Operation};
use shardflow_producer::{
    BufferSize, Config, Fate, HashKey, Ordering, Producer, PutError, Receipt, Record, RecordError,
    SharedBuffer, Snapshot, Ticket,
};
use shardflow_tests::clients::{NoCredentials, Place};
use tokio::time::{Instant, timeout};

fn local() -> Local {
    let local = Local::new(LocalConfig::default()).unwrap();
    local.create_stream("orders", 4).unwrap();
    local
}

fn producer(local: &Local, config: Config) -> Producer {
    Producer::new(Place::inside(local).kinesis(), "orders".parse().unwrap(), config)
}

fn record(number: usize) -> Record {
    Record::new(format!("key-{number}"), format!("record {number}")).unwrap()
}

async fn put_all(producer: &Producer, numbers: std::ops::Range<usize>) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for number in numbers {
        tickets.push(producer.put(record(number)).await.unwrap());
    }
    tickets
}

/// How often each record lies in the stream, taken out of its aggregate.
fn stored(local: &Local) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for shard in local.records("orders").unwrap() {
        for record in shard.user_records() {
            *counts.entry(String::from_utf8(record.data.to_vec()).unwrap()).or_default() += 1;
        }
    }
    counts
}

fn kinesis_records(local: &Local) -> usize {
    local.records("orders").unwrap().iter().map(|shard| shard.records.len()).sum()
}

#[tokio::test(start_paused = true)]
async fn records_arrive_aggregated_in_the_shards_of_their_keys() {
    let local = local();
    let producer = producer(&local, Config::default());
    let tickets = put_all(&producer, 0..1_000).await;
    for (number, ticket) in tickets.into_iter().enumerate() {
        let Receipt { shard_id, sequence_number, sub_sequence_number, attempts, .. } = ticket.await.unwrap();
        assert_eq!(attempts, 1);
        let shards = local.records("orders").unwrap();
        let shard = shards.iter().find(|shard| shard.shard.id == shard_id).unwrap();
        assert!(shard.shard.hash_key_range.contains(record(number).hash_key()));
        let mut records = shard.user_records();
        let placed = records.find(|r| {
            r.sequence_number == sequence_number && Some(r.sub_sequence_number) == sub_sequence_number
        });
        assert_eq!(placed.unwrap().data, format!("record {number}"));
    }
    assert_eq!((stored(&local).len(), kinesis_records(&local)), (1_000, 4), "one aggregate a shard");
    assert_eq!(producer.buffered_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lone_record_waits_for_the_linger_and_no_longer() {
    let local = local();
    let producer = producer(&local, Config::default().linger(Duration::from_millis(250)));
    let before = Instant::now();
    producer.put(record(1)).await.unwrap().await.unwrap();
    let waited = before.elapsed();
    assert!(waited >= Duration::from_millis(250) && waited < Duration::from_millis(300), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn an_explicit_hash_key_decides_the_shard() {
    let local = local();
    let producer = producer(&local, Config::default());
    let last = producer.put(record(1).explicit_hash_key(HashKey::MAX)).await.unwrap();
    let first = producer.put(record(1).explicit_hash_key(HashKey::MIN)).await.unwrap();
    assert_eq!(last.await.unwrap().shard_id.as_str(), "shardId-000000000003");
    assert_eq!(first.await.unwrap().shard_id.as_str(), "shardId-000000000000");
}

#[tokio::test(start_paused = true)]
async fn only_entries_that_failed_are_sent_again() {
    let local = local();
    let fault = Fault::throttle_entries(Entries::Every(3));
    let rule = local.control().on(Operation::PutRecords).times(5).then(fault);
    let producer = producer(&local, Config::default().aggregate(None));
    let tickets = put_all(&producer, 0..300).await;
    let mut attempts = BTreeMap::new();
    for ticket in tickets {
        *attempts.entry(ticket.await.unwrap().attempts).or_insert(0) += 1;
    }
    assert!(rule.hits() > 0 && attempts.len() > 1, "{attempts:?}");
    assert!(stored(&local).values().all(|&count| count == 1), "none is sent twice");
    assert_eq!(stored(&local).len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_repeats_its_records_and_loses_none() {
    let local = local();
    drop(local.control().on(Operation::PutRecords).times(1).then(Fault::DropResponse));
    let producer = producer(&local, Config::default());
    for ticket in put_all(&producer, 0..100).await {
        assert_eq!(ticket.await.unwrap().attempts, 2);
    }
    assert!(stored(&local).values().all(|&count| count == 2), "the price of at least once");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_answers_costs_the_time_to_live_and_tells_the_fate() {
    let local = local();
    drop(local.control().on(Operation::PutRecords).then(Fault::Hang));
    let producer = producer(&local, Config::default());
    let before = Instant::now();
    let error = producer.put(record(1)).await.unwrap().await.unwrap_err();
    let took = before.elapsed();
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(37), "{took:?}");
    let RecordError::Expired { record: returned, attempts, .. } = &error else { panic!("{error}") };
    assert_eq!(*returned, record(1));
    assert!(attempts.len() >= 4 && attempts.iter().all(|attempt| attempt.code == "Timeout"), "{attempts:?}");
    assert_eq!((error.fate(), error.is_retryable()), (Fate::Unknown, true));
}

#[tokio::test(start_paused = true)]
async fn put_waits_for_room_and_try_put_gives_the_record_back() {
    let local = local();
    drop(local.control().on(Operation::PutRecords).then(Fault::Delay(Duration::from_secs(1))));
    let size = BufferSize::try_from(1 << 20).unwrap();
    let producer = producer(&local, Config::default().max_buffered_bytes(size));
    let large = |n: usize| Record::new(format!("key-{n}"), vec![0; 90_000]).unwrap();
    let tickets = [
        producer.try_put(large(0)).unwrap(),
        producer.try_put(large(1)).unwrap(),
        producer.try_put(large(2)).unwrap(),
    ];
    let PutError::Full { record, held, limit, .. } = producer.try_put(large(3)).unwrap_err() else {
        panic!()
    };
    assert_eq!((record, limit), (large(3), 1 << 20));
    assert!(held > 900_000 && held <= limit);
    let before = Instant::now();
    let fourth = producer.put(large(3)).await.unwrap();
    assert!(before.elapsed() >= Duration::from_secs(1), "not before one of the others is settled");
    for ticket in tickets {
        ticket.await.unwrap();
    }
    fourth.await.unwrap();
    assert_eq!(producer.buffered_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn put_within_waits_as_long_as_it_was_told() {
    let local = local();
    drop(local.control().on(Operation::PutRecords).then(Fault::Delay(Duration::from_secs(2))));
    let size = BufferSize::try_from(1 << 20).unwrap();
    let producer = producer(&local, Config::default().max_buffered_bytes(size));
    let large = |n: usize| Record::new(format!("key-{n}"), vec![0; 300_000]).unwrap();
    let first = producer.put_within(large(0), Duration::ZERO).await.unwrap();
    let before = Instant::now();
    let error = producer.put_within(large(1), Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(&error, PutError::Full { record, .. } if *record == large(1)) && error.is_retryable());
    assert_eq!(before.elapsed(), Duration::from_secs(1));
    let second = producer.put_within(large(1), Duration::from_secs(10)).await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(5));
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_hangs_leaves_room_for_others_that_share_its_buffer() {
    let local = local();
    local.create_stream("dead", 1).unwrap();
    drop(local.control().on(Operation::PutRecords).stream("dead").then(Fault::Hang));
    let buffer = SharedBuffer::new(BufferSize::try_from(4 << 20).unwrap(), 2);
    let config = Config::default().shared_buffer(buffer);
    let dead = Producer::new(Place::inside(&local).kinesis(), "dead".parse().unwrap(), config.clone());
    let alive = producer(&local, config);
    let mut held = Vec::new();
    while let Ok(ticket) = dead.try_put(record(held.len())) {
        held.push(ticket);
    }
    assert!((3 << 20) - 1_000 < dead.buffered_bytes() && dead.buffered_bytes() <= 3 << 20);
    for number in 0..20 {
        for ticket in put_all(&alive, number * 1_000..(number + 1) * 1_000).await {
            ticket.await.unwrap();
        }
    }
    assert_eq!(alive.buffered_bytes(), 0);
    assert!(dead.close(Duration::from_secs(1)).await.is_err());
    for ticket in held {
        assert!(matches!(ticket.await, Err(RecordError::Abandoned { .. })));
    }
    assert_eq!(dead.buffered_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn records_that_no_stream_or_buffer_would_take_are_refused_before_they_are_sent() {
    let local = local();
    let producer = producer(&local, Config::default());
    let just = Record::new("k", vec![0; (1 << 20) - 1]).unwrap();
    assert!(producer.put(just).await.unwrap().await.is_ok());
    let over = Record::new("k", vec![0; 1 << 20]).unwrap();
    let error = producer.put(over.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the record has 1048577 bytes with its partition key, the limit is 1048576"
    );
    assert!(!error.is_retryable());
    assert_eq!(error.into_record(), over);
    assert!(Record::new("", "x").is_err() && Record::new("k".repeat(257), "x").is_err());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_stream_fails_at_once_with_the_services_words() {
    let local = local();
    let kinesis = Place::inside(&local).kinesis();
    let producer = Producer::new(kinesis, "nowhere".parse().unwrap(), Config::default());
    let before = Instant::now();
    let error = producer.put(record(1)).await.unwrap().await.unwrap_err();
    let RecordError::Refused { code, message, .. } = &error else { panic!("{error}") };
    assert_eq!(code, "ResourceNotFoundException");
    assert!(message.contains("nowhere"), "{message}");
    assert_eq!((error.fate(), error.is_retryable()), (Fate::Absent, false));
    assert!(before.elapsed() < Duration::from_secs(1));
}

/// What becomes of a record, on a clock that is not paused, within a minute.
async fn refused_within_a_minute(producer: Producer) -> RecordError {
    let put = async { producer.put(record(1)).await.unwrap().await.unwrap_err() };
    timeout(Duration::from_secs(60), put).await.expect("it does not take a minute")
}

#[tokio::test]
async fn without_credentials_a_record_fails_at_once() {
    let local = local();
    let place = Place::inside(&local);
    for kinesis in [place.kinesis_with(NoCredentials), place.kinesis_without_provider()] {
        let producer = Producer::new(kinesis, "orders".parse().unwrap(), Config::default());
        let error = refused_within_a_minute(producer).await;
        let RecordError::Refused { code, .. } = &error else {
            panic!("{error}: {:?}", error.attempts().first())
        };
        assert_eq!(code, "NoCredentials");
        assert_eq!((error.fate(), error.is_retryable()), (Fate::Absent, false));
    }
    assert!(local.control().calls().is_empty(), "nothing is sent unsigned");
}

#[tokio::test]
async fn a_wrong_endpoint_expires_with_what_was_tried() {
    // A port that was free a moment ago, and on which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kinesis = Place::at(&format!("http://127.0.0.1:{port}")).kinesis();
    let config = Config::default().record_ttl(Duration::from_millis(700));
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), config);
    let error = refused_within_a_minute(producer).await;
    let RecordError::Expired { attempts, .. } = &error else { panic!("{error}") };
    assert!(attempts.iter().all(|attempt| attempt.code == "ConnectionFailed"), "{attempts:?}");
    assert_eq!(error.fate(), Fate::Absent, "nobody was there to take it");
}

#[tokio::test(start_paused = true)]
async fn flush_returns_when_all_before_it_is_settled_and_says_what_failed() {
    let local = local();
    let producer = producer(&local, Config::default().linger(Duration::from_secs(3_600)));
    let before = Instant::now();
    producer.flush().await.unwrap();
    let tickets = put_all(&producer, 0..10).await;
    producer.flush().await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(stored(&local).len(), 10);
    for mut ticket in tickets {
        let settled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut ticket).poll(context).is_ready())
        });
        assert!(settled.await, "settled when the flush returned");
    }
    let refused = Fault::Refuse { code: "AccessDeniedException".into(), status: 400, message: "no".into() };
    drop(local.control().on(Operation::PutRecords).times(1).then(refused));
    drop(put_all(&producer, 10..13).await);
    assert_eq!(producer.flush().await.unwrap_err().to_string(), "3 records were not delivered");
}

#[tokio::test(start_paused = true)]
async fn close_gives_everything_back_that_is_not_settled_in_time() {
    let local = local();
    drop(local.control().on(Operation::PutRecords).then(Fault::Hang));
    let producer = producer(&local, Config::default());
    let tickets = put_all(&producer, 0..10).await;
    let before = Instant::now();
    assert!(producer.close(Duration::from_secs(5)).await.is_err());
    assert!(before.elapsed() < Duration::from_secs(6));
    for (number, ticket) in tickets.into_iter().enumerate() {
        let error = ticket.await.unwrap_err();
        assert!(matches!(error, RecordError::Abandoned { .. }), "{error}");
        assert_eq!((error.fate(), error.record()), (Fate::Unknown, &record(number)));
    }
    let error = producer.put(record(1)).await.unwrap_err();
    assert!(matches!(error, PutError::Closed(_)));
    assert!(matches!(producer.try_put(record(1)), Err(PutError::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_put_that_waits_for_room_hears_of_the_close() {
    let local = local();
    drop(local.control().on(Operation::PutRecords).then(Fault::Hang));
    let size = BufferSize::try_from(1 << 20).unwrap();
    let producer = producer(&local, Config::default().max_buffered_bytes(size));
    let large = || Record::new("k", vec![0; 300_000]).unwrap();
    drop(producer.put(large()).await.unwrap());
    let waiting = producer.clone();
    let waits = async move { waiting.put(large()).await };
    let (waited, closed) = tokio::join!(waits, producer.close(Duration::from_secs(1)));
    assert!(matches!(waited, Err(PutError::Closed(_))));
    assert!(closed.is_err());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_gives_everything_back() {
    let local = local();
    let producer = producer(&local, Config::default().linger(Duration::from_secs(3_600)));
    let mut tickets = put_all(&producer, 0..2).await;
    let other = producer.clone();
    drop(producer);
    tickets.push(other.put(record(2)).await.unwrap());
    drop(other);
    for ticket in tickets {
        let error = ticket.await.unwrap_err();
        assert!(matches!(error, RecordError::Abandoned { .. }) && error.fate() == Fate::Absent, "{error}");
    }
}

#[test]
fn the_end_of_a_runtime_settles_what_its_producer_holds() {
    let local = local();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let producer = producer(&local, Config::default().linger(Duration::from_secs(3_600)));
    let ticket = runtime.block_on(producer.put(record(1))).unwrap();
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = other.block_on(ticket).unwrap_err();
    assert!(matches!(error, RecordError::Abandoned { .. }), "{error}");
    assert!(matches!(other.block_on(producer.put(record(2))), Err(PutError::Closed(_))));
    assert_eq!(other.block_on(producer.snapshot()), Snapshot::default());
    other.block_on(producer.flush()).unwrap();
}

#[test]
fn the_first_put_needs_a_runtime() {
    let local = local();
    let producer = producer(&local, Config::default());
    let error = producer.try_put(record(1)).unwrap_err();
    assert!(matches!(error, PutError::NoRuntime(_)) && error.is_retryable(), "{error}");
    assert_eq!(producer.buffered_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_no_ticket_takes_reaches_the_callback() {
    let local = local();
    let refused = Fault::Refuse { code: "AccessDeniedException".into(), status: 400, message: "no".into() };
    drop(local.control().on(Operation::PutRecords).then(refused));
    let failures = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&failures);
    let config = Config::default().on_failure(move |error| to.lock().unwrap().push(error.to_string()));
    let producer = producer(&local, config);
    drop(producer.put(record(1)).await.unwrap());
    let kept = producer.put(record(2)).await.unwrap();
    assert!(producer.flush().await.is_err());
    assert_eq!(*failures.lock().unwrap(), ["refused with AccessDeniedException: no"]);
    assert!(kept.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn through_a_split_and_a_merge_every_record_is_delivered_inside_its_shard() {
    let local = local();
    let producer = producer(&local, Config::default().ordering(Ordering::PerKey));
    let mut tickets = Vec::new();
    for round in 0..40 {
        tickets.extend(put_all(&producer, round * 100..(round + 1) * 100).await);
        if round == 10 {
            local.split("orders", &"shardId-000000000001".parse().unwrap(), None).unwrap();
        }
        if round == 25 {
            let (a, b) = ("shardId-000000000002".parse().unwrap(), "shardId-000000000003".parse().unwrap());
            local.merge("orders", &a, &b).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    let mut repeated = 0;
    for ticket in tickets {
        repeated += usize::from(ticket.await.unwrap().attempts > 1);
    }
    let mut inside = BTreeMap::new();
    for shard in local.records("orders").unwrap() {
        for record in shard.user_records() {
            if shard.shard.hash_key_range.contains(record.hash_key().unwrap()) {
                *inside.entry(record.data.clone()).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(inside.len(), 4_000, "a KCL gets every one of them; {repeated} were sent again");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_tells_what_is_held_and_which_shard_is_throttled() {
    let local = local();
    let producer = producer(&local, Config::default().aggregate(None));
    assert_eq!(producer.snapshot().await, Snapshot::default());
    let throttle = Fault::throttle_entries(Entries::WithKey("hot".into()));
    let rule = local.control().on(Operation::PutRecords).then(throttle);
    let hot = || Record::new("hot", "x").unwrap().explicit_hash_key(HashKey::MIN);
    let cold = || Record::new("cold", "x").unwrap().explicit_hash_key(HashKey::MAX);
    let tickets = [producer.put(hot()).await.unwrap(), producer.put(cold()).await.unwrap()];
    let held = producer.snapshot().await;
    assert_eq!((held.buffered_records, held.buffered_bytes), (2, producer.buffered_bytes()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let slow = producer.snapshot().await;
    assert_eq!(slow.buffered_records, 1);
    assert!(slow.oldest.is_some_and(|age| age >= Duration::from_millis(500)), "{slow:?}");
    let throttled: Vec<_> = slow.shards.iter().map(|shard| shard.throttled).collect();
    assert_eq!(throttled, [true, false, false, false]);
    let [shard, .., free] = &slow.shards[..] else { panic!("{slow:?}") };
    assert_eq!(shard.shard_id, Some("shardId-000000000000".parse().unwrap()));
    assert!(shard.share_allowed < 0.1 && free.share_allowed > 1.4, "{slow:?}");
    rule.remove();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    let done = producer.snapshot().await;
    assert_eq!((done.buffered_records, done.buffered_bytes, done.oldest), (0, 0, None));
}

#[tokio::test(start_paused = true)]
async fn the_services_own_limits_are_outlived() {
    let local = Local::new(LocalConfig::default().limits(Limits::default())).unwrap();
    local.create_stream("orders", 1).unwrap();
    let producer = producer(&local, Config::default().aggregate(None));
    // Four times what a shard takes in a second.
    for ticket in put_all(&producer, 0..4_000).await {
        ticket.await.unwrap();
    }
    assert!(stored(&local).values().all(|&count| count == 1));
    assert_eq!(stored(&local).len(), 4_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_put_over_a_real_socket() {
    let local = Local::new(LocalConfig::default().limits(Limits::unthrottled())).unwrap();
    local.create_stream("orders", 4).unwrap();
    let server = local.serve(Listen::default().port(0)).await.unwrap();
    let kinesis = Place::at(server.endpoint()).kinesis();
    let producer = Producer::new(kinesis, "orders".parse().unwrap(), Config::default());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let producer = producer.clone();
        tasks.spawn(async move {
            for ticket in put_all(&producer, task * 1_000..(task + 1) * 1_000).await {
                ticket.await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(stored(&local).values().all(|&count| count == 1));
    assert_eq!(stored(&local).len(), 8_000);
    server.shutdown().await;
}
