//! How a worker says that it is there, and finds out that another one says so under the same name.

use std::collections::BTreeSet;
use std::time::Duration;

use shardflow_core::{Member, WorkerId};

use super::coordinator::Coordinator;
use super::messages::{Answer, Pending, Request};
use crate::{Failure, Moment};

/// What this worker has told of itself.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// When to tell again; nothing before the table may be written to.
    next: Option<Moment>,
    /// Which run of the worker this is. Nothing before the first look.
    instance: Option<String>,
    /// How often it has been written over another run's.
    rewritten: u32,
    /// The row of a former run, as it was first seen.
    former: Option<Member>,
    /// Whether a row of this run is known to be in the table.
    told: bool,
    /// Workers of whose clocks was told already.
    skewed: BTreeSet<WorkerId>,
}

impl Report {
    /// The worker is to be known from now on.
    pub(super) fn begin(&mut self, now: Moment) {
        self.next.get_or_insert(now);
    }

    pub(super) fn wakes(&self) -> Option<Moment> {
        self.next
    }

    pub(super) fn answered(&mut self, now: Moment, answer: &Answer, every: Duration) {
        self.told |= matches!(answer, Answer::Written);
        let wait = if matches!(answer, Answer::Written) { every } else { Coordinator::PAUSE * 5 };
        self.next = Some(now.after(wait));
    }

    /// The instance as the row has it.
    fn written_instance(&self) -> Option<String> {
        let instance = self.instance.clone()?;
        Some(if self.rewritten == 0 { instance } else { format!("{instance}.{}", self.rewritten) })
    }

    /// Whether a clock that goes wrong has not been told of yet.
    pub(super) fn tell_skew(&mut self, worker: &WorkerId) -> bool {
        self.skewed.insert(worker.clone())
    }

    /// What a look shows of this worker itself. Two that have the same name each find the other's run in their row: the
    /// later one gives way. That is the one that has found the other's row when it came, whatever the clocks say; of two
    /// that came at once, chance has made one the later.
    pub(super) fn look(
        &mut self,
        now: Moment,
        wall: u64,
        nonce: u64,
        me: &WorkerId,
        rows: &[Member],
    ) -> Option<Failure> {
        let row = rows.iter().find(|row| row.worker == *me);
        if self.instance.is_none() {
            let found = row.and_then(|row| row.instance.as_deref()).and_then(began);
            let began = found.map_or(wall, |found| wall.max(found.saturating_add(1)));
            // Fixed width, so that the order of texts is that of times.
            self.instance = Some(format!("{began:012}-{nonce:016x}"));
            self.former = row.cloned();
        }
        let row =
            row.filter(|row| self.told && Some(*row) != self.former.as_ref() && !bug!(SameNameUnseen))?;
        let (mine, other) = (self.instance.as_deref()?, row.instance.as_deref()?);
        if other.starts_with(mine) {
            return None;
        }
        if other > mine {
            // It has to see that it came later, and not to take this for the row that it found.
            self.rewritten += 1;
            self.next = Some(now);
            return None;
        }
        let message = format!("another worker is running under the name {me}: each needs one of its own");
        Some(Failure::refused("DuplicateWorkerId", message))
    }
}

/// When that run began, as its worker has it.
fn began(instance: &str) -> Option<u64> {
    instance.split_once('-')?.0.parse().ok()
}

impl Coordinator {
    /// Says that this worker is there, if it is time to.
    pub(super) fn report_in_time(&mut self, now: Moment) {
        if self.stopping.is_some() || self.report.next.is_none_or(|next| next > now) {
            return;
        }
        self.report.next = None;
        let mut row = Member::new(self.me.clone(), 0);
        row.instance = self.report.written_instance();
        self.send(Pending::Report, Request::Report(Box::new(row)));
    }
}
