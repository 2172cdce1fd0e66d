//! The least that a producer can cost: the bytes of its requests are hashed, encoded and sent, and nothing else is done.
//!
//! For every record the MD5 of its key; for every aggregate its MD5 and base64; for every request its SHA-256 and its way
//! through TLS and the loopback. Records and aggregates are made beforehand, and with `--built` whole requests: then they are
//! only sent. One thread, plain code.
#![forbid(unsafe_code)]

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64_simd::STANDARD;
use clap::Parser;
use md5::{Digest, Md5};
use ring::digest::{Context, SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use shardflow_benches::{Keys, Usage};
use shardflow_core::Record;
use shardflow_core::aggregation::{AggregateSize, Aggregator};

/// Sends requests for a while and prints, as JSON, what a million records cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where bench-sink is
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// Its certificate, in PEM
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Bytes of a record's data
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Most bytes of an aggregate
    #[arg(long, default_value_t = 51_200)]
    aggregate: u64,
    /// Aggregates of a request; by default as many as 5 MiB hold, the producer's own limit
    #[arg(long)]
    entries: Option<usize>,
    /// Requests are made beforehand too
    #[arg(long)]
    built: bool,
    /// Seconds before the measured ones
    #[arg(long, default_value_t = 0.5)]
    warm: f64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Records that are measured, instead of seconds
    #[arg(long, default_value_t = 0)]
    records: u64,
}

/// An aggregate with the keys of its records, and their sum.
struct Prepared {
    keys: Vec<String>,
    key_sum: u64,
    data: Vec<u8>,
}

type Failure = Box<dyn Error + Send + Sync>;

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let prepared = prepare(&arguments)?;
    let entries = arguments.entries.unwrap_or_else(|| ((5 << 20) / prepared[0].data.len()).clamp(1, 500));
    let mut sink = Connection::open(&arguments)?;
    let mut aggregates = prepared.iter().cycle();
    let mut request = Request::default();
    let built: Vec<_> = (0..if arguments.built { 4 } else { 0 })
        .map(|_| Request::default().build(aggregates.by_ref().take(entries)).clone())
        .collect();
    let mut built = built.iter().cycle();
    let (mut in_all, mut key_sum) = (0, 0_u64);
    let mut send_for = |seconds: f64, enough: u64| -> Result<u64, Failure> {
        let (start, mut records) = (Instant::now(), 0);
        let over = |records| match enough {
            0 => start.elapsed() >= Duration::from_secs_f64(seconds),
            enough => records >= enough,
        };
        while !over(records) {
            let next = match built.next() {
                Some(built) => built,
                None => request.build(aggregates.by_ref().take(entries)),
            };
            sink.send(&next.body)?;
            records += next.records;
            key_sum = key_sum.wrapping_add(next.key_sum);
        }
        in_all += records;
        Ok(records)
    };
    send_for(arguments.warm, 0)?;
    let (from, before) = (Instant::now(), Usage::now()?);
    let records = send_for(arguments.seconds, arguments.records)?;
    let (seconds, after) = (from.elapsed().as_secs_f64(), Usage::now()?);
    let cpu = after.cpu_seconds - before.cpu_seconds;
    let result = json!({
        "records": records,
        "seconds": seconds,
        "cpu_s": cpu,
        "cpu_s_per_M": cpu / records as f64 * 1e6,
        "records_per_s": records as f64 / seconds,
        "records_per_aggregate": prepared[0].keys.len(),
        "entries_per_request": entries,
        "records_in_all": in_all,
        "key_sum": key_sum,
    });
    println!("{result}");
    Ok(())
}

/// Some aggregates, full; more than the inner caches hold.
fn prepare(arguments: &Arguments) -> Result<Vec<Prepared>, Failure> {
    let mut all_keys = Keys::new(0);
    let mut aggregator = Aggregator::new(AggregateSize::try_from(arguments.aggregate)?);
    (0..64)
        .map(|_| {
            let (mut keys, mut key_sum) = (Vec::new(), 0_u64);
            loop {
                let number = all_keys.next().expect("keys do not end");
                let key = number.to_string();
                if aggregator.try_push(Record::new(key.as_str(), vec![7; arguments.size])?).is_err() {
                    break;
                }
                keys.push(key);
                key_sum = key_sum.wrapping_add(number);
            }
            let packed = aggregator.finish().ok_or("a record does not fit into an aggregate")?;
            Ok(Prepared { keys, key_sum, data: packed.data.to_vec() })
        })
        .collect()
}

/// A request, and what is in it.
#[derive(Clone, Default)]
struct Request {
    body: Vec<u8>,
    records: u64,
    key_sum: u64,
}

impl Request {
    /// Makes it anew, in the same memory.
    fn build<'a>(&mut self, aggregates: impl Iterator<Item = &'a Prepared>) -> &Self {
        let Self { body, records, key_sum: sum } = self;
        (*records, *sum) = (0, 0);
        // Hashed piece by piece, while the piece is in the cache.
        let mut sha256 = Context::new(&SHA256);
        body.clear();
        body.extend_from_slice(br#"{"StreamName":"floor-1","Records":["#);
        let mut hashed = 0;
        for (place, Prepared { keys, key_sum, data }) in aggregates.enumerate() {
            for key in keys {
                black_box(Md5::digest(key.as_bytes()));
            }
            *records += keys.len() as u64;
            *sum = sum.wrapping_add(*key_sum);
            black_box(Md5::digest(data));
            let comma = if place == 0 { "" } else { "," };
            body.extend_from_slice(comma.as_bytes());
            body.extend_from_slice(br#"{"Data":""#);
            STANDARD.encode_append(data, body);
            body.extend_from_slice(br#"","PartitionKey":"a","ExplicitHashKey":"0"}"#);
            sha256.update(&body[hashed..]);
            hashed = body.len();
        }
        body.extend_from_slice(b"]}");
        sha256.update(&body[hashed..]);
        black_box(sha256.finish());
        self
    }
}

/// A connection to the sink.
struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    answer: Vec<u8>,
}

impl Connection {
    fn open(arguments: &Arguments) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&arguments.ca)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = arguments.endpoint.strip_prefix("https://").ok_or("the endpoint is an https URL")?;
        let (host, _) = address.rsplit_once(':').ok_or("the endpoint has no port")?;
        let tls = ClientConnection::new(Arc::new(config), ServerName::try_from(host.to_owned())?)?;
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream: StreamOwned::new(tls, socket), answer: vec![0; 1 << 17] })
    }

    /// Sends a request and waits for its answer.
    fn send(&mut self, body: &[u8]) -> Result<(), Failure> {
        write!(
            self.stream,
            "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: Kinesis_20131202.PutRecords\r\n\
             content-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        self.stream.write_all(body)?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> Result<(), Failure> {
        let mut read = 0;
        loop {
            read += match self.stream.read(&mut self.answer[read..])? {
                0 => return Err("the sink hangs up, or answers at length".into()),
                some => some,
            };
            let answer = &self.answer[..read];
            let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&answer[..head])?;
            if !text.starts_with("HTTP/1.1 200 ") {
                return Err(format!("the sink answers {text}").into());
            }
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.ok_or("the sink does not say how long its answer is")?.parse()?;
            if read >= head + 4 + length {
                return Ok(());
            }
        }
    }
}
