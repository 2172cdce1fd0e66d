//! The lease table.

use std::collections::BTreeMap;

use shardflow_core::{LeaseChange, LeaseKey, LeaseRow, WorkerId};
use shardflow_engine::lease::{Answer, Request};

/// A write that has landed.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) worker: WorkerId,
    pub(super) before: Option<LeaseRow>,
    pub(super) after: LeaseRow,
    pub(super) change: Option<LeaseChange>,
}

/// The rows, changed in atomic steps as DynamoDB does.
#[derive(Debug, Default)]
pub(super) struct Table(pub(super) BTreeMap<LeaseKey, LeaseRow>);

impl Table {
    pub(super) fn carry_out(&mut self, worker: &WorkerId, request: Request) -> (Answer, Option<Written>) {
        let worker = worker.clone();
        match request {
            Request::List => (Answer::Rows(self.0.values().cloned().collect()), None),
            Request::Create(row) => match self.0.get(&row.key) {
                Some(existing) => (Answer::Conflict(Some(Box::new(existing.clone()))), None),
                None => {
                    self.0.insert(row.key.clone(), (*row).clone());
                    (Answer::Written, Some(Written { worker, before: None, after: *row, change: None }))
                }
            },
            Request::Write { key, change } => {
                let Some(row) = self.0.get_mut(&key) else { return (Answer::Conflict(None), None) };
                match change.apply_to(row) {
                    None => (Answer::Conflict(Some(Box::new(row.clone()))), None),
                    Some(after) => {
                        let before = Some(std::mem::replace(row, after.clone()));
                        (Answer::Written, Some(Written { worker, before, after, change: Some(change) }))
                    }
                }
            }
            Request::ListShards(_) => unreachable!("the stream answers that"),
        }
    }
}
