//! The steps of `cargo xtask test`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::report::{Outcome, Report};
use crate::run::{Server, cargo, command, count_tests, root, say, succeeds, target};
use crate::tools;

/// A step: its name, and what it does.
type Step = (&'static str, fn() -> Outcome);

/// Cheap ones first; then each uses what the one before has built.
const STEPS: &[Step] = &[
    ("format", format),
    ("tests", tests),
    ("worlds", worlds),
    ("doc tests", doc_tests),
    ("quick start", quick_start),
    ("quick start elsewhere", quick_start_elsewhere),
    ("ready at once", ready_at_once),
    ("conformance", conformance),
    ("boto3", boto3),
    ("aws-sdk-js", aws_sdk_js),
    ("aws-kinesis-agg", aws_kinesis_agg),
    ("KCL for Java", kcl_for_java),
    ("package for Python", package_for_python),
    ("engine is pure", engine_is_pure),
    ("lints", lints),
    ("docs", docs),
    ("licences", licences),
];

/// Runs the steps whose name contains `only`.
pub(crate) fn test(require_all: bool, only: Option<&str>) -> ExitCode {
    let chosen: Vec<_> =
        STEPS.iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))).collect();
    if let (Some(only), []) = (only, &chosen[..]) {
        let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        say(&format!("no step has {only:?} in its name; there are: {}", names.join(", ")));
        return ExitCode::FAILURE;
    }
    let mut report = Report::default();
    for &&(name, step) in &chosen {
        say(&format!("\n=== {name}"));
        let before = Instant::now();
        let outcome = step();
        report.add(name, outcome, before.elapsed());
    }
    report.print(require_all)
}

fn format() -> Outcome {
    let workspace = succeeds(&mut cargo(&["fmt", "--all", "--check"]));
    // The fuzz targets are no members: they build with a nightly compiler only.
    let mut fuzz = command(&["rustfmt", "--check", "--edition=2024"]);
    for target in ["decode", "lease_row", "properties", "coordinator"] {
        fuzz.args([format!("fuzz/fuzz_targets/{target}.rs"), format!("fuzz/src/{target}.rs")]);
    }
    let fuzz = succeeds(&mut fuzz);
    Outcome::of(workspace && fuzz)
}

/// Unit and integration tests, the worlds of the simulator and the conformance suite among them.
fn tests() -> Outcome {
    count_tests(&mut cargo(&["test", "--workspace", "--all-features", "--no-fail-fast", "--all-targets"]))
}

/// How the simulator is built: optimised, and without what tests of the shells need.
const SIMULATOR: &[&str] =
    &["--quiet", "--profile=sim", "--package=shardflow-tests", "--no-default-features"];

