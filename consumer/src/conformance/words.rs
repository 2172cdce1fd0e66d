//! What a store is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{
    Checkpoint, ClientVersion, HashKeyRange, LeaderLock, LeaseChange, LeaseKey, LeaseRow, LockChange, Member,
    SequenceNumber, ShardId, StreamIdentifier, Throughput, Utilisation, WorkerId,
};

use super::model::Model;
use crate::{LeaseStore, StoreError};

/// One request.
#[derive(Clone, Debug)]
pub(super) enum Words {
    Create(LeaseRow),
    Write(LeaseKey, LeaseChange),
    Delete(LeaseRow),
    Put(Member),
    Leave(WorkerId, Option<u64>),
    Lock(LockChange),
    Claim(ClientVersion, WorkerId),
}

impl Words {
    pub(super) async fn say_to(&self, store: &dyn LeaseStore) -> Result<(), StoreError> {
        match self {
            Self::Create(row) => store.create(row).await,
            Self::Write(key, change) => store.write(key, change).await,
            Self::Delete(row) => store.delete(&row.key, row).await,
            Self::Put(member) => store.put_member(member).await,
            Self::Leave(worker, updated) => store.delete_member(worker, *updated).await,
            Self::Lock(change) => store.change_lock(change).await,
            Self::Claim(version, worker) => store.claim(version, worker).await,
        }
    }

    /// The lease that it is about.
    pub(super) fn key(&self) -> Option<&LeaseKey> {
        match self {
            Self::Create(row) | Self::Delete(row) => Some(&row.key),
            Self::Write(key, _) => Some(key),
            Self::Put(_) | Self::Leave(..) | Self::Lock(_) | Self::Claim(..) => None,
        }
    }

    /// Something that fits what the store has been told, or would have a moment ago.
    pub(super) fn choose(rng: &mut Rng, model: &Model) -> Self {
        let blank = rows(rng).swap_remove(rng.usize(..3));
        let row = model.leases.get(&blank.key).unwrap_or(&blank);
        match rng.u8(..20) {
            0 | 1 => Self::Create(new_row(rng, blank)),
            2 => {
                let mut expected = row.clone();
                expected.counter = counter(rng, row);
                if rng.bool() {
                    expected.checkpoint = checkpoint(rng);
                }
                Self::Delete(expected)
            }
            3 => Self::Put(member(rng)),
            4 => {
                let worker = any_worker(rng);
                let seen = model.members.get(&worker).map(|member| member.updated);
                Self::Leave(worker, if rng.bool() { seen.or(Some(1)) } else { stale(rng) })
            }
            5..=7 => Self::Lock(lock_change(rng, model.lock.as_ref())),
            8 => {
                let version = if rng.bool() { ClientVersion::V3 } else { ClientVersion::V3WithRollback };
                Self::Claim(version, any_worker(rng))
            }
            _ => Self::Write(row.key.clone(), change(rng, row)),
        }
    }
}

pub(super) const WORKERS: [&str; 3] = ["a", "b", "c"];

pub(super) fn worker(name: &str) -> WorkerId {
    name.parse().expect("one of the names above")
}

/// A row that fits an empty store.
pub(super) fn first_row() -> LeaseRow {
    LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon)
}

/// The leases that it is all about, as they might be entered: two of one stream, and one of several streams.
fn rows(rng: &mut Rng) -> Vec<LeaseRow> {
    let stream: StreamIdentifier = "123456789012:orders:1700000000".parse().expect("an identifier");
    let row = |number, checkpoint| LeaseRow::new(ShardId::numbered(number), checkpoint);
    vec![row(0, checkpoint(rng)), row(1, checkpoint(rng)), row(1, checkpoint(rng)).of_stream(Some(stream))]
}

fn new_row(rng: &mut Rng, mut row: LeaseRow) -> LeaseRow {
    if rng.bool() {
        row.hash_key_range = HashKeyRange::divide(4).nth(1);
        row.parents = shards(rng);
        row.owner = Some(any_worker(rng));
    }
    row
}

