//! Kinesis, DynamoDB and a CloudWatch sink in one small process, or inside a test.
//!
//! Stock AWS SDKs work against it by endpoint URL alone, or in-process, without a socket and under a paused clock. It
//! reshards, fans out and throttles as the service does, and makes calls fail on demand.
//!
//! ```
//! use aws_sdk_kinesis::config::{Config as SdkConfig, Credentials, Region};
//! use aws_sdk_kinesis::primitives::Blob;
//! use shardflow_local::{Config, Fault, Local, Operation};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let local = Local::new(Config::default())?;
//! local.create_stream("orders", 4)?;
//! local.control().on(Operation::PutRecord).times(1).then(Fault::Throttle);
//!
//! let kinesis = aws_sdk_kinesis::Client::from_conf(
//!     SdkConfig::builder()
//!         .behavior_version_latest()
//!         .region(Region::new("us-east-1"))
//!         .credentials_provider(Credentials::new("any", "any", None, None, "test"))
//!         .endpoint_url(local.endpoint_url())
//!         .http_client(local.http_client())
//!         .build(),
//! );
//! kinesis.put_record().stream_name("orders").partition_key("user-1").data(Blob::new("clicked")).send().await?;
//!
//! let stored: usize = local.records("orders")?.iter().map(|shard| shard.records.len()).sum();
//! assert_eq!(stored, 1);
//! assert_eq!(local.control().calls().len(), 2, "throttled once, then tried again by the SDK");
//! # Ok(())
//! # }
//! ```
//!
//! As a server it is `local.serve(Listen::default().port(4566)).await`, or the command `shardflow-local`:
//!
//! ```text
//! cargo run -p shardflow-local -- --stream orders:4
//! ```
//!
//! **How it fails.** [`StartError`] when it cannot start. After that it answers as AWS does, with the service's codes; a
//! body it cannot read is a `SerializationException`, an operation it does not have an `UnknownOperationException`.
//!
//! **What it costs.** Ready in milliseconds, under 30 MB. It takes a million small records for each second of its CPU time, so
//! that a client is what a benchmark measures. Records stay in memory until they leave retention: a day, unless the
//! stream says otherwise.
//!
//! **What it will not do.** Check signatures, permissions or quotas of an account; encrypt; scale on-demand streams;
//! keep anything when it stops; listen anywhere but on loopback. Kinesis speaks JSON here, not CBOR, so Java clients
//! need `aws.cborEnabled=false`. DynamoDB is `dynoxide-rs`: its tables are the same in every region, it expires no items,
//! and what it lacks (continuous backups, say) is an `UnknownOperationException`, as with DynamoDB Local. Of CloudWatch
//! there is PutMetricData.
//!
//! # Control over HTTP
//!
//! What [`Control`] does, for tests in other languages. Bodies are JSON, and so are answers.
//!
//! | Request | Does |
//! |---|---|
//! | `GET /_shardflow/health` | tells that it is ready, its version and how many subscriptions are open |
//! | `POST /_shardflow/rules` | makes a rule, as below; answers its `id` |
//! | `GET /_shardflow/rules` | lists the rules in force: `id` and `hits` |
//! | `DELETE /_shardflow/rules/<id>`, `DELETE /_shardflow/rules` | ends one, or all |
//! | `GET /_shardflow/calls` | the last calls, those of unknown operations and with unreadable bodies among them: `at`, `service`, `operation`, `resource`, `region`, `outcome`, `detail` |
//! | `GET /_shardflow/totals` | `count` of each `operation` |
//! | `POST /_shardflow/clear` | ends all rules and forgets all calls |
//! | `POST /_shardflow/iterators/expire` | expires all shard iterators |
//! | `POST /_shardflow/subscriptions/end`, `…/cut` | ends all subscriptions, or cuts their connections |
//! | `POST /_shardflow/clock/advance` | puts the clock forward by `{"seconds": 300.5}`; answers `now` |
//! | `GET /_shardflow/streams/<name>/records` | everything stored, by shard; `?region=` for another region |
//! | `GET /_shardflow/metrics` | the CloudWatch data that came in |
//!
//! A rule is `{"operation": "PutRecords", "stream": "orders", "after": 2, "every": 3, "times": 1, "fault": "throttle"}`.
//! All but the fault can be left out; `"service": "dynamodb"` chooses all of a service, `table` is another word for
//! `stream`. Faults are `"throttle"`, `"drop_request"`, `"drop_response"`, `"hang"`, `{"delay": {"seconds": 1.5}}`,
//! `{"refuse": {"code": "InternalFailure", "status": 500}}` and `{"fail_entries": {"every": 2}}`, which also takes `at`
//! (a list of places), `partition_key` and `code`.
#![forbid(unsafe_code)]

mod client;
mod clock;
mod cloudwatch;
mod config;
mod control;
mod dynamodb;
mod error;
mod http;
pub mod kinesis;
mod local;
mod regions;
mod server;
mod tls;

pub use clock::Clock;
pub use cloudwatch::{MetricDatum, MetricValue};
pub use config::Config;
pub use control::{
    Asked, Call, CallRecord, Calls, Control, Entries, Fault, Operation, Outcome, Rule, RuleBuilder, Service,
};
pub use error::StartError;
pub use kinesis::Limits;
pub use local::{Local, ShardRecords};
pub use server::{Listen, Server};
