//! Records for a worker to consume: put by the producer, whose aggregates are the KPL's.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use shardflow_benches::Keys;
use shardflow_producer::{Config, ConfigKey, Producer, RateLimit, Record, Ticket};

use crate::{Failure, clients, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where the service is
    #[arg(long, value_name = "URL")]
    endpoint: String,
    #[arg(long)]
    stream: String,
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
    /// Bytes of a record's data
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Most bytes of an aggregate
    #[arg(long, default_value = "55000")]
    aggregate: String,
}

/// So many records are not settled at a time.
const OUTSTANDING: usize = 50_000;

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::default()
        .linger(Duration::from_secs(1))
        .rate_limit(RateLimit::OFF)
        .set(ConfigKey::AggregationMaxSize, &arguments.aggregate)?;
    let producer = Producer::new(clients::kinesis(&arguments.endpoint), arguments.stream.parse()?, config);
    let data = bytes::Bytes::from(vec![7; arguments.size]);
    let mut tickets: VecDeque<Ticket> = VecDeque::with_capacity(OUTSTANDING);
    let mut aggregates = 0_u64;
    for key in Keys::new(0).take(arguments.records) {
        if tickets.len() == OUTSTANDING
            && let Some(first) = tickets.pop_front()
        {
            aggregates += u64::from(first.await?.sub_sequence_number.is_none_or(|place| place == 0));
        }
        tickets.push_back(producer.put(Record::new(key.to_string(), data.clone())?).await?);
    }
    producer.flush().await?;
    for ticket in tickets {
        aggregates += u64::from(ticket.await?.sub_sequence_number.is_none_or(|place| place == 0));
    }
    producer.close(Duration::from_secs(10)).await?;
    say(&serde_json::json!({ "records": arguments.records, "kinesis_records": aggregates }).to_string());
    Ok(())
}
