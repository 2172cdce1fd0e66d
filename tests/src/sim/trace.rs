//! Promises that were broken, and the way of one lease or of one key's records through a world that is run once more.

use std::fmt;
use std::time::Duration;

use shardflow_core::{HashKey, LeaseKey};
use shardflow_engine::produce::Outcome;

use super::invariants::{Id, Seen};

/// What a trace is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// A lease, with the shard that it is for.
    Lease(LeaseKey),
    /// A producer's key, both by number.
    Key(u16, u16),
}

impl Subject {
    pub(super) fn of(id: Id) -> Self {
        Self::Key(id.producer, id.key)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lease(key) => write!(f, "lease {key}"),
            Self::Key(producer, key) => write!(f, "key {producer}-{key}"),
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// Which: the name of a file in `invariants`, or what else a world must do.
    pub promise: &'static str,
    /// How.
    pub what: String,
    /// What it is about, if that is one thing.
    pub subject: Option<Subject>,
}

impl From<String> for Broken {
    fn from(what: String) -> Self {
        Self { promise: "the simulation itself", what, subject: None }
    }
}

impl From<&str> for Broken {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// What happens to one thing, line by line.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) subject: Option<Subject>,
    pub(super) lines: Vec<String>,
}

impl Trace {
    pub(super) fn see(&mut self, now: Duration, seen: &Seen<'_>) {
        let line = match &self.subject {
            None => return,
            _ if matches!(
                seen,
                Seen::Trouble { .. } | Seen::Aged | Seen::Healing | Seen::Calm { .. } | Seen::Stirred
            ) =>
            {
                match seen {
                    Seen::Trouble { what } => Some(format!("-- {what}")),
                    Seen::Aged => Some("-- everything leaves retention".into()),
                    Seen::Healing => Some("-- all trouble stops".into()),
                    Seen::Calm { .. } => Some("-- all is well, and nothing happens from now on".into()),
                    _ => Some("-- calm is over".into()),
                }
            }
            Some(Subject::Key(producer, key)) => of_key((*producer, *key), seen),
            Some(Subject::Lease(key)) => of_lease(key, seen),
        };
        let again = |line: &String| self.lines.last().is_some_and(|last| last.ends_with(line.as_str()));
        let line = line.filter(|line| !again(line)).map(|line| format!("{:>12.6} {line}", now.as_secs_f64()));
        self.lines.extend(line);
    }
}

fn of_lease(key: &LeaseKey, seen: &Seen<'_>) -> Option<String> {
    if !seen.subject().is_some_and(|subject| matches!(subject, Subject::Lease(lease) if lease == *key)) {
        return None;
    }
    Some(match seen {
        Seen::Written { worker, after, change, before, .. } => {
            let row = |row: &shardflow_core::LeaseRow| {
                let name = |worker: &Option<shardflow_core::WorkerId>| {
                    worker.as_ref().map_or_else(|| String::from("nobody"), ToString::to_string)
                };
                let from =
                    row.checkpoint_owner.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
                format!("{} {}{from} at {}", row.counter, name(&row.owner), row.checkpoint)
            };
            let change = change.map_or_else(|| "Create".into(), |change| format!("{change:?}"));
            let change = change.split([' ', '{']).next().unwrap_or_default().to_owned();
            let before = before.map(row).unwrap_or_default();
            let parents: Vec<_> = after.parents.iter().map(ToString::to_string).collect();
            let parents =
                if before.is_empty() { format!(", from {}", parents.join(" and ")) } else { String::new() };
            format!("{worker} writes {change}: [{before}] -> [{}]{parents}", row(after))
        }
        Seen::Began { run, row, .. } => format!("worker {} begins {run:?} behind {}", run.0, row.checkpoint),
        Seen::Restarted { run, checkpoint, .. } => {
            format!("worker {} has a fresh handler behind {checkpoint}", run.0)
        }
        Seen::Released { unsaved, .. } => format!("let go, unsaved: {unsaved:?}"),
        Seen::Processed { run, records, .. } => {
            let ends = records.first().zip(records.last());
            let ends = ends.map(|(first, last)| format!("{} to {}", first.at, last.at)).unwrap_or_default();
            format!("worker {} processes {} records, {ends}", run.0, records.len())
        }
        Seen::Lost { worker, cause, .. } => format!("{worker} loses it: {cause:?}"),
        Seen::Believed { by, .. } => format!("{by:?} believe in it"),
        Seen::Deleted { .. } => "deleted".into(),
        _ => return None,
    })
}

fn of_key(key: (u16, u16), seen: &Seen<'_>) -> Option<String> {
    let of = |id: &Id| ((id.producer, id.key) == key).then_some(id.index);
    let indices = |ids: &[(Id, HashKey)]| ids.iter().filter_map(|(id, _)| of(id)).collect::<Vec<_>>();
    let (what, indices) = match seen {
        Seen::Put { id, .. } => (String::from("put"), of(id).into_iter().collect()),
        Seen::Sent { ids } => (String::from("sent"), indices(ids)),
        Seen::Stored { placed, ids, range } => {
            let whole = ids.iter().all(|(_, key)| range.contains(*key));
            let place = format!("{} {}", placed.shard_id, placed.sequence_number);
            let well = if whole { "well " } else { "mis" };
            (format!("stored, {well}placed, with {}: {place}", ids.len()), indices(ids))
        }
        Seen::Settled { id, outcome } => {
            let outcome = match outcome {
                Outcome::Delivered { attempts, .. } => format!("delivered, {attempts} tries"),
                Outcome::Expired { attempts, .. } => format!("expired, {} tries", attempts.len()),
                Outcome::Refused { .. } => String::from("refused"),
                Outcome::Abandoned { .. } => String::from("abandoned"),
            };
            (outcome, of(id).into_iter().collect())
        }
        Seen::Processed { shard, records, .. } => {
            let indices = records.iter().filter_map(|record| of(&record.id)).collect();
            (format!("processed from {shard}"), indices)
        }
        _ => return None,
    };
    (!indices.is_empty()).then(|| format!("{indices:?} {what}"))
}
