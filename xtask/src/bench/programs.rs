//! The programs that are measured: how they are built, and one run of each.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde_json::Value;

use super::case::Load;
use super::note;
use super::sink::Sink;
use crate::run::{cargo, lines, stop, succeeds, target};
use crate::tools;

/// What there is to be run.
pub(super) struct Programs {
    release: PathBuf,
    /// Where the KPL's driver and its libraries are, or why they are not.
    kpl: Result<PathBuf, String>,
    pub(super) sink: Sink,
}

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Program {
    Shardflow,
    Kpl,
    Floor,
    /// The floor of requests that are there already: their way through TLS is all that is left.
    Sending,
}

impl Program {
    /// Whether it puts records, as an application would.
    fn produces(self) -> bool {
        match self {
            Self::Shardflow | Self::Kpl => true,
            Self::Floor | Self::Sending => false,
        }
    }
}

/// How long a program runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) warm: f64,
    pub(super) seconds: f64,
    /// Records that are measured, instead of seconds; 0 leaves it at these.
    pub(super) records: u64,
}

impl Programs {
    pub(super) fn build(with_kpl: bool) -> Result<Self, String> {
        let folder = target().join("bench");
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        if !succeeds(&mut cargo(&["build", "--quiet", "--release", "--package", "shardflow-benches"])) {
            return Err("the programs do not build".to_owned());
        }
        let kpl = if with_kpl { tools::kpl(&folder) } else { Err("not asked for".to_owned()) };
        if let Err(reason) = &kpl {
            note(&format!("the KPL is left out: {reason}"));
        }
        let release = target().join("release");
        let sink = Sink::start(&release.join("bench-sink"), &folder)?;
        Ok(Self { release, kpl, sink })
    }

    pub(super) fn has_kpl(&self) -> bool {
        self.kpl.is_ok()
    }

    /// Runs a program to its end. Gives what it printed, and with it what has come into the sink.
    ///
    /// It is an error if that is not exactly what was put.
    pub(super) fn run(&self, program: Program, load: &Load, rate: f64, time: Time) -> Result<Value, String> {
        self.sink.reset()?;
        let mut command = self.command(program)?;
        let stream = format!("bench-{}", load.shards);
        let options: [(&str, &dyn ToString); 12] = [
            ("--endpoint", &self.sink.endpoint),
            ("--size", &load.size),
            ("--aggregate", &load.aggregate),
            ("--warm", &time.warm),
            ("--seconds", &time.seconds),
            ("--records", &time.records),
            // The floor has no use for the others.
            ("--stream", &stream),
            ("--outstanding", &load.outstanding),
            ("--threads", &load.threads),
            ("--linger", &load.linger),
            ("--rate", &rate),
            ("--keys", &"random"),
        ];
        let known = if program.produces() { options.len() } else { 6 };
        for (name, value) in &options[..known] {
            command.arg(name).arg(value.to_string());
        }
        if load.recorder && program == Program::Shardflow {
            command.arg("--recorder");
        }
        // The KPL's warm-up can take 25 s, and both can take half a minute to give a record up. The slowest case settles more
        // than 5,000 records a second.
        let measured = time.seconds.max(time.records as f64 / 5_000.0);
        let patience = Duration::from_secs_f64(time.warm + measured + 90.0);
        let mut result = result(command, patience).map_err(|error| format!("{program:?}: {error}"))?;
        let counts = self.sink.counts()?;
        let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or(0.0);
        if number(&counts, "kinesis_records") > 0.0 && program.produces() {
            let packed = number(&result, "records_in_all") / number(&counts, "kinesis_records");
            result["user_records_per_kinesis_record"] = packed.into();
            result["kinesis_records_per_request"] =
                (number(&counts, "kinesis_records") / number(&counts, "requests")).into();
        }
        if load.recorder && number(&result, "metric_values") < number(&result, "records_in_all") {
            return Err(format!("{program:?}, {}: the recorder did not hear of all records", load.name));
        }
        account(&result, &counts).map_err(|error| format!("{program:?}, {}: {error}", load.name))?;
        // The floor does not look which shard a record is of.
        if program.produces() && number(&counts, "misrouted") > 0.0 {
            return Err(format!("{program:?}, {}: an aggregate has records of other shards", load.name));
        }
        Ok(result)
    }

