//! The service on a port: HTTP/1.1 and HTTP/2, plain and TLS, and connections that are cut.
//!
//! Nothing here waits for time to pass; what is waited for is the network on loopback.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{SharedHttpClient, retry::RetryConfig};
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition, SubscribeToShardEventStream};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use common::kinesis_at;
use shardflow_core::{Record, ShardId};
use shardflow_local::{Config, Fault, Listen, Local, Operation, Outcome, Server, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client that trusts the server's certificate, if it has one.
fn http(server: &Server) -> SharedHttpClient {
    match server.certificate_pem() {
        None => Builder::new().build_http(),
        Some(certificate) => {
            let trust = TrustStore::empty().with_pem_certificate(certificate);
            let context = TlsContext::builder().with_trust_store(trust).build().unwrap();
            Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https()
        }
    }
}

/// Registers a consumer of a stream of one shard, and subscribes it from the oldest record on.
async fn subscribe(client: &Client, stream_arn: &str) -> SubscribeToShardOutput {
    let consumer = client.register_stream_consumer().stream_arn(stream_arn).consumer_name("reports");
    let consumer = consumer.send().await.unwrap().consumer.unwrap().consumer_arn;
    let position = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap();
    let subscribe =
        client.subscribe_to_shard().consumer_arn(consumer).shard_id(ShardId::numbered(0).as_str());
    subscribe.starting_position(position).send().await.unwrap()
}

async fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn records_and_subscriptions_pass_plain_and_over_tls() {
    for tls in [false, true] {
        let local = Local::new(Config::default().transition(Duration::ZERO)).unwrap();
        let server = local.serve(Listen::default().tls(tls)).await.unwrap();
        assert_eq!(server.endpoint().starts_with("https://127.0.0.1:"), tls);
        let client = kinesis_at(server.endpoint(), http(&server));
        let arn = local.create_stream("orders", 1).unwrap();
        client
            .put_record()
            .stream_name("orders")
            .partition_key("a")
            .data(Blob::new("over the wire"))
            .send()
            .await
            .unwrap();
        let mut subscription = subscribe(&client, arn.as_str()).await;
        let mut next = async || subscription.event_stream.recv().await.unwrap();
        let Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) = next().await else { panic!() };
        assert_eq!(event.records()[0].data().as_ref(), b"over the wire");
        local.put("orders", &Record::new("a", "news").unwrap()).unwrap();
        let Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) = next().await else { panic!() };
        assert_eq!(event.records()[0].data().as_ref(), b"news");
        local.split("orders", &ShardId::numbered(0), None).unwrap();
        let Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) = next().await else { panic!() };
        assert_eq!(event.child_shards().len(), 2);
        assert!(next().await.is_none());
        server.shutdown().await;
    }
}

#[tokio::test]
async fn the_certificate_is_good_for_every_name_of_this_machine() {
    let local = Local::new(Config::default()).unwrap();
    local.create_stream("orders", 1).unwrap();
    let server = local.serve(Listen::default().tls(true)).await.unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let client = kinesis_at(&format!("https://{host}:{}", server.port()), http(&server));
        let listed = client.list_streams().send().await.unwrap();
        assert_eq!(listed.stream_names(), ["orders"], "{host}");
    }
    let stranger = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let client = kinesis_at(server.endpoint(), stranger);
    let once = aws_sdk_kinesis::config::Builder::new().retry_config(RetryConfig::disabled());
    let error = client.list_streams().customize().config_override(once).send().await.unwrap_err();
    assert!(error.as_service_error().is_none(), "who does not trust it does not speak to it: {error:?}");
}

#[tokio::test]
async fn large_requests_and_answers_pass() {
    let local = Local::new(Config::default().limits(shardflow_local::Limits::unthrottled())).unwrap();
    local.create_stream("orders", 1).unwrap();
    let server = local.serve(Listen::default()).await.unwrap();
    let client = kinesis_at(server.endpoint(), http(&server));
    let entry = || {
        let entry = aws_sdk_kinesis::types::PutRecordsRequestEntry::builder();
        entry.partition_key("a").data(Blob::new(vec![7; 1_000_000])).build().unwrap()
    };
    let records = Some((0..10).map(|_| entry()).collect());
    client.put_records().stream_name("orders").set_records(records).send().await.unwrap();
    let iterator = client
        .get_shard_iterator()
        .stream_name("orders")
        .shard_id("shardId-000000000000")
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await
        .unwrap();
    let answer = client.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
    assert_eq!(answer.records().len(), 10);
}