/// A change that fits the row, or would have a moment ago.
fn change(rng: &mut Rng, row: &LeaseRow) -> LeaseChange {
    let counter = counter(rng, row);
    let owner = if rng.u8(..8) == 0 { Some(any_worker(rng)) } else { row.owner.clone() };
    let checkpoint_owner = if rng.u8(..8) == 0 { None } else { row.checkpoint_owner.clone() };
    match rng.u8(..12) {
        0 | 1 => LeaseChange::Renew { counter, handing_over: rng.bool(), throughput: measured(rng) },
        2 => LeaseChange::Checkpoint { counter, checkpoint: checkpoint(rng), throughput: measured(rng) },
        3 | 4 => LeaseChange::Take { worker: any_worker(rng), counter, owner, checkpoint_owner },
        5 | 6 => {
            LeaseChange::StartHandoff { from: owner.unwrap_or_else(|| any_worker(rng)), to: any_worker(rng) }
        }
        7 => LeaseChange::Assign { to: any_worker(rng), owner, checkpoint_owner },
        8 => LeaseChange::Evict { owner, checkpoint_owner },
        9 => LeaseChange::Rewind { counter, checkpoint: checkpoint(rng) },
        10 => LeaseChange::HashKeys { range: HashKeyRange::divide(8).nth(3).expect("it has eight parts") },
        _ => LeaseChange::Children { children: shards(rng) },
    }
}

fn measured(rng: &mut Rng) -> Option<Throughput> {
    let bytes = rng.u64(..10_000_000);
    rng.bool().then(|| Throughput::of(bytes, Duration::from_secs(3)))
}

fn lock_change(rng: &mut Rng, lock: Option<&LeaderLock>) -> LockChange {
    let by =
        LeaderLock::new(any_worker(rng), rng.u32(..).to_string(), Duration::from_millis(rng.u64(..90_000)));
    let fits = rng.u8(..4) > 0;
    let version = lock.filter(|_| fits).map_or_else(|| String::from("another"), |lock| lock.version.clone());
    match rng.u8(..4) {
        0 => LockChange::Create(by),
        1 | 2 => LockChange::Replace { version, by },
        _ => {
            let owner =
                lock.filter(|_| rng.u8(..4) > 0).map_or_else(|| any_worker(rng), |lock| lock.owner.clone());
            LockChange::Release { owner, version }
        }
    }
}

fn member(rng: &mut Rng) -> Member {
    let mut member = Member::new(any_worker(rng), rng.u64(1..100));
    for metric in ["C", "NI"] {
        if rng.bool() {
            let samples = (0..rng.usize(1..10)).map(|_| f64::from(rng.u8(..100)) / 4.0).collect();
            let limit = rng.bool().then_some(80.5);
            member.metrics.insert(metric.to_owned(), Utilisation::new(samples, limit));
        }
    }
    member
}

fn stale(rng: &mut Rng) -> Option<u64> {
    rng.bool().then(|| rng.u64(100..200))
}

fn counter(rng: &mut Rng, row: &LeaseRow) -> u64 {
    // One write too early or, of a new row, one that nobody made.
    if rng.u8(..4) == 0 { row.counter.checked_sub(1).unwrap_or(1) } else { row.counter }
}

fn checkpoint(rng: &mut Rng) -> Checkpoint {
    let number: Result<SequenceNumber, _> = format!("4959{}", rng.u64(..)).parse();
    match (rng.u8(..4), number) {
        (0, _) | (_, Err(_)) => Checkpoint::TrimHorizon,
        (1, _) => Checkpoint::ShardEnd,
        (_, Ok(number)) => Checkpoint::at(number, rng.u64(..100)),
    }
}

fn shards(rng: &mut Rng) -> BTreeSet<ShardId> {
    [rng.u64(10..20), rng.u64(10..20)].map(ShardId::numbered).into()
}

fn any_worker(rng: &mut Rng) -> WorkerId {
    worker(WORKERS[rng.usize(..WORKERS.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_carried_out_and_much_is_refused() {
        for seed in 0..20 {
            let (mut rng, mut model) = (Rng::with_seed(seed), Model::default());
            let mut counts = std::collections::BTreeMap::new();
            for _ in 0..400 {
                let words = Words::choose(&mut rng, &model);
                let kind = match words {
                    Words::Create(_) => "create",
                    Words::Write(..) => "write",
                    Words::Delete(_) => "delete",
                    Words::Put(_) => "put",
                    Words::Leave(..) => "leave",
                    Words::Lock(_) => "lock",
                    Words::Claim(..) => "claim",
                };
                *counts.entry((kind, model.carry_out(&words).is_ok())).or_insert(0) += 1;
            }
            let count = |kind, done| counts.get(&(kind, done)).copied().unwrap_or_default();
            assert!(count("write", true) > 50 && count("write", false) > 40, "{counts:?}");
            assert!(count("lock", true) > 10 && count("lock", false) > 10, "{counts:?}");
            for kind in ["create", "delete"] {
                assert!(count(kind, true) > 1 && count(kind, false) > 1, "{kind}: {counts:?}");
            }
            assert!(
                count("put", true) > 2 && count("leave", true) > 2 && count("claim", true) == 1,
                "{counts:?}"
            );
        }
    }
}
