//! Running other programs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::report::Outcome;

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// Where builds and fetched tools go. Git does not look there.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command in the workspace's folder, from its words.
pub(crate) fn command(words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().expect("a command has a name");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// The cargo that runs this.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words).current_dir(root());
    forget_package(&mut command);
    command
}

/// Takes from a command's environment what the cargo that started this says of this package. Build scripts such as ring's
/// look at it, so with it they and all that depends on them would be built anew each time.
pub(crate) fn forget_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
}

/// Runs a command to its end; a command that cannot be started has failed.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(&format!("{}: {error}", command.get_program().display()));
            false
        }
    }
}

/// Runs a command quietly, to see whether it is there.
pub(crate) fn exists(words: &[&str]) -> bool {
    let status = command(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs tests and counts them by the summary lines of the test harness, passing all output on.
pub(crate) fn count_tests(command: &mut Command) -> Outcome {
    let Ok(mut child) = command.stdout(Stdio::piped()).spawn() else { return Outcome::of(false) };
    let (mut passed, mut failed) = (0, 0);
    for line in lines(&mut child) {
        if let Some((p, f)) = summary(&line) {
            passed += p;
            failed += f;
        }
        say(&line);
    }
    let success = child.wait().is_ok_and(|status| status.success());
    // A build that breaks runs no test; that must not count as nothing failed.
    Outcome::Ran { passed, failed: if success { failed } else { failed.max(1) } }
}

/// The counts of a line such as `test result: ok. 12 passed; 0 failed; …`, or `12 passed, 0 failed` of our scripts.
fn summary(line: &str) -> Option<(u64, u64)> {
    let counts = match line.strip_prefix("test result: ") {
        Some(result) => result.split_once(". ")?.1,
        None => line,
    };
    let mut counts = counts.split([',', ';']);
    let mut count = |what| counts.next()?.trim_start().strip_suffix(what)?.parse().ok();
    Some((count(" passed")?, count(" failed")?))
}

/// A server of ours, stopped when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) endpoint: String,
    /// How long it took from its start until it was ready.
    pub(crate) ready_in: Duration,
}

impl Server {
    /// Starts `shardflow-local` on a free port, with further arguments, and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        if !succeeds(&mut cargo(&["build", "--quiet", "--bin", "shardflow-local"])) {
            return None;
        }
        // Not by `cargo run`: to stop that is not to stop what it runs.
        let binary =
            target().join("debug").join("shardflow-local").with_extension(std::env::consts::EXE_EXTENSION);
        let mut command = Command::new(binary);
        command.args(["--port", "0"]).args(arguments).stdout(Stdio::piped());
        let before = Instant::now();
        let mut child = command.spawn().ok()?;
        let ready = lines(&mut child).next();
        let ready_in = before.elapsed();
        let endpoint = ready.and_then(|line| {
            line.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned)
        });
        match endpoint {
            Some(endpoint) => Some(Self { child, endpoint, ready_in }),
            None => {
                say("shardflow-local does not start");
                stop(&mut child);
                None
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Stops what we have started.
pub(crate) fn stop(child: &mut Child) {
    // It may have ended by itself; then there is nothing to stop.
    let _killed = child.kill().is_ok();
    let _reaped = child.wait().is_ok();
}

/// What it prints, line by line.
pub(crate) fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let output = child.stdout.take().expect("its output is piped");
    BufReader::new(output).lines().map_while(Result::ok)
}

#[expect(clippy::print_stdout, reason = "the output of the steps is what a person reads")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn summaries_of_the_harness_and_of_scripts_are_read() {
        let harness = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(summary(harness), Some((12, 3)));
        assert_eq!(summary("9 passed, 1 failed"), Some((9, 1)));
        assert_eq!(summary("9 passed, 0 failed, 1 known deviations, 14 left out"), Some((9, 0)));
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "",
            "running 3 tests",
            "passed     a, b",
            "test result: ok. many passed; none failed",
            "3 passed",
        ] {
            assert_eq!(summary(line), None, "{line}");
        }
    }
}
