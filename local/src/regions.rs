//! The Kinesis of every region, behind one lock, and who waits for news of a stream.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::Config;
use crate::kinesis::Kinesis;

#[derive(Debug)]
pub(crate) struct Regions {
    config: Config,
    kinesis: Mutex<BTreeMap<String, Kinesis>>,
    watches: Mutex<BTreeMap<u64, Watched>>,
    /// How many there are: writing a record looks here first, without a lock.
    watching: AtomicUsize,
    watches_ever: AtomicU64,
}

/// Somebody waits for news of a stream. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    regions: Arc<Regions>,
    id: u64,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Watched {
    region: String,
    stream: String,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Bell {
    /// Keeps one ring for a watcher that is not listening just then.
    ring: Notify,
    cut: AtomicBool,
}

impl Regions {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            kinesis: Mutex::default(),
            watches: Mutex::default(),
            watching: AtomicUsize::new(0),
            watches_ever: AtomicU64::new(0),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Does something with the Kinesis of a region, which is there from the first time it is asked for.
    pub(crate) fn with<T>(&self, region: &str, act: impl FnOnce(&mut Kinesis) -> T) -> T {
        let mut regions = self.regions();
        if let Some(kinesis) = regions.get_mut(region) {
            return act(kinesis);
        }
        let kinesis = regions.entry(region.to_owned()).or_insert_with(|| Kinesis::new(region, &self.config));
        act(kinesis)
    }

    pub(crate) fn each(&self, act: impl FnMut(&mut Kinesis)) {
        self.regions().values_mut().for_each(act);
    }

    pub(crate) fn watch(self: &Arc<Self>, region: &str, stream: &str) -> Watch {
        let bell = Arc::new(Bell::default());
        let id = self.watches_ever.fetch_add(1, Ordering::Relaxed);
        let watched =
            Watched { region: region.to_owned(), stream: stream.to_owned(), bell: Arc::clone(&bell) };
        self.watches().insert(id, watched);
        self.watching.fetch_add(1, Ordering::Release);
        Watch { regions: Arc::clone(self), id, bell }
    }

    /// How many watch.
    pub(crate) fn watching(&self) -> usize {
        self.watching.load(Ordering::Acquire)
    }

    /// Tells whoever watches a stream that something happened to it.
    pub(crate) fn wake(&self, region: &str, stream: &str) {
        if self.watching() == 0 {
            return;
        }
        for watched in self.watches().values() {
            if watched.stream == stream && watched.region == region {
                watched.bell.ring.notify_one();
            }
        }
    }

    pub(crate) fn wake_all(&self) {
        for watched in self.watches().values() {
            watched.bell.ring.notify_one();
        }
    }

    pub(crate) fn cut_all(&self) {
        for watched in self.watches().values() {
            watched.bell.cut.store(true, Ordering::Release);
            watched.bell.ring.notify_one();
        }
    }

    fn regions(&self) -> MutexGuard<'_, BTreeMap<String, Kinesis>> {
        self.kinesis.lock().expect("a call that panicked may have left half a change: nothing to go on with")
    }

    fn watches(&self) -> MutexGuard<'_, BTreeMap<u64, Watched>> {
        self.watches.lock().expect("nothing panics while it holds the watches")
    }
}

impl Watch {
    /// Waits for news. What came since the last time counts.
    pub(crate) async fn rung(&self) {
        self.bell.ring.notified().await;
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.bell.cut.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.regions.watches().remove(&self.id);
        self.regions.watching.fetch_sub(1, Ordering::Release);
    }
}
