//! Keeps the leases of one worker: carries out what the coordinator decides, and decides nothing.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use shardflow_core::{
    Checkpoint, InitialPosition, LeaseKey, PendingCheckpoint, Shard, StreamIdentifier, WorkerId,
};
use shardflow_engine::lease::{
    Answer, CheckpointId, Coordinator, Event, NotWritten, Request, Settings, Tenure,
};
use shardflow_engine::{Failure, Moment, RequestId};
use shardflow_sdk::seed;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;

use crate::clients::Clients;
use crate::clock::Clock;
use crate::host::Host;
use crate::lease_watch::LeaseWatch;
use crate::streams::Set;
use crate::{CheckpointError, LeaseStore, RunError, StoreError};

/// What shards and the supervisor ask of the keeper.
#[derive(Debug)]
pub(crate) enum Command {
    Checkpoint {
        key: LeaseKey,
        tenure: Tenure,
        checkpoint: Checkpoint,
        reply: oneshot::Sender<Result<(), CheckpointError>>,
    },
    Prepare {
        key: LeaseKey,
        tenure: Tenure,
        pending: PendingCheckpoint,
        reply: oneshot::Sender<Result<(), CheckpointError>>,
    },
    EnterChildren {
        key: LeaseKey,
        tenure: Tenure,
        children: Vec<Shard>,
        reply: oneshot::Sender<Result<(), Failure>>,
    },
    Delivered {
        key: LeaseKey,
        tenure: Tenure,
        bytes: u64,
    },
    Leave {
        key: LeaseKey,
        tenure: Tenure,
    },
    LookSoon,
    /// Reading says that a stream may be gone, or another one.
    Doubt {
        stream: StreamIdentifier,
    },
    ShutDown,
}

/// What the keeper tells the supervisor.
#[derive(Debug)]
pub(crate) enum Told {
    Lease(Event),
    /// The first look has been taken, and every shard has a lease.
    Started,
    /// The worker cannot start.
    Unable(RunError),
}

/// Everything that the keeper owns.
pub(crate) struct LeaseKeeper {
    pub(crate) worker: WorkerId,
    pub(crate) settings: Settings,
    pub(crate) start_within: Duration,
    /// What this worker tells of its host, if anything.
    pub(crate) host: Option<Host>,
    pub(crate) store: Arc<dyn LeaseStore>,
    pub(crate) clients: Clients,
    /// What is to be read where there are several streams, and where those start that do not say.
    pub(crate) streams: Option<Wanted>,
    /// Common to the keeper and the shards of the worker.
    pub(crate) clock: Clock,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) told: mpsc::Sender<Told>,
    pub(crate) watch: LeaseWatch,
}

/// The streams that are wanted, as that changes.
pub(crate) struct Wanted {
    pub(crate) set: watch::Receiver<Set>,
    pub(crate) position: InitialPosition,
}

impl Wanted {
    /// Comes back when they have changed; never, if they cannot.
    async fn changed(wanted: &mut Option<Self>) {
        let changed = match wanted {
            Some(wanted) => wanted.set.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            pending::<()>().await;
        }
    }
}

impl LeaseKeeper {
    /// Runs until it is shut down and holds nothing any more, or until nobody is left to command it.
    pub(crate) async fn run(mut self) {
        let deadline = Instant::now() + self.start_within;
        let store = Arc::clone(&self.store);
        // Before there are leases, whoever commands wants it to end. Both arms are cancel safe: a table that is half made
        // is as after a crash.
        let prepared = tokio::select! {
            biased;
            _ends = self.commands.recv() => return,
            prepared = prepare(&*store, deadline, self.start_within) => prepared,
        };
        if let Err(error) = prepared {
            // A supervisor that has gone needs no reason.
            let _told = self.told.send(Told::Unable(error)).await.is_ok();
            return;
        }
        Loop::new(self, deadline).run().await;
    }
}

