//! Runs a shard for each lease that the keeper has, and gives leases back when their shards are done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shardflow_core::{LeaseKey, LeaseRow};
use shardflow_engine::Moment;
use shardflow_engine::consume::{Finish, Settings, Stop};
use shardflow_engine::lease::{Event, Tenure};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::clients::Clients;
use crate::clock::Clock;
use crate::error_policy::Sink;
use crate::lease_keeper::{Command, Told};
use crate::room::Room;
use crate::shard_runner::{Orders, ShardRunner};
use crate::watch::Board;
use crate::{RecordProcessor, RunError, ShardInfo, WorkerState};

/// How far a worker is to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stopping {
    Not,
    Graceful {
        /// When handlers are not waited for any longer.
        by: Option<Instant>,
    },
    Now,
}

/// Everything that the supervisor owns.
pub(crate) struct Supervisor<F> {
    pub(crate) clients: Clients,
    pub(crate) settings: Settings,
    pub(crate) sink: Option<Sink>,
    pub(crate) room: Room,
    pub(crate) clock: Clock,
    pub(crate) factory: F,
    pub(crate) keeper: mpsc::Sender<Command>,
    pub(crate) told: mpsc::Receiver<Told>,
    pub(crate) stopping: watch::Receiver<Stopping>,
    /// How long leases may take to be left once handlers are not waited for any longer.
    pub(crate) leave_within: Duration,
    pub(crate) board: Arc<Board>,
    pub(crate) shards: Shards,
}

/// The shards of a worker.
#[derive(Default)]
pub(crate) struct Shards {
    running: BTreeMap<LeaseKey, Running>,
    /// Leases acquired anew while their shard's former run still ends: calls for one shard never overlap.
    waiting: BTreeMap<LeaseKey, Acquired>,
    tasks: JoinSet<Finish>,
    ids: BTreeMap<Id, LeaseKey>,
}

struct Running {
    tenure: Tenure,
    orders: watch::Sender<Orders>,
}

struct Acquired {
    row: Box<LeaseRow>,
    tenure: Tenure,
    until: Moment,
}

/// How long a worker that stops waits, and for what.
#[derive(Clone, Copy)]
enum Patience {
    /// For handlers and leases, without end.
    Endless,
    /// For both, and until the first half of its time is over for others to notice that leases are offered to them.
    Offering { until: Instant, by: Instant },
    /// For both, until then.
    Until(Instant),
    /// For leases, until then. Handlers have been dropped.
    Over(Instant),
}

impl Patience {
    fn until(by: Option<Instant>) -> Self {
        by.map_or(Self::Endless, |by| {
            let now = Instant::now();
            Self::Offering { until: now + by.saturating_duration_since(now) / 2, by }
        })
    }

    async fn ends(self) {
        match self {
            Self::Endless => std::future::pending().await,
            Self::Offering { until: at, .. } | Self::Until(at) | Self::Over(at) => sleep_until(at).await,
        }
    }
}

