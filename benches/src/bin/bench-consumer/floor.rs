//! The least that reading aggregated records can cost: the bytes of GetRecords answers go through JSON, base64 and MD5, and
//! nothing else is done. One thread, plain code.

use std::borrow::Cow;
use std::hint::black_box;

use base64_simd::STANDARD;
use clap::Args;
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::json;
use shardflow_benches::{Keys, Usage};
use shardflow_core::Record;
use shardflow_core::aggregation::{AggregateSize, Aggregator};
use shardflow_core::limits::GET_RECORDS_BYTES;

use crate::{Failure, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Bytes of a record's data
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Most bytes of an aggregate
    #[arg(long, default_value_t = 55_000)]
    aggregate: u64,
    /// Records that are measured, or a few more
    #[arg(long, default_value_t = 4_000_000)]
    records: usize,
    /// Leave out the MD5 of each record's key, by which its hash key is known
    #[arg(long)]
    no_keys: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow)]
    records: Vec<Entry<'a>>,
    #[serde(borrow)]
    next_shard_iterator: Cow<'a, str>,
    millis_behind_latest: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
    #[serde(borrow)]
    sequence_number: Cow<'a, str>,
    approximate_arrival_timestamp: f64,
}

/// The answer to one read, as large as they become, and the keys of its records.
struct Prepared {
    body: Vec<u8>,
    keys: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // More than caches hold.
    let prepared: Vec<_> = (0..4).map(|seed| prepare(arguments, seed)).collect::<Result<_, _>>()?;
    let measure = |records: usize| -> Result<(usize, f64), Failure> {
        let before = Usage::now()?;
        let mut read = 0;
        for next in prepared.iter().cycle() {
            if read >= records {
                break;
            }
            take(next, !arguments.no_keys)?;
            read += next.keys.len();
        }
        Ok((read, Usage::now()?.cpu_seconds - before.cpu_seconds))
    };
    measure(1)?;
    let (records, cpu) = measure(arguments.records)?;
    let result = json!({
        "records": records,
        "records_per_answer": prepared[0].keys.len(),
        "cpu_s": cpu,
        "cpu_s_per_M": cpu / records as f64 * 1e6,
    });
    say(&result.to_string());
    Ok(())
}

fn prepare(arguments: &Arguments, seed: u64) -> Result<Prepared, Failure> {
    let mut all_keys = Keys::new(seed);
    let mut aggregator = Aggregator::new(AggregateSize::try_from(arguments.aggregate)?);
    let (mut body, mut keys, mut bytes) =
        (br#"{"MillisBehindLatest":1000,"NextShardIterator":"AAAA","Records":["#.to_vec(), Vec::new(), 0);
    for number in 0_u64.. {
        let mut packed = Vec::new();
        let data = loop {
            let key = all_keys.next().expect("keys do not end").to_string();
            if aggregator.try_push(Record::new(key.as_str(), vec![7; arguments.size])?).is_err() {
                break aggregator.finish().ok_or("a record does not fit into an aggregate")?.data;
            }
            packed.push(key);
        };
        bytes += data.len();
        if bytes > GET_RECORDS_BYTES {
            break;
        }
        keys.append(&mut packed);
        let comma = if number == 0 { "" } else { "," };
        // As long as a real sequence number.
        body.extend_from_slice(
            format!(
                r#"{comma}{{"SequenceNumber":"4965{number:052}","ApproximateArrivalTimestamp":1700000000.123,"PartitionKey":"a","Data":""#
            )
            .as_bytes(),
        );
        STANDARD.encode_append(&data, &mut body);
        body.extend_from_slice(br#""}"#);
    }
    body.extend_from_slice(b"]}");
    Ok(Prepared { body, keys })
}

fn take(prepared: &Prepared, with_keys: bool) -> Result<(), Failure> {
    let answer: Answer<'_> = serde_json::from_slice(&prepared.body)?;
    for entry in &answer.records {
        let data = STANDARD.decode_to_vec(entry.data.as_bytes()).map_err(|_| "no base64")?;
        // The magic is before what the digest covers, and the digest behind it.
        black_box(Md5::digest(&data[4..data.len() - 16]));
        black_box((&entry.partition_key, &entry.sequence_number, entry.approximate_arrival_timestamp));
    }
    black_box((answer.next_shard_iterator, answer.millis_behind_latest));
    if with_keys {
        for key in &prepared.keys {
            black_box(Md5::digest(key.as_bytes()));
        }
    }
    Ok(())
}
