//! The handle through which a test controls the service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::calls::CallLog;
use super::rule::Rules;
use super::{
    Asked, Call, CallRecord, Calls, Decision, Fault, Operation, Outcome, PendingCall, Rule, RuleBuilder,
};
use crate::clock::RunningClock;
use crate::regions::Regions;

/// Makes calls fail, moves the service's time, and sees every call. The same can be done over HTTP, for tests in other
/// languages: see [the admin path](crate#control-over-http).
///
/// ```
/// # use shardflow_local::{Config, Fault, Local, Operation};
/// # let local = Local::new(Config::default())?;
/// let control = local.control();
/// let rule = control.on(Operation::PutRecords).stream("orders").times(3).then(Fault::Throttle);
/// control.intercept(|call| (call.body.len() > 1_000_000).then(Fault::internal_failure));
/// // … run what is to be tested …
/// assert_eq!(rule.hits(), 0);
/// control.clear();
/// # Ok::<(), shardflow_local::StartError>(())
/// ```
#[derive(Debug)]
pub struct Control {
    rules: Rules,
    log: CallLog,
    clock: Arc<RunningClock>,
    regions: Arc<Regions>,
}

impl Control {
    pub(crate) fn new(clock: Arc<RunningClock>, regions: Arc<Regions>) -> Self {
        Self { rules: Rules::default(), log: CallLog::default(), clock, regions }
    }

    /// Starts a rule for an operation, several, a service, or [`Calls::all`]. Rules are asked in the order in which they
    /// were made.
    pub fn on(&self, calls: impl Into<Calls>) -> RuleBuilder<'_> {
        self.rules.on(calls.into())
    }

    /// Asks a closure about each call. It runs on the service's task: it must not block.
    pub fn intercept(&self, ask: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) -> Rule {
        self.rules.ask(ask)
    }

    /// The rules in force.
    pub fn rules(&self) -> Vec<Rule> {
        self.rules.all()
    }

    /// Removes every rule, and forgets every call.
    pub fn clear(&self) {
        self.rules.clear();
        self.log.clear();
    }

    /// Expires every shard iterator that was given out so far.
    pub fn expire_iterators(&self) {
        self.regions.each(|kinesis| kinesis.expire_iterators());
    }

    /// Ends every open subscription as the service does after five minutes: without an error, and to be taken up again
    /// where it ended.
    pub fn end_subscriptions(&self) {
        self.regions.each(|kinesis| kinesis.end_subscriptions());
        self.regions.wake_all();
    }

    /// Cuts the connection of every open subscription.
    pub fn cut_subscriptions(&self) {
        self.regions.cut_all();
    }

    /// Subscriptions whose reader is still there.
    pub fn open_subscriptions(&self) -> usize {
        self.regions.watching()
    }

    /// Puts the service's clock forward. What is due by then (a reshard, an expiry, an event) happens; what waits on the
    /// client's side does not notice.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.regions.wake_all();
    }

    /// The last calls, the oldest first: 10,000 at most. Calls of unknown operations and with unreadable bodies are among
    /// them, though rules do not see these.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.log.last()
    }

    /// How many calls of each operation that there is here there were since the start or the last [`clear`](Self::clear).
    pub fn totals(&self) -> BTreeMap<Operation, u64> {
        self.log.totals()
    }

    pub(crate) fn decide(&self, call: &Call<'_>) -> Decision {
        self.rules.decide(call)
    }

    /// Logs a call that could not even be read.
    pub(crate) fn unread(&self, asked: Asked, resource: Option<String>, region: &str, code: &str) {
        let outcome = Outcome::Refused { code: code.to_owned() };
        let region = region.to_owned();
        self.log.push(CallRecord { operation: asked, resource, region, at: self.clock.now(), outcome });
    }

    pub(crate) fn begin(&self, call: &Call<'_>) -> PendingCall<'_> {
        PendingCall::new(&self.log, call)
    }
}