/// Runs the simulator as it is told.
pub(crate) fn sim(arguments: &[String]) -> ExitCode {
    let mut simulator = cargo(&["run"]);
    simulator.args(SIMULATOR).args(["--bin=sim", "--"]).args(arguments);
    if succeeds(&mut simulator) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first three hundred worlds.
fn worlds() -> Outcome {
    let mut simulator = cargo(&["run"]);
    Outcome::of(succeeds(simulator.args(SIMULATOR).args(["--bin=sim", "--", "--seeds=300"])))
}

/// Each bug of others that is put back into the engine breaks a promise. It is no step of the tests: it takes minutes, and what
/// it tells is how good the simulator is.
pub(crate) fn known_bugs() -> ExitCode {
    let mut simulator = cargo(&["test"]);
    simulator.args(SIMULATOR).args(["--features=known-bugs", "--test=known_bugs"]);
    if succeeds(simulator.args(["--", "--include-ignored", "--nocapture"])) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The examples of the documentation and of the README.
fn doc_tests() -> Outcome {
    count_tests(&mut cargo(&["test", "--workspace", "--all-features", "--no-fail-fast", "--doc"]))
}

/// The README's first command.
fn quick_start() -> Outcome {
    Outcome::of(succeeds(&mut cargo(&["run", "--quiet", "--bin", "quickstart"])))
}

/// The same beside a service that it has not started: on a stream of its own, and on one that is there.
fn quick_start_elsewhere() -> Outcome {
    let Some(server) = Server::start(&["--stream", "orders:4"]) else { return Outcome::of(false) };
    let there =
        ["run", "--quiet", "--bin", "quickstart", "--", "--rounds", "10", "--endpoint", &server.endpoint];
    let own = Outcome::of(succeeds(&mut cargo(&there)));
    own.and(Outcome::of(succeeds(cargo(&there).args(["--stream", "orders"]))))
}

/// `shardflow-local` is ready within a tenth of a second. The best of several starts tells what it takes by itself,
/// whatever else this machine does meanwhile.
fn ready_at_once() -> Outcome {
    const WITHIN: Duration = Duration::from_millis(100);
    let starts = || Server::start(&["--stream", "orders:4"]).map(|server| server.ready_in);
    let Some(best) = (0..5).filter_map(|_| starts()).min() else { return Outcome::of(false) };
    say(&format!("ready in {:.1} ms, the best of five starts", best.as_secs_f64() * 1e3));
    Outcome::of(best < WITHIN)
}

/// What AWS does, asked of the built command over real sockets.
fn conformance() -> Outcome {
    let (Some(fast), Some(throttling)) = (Server::start(&["--no-limits"]), Server::start(&[])) else {
        return Outcome::of(false);
    };
    let check = |server: &Server, further: &[&str]| {
        let words =
            ["run", "--quiet", "--bin", "conformance", "--", "--server", "shardflow-local", "--endpoint"];
        count_tests(cargo(&words).arg(&server.endpoint).args(further))
    };
    check(&fast, &[]).and(check(&throttling, &["--throttles", "--only", "throttles"]))
}

/// Stock boto3 against the embedded service, by URL alone.
fn boto3() -> Outcome {
    with_server(tools::python(), |python, endpoint| {
        command(&[python, "tests/python/test_local.py", endpoint])
    })
}

/// The stock SDK for JavaScript against the embedded service, by URL alone.
fn aws_sdk_js() -> Outcome {
    with_server(tools::node(), |script, endpoint| command(&["node", script, endpoint]))
}

/// Counts the tests of a script that a tool runs against a server of ours, if the tool is there.
fn with_server(tool: Result<PathBuf, String>, script: impl Fn(&str, &str) -> Command) -> Outcome {
    let tool = match tool {
        Ok(tool) => tool,
        Err(reason) => return Outcome::Skipped { reason },
    };
    let Some(server) = Server::start(&[]) else { return Outcome::of(false) };
    count_tests(&mut script(&tool.to_string_lossy(), &server.endpoint))
}

/// AWS's library for Python takes apart what the producer leaves in a stream that is split.
fn aws_kinesis_agg() -> Outcome {
    with_splits(tools::python(), |python, file| command(&[python, "tests/python/decode.py", file]))
}

/// The KCL takes the same apart.
fn kcl_for_java() -> Outcome {
    with_splits(tools::kcl(), |home, file| {
        let mut java = command(&["java", "-cp"]);
        java.arg(format!("{home}/classes{}{home}/lib/*", if cfg!(windows) { ';' } else { ':' }));
        java.args(["Decode", file]);
        java
    })
}

/// Counts the tests of a decoder of a stream that was split, if the tool for it is there.
fn with_splits(tool: Result<PathBuf, String>, decoder: impl Fn(&str, &str) -> Command) -> Outcome {
    let tool = match tool {
        Ok(tool) => tool,
        Err(reason) => return Outcome::Skipped { reason },
    };
    let file = target().join("tools").join("splits.tsv");
    let Ok(output) = File::create(&file) else {
        say(&format!("cannot write {}", file.display()));
        return Outcome::of(false);
    };
    if !succeeds(cargo(&["run", "--quiet", "--bin", "splits"]).stdout(output)) {
        return Outcome::of(false);
    }
    count_tests(&mut decoder(&tool.to_string_lossy(), &file.to_string_lossy()))
}

/// The package for Python, built and installed as its users do, against the service that it has within.
fn package_for_python() -> Outcome {
    match tools::python_bindings() {
        Ok(python) => {
            let mut tests = command(&[&*python.to_string_lossy(), "-m", "pytest", "--quiet", "tests"]);
            count_tests(tests.current_dir(root().join("bindings-python")))
        }
        Err(reason) if reason.starts_with("needs") || reason.starts_with("pip") => {
            Outcome::Skipped { reason }
        }
        Err(reason) => {
            say(&reason);
            Outcome::of(false)
        }
    }
}

/// The engine builds where there is no clock, no thread and no socket.
fn engine_is_pure() -> Outcome {
    const TARGET: &str = "wasm32-unknown-unknown";
    if let Err(reason) = tools::rust_target(TARGET) {
        return Outcome::Skipped { reason };
    }
    Outcome::of(succeeds(&mut cargo(&["check", "--package", "shardflow-engine", "--target", TARGET])))
}

fn lints() -> Outcome {
    let words = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"];
    Outcome::of(succeeds(&mut cargo(&words)))
}

fn docs() -> Outcome {
    let words = ["doc", "--workspace", "--all-features", "--no-deps", "--document-private-items"];
    Outcome::of(succeeds(cargo(&words).env("RUSTDOCFLAGS", "--deny warnings")))
}

/// What `deny.toml` asks of all dependencies. Advisories change without us: they are looked up before a release.
fn licences() -> Outcome {
    if let Err(reason) = tools::cargo_deny() {
        return Outcome::Skipped { reason };
    }
    Outcome::of(succeeds(&mut cargo(&[
        "deny",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ])))
}
