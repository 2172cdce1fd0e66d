//! Writes records as fast as a server takes them: how much of a benchmark is the server's?
//!
//! The requests are made once and sent again and again over plain sockets, so this client costs next to nothing. Start
//! the server in another terminal, and give its process id to learn what a record costs it (Linux only):
//!
//! ```text
//! cargo run --release -p shardflow-local -- --no-limits --stream load:4
//! cargo run --release -p shardflow-local --example load -- 4566 100 10 "$(pgrep shardflow-local)"
//! ```
//!
//! Arguments: port, bytes of a record, seconds, process id of the server.

use std::error::Error;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CONNECTIONS: usize = 4;
const RECORDS: usize = 500;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "it is what it is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (port, bytes, seconds, server) = (number(4566)?, number(100)?, number(5)?, number(0)?);
    let until = Instant::now() + Duration::from_secs(seconds.try_into()?);

    let before = cpu_seconds(server);
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let request = put_records(connection, bytes);
        connections.spawn(async move { send(u16::try_from(port)?, &request, until).await });
    }
    let mut requests = 0;
    while let Some(sent) = connections.join_next().await {
        requests += sent?.map_err(|error| error.to_string())?;
    }

    let records = requests * RECORDS;
    println!("{} records/s of {bytes} B, {} MB/s", records / seconds, records * bytes / seconds / 1_000_000);
    if let (Some(before), Some(after)) = (before, cpu_seconds(server)) {
        let cpu = after - before;
        println!("{cpu:.2} CPU seconds of the server: {:.0} records/CPU-s", records as f64 / cpu);
    }
    Ok(())
}

async fn send(port: u16, request: &[u8], until: Instant) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    let mut body = Vec::new();
    let mut sent = 0;
    while Instant::now() < until {
        stream.write_all(request).await?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        if !body.starts_with(br#"{"FailedRecordCount":0"#) {
            return Err(String::from_utf8_lossy(&body).chars().take(300).collect::<String>().into());
        }
        sent += 1;
    }
    Ok(sent)
}

fn put_records(connection: usize, bytes: usize) -> Vec<u8> {
    let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; bytes]);
    let record = |i| format!(r#"{{"Data":"{data}","PartitionKey":"{connection}-{i}"}}"#);
    let records: Vec<_> = (0..RECORDS).map(record).collect();
    let body = format!(r#"{{"StreamName":"load","Records":[{}]}}"#, records.join(","));
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: Kinesis_20131202.PutRecords\r\n\
         content-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head, body].concat().into_bytes()
}

/// User and system time of a process, from the fields 14 and 15 of its `stat`, in hundredths of a second.
fn cpu_seconds(process: usize) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(ticks / 100.0)
}
