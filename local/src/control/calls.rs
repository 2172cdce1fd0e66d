//! Calls as they come in, and the log of what became of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::SystemTime;

use super::{Operation, Service};

/// A call that was decoded and is about to be carried out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// What it asks for.
    pub operation: Operation,
    /// The stream or table that it names; none where it names none, or several.
    pub resource: Option<&'a str>,
    /// The region that it was signed for.
    pub region: &'a str,
    /// When it came, on the service's clock.
    pub at: SystemTime,
    /// Its body as the client sent it.
    pub body: &'a [u8],
}

/// A call and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CallRecord {
    /// What it asked for.
    pub operation: Asked,
    /// The stream or table that it named.
    pub resource: Option<String>,
    /// The region that it was signed for.
    pub region: String,
    /// When it came, on the service's clock.
    pub at: SystemTime,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a call asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Asked {
    /// An operation that there is here. It compares equal to that operation itself.
    Known(Operation),
    /// One that there is not. Rules do not see such calls.
    Unknown {
        /// The service, if it is one of ours.
        service: Option<Service>,
        /// The operation in the client's words; with its service, or the path, where the service is not ours.
        name: String,
    },
}

/// What became of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Applied and answered.
    Succeeded,
    /// Answered, with so many entries of PutRecords not applied.
    PartlyFailed {
        /// How many.
        entries: usize,
    },
    /// Refused, by the service or by a rule.
    Refused {
        /// With which code.
        code: String,
    },
    /// Cut by a rule before it was applied.
    RequestDropped,
    /// Cut by a rule after it was applied.
    ResponseDropped,
    /// Left without an answer by a rule.
    Hung,
    /// The client went away before it was applied.
    Abandoned,
}

impl Asked {
    /// The service; none if it is not one of ours.
    #[must_use]
    pub fn service(&self) -> Option<Service> {
        match self {
            Self::Known(operation) => Some(operation.service()),
            Self::Unknown { service, .. } => *service,
        }
    }

    /// The operation's name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Known(operation) => operation.name(),
            Self::Unknown { name, .. } => name,
        }
    }
}

impl From<Operation> for Asked {
    fn from(operation: Operation) -> Self {
        Self::Known(operation)
    }
}

impl PartialEq<Operation> for Asked {
    fn eq(&self, operation: &Operation) -> bool {
        *self == Self::Known(*operation)
    }
}

/// The last calls, and how many of each there were ever.
#[derive(Debug, Default)]
pub(crate) struct CallLog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    last: VecDeque<CallRecord>,
    totals: BTreeMap<Operation, u64>,
}

/// Enough for any test to look back on, and a few megabytes at most.
const KEPT: usize = 10_000;

impl CallLog {
    pub(super) fn last(&self) -> Vec<CallRecord> {
        self.log().last.iter().cloned().collect()
    }

    pub(super) fn totals(&self) -> BTreeMap<Operation, u64> {
        self.log().totals.clone()
    }

    pub(super) fn clear(&self) {
        *self.log() = Log::default();
    }

    pub(super) fn push(&self, record: CallRecord) {
        let mut log = self.log();
        if let Asked::Known(operation) = record.operation {
            *log.totals.entry(operation).or_default() += 1;
        }
        if log.last.len() == KEPT {
            log.last.pop_front();
        }
        log.last.push_back(record);
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().expect("nothing panics while it holds the log")
    }
}

/// A call that is being carried out. It is logged when its end is told, or as abandoned when it is dropped before.
#[derive(Debug)]
pub(crate) struct PendingCall<'a> {
    log: &'a CallLog,
    record: Option<CallRecord>,
}

impl<'a> PendingCall<'a> {
    pub(super) fn new(log: &'a CallLog, call: &Call<'_>) -> Self {
        let record = CallRecord {
            operation: call.operation.into(),
            resource: call.resource.map(str::to_owned),
            region: call.region.to_owned(),
            at: call.at,
            outcome: Outcome::Abandoned,
        };
        Self { log, record: Some(record) }
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        if let Some(record) = self.record.take() {
            self.log.push(CallRecord { outcome, ..record });
        }
    }
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        self.end(Outcome::Abandoned);
    }
}
