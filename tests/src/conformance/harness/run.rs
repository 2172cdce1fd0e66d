//! Running checks against a server, and counting what came of it.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Check, Deviations, Target, Topic};

/// What came of one check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The server does as AWS does.
    Passed,
    /// It does not, or it does although the table says otherwise.
    Failed {
        /// How.
        why: String,
    },
    /// It does not, as the table says.
    Deviates {
        /// The table's words.
        instead: String,
        /// What happened this time.
        why: String,
    },
    /// The check makes no sense here.
    LeftOut {
        /// Why not.
        reason: String,
    },
}

/// A check and what came of it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The check's topic.
    pub topic: &'static str,
    /// Its name.
    pub check: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How many checks came to what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Those that passed.
    pub passed: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those that failed as the table says.
    pub deviations: usize,
    /// Those that were not run.
    pub left_out: usize,
}

/// Runs one check against the first of the targets that can do what it needs. They are one server, started in several
/// ways.
pub async fn run(topic: &Topic, check: &'static Check, targets: &[Target], known: &Deviations) -> Line {
    let started = Instant::now();
    let able = targets.iter().find(|target| target.lacks(check.needs).is_none());
    let verdict = match (able, targets.first()) {
        (Some(target), _) => judge(check, target, attempt(check, target).await, known),
        (None, Some(target)) => {
            let reason = target.lacks(check.needs).unwrap_or_default();
            Verdict::LeftOut { reason }
        }
        (None, None) => Verdict::LeftOut { reason: "there is no server".to_owned() },
    };
    Line { topic: topic.name, check: check.name, verdict, took: started.elapsed() }
}

async fn attempt(check: &Check, target: &Target) -> Result<(), String> {
    let context = target.context();
    let longest = target.longest();
    let result = timeout(longest, (check.run)(&context)).await;
    context.clean().await;
    result.unwrap_or_else(|_| Err(format!("not done after {longest:?}")))
}

fn judge(check: &Check, target: &Target, result: Result<(), String>, known: &Deviations) -> Verdict {
    match (result, known.of(target.name(), check.name)) {
        (Ok(()), None) => Verdict::Passed,
        (Ok(()), Some(instead)) => Verdict::Failed {
            why: format!("it passes, though the table of deviations says otherwise: {instead}"),
        },
        (Err(why), None) => Verdict::Failed { why },
        (Err(why), Some(instead)) => Verdict::Deviates { instead: instead.to_owned(), why },
    }
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed { .. } => self.failed += 1,
            Verdict::Deviates { .. } => self.deviations += 1,
            Verdict::LeftOut { .. } => self.left_out += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, deviations, left_out } = self;
        write!(f, "{passed} passed, {failed} failed, {deviations} known deviations, {left_out} left out")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, check, verdict, .. } = self;
        match verdict {
            Verdict::Passed => write!(f, "passed     {topic}: {check}"),
            Verdict::Failed { why } => write!(f, "FAILED     {topic}: {check}: {why}"),
            Verdict::Deviates { instead, .. } => write!(f, "deviates   {topic}: {check}: {instead}"),
            Verdict::LeftOut { reason } => write!(f, "left out   {topic}: {check}: {reason}"),
        }
    }
}