#[tokio::test]
async fn a_cut_is_a_connection_that_ends_without_an_answer() {
    for tls in [false, true] {
        let local = Local::new(Config::default()).unwrap();
        local.create_stream("orders", 1).unwrap();
        let server = local.serve(Listen::default().tls(tls)).await.unwrap();
        let client = kinesis_at(server.endpoint(), http(&server));
        let put = || {
            let put = client.put_record().stream_name("orders").partition_key("a").data(Blob::new("x"));
            let once = aws_sdk_kinesis::config::Builder::new().retry_config(RetryConfig::disabled());
            put.customize().config_override(once).send()
        };
        for (fault, stored) in [(Fault::DropRequest, 0), (Fault::DropResponse, 1)] {
            local.control().on(Operation::PutRecord).times(1).then(fault.clone());
            let error = put().await.unwrap_err();
            assert!(error.as_service_error().is_none(), "{fault:?} over TLS {tls}: {error:?}");
            assert_eq!(local.records("orders").unwrap()[0].records.len(), stored, "{fault:?} over TLS {tls}");
        }
        put().await.unwrap();
        let outcomes: Vec<_> = local.control().calls().into_iter().map(|call| call.outcome).collect();
        assert_eq!(outcomes, [Outcome::RequestDropped, Outcome::ResponseDropped, Outcome::Succeeded]);
    }
}

#[tokio::test]
async fn a_subscription_that_is_cut_breaks_off() {
    for tls in [false, true] {
        let local = Local::new(Config::default().transition(Duration::ZERO)).unwrap();
        let arn = local.create_stream("orders", 1).unwrap();
        let server = local.serve(Listen::default().tls(tls)).await.unwrap();
        let client = kinesis_at(server.endpoint(), http(&server));
        let mut subscription = subscribe(&client, arn.as_str()).await;
        local.control().cut_subscriptions();
        let error = subscription.event_stream.recv().await.unwrap_err();
        assert!(error.as_service_error().is_none(), "{error:?}");
    }
}

#[tokio::test]
async fn a_subscription_is_ended_or_cut_by_the_admin_path() {
    for (how, broken) in [("end", false), ("cut", true)] {
        let local = Local::new(Config::default().transition(Duration::ZERO)).unwrap();
        let arn = local.create_stream("orders", 1).unwrap();
        let server = local.serve(Listen::default()).await.unwrap();
        let client = kinesis_at(server.endpoint(), http(&server));
        let mut subscription = subscribe(&client, arn.as_str()).await;
        let health = "GET /_shardflow/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = raw(&server, health).await;
        assert!(answer.contains(r#""open_subscriptions":1"#), "{answer}");
        let request = format!(
            "POST /_shardflow/subscriptions/{how} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: \
             close\r\n\r\n"
        );
        assert!(raw(&server, &request).await.starts_with("HTTP/1.1 200 OK\r\n"));
        // At most one event is under way: where the subscription stood when it was opened.
        let end = loop {
            match subscription.event_stream.recv().await {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                    assert!(event.records().is_empty(), "{event:?}");
                }
                end => break end,
            }
        };
        assert_eq!(end.is_err(), broken, "{how}: {end:?}");
        while local.control().open_subscriptions() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn the_admin_path_is_served_too() {
    let local = Local::new(Config::default()).unwrap();
    let server = local.serve(Listen::default()).await.unwrap();
    let answer =
        raw(&server, "GET /_shardflow/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: application/json") && answer.contains(r#""status":"ok""#),
        "{answer}"
    );
}

#[tokio::test]
async fn a_body_beyond_all_measure_is_refused() {
    let local = Local::new(Config::default()).unwrap();
    let server = local.serve(Listen::default()).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        let chunk = [b"100000\r\n".to_vec(), vec![b'x'; 1 << 20], b"\r\n".to_vec()].concat();
        for _ in 0..40 {
            if writer.write_all(&chunk).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut answer = [0; 12];
        reader.read_exact(&mut answer).await.map(|_| String::from_utf8_lossy(&answer).into_owned())
    };
    let ((), answer) = tokio::join!(write, read);
    // The answer may be lost with the connection when it is closed on unread data.
    assert!(answer.is_err() || answer.unwrap() == "HTTP/1.1 413");
}

#[tokio::test]
async fn a_busy_port_is_told_and_a_stopped_server_frees_its_own() {
    let local = Local::new(Config::default()).unwrap();
    let server = local.serve(Listen::default()).await.unwrap();
    let port = server.port();
    let error = local.serve(Listen::default().port(port)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}"));
    assert!(matches!(error, StartError::Listen { .. }));
    server.shutdown().await;
    local.serve(Listen::default().port(port)).await.unwrap();
}

#[tokio::test]
async fn a_dropped_server_cuts_its_connections() {
    let local = Local::new(Config::default()).unwrap();
    local.control().on(Operation::ListStreams).then(Fault::Hang);
    let server = local.serve(Listen::default()).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    let request = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Kinesis_20131202.ListStreams\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    while local.control().calls().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(server);
    let mut answer = Vec::new();
    // Closed or reset: either way without an answer.
    stream.read_to_end(&mut answer).await.unwrap_or_default();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn a_reader_that_goes_away_is_noticed() {
    for tls in [false, true] {
        let local = Local::new(Config::default().transition(Duration::ZERO)).unwrap();
        let arn = local.create_stream("orders", 1).unwrap();
        let server = local.serve(Listen::default().tls(tls)).await.unwrap();
        let client = kinesis_at(server.endpoint(), http(&server));
        let subscription = subscribe(&client, arn.as_str()).await;
        assert_eq!(local.control().open_subscriptions(), 1);
        drop(subscription);
        drop(client);
        while local.control().open_subscriptions() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
