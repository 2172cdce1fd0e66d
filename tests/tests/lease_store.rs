//! Lease stores mean the same by the same words: a long conversation, and what each of them says to it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not as expected fails the test")]

use std::collections::BTreeSet;

use fastrand::Rng;
use shardflow_consumer::{
    Checkpoint, LeaseChange, LeaseKey, LeaseRow, LeaseStore, MemoryLeases, ShardId, StoreError, WorkerId,
};
use shardflow_core::HashKeyRange;
use shardflow_tests::application::{Application, shard};

/// Whether a store must carry a request out, and the row as it is afterwards.
type Meaning = (bool, Option<LeaseRow>);

fn meaning(row: Option<&LeaseRow>, change: &LeaseChange) -> Meaning {
    match row.and_then(|row| change.apply_to(row)) {
        Some(changed) => (true, Some(changed)),
        None => (false, row.cloned()),
    }
}

fn worker(rng: &mut Rng) -> WorkerId {
    rng.choice(["a", "b", "c"]).unwrap().parse().unwrap()
}

/// A change that fits the row, or would have a moment ago.
fn change(rng: &mut Rng, row: &LeaseRow) -> LeaseChange {
    let stale = rng.u8(..4) == 0;
    let counter = if stale { row.counter.saturating_sub(1) } else { row.counter };
    let owner = if rng.u8(..8) == 0 { Some(worker(rng)) } else { row.owner.clone() };
    let checkpoint_owner = if rng.u8(..8) == 0 { None } else { row.checkpoint_owner.clone() };
    match rng.u8(..8) {
        0 => LeaseChange::Renew { counter, handing_over: rng.bool(), throughput: None },
        1 => LeaseChange::Checkpoint { counter, checkpoint: checkpoint(rng) },
        2 | 3 => LeaseChange::Take { worker: worker(rng), counter, owner, checkpoint_owner },
        4 => LeaseChange::StartHandoff { from: owner.unwrap_or_else(|| worker(rng)), to: worker(rng) },
        5 => LeaseChange::Assign { to: worker(rng), owner, checkpoint_owner },
        6 => LeaseChange::Evict { owner, checkpoint_owner },
        _ => LeaseChange::Children {
            children: BTreeSet::from([shard(rng.u32(10..20)), shard(rng.u32(10..20))]),
        },
    }
}

fn checkpoint(rng: &mut Rng) -> Checkpoint {
    match rng.u8(..4) {
        0 => Checkpoint::TrimHorizon,
        1 => Checkpoint::ShardEnd,
        _ => Checkpoint::at(format!("4959{}", rng.u64(..)).parse().unwrap(), rng.u64(..100)),
    }
}

fn new_row(rng: &mut Rng, id: ShardId) -> LeaseRow {
    let mut row = LeaseRow::new(id, checkpoint(rng));
    if rng.bool() {
        row.hash_key_range = HashKeyRange::divide(4).nth(1);
        row.parents = BTreeSet::from([shard(7), shard(8)]);
    }
    row
}

/// Talks to a store, and to what it must mean, about three leases.
async fn converse(store: &dyn LeaseStore, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    store.prepare().await.unwrap();
    store.prepare().await.unwrap();
    let mut rows: Vec<Option<LeaseRow>> = vec![None, None, None];
    let (mut written, mut refused) = (0, 0);
    for step in 0..600 {
        let number = rng.u32(..3);
        let (id, held) = (shard(number), &mut rows[number as usize]);
        let key = LeaseKey::from(&id);
        let (said, meant, what) = if rng.u8(..10) == 0 {
            let row = new_row(&mut rng, id);
            let meant = (held.is_none(), held.clone().or_else(|| Some(row.clone())));
            (store.create(&row).await, meant, format!("{row:?}"))
        } else {
            let believed = held.clone().unwrap_or_else(|| LeaseRow::new(id, Checkpoint::Latest));
            let change = change(&mut rng, &believed);
            let meant = meaning(held.as_ref(), &change);
            (store.write(&key, &change).await, meant, format!("{change:?}"))
        };
        match (said, meant) {
            (Ok(()), (true, row)) => {
                written += 1;
                *held = row;
            }
            (Err(StoreError::Conflict(said)), (false, row)) => {
                refused += 1;
                assert_eq!(said.map(|row| *row), row, "step {step}: {what}");
            }
            (said, meant) => panic!("step {step}: {said:?} to {what}, which means {meant:?}"),
        }
        let mut listed = store.list().await.unwrap();
        listed.sort_by(|a, b| a.key.cmp(&b.key));
        assert_eq!(listed, rows.iter().flatten().cloned().collect::<Vec<_>>(), "step {step}: {what}");
    }
    assert!(written > 200 && refused > 100, "{written} written, {refused} refused");
}

#[tokio::test]
async fn memory_means_what_the_words_mean() {
    for seed in 0..20 {
        converse(&MemoryLeases::default(), seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn dynamodb_means_what_the_words_mean() {
    for seed in 0..3 {
        let app = Application::new(1);
        converse(&app.leases(), seed).await;
    }
}