/// Makes the table ready, again and again until the deadline.
async fn prepare(store: &dyn LeaseStore, deadline: Instant, within: Duration) -> Result<(), RunError> {
    let mut last = String::from("the lease table did not answer");
    loop {
        match tokio::time::timeout_at(deadline, store.prepare()).await {
            Ok(Ok(())) => return Ok(()),
            // A fleet of KCL 3.0 to 3.4 that starts just now makes one of its tables after the other.
            Ok(Err(StoreError::Refused { code, message })) if code != "IncompleteLayout" => {
                return Err(RunError::Refused { code, message });
            }
            Ok(Err(error)) => {
                last = error.to_string();
                tracing::warn!(%error, "the lease table is not ready");
                sleep_until(deadline.min(Instant::now() + Duration::from_millis(500))).await;
            }
            Err(_elapsed) => return Err(RunError::NotStarted { within, last }),
        }
    }
}

/// The keeper at work.
struct Loop {
    keeper: LeaseKeeper,
    coordinator: Coordinator,
    context: Arc<Context>,
    /// Requests under way, each bounded in time.
    requests: JoinSet<(RequestId, Answer)>,
    ids: BTreeMap<Id, RequestId>,
    checkpoints: BTreeMap<CheckpointId, oneshot::Sender<Result<(), CheckpointError>>>,
    families: BTreeMap<(LeaseKey, Tenure), oneshot::Sender<Result<(), Failure>>>,
    next_checkpoint: u64,
    /// What is still to be told: the supervisor takes its time, renewals do not wait for it.
    untold: VecDeque<Told>,
    /// Until when the first look must have been taken; `None` once it has.
    start_by: Option<Instant>,
    /// Whether the supervisor was told of the start.
    started: bool,
    last_trouble: String,
}

impl Loop {
    fn new(mut keeper: LeaseKeeper, start_by: Instant) -> Self {
        let now = keeper.clock.now();
        let (worker, settings) = (keeper.worker.clone(), keeper.settings.clone());
        let coordinator = match keeper.streams {
            None => Coordinator::new(worker, settings, seed(), now),
            Some(_) => Coordinator::of_streams(worker, settings, seed(), now),
        };
        let context = Context {
            worker: keeper.worker.clone(),
            store: Arc::clone(&keeper.store),
            clients: keeper.clients.clone(),
            clock: keeper.clock,
            host: keeper.host.take().map(Mutex::new),
            // What is still not answered then is given up; writes have been repeated beside it long before.
            timeout: keeper.settings.failover / 4,
        };
        Self {
            context: Arc::new(context),
            keeper,
            coordinator,
            requests: JoinSet::new(),
            ids: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            families: BTreeMap::new(),
            next_checkpoint: 0,
            untold: VecDeque::new(),
            start_by: Some(start_by),
            started: false,
            last_trouble: String::from("the lease table did not answer"),
        }
    }

