//! Workers whose clocks are wrong.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::fleet::Fleet;

/// A library that sets the clock of a process off. Linked with what Rust links with.
async fn library() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes/clock.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clock-{}.so", std::process::id()));
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let compiled =
        Command::new(compiler).args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().await;
    assert!(compiled.unwrap().success());
    library
}

/// With time enough that nobody loses a lease to the load of the machine.
const ARGUMENTS: [&str; 3] = ["--warnings", "--failover-millis", "3000"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_an_hour_off_do_no_damage_and_are_told_of() {
    let library = library().await;
    let mut fleet = Fleet::new(6).await;
    fleet.start_as("right", "right", &ARGUMENTS);
    fleet.shared(&["right"]).await;
    fleet.feed = 2;
    let off = [("ahead", 3_600), ("behind", -3_600)];
    for (name, seconds) in off {
        let environment = [("LD_PRELOAD", library.to_str().unwrap()), ("CLOCK_AHEAD", &seconds.to_string())];
        fleet.start_with(name, name, &ARGUMENTS, &environment);
    }
    let all = ["right", "ahead", "behind"];
    // Whose row is new and old at once is given leases once the row has changed, after half a minute.
    fleet.shared(&all).await;
    let told = |worker: &'static str, of: &'static str, seconds: i64| {
        move |account: &crate::account::Account| {
            account.said(worker, "warned").any(|line| {
                let ahead = line.more.split("seconds_ahead=").nth(1).and_then(|rest| rest.split(' ').next());
                let ahead: Option<i64> = ahead.and_then(|ahead| ahead.parse().ok());
                line.more.contains(&format!("worker={of} "))
                    && ahead.is_some_and(|a| (a - seconds).abs() < 60)
            })
        }
    };
    for (worker, of, seconds) in [
        ("right", "ahead", 3_600),
        ("right", "behind", -3_600),
        ("ahead", "behind", -7_200),
        ("ahead", "right", -3_600),
        ("behind", "ahead", 7_200),
        ("behind", "right", 3_600),
    ] {
        fleet.until("each is told of the others", told(worker, of, seconds)).await;
    }
    let repeats = fleet.account().repeats();
    assert!(repeats <= 6 * 2 * 50, "{repeats} repeats: more than the batches that were not checkpointed");
    fleet.kill("right").await;
    fleet.shared(&["ahead", "behind"]).await;
    fleet.stop("ahead").await;
    fleet.shared(&["behind"]).await;
    fleet.put(1_000);
    fleet.processed().await;
    fleet.end(&[]).await;
    std::fs::remove_file(library).unwrap();
}