    fn command(&self, program: Program) -> Result<Command, String> {
        let ours = |name| {
            let mut command = Command::new(self.release.join(name));
            command.arg("--ca").arg(&self.sink.ca);
            command
        };
        Ok(match program {
            Program::Shardflow => ours("bench-producer"),
            Program::Floor => ours("bench-floor"),
            Program::Sending => {
                let mut command = ours("bench-floor");
                command.arg("--built");
                command
            }
            Program::Kpl => java(self.kpl.as_ref()?),
        })
    }
}

/// Whether everything that was put has come into the sink, once and whole, and nothing else has.
fn account(result: &Value, counts: &Value) -> Result<(), String> {
    for (count, what) in [
        (&result["failed"], "records failed"),
        (&counts["damaged"], "aggregates or keys are damaged"),
        (&counts["unreadable"], "requests could not be read"),
    ] {
        if count.as_u64().is_some_and(|count| count > 0) {
            return Err(format!("{count} {what}"));
        }
    }
    let (put, arrived) = (&result["records_in_all"], &counts["user_records"]);
    if put.as_u64() != arrived.as_u64() || put.is_null() {
        return Err(format!("{put} records were put, {arrived} have arrived"));
    }
    if result["key_sum"].as_u64() != counts["key_sum"].as_u64() {
        return Err(format!("{arrived} records have arrived, but not those that were put"));
    }
    Ok(())
}

/// The KPL's driver.
fn java(folder: &Path) -> Command {
    let mut classes = OsString::from(folder.join("bench-kpl.jar"));
    classes.push(":");
    classes.push(folder.join("lib").join("*"));
    let mut command = Command::new("java");
    command
        .args(["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"])
        .arg(classes)
        .arg("BenchKpl")
        .arg("--temp")
        .arg(folder)
        // Its native process would look for credentials on the network.
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// The JSON object that a program prints last, if it does within the time.
fn result(mut command: Command, patience: Duration) -> Result<Value, String> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let output = lines(&mut child);
    let (tell, told) = sync_channel(1);
    let reader = std::thread::spawn(move || tell.send(output.filter(|line| line.starts_with('{')).last()));
    let printed = told.recv_timeout(patience);
    // It has closed its output, or is late.
    let in_time = printed.is_ok();
    if in_time {
        let _ended = child.wait().is_ok();
    }
    stop(&mut child);
    let _told = reader.join().is_ok();
    let line = printed.map_err(|_| format!("does not end within {patience:?}"))?;
    let line = line.ok_or("prints no result")?;
    serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_account_must_close() {
        let put = json!({ "records_in_all": 3, "key_sum": u64::MAX, "failed": 0 });
        let arrived = |records: u64, key_sum: u64| {
            account(
                &put,
                &json!({ "user_records": records, "key_sum": key_sum, "damaged": 0, "unreadable": 0 }),
            )
        };
        assert_eq!(arrived(3, u64::MAX), Ok(()));
        assert_eq!(arrived(2, u64::MAX).unwrap_err(), "3 records were put, 2 have arrived");
        assert!(arrived(4, u64::MAX).is_err() && arrived(3, 7).is_err());
        assert!(account(&json!({}), &json!({})).is_err());
        let failed = json!({ "records_in_all": 3, "key_sum": 1, "failed": 1 });
        assert_eq!(account(&failed, &json!({})).unwrap_err(), "1 records failed");
        let damaged = json!({ "user_records": 3, "key_sum": u64::MAX, "damaged": 2, "unreadable": 0 });
        assert_eq!(account(&put, &damaged).unwrap_err(), "2 aggregates or keys are damaged");
    }
}
