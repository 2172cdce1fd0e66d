//! The command: what it prints, how it stops, and what it says to wrong arguments.
#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardflow-local"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running command and the URL it said it is ready at. Killed if a test fails.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    endpoint: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let endpoint = line.trim().strip_prefix("shardflow-local is ready at ").expect(&line).to_owned();
        Self { child, stdout, endpoint }
    }

    fn port(&self) -> u16 {
        self.endpoint.rsplit(':').next().unwrap().parse().unwrap()
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(|_| ()).unwrap_or_default();
    }
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_is_ready_with_its_streams_in_the_region_and_account_given() {
    let arguments =
        ["--port", "0", "--stream", "orders:4", "--stream", "payments:1", "--region", "eu-west-1"];
    let running = Running::start(&[&arguments[..], &["--account", "123456789012"]].concat());
    assert!(running.endpoint.starts_with("http://127.0.0.1:"));
    let body = r#"{"StreamName":"orders"}"#;
    let answer = running.ask(&format!(
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Kinesis_20131202.DescribeStreamSummary\r\ncontent-length: \
         {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ));
    assert!(answer.contains("arn:aws:kinesis:eu-west-1:123456789012:stream/orders"), "{answer}");
    assert!(answer.contains(r#""OpenShardCount":4"#), "{answer}");
}

#[test]
fn it_shows_its_certificate_when_it_speaks_tls() {
    let mut running = Running::start(&["--port", "0", "--tls"]);
    assert!(running.endpoint.starts_with("https://127.0.0.1:"));
    let mut line = String::new();
    running.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "-----BEGIN CERTIFICATE-----\n");
}

#[cfg(target_os = "linux")]
#[test]
fn it_takes_less_than_thirty_megabytes_when_it_is_ready() {
    for arguments in [&["--port", "0", "--stream", "orders:4"][..], &["--port", "0", "--tls"]] {
        let running = Running::start(arguments);
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let peak: u64 = peak.expect(&status).parse().unwrap();
        assert!(peak < 30 * 1024, "{peak} KiB with {arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn it_stops_when_it_is_told_to() {
    for signal in ["-INT", "-TERM"] {
        let mut running = Running::start(&["--port", "0"]);
        Command::new("kill").args([signal, &running.child.id().to_string()]).status().unwrap();
        assert!(running.child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn a_busy_port_is_an_error_that_says_what_to_do() {
    let running = Running::start(&["--port", "0"]);
    let port = running.port().to_string();
    let output = command(&["--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = complaint(&output);
    assert!(complaint.starts_with(&format!("error: cannot listen on 127.0.0.1:{port}: ")), "{complaint}");
    assert!(complaint.contains("--port 0"), "{complaint}");
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_arguments_exit_with_two_and_a_reason() {
    let cases: [(&[&str], &str); 8] = [
        (&["--port", "70000"], "70000"),
        (&["--stream", "orders"], "write NAME:SHARDS, as in orders:4"),
        (&["--stream", "orders:0"], "SHARDS is a number of 1 to 10000"),
        (&["--stream", "orders:many"], "SHARDS is a number of 1 to 10000"),
        (&["--stream", "or ders:1"], "stream name \"or ders\" is not valid"),
        (&["--account", "12"], "account \"12\" is not twelve digits"),
        (&["--region", "Mars"], "region \"Mars\" is not made of"),
        (&["--sing"], "--sing"),
    ];
    for (arguments, reason) in cases {
        let output = command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let complaint = complaint(&output);
        assert!(complaint.starts_with("error: ") && complaint.contains(reason), "{arguments:?}: {complaint}");
    }
}

#[test]
fn a_stream_that_is_given_twice_is_an_error() {
    let output = command(&["--port", "0", "--stream", "a:1", "--stream", "a:2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("already exists"), "{}", complaint(&output));
}
