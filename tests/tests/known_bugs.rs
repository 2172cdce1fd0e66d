//! Each known bug, put back into the engine, is found: by which promise, and in the how manieth world.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use shardflow_engine::KnownBug;
use shardflow_tests::sim::{self, Failed};

/// Most worlds that a bug may need.
const WORLDS: u64 = 200;

/// The first world that breaks a promise with the bug, and none without it.
fn first(bug: KnownBug) -> Option<Failed> {
    let mut broken = (0..WORLDS).filter_map(|seed| bug.put_back(|| sim::run(seed)).err());
    broken.find(|failed| sim::run(failed.seed).is_ok())
}

#[test]
#[ignore = "takes an optimised build: cargo xtask known-bugs"]
fn every_known_bug_is_caught() {
    // A bug that panics is caught as well, and need not fill the screen.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(bug) = KnownBug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match first(*bug) {
                        Some(failed) => println!(
                            "| `{bug:?}` | {} | `{}` | {} |",
                            failed.seed + 1,
                            failed.broken.promise,
                            failed.broken.what.chars().take(150).collect::<String>()
                        ),
                        None => {
                            println!("| `{bug:?}` | never |");
                            missed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(*bug);
                        }
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap_or_default();
    assert!(missed.is_empty(), "{missed:?} were not caught in {WORLDS} worlds each");
}
