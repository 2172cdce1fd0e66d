//! The HTTP client that producer and consumer bring, over TLS on a port, on each of its providers.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::process::Command;

use aws_sdk_kinesis::config::SharedHttpClient;
use aws_sdk_kinesis::config::retry::RetryConfig;
use shardflow_consumer::{
    Config as ConsumerConfig, FanOutConsumer, FromShard, Retrieval, ShardPosition, ShardReader,
};
use shardflow_local::{Config as LocalConfig, Listen, Local, Server};
use shardflow_producer::{CaBundle, Config, Fate, HttpsClient, NoRoots, Producer, Record};
use shardflow_tests::application::shard;
use shardflow_tests::clients::Place;

/// A client on each provider that this was built with.
fn providers() -> Vec<HttpsClient> {
    vec![
        HttpsClient::ring(),
        #[cfg(feature = "rustls-aws-lc")]
        HttpsClient::aws_lc(),
    ]
}

async fn service() -> (Local, Server, CaBundle) {
    let local = Local::new(LocalConfig::default()).unwrap();
    local.create_stream("orders", 1).unwrap();
    let server = local.serve(Listen::default().tls(true)).await.unwrap();
    let bundle = CaBundle::from_pem(server.certificate_pem().unwrap()).unwrap();
    (local, server, bundle)
}

fn kinesis(server: &Server, http: SharedHttpClient) -> aws_sdk_kinesis::Client {
    Place::at(server.endpoint()).through(|_| http).kinesis()
}

#[tokio::test]
async fn records_go_in_and_out_by_a_client_that_trusts_the_service() {
    for provider in providers() {
        let (_local, server, bundle) = service().await;
        let https = provider.trust(bundle).build().unwrap();
        let kinesis = kinesis(&server, https);
        let producer = Producer::new(kinesis.clone(), "orders".parse().unwrap(), Config::default());
        producer.put(Record::new("a", "over TLS").unwrap()).await.unwrap().await.unwrap();
        // Asked for over HTTP/1.1, sent over HTTP/2.
        let consumer: FanOutConsumer = "reports".parse().unwrap();
        for retrieval in [Retrieval::Polling, Retrieval::FanOut { consumer }] {
            let (stream, config) =
                ("orders".parse().unwrap(), ConsumerConfig::default().retrieval(retrieval));
            let mut reader =
                ShardReader::new(&kinesis, &stream, shard(0), ShardPosition::TrimHorizon, config);
            let Some(Ok(FromShard::Batch(batch))) = reader.next().await else { panic!("there is one") };
            assert_eq!(batch.iter().map(|record| record.data.clone()).collect::<Vec<_>>(), ["over TLS"]);
        }
    }
}

#[tokio::test]
async fn whom_a_client_trusts_is_what_it_was_told() {
    for provider in providers() {
        let (_local, server, bundle) = service().await;
        let (_other, _stranger, of_another) = service().await;
        let trusted = [
            provider.clone().trust(of_another.clone()).trust(bundle.clone()),
            provider.clone().trust_only(bundle.clone()),
        ];
        for client in trusted {
            let kinesis = kinesis(&server, client.build().unwrap());
            assert_eq!(kinesis.list_streams().send().await.unwrap().stream_names(), ["orders"]);
        }
        for client in
            [provider.clone().trust(of_another.clone()), provider.trust(bundle).trust_only(of_another)]
        {
            let once = aws_sdk_kinesis::config::Builder::new().retry_config(RetryConfig::disabled());
            let list =
                kinesis(&server, client.build().unwrap()).list_streams().customize().config_override(once);
            let error = list.send().await.unwrap_err();
            let failure = shardflow_sdk::classify(&error);
            assert_eq!(failure.fate, Fate::Absent, "{error:?}");
            assert!(failure.message.contains("certificate"), "{failure:?}");
        }
    }
}

/// In a process of its own, whose environment says that it is on a bare image.
#[test]
fn a_machine_without_certificates_is_told_so() {
    const BARE: &str = "SHARDFLOW_TESTS_BARE";
    if std::env::var_os(BARE).is_none() {
        let mut this = Command::new(std::env::current_exe().unwrap());
        this.args(["--exact", "a_machine_without_certificates_is_told_so"]).env(BARE, "");
        this.env("SSL_CERT_FILE", "no/such/file").env("SSL_CERT_DIR", "no/such/folder");
        let told = this.output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stdout));
        assert!(String::from_utf8_lossy(&told.stdout).contains("1 passed"));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for provider in providers() {
            assert_eq!(provider.clone().build().unwrap_err(), NoRoots);
            let (_local, server, bundle) = service().await;
            let kinesis = kinesis(&server, provider.trust(bundle).build().unwrap());
            assert_eq!(kinesis.list_streams().send().await.unwrap().stream_names(), ["orders"]);
        }
    });
}
