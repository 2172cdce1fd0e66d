//! Rules: which calls a fault happens to.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Call, Calls, Fault};

/// A rule under construction: see [`Control::on`](super::Control::on). Without further words it is for every call.
#[derive(Debug)]
#[must_use = "a rule does nothing before it is told what to do: `then`"]
pub struct RuleBuilder<'a> {
    rules: &'a Rules,
    scope: Scope,
}

/// A rule that is in force. Dropping it changes nothing: it stays until it is removed, its times are used up, or
/// [`Control::clear`](super::Control::clear).
#[derive(Clone, Debug)]
pub struct Rule(Arc<Entry>);

/// What the rules say to one call.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    pub(crate) delay: Duration,
    pub(crate) fault: Option<Fault>,
}

/// All rules in force, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    entries: Mutex<Vec<Arc<Entry>>>,
    ever: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    scope: Scope,
    action: Action,
    seen: AtomicU64,
    hits: AtomicU64,
    removed: AtomicBool,
}

/// Which calls a rule is for.
#[derive(Clone, Debug)]
struct Scope {
    calls: Calls,
    resource: Option<String>,
    after: u64,
    every: u64,
    times: u64,
}

type Question = dyn Fn(&Call<'_>) -> Option<Fault> + Send + Sync;

enum Action {
    Fault(Fault),
    Ask(Box<Question>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Ask(_) => f.write_str("Ask"),
        }
    }
}

impl RuleBuilder<'_> {
    /// Only calls that name this stream.
    pub fn stream(self, name: impl Into<String>) -> Self {
        self.resource(name)
    }

    /// Only calls that name this table.
    pub fn table(self, name: impl Into<String>) -> Self {
        self.resource(name)
    }

    /// Lets so many of its calls pass first.
    pub fn after(mut self, calls: u64) -> Self {
        self.scope.after = calls;
        self
    }

    /// Only each so many-th of its calls: 3 is the third, the sixth and so on.
    pub fn every(mut self, nth: u64) -> Self {
        self.scope.every = nth.max(1);
        self
    }

    /// At most so often.
    pub fn times(mut self, times: u64) -> Self {
        self.scope.times = times;
        self
    }

    /// Puts the rule in force.
    pub fn then(self, fault: Fault) -> Rule {
        self.rules.add(self.scope, Action::Fault(fault))
    }

    fn resource(mut self, name: impl Into<String>) -> Self {
        self.scope.resource = Some(name.into());
        self
    }
}

impl Rule {
    /// Its number, as the HTTP admin path knows it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// How often it did something.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.0.hits.load(Ordering::Relaxed)
    }

    /// Ends it.
    pub fn remove(&self) {
        self.0.removed.store(true, Ordering::Relaxed);
    }
}

impl Rules {
    pub(super) fn on(&self, calls: Calls) -> RuleBuilder<'_> {
        RuleBuilder { rules: self, scope: Scope::of(calls) }
    }

    pub(super) fn ask(&self, ask: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) -> Rule {
        self.add(Scope::of(Calls::all()), Action::Ask(Box::new(ask)))
    }

    pub(super) fn all(&self) -> Vec<Rule> {
        let mut entries = self.entries();
        entries.retain(|entry| !entry.removed.load(Ordering::Relaxed));
        entries.iter().map(|entry| Rule(Arc::clone(entry))).collect()
    }

    pub(super) fn clear(&self) {
        self.entries().clear();
    }

    /// What happens to a call: the delays of all rules that match, and the fault of the first one that has another.
    pub(super) fn decide(&self, call: &Call<'_>) -> Decision {
        let entries = {
            let mut entries = self.entries();
            if entries.is_empty() {
                return Decision::default();
            }
            entries.retain(|entry| !entry.removed.load(Ordering::Relaxed));
            // Not asked under the lock: a closure may well add or clear rules.
            entries.clone()
        };
        let mut decision = Decision::default();
        for entry in entries {
            match entry.fault_for(call) {
                None => {}
                Some(Fault::Delay(delay)) => decision.delay += delay,
                Some(fault) => {
                    decision.fault = Some(fault);
                    break;
                }
            }
        }
        decision
    }

    fn add(&self, scope: Scope, action: Action) -> Rule {
        let entry = Arc::new(Entry {
            id: self.ever.fetch_add(1, Ordering::Relaxed) + 1,
            scope,
            action,
            seen: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            removed: AtomicBool::new(false),
        });
        self.entries().push(Arc::clone(&entry));
        Rule(entry)
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().expect("nothing panics while it holds the rules")
    }
}

