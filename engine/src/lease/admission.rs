//! Whether a table may be worked on: not while workers of a KCL 2 do, which steal leases and know no leader.

use std::collections::BTreeMap;

use shardflow_core::{ClientVersion, LeaseKey};

use super::coordinator::Coordinator;
use super::messages::{Answer, Pending, Request};
use crate::Moment;

/// What is known of the table.
#[derive(Debug)]
pub(super) enum Admission {
    /// Nothing.
    Unknown,
    /// Nothing says for which KCL it is, and some leases have owners that have not said that they are there: those of a
    /// KCL 2, or of a fleet that is gone. Their counters tell.
    Watching { since: Moment, counters: BTreeMap<LeaseKey, u64> },
    /// It is being noted that it is for a KCL 3.
    Claiming,
    /// It is for a KCL 3.
    Granted,
}

impl Admission {
    pub(super) fn is_granted(&self) -> bool {
        matches!(self, Self::Granted)
    }
}

impl Coordinator {
    /// Whether the table may be worked on, after a look at it.
    pub(super) fn admit(&mut self, now: Moment, version: Option<&ClientVersion>) -> bool {
        match version {
            Some(version) if version.is_3x() => {
                self.grant(now);
                return true;
            }
            Some(version) => {
                self.unable(
                    "TableOfAnotherVersion",
                    format!(
                        "its row Migration3.0 says {version}: finish the migration to KCL 3 first, or choose another table"
                    ),
                );
                return false;
            }
            None if self.admission.is_granted() => return true,
            None => {}
        }
        let strangers =
            self.seen.iter().map(|seen| &seen.row).filter(|row| {
                row.holder().is_some_and(|holder| *holder != self.me && !self.members.has(holder))
            });
        let counters: BTreeMap<_, _> = strangers.map(|row| (row.key.clone(), row.counter)).collect();
        match &self.admission {
            Admission::Watching { counters: before, .. }
                if before.iter().any(|(key, counter)| counters.get(key).is_some_and(|c| c != counter)) =>
            {
                let message = "workers that have told nothing of themselves renew its leases, as those of a KCL 2 do: \
                               stop them first, or choose another table";
                self.unable("TableInUseByKcl2", message.into());
                return false;
            }
            Admission::Watching { since, .. } if now.since(*since) < self.settings.failover * 2 => {
                return false;
            }
            Admission::Unknown if !counters.is_empty() => {
                self.admission = Admission::Watching { since: now, counters };
                return false;
            }
            Admission::Claiming => return false,
            Admission::Unknown | Admission::Watching { .. } | Admission::Granted => {}
        }
        self.admission = Admission::Claiming;
        self.send(Pending::Claim, Request::Claim(ClientVersion::V3));
        false
    }

    pub(super) fn claimed(&mut self, now: Moment, answer: Answer) {
        match answer {
            Answer::Written => {
                self.grant(now);
                self.next_look = now;
            }
            Answer::Failed(failure) => {
                self.admission = Admission::Unknown;
                self.table_failed(now, failure);
            }
            // Another worker was faster; a look tells what it has noted.
            _ => {
                self.admission = Admission::Unknown;
                self.next_look = now;
            }
        }
    }

    fn grant(&mut self, now: Moment) {
        if !self.admission.is_granted() {
            self.admission = Admission::Granted;
            self.report.begin(now);
        }
    }
}