impl<F, P> Supervisor<F>
where
    F: Fn(&ShardInfo) -> P + Clone + Send + Sync + 'static,
    P: RecordProcessor,
{
    /// Runs until all shards are given up after a stop, or until the worker cannot go on.
    pub(crate) async fn run(mut self) -> Result<(), RunError> {
        let mut stopping = false;
        let mut patience = Patience::Endless;
        self.board.becomes(WorkerState::Starting);
        loop {
            // Leases first, since their loss stops work; all arms are cancel safe.
            tokio::select! {
                biased;
                told = self.told.recv() => match told {
                    Some(Told::Lease(event)) => self.lease(event, stopping).await,
                    Some(Told::Started) if self.board.is_starting() => self.board.becomes(WorkerState::Running),
                    Some(Told::Started) => {}
                    Some(Told::Unable(error)) => return Err(error),
                    // The keeper ends by itself once it has been shut down and holds nothing any more.
                    None if stopping => return Ok(()),
                    None => return Err(RunError::Failed { what: "the lease keeper".into() }),
                },
                Some(done) = self.shards.tasks.join_next_with_id() => self.finished(done).await,
                Ok(()) = self.stopping.changed() => {
                    let order = *self.stopping.borrow_and_update();
                    match order {
                        Stopping::Not => {}
                        Stopping::Graceful { by } => {
                            stopping = true;
                            self.board.becomes(WorkerState::Stopping);
                            patience = Patience::until(by);
                            self.stop_all().await;
                        }
                        // Dropping the tasks ends them; the leases run out by themselves.
                        Stopping::Now => return Ok(()),
                    }
                }
                () = patience.ends() => match patience {
                    Patience::Offering { by, .. } => {
                        patience = Patience::Until(by);
                        self.let_all_go();
                    }
                    Patience::Until(by) => {
                        patience = Patience::Over(by + self.leave_within);
                        self.drop_all();
                    }
                    Patience::Endless | Patience::Over(_) => {
                        tracing::warn!("not all leases could be left in time; they run out");
                        return Ok(());
                    }
                },
            }
        }
    }

    /// Ends all shards, whether those that are to have them have noticed or not.
    fn let_all_go(&self) {
        for running in self.shards.running.values() {
            running.orders.send_modify(|orders| orders.stop = orders.stop.max(Some(Stop::Shutdown)));
        }
    }

    /// Drops the handlers that are still at work. A shard whose handler has really gone is given up like any other.
    fn drop_all(&self) {
        for (key, running) in &self.shards.running {
            tracing::warn!(lease_key = %key, "its handler is not waited for any longer, and is dropped");
            running.orders.send_modify(|orders| orders.at_once = true);
        }
    }

    async fn lease(&mut self, event: Event, stopping: bool) {
        match event {
            Event::Acquired { row, tenure, until } => {
                tracing::info!(lease_key = %row.key, checkpoint = %row.checkpoint, "lease acquired");
                let acquired = Acquired { row, tenure, until };
                if stopping {
                    self.leave(acquired.row.key.clone(), tenure).await;
                } else if self.shards.running.contains_key(&acquired.row.key) {
                    self.shards.waiting.insert(acquired.row.key.clone(), acquired);
                } else {
                    self.start(acquired);
                }
            }
            Event::Kept { key, tenure, until } => {
                self.order(&key, tenure, |orders| orders.until = until);
                if let Some(waiting) = self.shards.waiting.get_mut(&key).filter(|w| w.tenure == tenure) {
                    waiting.until = until;
                }
            }
            Event::HandoffAsked { key, tenure } => {
                tracing::info!(lease_key = %key, "lease asked for by another worker");
                self.order(&key, tenure, |orders| orders.stop = orders.stop.max(Some(Stop::Handoff)));
                self.leave_waiting(key, tenure).await;
            }
            Event::LetGo { key, tenure } => {
                self.order(&key, tenure, |orders| orders.stop = orders.stop.max(Some(Stop::Shutdown)));
                self.leave_waiting(key, tenure).await;
            }
            Event::Lost { key, tenure, cause } => {
                tracing::warn!(lease_key = %key, ?cause, "lease lost");
                self.order(&key, tenure, |orders| orders.stop = Some(Stop::LeaseLost));
                self.shards.waiting.retain(|waiting, acquired| *waiting != key || acquired.tenure != tenure);
            }
            // The keeper answers these itself.
            Event::Checkpointed { .. }
            | Event::NotCheckpointed { .. }
            | Event::ChildrenEntered { .. }
            | Event::ChildrenMustWait { .. }
            | Event::Leads(_)
            | Event::ClockSkew { .. }
            | Event::StreamFound { .. }
            | Event::StreamListed { .. }
            | Event::StreamFails { .. }
            | Event::StreamDeleted { .. }
            | Event::Unable(_) => {}
        }
    }

    fn order(&self, key: &LeaseKey, tenure: Tenure, order: impl FnOnce(&mut Orders)) {
        if let Some(running) = self.shards.running.get(key).filter(|running| running.tenure == tenure) {
            running.orders.send_modify(order);
        }
    }

    fn start(&mut self, Acquired { row, tenure, until }: Acquired) {
        let (orders, receiver) = watch::channel(Orders { until, stop: None, at_once: false });
        let key = row.key.clone();
        let client = self.clients.of(row.stream.as_ref());
        let watch = self.board.begins(client.stream(), &row, tenure, until);
        let runner = ShardRunner {
            tenure,
            settings: self.clients.settings(client.stream(), &self.settings),
            sink: self.sink.clone(),
            room: self.room.enter(key.clone()),
            client,
            keeper: self.keeper.clone(),
            orders: receiver,
            watch,
            clock: self.clock,
            factory: self.factory.clone(),
            row: *row,
        };
        let task = self.shards.tasks.spawn(runner.run());
        self.shards.ids.insert(task.id(), key.clone());
        self.shards.running.insert(key, Running { tenure, orders });
    }

    async fn finished(&mut self, done: Result<(Id, Finish), JoinError>) {
        let (id, finish) = match done {
            Ok((id, finish)) => (id, Some(finish)),
            Err(error) => {
                tracing::error!(%error, "a shard's task has ended unexpectedly; its lease is given up");
                (error.id(), None)
            }
        };
        let Some(key) = self.shards.ids.remove(&id) else { return };
        let Some(Running { tenure, .. }) = self.shards.running.remove(&key) else { return };
        tracing::info!(lease_key = %key, ?finish, "shard given up");
        self.board.ended(&key);
        match finish {
            Some(Finish::LeaseLost) => {}
            Some(Finish::Released) | None => self.leave(key.clone(), tenure).await,
            Some(Finish::ShardEnd) => {
                self.leave(key.clone(), tenure).await;
                // Its children can be taken now.
                self.command(Command::LookSoon).await;
            }
        }
        if let Some(acquired) = self.shards.waiting.remove(&key) {
            self.start(acquired);
        }
    }

    async fn stop_all(&mut self) {
        // The keeper offers each lease to another worker, and says when its shard is to end.
        self.command(Command::ShutDown).await;
        for (key, Acquired { tenure, .. }) in std::mem::take(&mut self.shards.waiting) {
            self.leave(key, tenure).await;
        }
    }

    /// Leaves a lease whose shard has not been begun.
    async fn leave_waiting(&mut self, key: LeaseKey, tenure: Tenure) {
        if self.shards.waiting.get(&key).is_some_and(|waiting| waiting.tenure == tenure) {
            self.shards.waiting.remove(&key);
            self.leave(key, tenure).await;
        }
    }

    async fn leave(&self, key: LeaseKey, tenure: Tenure) {
        self.command(Command::Leave { key, tenure }).await;
    }

    async fn command(&self, command: Command) {
        // A keeper that has ended tells so by its other channel.
        let _listens = self.keeper.send(command).await.is_ok();
    }
}
