//! What the steps of a run have come to.

use std::process::ExitCode;
use std::time::Duration;

/// How one step has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// So many tests passed and failed in it.
    Ran { passed: u64, failed: u64 },
    /// It needs something that this machine lacks.
    Skipped { reason: String },
}

impl Outcome {
    /// The outcome of a step that has this part and another.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ran { passed, failed }, Self::Ran { passed: more, failed: worse }) => {
                Self::Ran { passed: passed + more, failed: failed + worse }
            }
            (skipped @ Self::Skipped { .. }, _) | (_, skipped @ Self::Skipped { .. }) => skipped,
        }
    }

    /// The outcome of a step that is one test by itself.
    pub(crate) fn of(success: bool) -> Self {
        Self::Ran { passed: u64::from(success), failed: u64::from(!success) }
    }
}

/// All steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<(&'static str, Outcome, Duration)>);

impl Report {
    pub(crate) fn add(&mut self, step: &'static str, outcome: Outcome, took: Duration) {
        self.0.push((step, outcome, took));
    }

    /// Prints a line a step and, last, the sum. With `require_all` a step that was left out has failed.
    #[expect(clippy::print_stdout, reason = "this is what the command is for")]
    pub(crate) fn print(&self, require_all: bool) -> ExitCode {
        let (mut all_passed, mut all_failed) = (0, 0);
        println!();
        for (step, outcome, took) in &self.0 {
            let took = took.as_secs_f64();
            match outcome {
                Outcome::Ran { passed, failed } => {
                    all_passed += passed;
                    all_failed += failed;
                    println!("{step:<21} {passed:>5} passed {failed:>3} failed {took:>7.1} s");
                }
                Outcome::Skipped { reason } => {
                    all_failed += u64::from(require_all);
                    println!("{step:<21} left out: {reason}");
                }
            }
        }
        println!("\n{all_passed} passed, {all_failed} failed");
        if all_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
