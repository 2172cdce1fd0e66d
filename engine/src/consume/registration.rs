//! Finding the consumer that a worker subscribes with, or registering it.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::{Failure, Verdict};

/// The way to a consumer that is ACTIVE, or to the word that there is none.
#[derive(Debug)]
pub struct Registration {
    step: Step,
    register: bool,
    tries: u32,
    rng: Rng,
}

#[derive(Debug)]
enum Step {
    Ask(RegistrationRequest),
    WaitAndAsk(RegistrationRequest),
    End(Result<Found, Failure>),
}

/// What the way ends at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// The ARN of a consumer that is ACTIVE.
    Consumer(Arc<str>),
    /// There is none, and trying again will not help.
    None {
        /// Why.
        reason: String,
    },
}

/// What is to be done next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegistrationStep {
    /// Ask the service.
    Ask(RegistrationRequest),
    /// Wait, and then come back.
    Wait(Duration),
    /// This is what came of it.
    End(Result<Found, Failure>),
}

/// What the service is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegistrationRequest {
    /// The stream's ARN, by its name.
    DescribeStream,
    /// The consumer.
    DescribeConsumer,
    /// To register the consumer.
    Register,
}

/// What it answers.
#[derive(Clone, Debug)]
pub enum RegistrationAnswer {
    /// The stream is there, and its ARN known.
    Stream,
    /// The consumer.
    Consumer {
        /// Its ARN.
        arn: Arc<str>,
        /// Whether it can subscribe already.
        active: bool,
    },
}

impl Registration {
    /// Begins with the stream unless its ARN or the consumer's is known. `register` says whether a consumer that is not
    /// there is registered.
    #[must_use]
    pub fn new(arn_known: bool, register: bool, seed: u64) -> Self {
        let first = if arn_known {
            RegistrationRequest::DescribeConsumer
        } else {
            RegistrationRequest::DescribeStream
        };
        Self { step: Step::Ask(first), register, tries: 0, rng: Rng::with_seed(seed) }
    }

    /// What is to be done next.
    pub fn poll_step(&mut self) -> RegistrationStep {
        match &self.step {
            Step::Ask(request) => RegistrationStep::Ask(*request),
            Step::WaitAndAsk(request) => {
                self.step = Step::Ask(*request);
                RegistrationStep::Wait(PAUSE + PAUSE.mul_f64(self.rng.f64() / 4.0))
            }
            Step::End(end) => RegistrationStep::End(end.clone()),
        }
    }

    /// What was asked last is answered.
    pub fn answered(&mut self, answer: Result<RegistrationAnswer, Failure>) {
        let Step::Ask(asked) = self.step else { return };
        self.tries += 1;
        let again = RegistrationRequest::DescribeConsumer;
        self.step = match answer {
            Ok(RegistrationAnswer::Stream) => self.first(again),
            Ok(RegistrationAnswer::Consumer { arn, active: true }) => Step::End(Ok(Found::Consumer(arn))),
            // Becoming ACTIVE, or going.
            Ok(RegistrationAnswer::Consumer { .. }) if self.tries < CREATING_TRIES => Step::WaitAndAsk(again),
            Ok(RegistrationAnswer::Consumer { arn, .. }) => {
                Step::End(Err(Failure::refused("NotActive", format!("{arn} does not become ACTIVE"))))
            }
            Err(failure) => self.refused(asked, failure),
        };
    }

    fn refused(&mut self, asked: RegistrationRequest, failure: Failure) -> Step {
        let missing = failure.code == "ResourceNotFoundException";
        match asked {
            RegistrationRequest::DescribeConsumer if missing && self.register => {
                self.first(RegistrationRequest::Register)
            }
            RegistrationRequest::DescribeConsumer if missing => none(failure),
            // The stream: it may come back.
            _ if missing => Step::End(Err(failure)),
            // Another worker was faster, or the stream is just being changed.
            RegistrationRequest::Register if failure.code == "ResourceInUseException" => {
                self.again(RegistrationRequest::DescribeConsumer, failure)
            }
            _ if matches!(failure.verdict(), Verdict::Refuse | Verdict::Isolate) => none(failure),
            // A stream has twenty consumers at most. That is said with the same code as a rate that is too high.
            RegistrationRequest::Register
                if failure.code == "LimitExceededException" && self.tries >= TRIES =>
            {
                none(failure)
            }
            asked => self.again(asked, failure),
        }
    }