impl Scope {
    fn of(calls: Calls) -> Self {
        Self { calls, resource: None, after: 0, every: 1, times: u64::MAX }
    }
}

impl Entry {
    fn fault_for(&self, call: &Call<'_>) -> Option<Fault> {
        let scope = &self.scope;
        if !scope.calls.contains(call.operation) {
            return None;
        }
        if scope.resource.is_some() && scope.resource.as_deref() != call.resource {
            return None;
        }
        let fault = match &self.action {
            Action::Fault(fault) => fault.clone(),
            Action::Ask(ask) => ask(call)?,
        };
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let due =
            seen.checked_sub(scope.after).is_some_and(|past| past > 0 && past.is_multiple_of(scope.every));
        let left = |hits: u64| (hits < scope.times).then_some(hits + 1);
        let hit = due && self.hits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        if self.hits.load(Ordering::Relaxed) == scope.times {
            self.removed.store(true, Ordering::Relaxed);
        }
        hit.then_some(fault)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::control::{Operation, Service};

    fn call(operation: Operation, resource: &str) -> Call<'_> {
        Call { operation, resource: Some(resource), region: "", at: SystemTime::UNIX_EPOCH, body: &[] }
    }

    fn hits(rules: &Rules, calls: usize) -> Vec<usize> {
        let put = call(Operation::PutRecords, "orders");
        (1..=calls).filter(|_| rules.decide(&put).fault.is_some()).collect()
    }

    #[test]
    fn a_rule_counts_its_calls() {
        let rules = Rules::default();
        let rule = rules.on(Operation::PutRecords.into()).after(2).every(3).times(2).then(Fault::Throttle);
        assert_eq!(hits(&rules, 20), [5, 8]);
        assert_eq!(rule.hits(), 2);
        assert!(rules.all().is_empty(), "a rule that is used up goes");
    }

    #[test]
    fn a_rule_is_for_its_operation_and_its_stream_only() {
        let rules = Rules::default();
        let _rule = rules.on(Service::Kinesis.into()).stream("orders").then(Fault::Throttle);
        let faulty = |operation, stream| rules.decide(&call(operation, stream)).fault.is_some();
        assert!(faulty(Operation::GetRecords, "orders"));
        assert!(!faulty(Operation::GetRecords, "payments"));
        assert!(!faulty(Operation::GetItem, "orders"));
    }

    #[test]
    fn delays_add_up_and_the_first_other_fault_wins() {
        let rules = Rules::default();
        let second = Duration::from_secs(1);
        let _rules = [
            rules.on(Calls::all()).then(Fault::Delay(second)),
            rules.on(Calls::all()).then(Fault::Delay(second)),
            rules.on(Calls::all()).then(Fault::Hang),
            rules.on(Calls::all()).then(Fault::Throttle),
        ];
        let decision = rules.decide(&call(Operation::GetItem, "t"));
        assert_eq!((decision.delay, decision.fault), (2 * second, Some(Fault::Hang)));
    }

    #[test]
    fn a_closure_is_asked_and_a_removed_rule_is_not() {
        let rules = Rules::default();
        let rule = rules.ask(|call| (call.resource == Some("orders")).then_some(Fault::DropRequest));
        assert_eq!(hits(&rules, 2), [1, 2]);
        assert_eq!(rules.decide(&call(Operation::PutRecords, "payments")).fault, None);
        rule.remove();
        assert!(hits(&rules, 2).is_empty());
        assert_eq!(rule.hits(), 2);
    }
}
