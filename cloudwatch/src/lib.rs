//! Publishes metrics to Amazon CloudWatch, as the Kinesis Producer Library (KPL) and the Kinesis Client Library (KCL) do: a
//! recorder for the [`metrics`] facade, and a task that sends what was recorded.
//!
//! ```no_run
//! use shardflow_cloudwatch::{Config, Publisher};
//! use std::time::Duration;
//!
//! # async fn example(aws: &aws_sdk_cloudwatch::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let publisher = Publisher::start(aws.clone(), Config::kpl())?;
//! metrics::set_global_recorder(publisher.recorder())?; // before the first put
//! // … producers are made, put and are closed …
//! publisher.close(Duration::from_secs(5)).await?; // publishes what is left
//! # Ok(())
//! # }
//! ```
//!
//! [`Config::kpl`] publishes a producer's metrics as the KPL does, [`Config::kcl`] a consumer's as the KCL does, and
//! [`Config::new`] whatever the application records. For two of them in one process, start two publishers and give the recorders
//! of both to a `Fanout` of the crate `metrics-util`; each picks its own.
//!
//! A metric's labels become its dimensions, its unit is the one with which it was described. Values become sets of statistics: count,
//! sum, least and greatest. A histogram gives all of its values, a counter what was added since the last publication, and a
//! gauge its value at each second, with the extremes between. Data carry no time, so that they count where they arrive. What
//! has no values is not published.
//!
//! **How it fails.** Without an answer, when it is throttled and when the service has an error, a call is tried three times.
//! What CloudWatch did not take is kept, merged with what is recorded meanwhile, and goes with the next publication; a warning of
//! `tracing` says so, and so does [`Publisher::health`]. A call whose answer was lost is repeated, so that its values may count
//! twice. The application does not notice any of it. What CloudWatch would refuse for its form (labels that are
//! not ASCII, more than 30 of them) is lost, counted and told; so is what exceeds [`Config::max_metrics`].
//!
//! **What it costs.** CloudWatch takes money for each metric, which is a name with one combination of dimensions, and each hour
//! in which it gets a datum: in us-east-1 0.30 USD a month for each of the first 10,000, and 0.01 USD for 1,000 calls. A producer
//! has about ten metrics for each shard: with many shards that is the price, and `MetricsGranularity::Stream` of the producer, or
//! [`Config::dimensions`] without `ShardId`, avoids it. [`Config::level`] leaves out what is not needed. A call takes 1,000 metrics.
//!
//! In the process it costs one task, about a kilobyte for each metric, and for each value an atomic addition or a lock that is held for
//! a few instructions. Recording to a handle allocates nothing.
//!
//! **What it will not do.** It keeps no percentiles, since sets of statistics have none; the KPL and the KCL do not either. It
//! writes nothing to disk: what is not published when the process ends is lost, up to one interval of it unless the publisher
//! is closed. It does not publish once 200 metrics wait, as the KCL does: they wait in sets whose number is bounded.
#![forbid(unsafe_code)]

mod cell;
mod client;
mod config;
mod error;
mod metric;
mod publisher;
mod recorder;
mod registry;
mod statistics;
mod unit;
mod waiting;

pub use config::{Config, MetricsLevel, Namespace};
pub use error::{NoRuntime, PublishError};
pub use publisher::{Health, Publisher};
pub use recorder::Recorder;
pub use shardflow_core::Invalid;
