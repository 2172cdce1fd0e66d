//! The programs, built.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::note;
use crate::run::{cargo, lines, stop, succeeds, target};
use crate::tools;

/// Everything that is needed to measure.
#[derive(Debug)]
pub(super) struct Bench {
    release: PathBuf,
    pub(super) runs: usize,
    with_kcl: bool,
    /// Where the worker of the KCL for Java and its libraries are, once a case has asked for it.
    kcl: OnceCell<Option<PathBuf>>,
}

impl Bench {
    pub(super) fn prepare(runs: usize, with_kcl: bool) -> Result<Self, String> {
        // The service is not measured: the build that tests have will do, and one for speed takes minutes.
        let built =
            succeeds(&mut cargo(&["build", "--quiet", "--release", "--package", "shardflow-benches"]))
                && succeeds(&mut cargo(&["build", "--quiet", "--bin", "shardflow-local"]));
        if !built {
            return Err("the programs do not build".to_owned());
        }
        Ok(Self { release: target().join("release"), runs, with_kcl, kcl: OnceCell::new() })
    }

    /// A run of `shardflow-local`.
    pub(super) fn service() -> Command {
        Command::new(target().join("debug").join("shardflow-local"))
    }

    /// A run of `bench-consumer`.
    pub(super) fn consumer(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.release.join("bench-consumer"));
        command.args(words);
        command
    }

    /// A run of the KCL for Java, if it is there. Why it is not, is told once.
    pub(super) fn kcl(&self, words: &[&str]) -> Option<Command> {
        let built = || {
            let folder = target().join("bench");
            let kcl =
                if self.with_kcl { tools::kcl_worker(&folder) } else { Err("not asked for".to_owned()) };
            kcl.inspect_err(|reason| note(&format!("the KCL for Java is left out: {reason}"))).ok()
        };
        let home = self.kcl.get_or_init(built).as_ref()?;
        let mut classes = OsString::from(home.join("bench-kcl.jar"));
        classes.push(":");
        classes.push(home.join("lib").join("*"));
        let mut command = Command::new("java");
        // The heap that its figures were always taken with; the service speaks JSON.
        command.args(["-Xmx512m", "-Daws.cborEnabled=false", "-cp"]).arg(classes).arg("BenchKcl").args(words);
        // Its SDK would look for credentials and for the machine's name on the network.
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        Some(command)
    }

    /// Runs `bench-consumer` to its end, and gives the JSON object that it prints.
    pub(super) fn result(&self, words: &[&str]) -> Result<Value, String> {
        Self::result_of(&mut self.consumer(words))
    }

    /// Runs a program to its end, and gives the JSON object that it prints.
    pub(super) fn result_of(command: &mut Command) -> Result<Value, String> {
        let mut running = Running::start(command)?;
        let object = lines(&mut running.child).filter(|line| line.starts_with('{')).last();
        let object = object.ok_or_else(|| format!("{command:?} prints no result"))?;
        serde_json::from_str(&object).map_err(|error| format!("{error} in {object}"))
    }
}

/// A process that we have started, ended when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    /// It ends by itself when this does.
    input: Option<ChildStdin>,
}

impl Running {
    pub(super) fn start(command: &mut Command) -> Result<Self, String> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    /// Tells it to end by itself.
    pub(super) fn end(&mut self) {
        drop(self.input.take());
    }

    /// Waits until it has ended by itself.
    pub(super) fn ended(&mut self, within: Duration) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < within {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("a program ends with {status}")),
                Ok(None) => std::thread::park_timeout(Duration::from_millis(10)),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!("a program does not end within {within:?}"))
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&mut self) {
        stop(&mut self.child);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// The middle one.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
