//! The service that the workers read from.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::bench::{Bench, Running};
use crate::run::lines;

/// A `shardflow-local` on a free port, stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Service {
    _running: Running,
    pub(super) endpoint: String,
}

impl Service {
    /// One with a stream of so many shards, `bench`.
    pub(super) fn start(shards: u32, arguments: &[&str]) -> Result<Self, String> {
        let mut command = Bench::service();
        command.args(["--port", "0", "--stream", &format!("bench:{shards}")]).args(arguments);
        let mut running = Running::start(&mut command)?;
        let ready = lines(&mut running.child).next().unwrap_or_default();
        let endpoint = ready.split_whitespace().find(|word| word.starts_with("http://"));
        let endpoint = endpoint.ok_or("shardflow-local does not start")?.to_owned();
        Ok(Self { _running: running, endpoint })
    }

    /// How often each operation of DynamoDB has been called.
    pub(super) fn dynamodb_calls(&self) -> Result<BTreeMap<String, u64>, String> {
        let totals = self.get("/_shardflow/totals")?;
        let ours = totals.as_array().into_iter().flatten().filter(|total| total["service"] == "dynamodb");
        let count = |total: &Value| Some((total["operation"].as_str()?.to_owned(), total["count"].as_u64()?));
        Ok(ours.filter_map(count).collect())
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.endpoint.trim_start_matches("http://"))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| format!("shardflow-local: {error}"))?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|_| format!("shardflow-local answers {answer}"))
    }
}
