//! The service that takes the records.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::run::{lines, stop};

/// A running `bench-sink`, stopped when this is dropped. It also stops by itself when this process ends.
pub(super) struct Sink {
    child: Child,
    /// Where SDKs find it.
    pub(super) endpoint: String,
    /// The certificate that they have to trust.
    pub(super) ca: PathBuf,
    counts: String,
}

impl Sink {
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self, String> {
        let ca = folder.join("ca.pem");
        let mut command = Command::new(program);
        command.arg("--until-eof").arg("--ca").arg(&ca).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let ready = lines(&mut child).next().unwrap_or_default();
        let url = |scheme: &str| {
            let url = ready.split([' ', ',']).find(|word| word.starts_with(scheme));
            url.map(str::to_owned)
        };
        match (url("https://"), url("http://")) {
            (Some(endpoint), Some(counts)) => Ok(Self { child, endpoint, ca, counts }),
            _ => {
                stop(&mut child);
                Err("bench-sink does not start".to_owned())
            }
        }
    }

    /// Forgets what has come in.
    pub(super) fn reset(&self) -> Result<(), String> {
        self.call("POST /reset").map(|_| ())
    }

    /// What has come in since.
    pub(super) fn counts(&self) -> Result<Value, String> {
        self.call("GET /stats")
    }

    fn call(&self, what: &str) -> Result<Value, String> {
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.counts.trim_start_matches("http://"))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| format!("bench-sink: {error}"))?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|_| format!("bench-sink answers {answer}"))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}