    async fn run(mut self) {
        let mut shutting_down = false;
        let told = self.keeper.told.clone();
        self.set_streams();
        loop {
            self.drain();
            if shutting_down && self.coordinator.is_idle() && self.untold.is_empty() {
                return;
            }
            let deadline = self.coordinator.poll_timeout().map(|at| self.keeper.clock.instant(at));
            let deadline = [deadline, self.start_by].into_iter().flatten().min();
            // Answers first: they renew. Time before commands, since there can be many. All arms are cancel safe.
            tokio::select! {
                biased;
                Some(answered) = self.requests.join_next_with_id() => self.answered(answered),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if self.is_late() {
                        return;
                    }
                    let now = self.now();
                    self.coordinator.handle_timeout(now);
                }
                room = told.reserve(), if !self.untold.is_empty() => {
                    let Ok(room) = room else { return };
                    if let Some(next) = self.untold.pop_front() {
                        room.send(next);
                    }
                }
                () = Wanted::changed(&mut self.keeper.streams) => self.set_streams(),
                command = self.keeper.commands.recv() => match command {
                    Some(Command::ShutDown) => {
                        shutting_down = true;
                        let now = self.now();
                        self.coordinator.shut_down(now);
                    }
                    Some(command) => self.command(command),
                    // Nobody is left who would process a record or wait for a lease to be given up.
                    None => return,
                },
            }
        }
    }

    fn now(&self) -> Moment {
        self.keeper.clock.now()
    }

    /// Whether the start has taken too long. Says so, if it has.
    fn is_late(&mut self) -> bool {
        if self.coordinator.has_started() {
            self.start_by = None;
        }
        let late = self.start_by.is_some_and(|by| by <= Instant::now());
        if late {
            let within = self.keeper.start_within;
            let error = RunError::NotStarted { within, last: std::mem::take(&mut self.last_trouble) };
            // Nothing else can be waiting to be told before the start.
            let _told = self.keeper.told.try_send(Told::Unable(error)).is_ok();
        }
        late
    }

    /// Passes on what is wanted, where there are several streams.
    fn set_streams(&mut self) {
        let now = self.now();
        if let Some(Wanted { set, position }) = &mut self.keeper.streams {
            let wish = set.borrow_and_update().wish(*position);
            self.keeper.watch.wanted(wish.streams.keys().cloned());
            self.coordinator.set_streams(now, wish);
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Prepare { key, tenure, pending, reply } => {
                let id = self.await_write(reply);
                self.coordinator.prepare(now, &key, tenure, pending, id);
            }
            Command::Checkpoint { key, tenure, checkpoint, reply } => {
                let id = self.await_write(reply);
                self.coordinator.checkpoint(now, &key, tenure, checkpoint, id);
            }
            Command::EnterChildren { key, tenure, children, reply } => {
                self.families.insert((key.clone(), tenure), reply);
                self.coordinator.enter_children(now, &key, tenure, children);
            }
            Command::Delivered { key, tenure, bytes } => self.coordinator.delivered(&key, tenure, bytes),
            Command::Leave { key, tenure } => self.coordinator.leave(now, &key, tenure),
            Command::LookSoon => self.coordinator.look_soon(now),
            Command::Doubt { stream } => self.coordinator.doubt_stream(now, &stream),
            Command::ShutDown => {}
        }
    }

    fn await_write(&mut self, reply: oneshot::Sender<Result<(), CheckpointError>>) -> CheckpointId {
        self.next_checkpoint += 1;
        let id = CheckpointId(self.next_checkpoint);
        self.checkpoints.insert(id, reply);
        id
    }

    fn answered(&mut self, answered: Result<(Id, (RequestId, Answer)), JoinError>) {
        let now = self.now();
        match answered {
            Ok((task, (id, answer))) => {
                self.ids.remove(&task);
                self.keeper.watch.answered(now, id, &answer);
                if let Answer::Failed(failure) = &answer {
                    self.last_trouble = format!("{}: {}", failure.code, failure.message);
                    tracing::debug!(
                        code = failure.code,
                        message = failure.message,
                        "a request about leases failed"
                    );
                }
                self.coordinator.handle_answer(now, id, answer);
            }
            // A store that panics may have written.
            Err(panicked) => {
                if let Some(id) = self.ids.remove(&panicked.id()) {
                    let answer = Answer::Failed(Failure::unknown("StorePanicked", panicked.to_string()));
                    self.keeper.watch.answered(now, id, &answer);
                    self.coordinator.handle_answer(now, id, answer);
                }
            }
        }
    }

    fn drain(&mut self) {
        let now = self.now();
        while let Some((id, request)) = self.coordinator.poll_request() {
            let span = self.keeper.watch.asked(now, id, &request);
            let context = Arc::clone(&self.context);
            let task =
                self.requests.spawn(async move { (id, carry_out(&context, request).await) }.instrument(span));
            self.ids.insert(task.id(), id);
        }
        while let Some(event) = self.coordinator.poll_event() {
            self.keeper.watch.told(now, &event);
            match event {
                Event::Checkpointed { id } => self.reply(id, Ok(())),
                Event::NotCheckpointed { id, cause } => self.reply(
                    id,
                    Err(match cause {
                        NotWritten::LeaseLost => CheckpointError::LeaseLost,
                        NotWritten::Refused(Failure { code, message, .. }) => {
                            CheckpointError::Store { code, message }
                        }
                    }),
                ),
                Event::ChildrenEntered { key, tenure } => self.entered(key, tenure, Ok(())),
                Event::ChildrenMustWait { key, tenure } => {
                    let wait = Failure::refused("ParentMissing", "another parent has no lease yet");
                    self.entered(key, tenure, Err(wait));
                }
                Event::Unable(Failure { code, message, .. }) => {
                    self.untold.push_back(Told::Unable(RunError::Refused { code, message }));
                }
                Event::Leads(leads) => tracing::info!(leads, "leadership of the application's workers"),
                Event::ClockSkew { worker, ahead } => tracing::warn!(
                    %worker,
                    seconds_ahead = ahead,
                    "the clock of another worker and this one's are far apart"
                ),
                Event::StreamFound { stream, identifier, before } => {
                    tracing::info!(%stream, %identifier, before = before.map(display), "stream found");
                }
                Event::StreamFails { stream, failure: Failure { code, message, .. } } => {
                    tracing::warn!(%stream, code, message, "a stream cannot be had; it is tried again");
                }
                Event::StreamDeleted { identifier } => {
                    tracing::info!(%identifier, "the leases of a stream that is not read any more are deleted");
                }
                Event::StreamListed { .. } => {}
                Event::Acquired { .. }
                | Event::Kept { .. }
                | Event::HandoffAsked { .. }
                | Event::LetGo { .. }
                | Event::Lost { .. } => self.untold.push_back(Told::Lease(event)),
            }
        }
        self.keeper.watch.note(now, &mut self.coordinator);
        if !self.started && self.coordinator.has_started() {
            self.started = true;
            self.untold.push_back(Told::Started);
        }
    }

    fn entered(&mut self, key: LeaseKey, tenure: Tenure, result: Result<(), Failure>) {
        if let Some(reply) = self.families.remove(&(key, tenure)) {
            // A shard that was stopped meanwhile does not wait any more.
            let _waits = reply.send(result).is_ok();
        }
    }

    fn reply(&mut self, id: CheckpointId, result: Result<(), CheckpointError>) {
        if let Some(reply) = self.checkpoints.remove(&id) {
            // A handler that was dropped does not wait any more.
            let _waits = reply.send(result).is_ok();
        }
    }
}

