//! How the service is set up.

use std::time::Duration;

use crate::Clock;
use crate::kinesis::Limits;

/// How the service is set up. The default is one that behaves as AWS does, only that streams are created and changed in
/// 50 ms.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) limits: Limits,
    pub(crate) transition: Duration,
    pub(crate) clock: Clock,
}

impl Config {
    /// The region of requests that do not say theirs in their signature. Default: `us-east-1`.
    ///
    /// Every region has streams of its own; they are there when they are first asked for.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// The account in ARNs, twelve digits. Default: `000000000000`.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// Which limits are kept. Default: all.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a stream is CREATING, UPDATING or DELETING and a consumer CREATING or DELETING. Default: 50 ms. None at
    /// all spares a test its waiting; seconds show what a program does meanwhile, as it would at AWS.
    #[must_use]
    pub fn transition(mut self, transition: Duration) -> Self {
        self.transition = transition;
        self
    }

    /// Where time comes from. Default: tokio's clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            limits: Limits::default(),
            transition: Duration::from_millis(50),
            clock: Clock::default(),
        }
    }
}
