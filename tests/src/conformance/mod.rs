//! What AWS does, as checks that run against any server that speaks its protocols.
//!
//! A check is a sentence about the service and code that sees whether a server does as it says: our own embedded
//! service, the stand-ins that others wrote, or AWS. It makes a stream or table of its own, deletes it afterwards, and
//! trusts no clock but the server's. What servers are known to do otherwise stands in `conformance/deviations.tsv`; a
//! run fails on what is not listed, and on what is listed and is not so.
//!
//! `cargo test -p shardflow-tests --test conformance` runs all of it against `shardflow-local` in the same process;
//! `cargo run -p shardflow-tests --bin conformance` against any endpoint.

mod harness;

mod cloudwatch;
mod consumers;
mod dynamodb_conditions;
mod dynamodb_items;
mod dynamodb_tables;
mod dynamodb_transactions;
mod errors;
mod get_records;
mod iterators;
mod limits;
mod list_shards;
mod order;
mod put;
mod record_distribution;
mod reshard;
mod retention;
mod settings;
mod streams;
mod subscribe;
mod subscriptions;
mod tags;
mod throttles;
mod update_shard_count;

pub use harness::{Check, Context, Deviations, Line, Need, Tally, Target, Time, Topic, Verdict, run};

/// All topics.
pub const TOPICS: &[Topic] = &[
    streams::TOPIC,
    settings::TOPIC,
    tags::TOPIC,
    put::TOPIC,
    record_distribution::TOPIC,
    limits::TOPIC,
    iterators::TOPIC,
    get_records::TOPIC,
    retention::TOPIC,
    list_shards::TOPIC,
    reshard::TOPIC,
    update_shard_count::TOPIC,
    order::TOPIC,
    consumers::TOPIC,
    subscribe::TOPIC,
    subscriptions::TOPIC,
    throttles::TOPIC,
    errors::TOPIC,
    dynamodb_tables::TOPIC,
    dynamodb_items::TOPIC,
    dynamodb_conditions::TOPIC,
    dynamodb_transactions::TOPIC,
    cloudwatch::TOPIC,
];