async fn carry_out(context: &Context, mut request: Request) -> Answer {
    let Context { worker, store, clients, clock, host, timeout } = context;
    let written =
        |result: Result<(), StoreError>| result.map_or_else(StoreError::into_answer, |()| Answer::Written);
    // Bounded by the client, page by page: a long list may take longer than one write.
    match request {
        Request::ListShards { stream, filter } => {
            let listed = clients.of(stream.as_ref()).list_shards(filter).await;
            return listed.map_or_else(Answer::Failed, Answer::Shards);
        }
        Request::Describe(stream) => {
            return clients.describe(&stream).await.map_or_else(Answer::Failed, Answer::Described);
        }
        _ => {}
    }
    // Bounded by itself, and not a part of the call's time: without a sample the row is written all the same. There is
    // one report at a time.
    if let (Request::Report(member), Some(host)) = (&mut request, host) {
        member.metrics.extend(host.lock().await.sample().await.map(|cpu| (String::from("C"), cpu)));
    }
    let work = async {
        match request {
            Request::Look => match store.view().await {
                Ok(view) => Answer::View { view: Box::new(view), wall: clock.wall_seconds() },
                Err(error) => error.into_answer(),
            },
            Request::Assigned => {
                store.assigned(worker).await.map_or_else(StoreError::into_answer, Answer::Keys)
            }
            Request::Get(key) => {
                let row = store.get(&key).await;
                row.map_or_else(StoreError::into_answer, |row| Answer::Row(row.map(Box::new)))
            }
            Request::Write { key, change } => written(store.write(&key, &change).await),
            Request::Create(row) => written(store.create(&row).await),
            Request::Delete(row) => written(store.delete(&row.key, &row).await),
            Request::Report(mut member) => {
                member.updated = clock.wall_seconds();
                written(store.put_member(&member).await)
            }
            Request::Forget { worker, updated } => written(store.delete_member(&worker, updated).await),
            Request::Lock(change) => written(store.change_lock(&change).await),
            Request::Claim(version) => written(store.claim(&version, worker).await),
            Request::ListShards { .. } | Request::Describe(_) => unreachable!("answered above"),
        }
    };
    let late = |_| Answer::Failed(Failure::unknown("Timeout", format!("no answer within {timeout:?}")));
    tokio::time::timeout(*timeout, work).await.unwrap_or_else(late)
}

/// What requests are carried out with.
struct Context {
    worker: WorkerId,
    store: Arc<dyn LeaseStore>,
    clients: Clients,
    clock: Clock,
    /// What this worker tells of its host, if anything.
    host: Option<Mutex<Host>>,
    timeout: Duration,
}
