//! Memory of a worker: one number for all its shards.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shardflow_consumer::{Batch, Checkpointer, Config, RecordProcessor, ShardInfo};
use shardflow_core::{HashKeyRange, Record};
use shardflow_tests::application::{Application, until};
use tokio::sync::Semaphore;
use tokio::time::sleep;

const SHARDS: u32 = 8;

/// Records of a quarter of a MiB, as many in each shard, as fast as a shard takes them.
async fn put(app: &Application, in_each: usize) {
    for _ in 0..in_each {
        sleep(Duration::from_millis(300)).await;
        for range in HashKeyRange::divide(SHARDS) {
            let record = Record::new("k", vec![0; 256 << 10]).unwrap().explicit_hash_key(range.start());
            app.local.put("orders", &record).unwrap();
        }
    }
}

/// Counts what it gets before it waits for the gate, and after.
struct Gated {
    gate: Arc<Semaphore>,
    given: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

impl RecordProcessor for Gated {
    type Error = Infallible;

    async fn process(&mut self, batch: &Batch, _checkpointer: &Checkpointer) -> Result<(), Infallible> {
        self.given.fetch_add(batch.len(), Ordering::Relaxed);
        drop(self.gate.acquire().await.unwrap());
        self.done.fetch_add(batch.len(), Ordering::Relaxed);
        Ok(())
    }
}

/// How many records handlers that do not get on are given, of 16 in each shard; then lets them go, and waits for all.
async fn given(bytes: usize) -> usize {
    let app = Application::new(SHARDS);
    put(&app, 16).await;
    let (gate, given, done) = (Arc::new(Semaphore::new(0)), Arc::default(), Arc::default());
    let gated = Gated { gate, given, done };
    let (gate, given, done) = (Arc::clone(&gated.gate), Arc::clone(&gated.given), Arc::clone(&gated.done));
    let factory = move |_: &ShardInfo| Gated {
        gate: Arc::clone(&gated.gate),
        given: Arc::clone(&gated.given),
        done: Arc::clone(&gated.done),
    };
    let worker = app.consumer(Config::default().max_buffered_bytes(bytes)).run(factory).unwrap();
    sleep(Duration::from_secs(60)).await;
    let before = given.load(Ordering::Relaxed);
    gate.add_permits(1);
    until(|| done.load(Ordering::Relaxed) == 16 * SHARDS as usize).await;
    drop(worker);
    before
}

#[tokio::test(start_paused = true)]
async fn what_is_read_and_not_processed_stays_within_the_budget() {
    // Pages are of 4 MiB, and the first of a shard may be of 10.
    assert_eq!(given(64 << 20).await, 16 * 8);
    assert_eq!(given(20 << 20).await, 16 * 3);
    assert_eq!(given(1 << 20).await, 16, "one read is allowed in any case");
}