    fn first(&mut self, request: RegistrationRequest) -> Step {
        self.tries = 0;
        Step::Ask(request)
    }

    fn again(&self, request: RegistrationRequest, failure: Failure) -> Step {
        if self.tries < TRIES { Step::WaitAndAsk(request) } else { Step::End(Err(failure)) }
    }
}

fn none(failure: Failure) -> Step {
    Step::End(Ok(Found::None { reason: format!("{}: {}", failure.code, failure.message) }))
}

/// Tries of one step, and the pause between two, as the KCL's.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at a consumer that is not ACTIVE yet. It takes seconds on AWS.
const CREATING_TRIES: u32 = 60;

#[cfg(test)]
mod tests {
    use super::RegistrationRequest::{DescribeConsumer, DescribeStream, Register};
    use super::*;

    type Answer = Result<RegistrationAnswer, Failure>;

    fn refused(code: &str) -> Answer {
        Err(Failure::refused(code, "no"))
    }

    fn consumer(active: bool) -> Answer {
        Ok(RegistrationAnswer::Consumer { arn: "arn".into(), active })
    }

    /// Answers in turn, the last one again and again; gives what was asked and the end.
    fn walk(mut way: Registration, answers: &[Answer]) -> (Vec<RegistrationRequest>, Result<Found, Failure>) {
        let mut asked = Vec::new();
        let mut waited = Duration::ZERO;
        loop {
            match way.poll_step() {
                RegistrationStep::Ask(request) => {
                    asked.push(request);
                    way.answered(answers[(asked.len() - 1).min(answers.len() - 1)].clone());
                }
                RegistrationStep::Wait(wait) => waited += wait,
                RegistrationStep::End(end) => {
                    assert!(waited < Duration::from_secs(80), "it ends in time: {waited:?}");
                    return (asked, end);
                }
            }
        }
    }

    fn found() -> Result<Found, Failure> {
        Ok(Found::Consumer("arn".into()))
    }

    #[test]
    fn a_consumer_is_found_or_registered() {
        let stream = || Ok(RegistrationAnswer::Stream);
        let missing = || refused("ResourceNotFoundException");
        let cases = [
            (vec![stream(), consumer(true)], vec![DescribeStream, DescribeConsumer]),
            (
                vec![stream(), missing(), consumer(false), consumer(false), consumer(true)],
                vec![DescribeStream, DescribeConsumer, Register, DescribeConsumer, DescribeConsumer],
            ),
            // Another worker registers it at the same time.
            (
                vec![stream(), missing(), refused("ResourceInUseException"), consumer(true)],
                vec![DescribeStream, DescribeConsumer, Register, DescribeConsumer],
            ),
            (
                vec![refused("LimitExceededException"), stream(), refused("Timeout"), consumer(true)],
                vec![DescribeStream, DescribeStream, DescribeConsumer, DescribeConsumer],
            ),
        ];
        for (answers, expected) in cases {
            assert_eq!(walk(Registration::new(false, true, 1), &answers), (expected, found()));
        }
        assert_eq!(
            walk(Registration::new(true, true, 1), &[consumer(true)]),
            (vec![DescribeConsumer], found())
        );
    }

    #[test]
    fn what_will_not_be_there_is_told_from_what_is_not_there_yet() {
        let missing = || refused("ResourceNotFoundException");
        let is_none = |end: &Result<Found, Failure>| matches!(end, Ok(Found::None { .. }));
        let (asked, end) = walk(Registration::new(true, false, 1), &[missing()]);
        assert!(asked == [DescribeConsumer] && is_none(&end), "registering costs money: {end:?}");
        let (_, end) = walk(Registration::new(false, true, 1), &[refused("AccessDeniedException")]);
        assert!(is_none(&end), "{end:?}");
        let (asked, end) =
            walk(Registration::new(true, true, 1), &[missing(), refused("LimitExceededException")]);
        assert!(asked.len() == 11 && is_none(&end), "twenty others: {end:?}");
        let (_, end) = walk(Registration::new(false, true, 1), &[missing()]);
        assert!(end.is_err(), "a stream may come back: {end:?}");
        let (asked, end) = walk(Registration::new(true, true, 1), &[refused("InternalFailure")]);
        assert!(asked.len() == 10 && end.is_err(), "{end:?}");
        let (_, end) = walk(Registration::new(true, true, 1), &[consumer(false)]);
        assert_eq!(end.unwrap_err().code, "NotActive");
    }
}
