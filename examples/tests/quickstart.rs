//! The quick start where it cannot go well.

use std::net::TcpListener;
use std::process::Command;

#[test]
fn an_endpoint_where_nobody_listens_is_told_and_is_a_failure() {
    // It was free a moment ago, which is near enough.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(["--endpoint", &endpoint])
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.starts_with(&format!("no Kinesis at {endpoint}: ")), "{complaint}");
    assert!(complaint.contains("onnection refused"), "{complaint}");
    assert!(output.stdout.is_empty(), "nothing was done that could be reported");
}

#[test]
fn an_argument_that_is_none_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart")).args(["--rounds", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1..=10000"));
}
