//! The handle that applications hold, and the task behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::client::{Client, Failure, Kind};
use crate::registry::Registry;
use crate::waiting::{Batch, Waiting};
use crate::{Config, NoRuntime, PublishError, Recorder};

/// Publishes to CloudWatch what its [`Recorder`] is told, from a task of its own.
///
/// When it is dropped, what is not published is lost: [`Publisher::close`] it.
#[derive(Debug)]
pub struct Publisher {
    registry: Arc<Registry>,
    progress: Arc<Progress>,
    commands: mpsc::Sender<Command>,
    _task: AbortOnDropHandle<()>,
}

/// How a publisher does: see [`Publisher::health`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// Publications that failed since one succeeded. All that they had is kept and goes with the next.
    pub failures: u32,
    /// Metrics that were taken from the recorder and are not published yet.
    pub waiting: usize,
    /// Values that are lost since the start: there were more metrics than fit, or CloudWatch does not take the name, the labels
    /// or the whole.
    pub lost: u64,
}

/// What the task tells.
#[derive(Debug, Default)]
struct Progress {
    failures: AtomicU32,
    waiting: AtomicUsize,
}

#[derive(Debug)]
enum Command {
    Flush(Reply),
    Close(Reply),
}

type Reply = oneshot::Sender<Result<(), PublishError>>;

impl Publisher {
    /// Starts publishing on the current tokio runtime. Does no I/O before the first interval is over.
    ///
    /// The client's credentials, region, endpoint and HTTP client are used as they are; its retries and time-outs are
    /// replaced by the publisher's.
    ///
    /// # Errors
    ///
    /// Outside of a tokio runtime.
    pub fn start(client: aws_sdk_cloudwatch::Client, config: Config) -> Result<Self, NoRuntime> {
        let runtime = Handle::try_current().map_err(|_| NoRuntime)?;
        let client = Client::new(&client, &config);
        let registry = Arc::new(Registry::new(config));
        let progress = Arc::<Progress>::default();
        let (commands, mail) = mpsc::channel(1);
        let task = Task {
            waiting: Waiting::new(registry.most_data()),
            registry: Arc::clone(&registry),
            progress: Arc::clone(&progress),
            client,
            told: (0, 0),
        };
        let _task = AbortOnDropHandle::new(runtime.spawn(task.run(mail)));
        Ok(Self { registry, progress, commands, _task })
    }

    /// The recorder whose metrics are published.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder(Arc::clone(&self.registry))
    }

    /// Publishes now, and returns when CloudWatch has all that was recorded before the call, or has refused it.
    ///
    /// Cancel safe: dropping the call only stops the waiting.
    ///
    /// # Errors
    ///
    /// When not all could be published. It is kept, and goes with the next publication.
    pub async fn flush(&self) -> Result<(), PublishError> {
        self.ask(Command::Flush).await
    }

    /// Publishes what is left, trying again while that may help and there is time, and ends.
    ///
    /// Not cancel safe: a call that is dropped ends the publisher with what is left.
    ///
    /// # Errors
    ///
    /// When not all could be published. It is lost.
    pub async fn close(self, patience: Duration) -> Result<(), PublishError> {
        match tokio::time::timeout(patience, self.ask(Command::Close)).await {
            Ok(end) => end,
            Err(_elapsed) => {
                let metrics = self.health().waiting;
                tracing::warn!(
                    metrics,
                    ?patience,
                    "CloudWatch did not take all metrics in time: they are lost"
                );
                Err(PublishError::Late { metrics, patience })
            }
        }
    }

    /// How things stand now. Costs nothing.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            failures: self.progress.failures.load(Ordering::Relaxed),
            waiting: self.progress.waiting.load(Ordering::Relaxed),
            lost: self.registry.crowded.values() + self.registry.illegal.values(),
        }
    }

    async fn ask(&self, command: impl FnOnce(Reply) -> Command) -> Result<(), PublishError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| PublishError::Ended)?;
        answer.await.map_err(|_| PublishError::Ended)?
    }
}

#[derive(Debug)]
struct Task {
    registry: Arc<Registry>,
    progress: Arc<Progress>,
    client: Client,
    /// What could not be published.
    waiting: Waiting,
    /// Values that were lost for want of room, and since they are not legal, as far as it was told.
    told: (u64, u64),
}

/// How often a gauge is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often a publication looks for the data that CloudWatch refuses by halving: enough to find two among 1,000.
const HALVINGS: usize = 20;

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let interval = self.registry.config().interval;
        let mut due = Instant::now() + interval;
        let mut look = Instant::now() + LOOK;
        loop {
            // Commands first, since somebody waits; a publication is due seldom, and must not be late for looks.
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None => return,
                    // Who asked may have gone away.
                    Some(Command::Flush(reply)) => drop(reply.send(self.publish().await)),
                    Some(Command::Close(reply)) => return drop(reply.send(self.finish().await)),
                },
                () = sleep_until(due) => {
                    // Told, and kept for the next time.
                    drop(self.publish().await);
                    due = Instant::now() + interval;
                }
                () = sleep_until(look) => {
                    self.registry.look();
                    look = Instant::now() + LOOK;
                }
            }
        }
    }

    /// Publishes until nothing is left or nothing helps. Who asked for it has set an end.
    async fn finish(&mut self) -> Result<(), PublishError> {
        loop {
            match self.attempt().await {
                Err(failure) if failure.kind == Kind::Passing => sleep(LOOK).await,
                end => return end.map_err(|failure| self.error(failure)),
            }
        }
    }

    async fn publish(&mut self) -> Result<(), PublishError> {
        self.attempt().await.map_err(|failure| self.error(failure))
    }

    fn error(&self, Failure { code, message, .. }: Failure) -> PublishError {
        PublishError::Failed { metrics: self.progress.waiting.load(Ordering::Relaxed), code, message }
    }

    /// Publishes all that there is, or keeps what it could not publish, and tells how it went.
    async fn attempt(&mut self) -> Result<(), Failure> {
        self.registry.take(&mut self.waiting);
        let end = self.put_all().await;
        let failures = match &end {
            Ok(()) => 0,
            Err(Failure { code, message, .. }) => {
                let failures = self.progress.failures.load(Ordering::Relaxed).saturating_add(1);
                let metrics = self.progress.waiting.load(Ordering::Relaxed);
                tracing::warn!(code, message, metrics, failures, "metrics are not published, and kept");
                failures
            }
        };
        self.progress.failures.store(failures, Ordering::Relaxed);
        self.tell_lost();
        end
    }

    /// Puts batch after batch. At the first that is not taken the rest waits for the next time: it would fare no better.
    async fn put_all(&mut self) -> Result<(), Failure> {
        let mut batches: VecDeque<_> = self.waiting.batches().into();
        let mut halvings = HALVINGS;
        let mut invalid = Ok(());
        self.progress.waiting.store(batches.iter().map(Batch::len).sum(), Ordering::Relaxed);
        while let Some(batch) = batches.pop_front() {
            match self.client.put(&batch).await {
                Ok(()) => {}
                Err(failure) if failure.kind == Kind::Invalid => {
                    if batch.len() > 1 && halvings > 0 {
                        halvings -= 1;
                        batch.halves().into_iter().rev().for_each(|half| batches.push_front(half));
                        continue;
                    }
                    let Failure { code, message, .. } = &failure;
                    let (metrics, first) = (batch.len(), batch.first());
                    tracing::error!(
                        code,
                        message,
                        metrics,
                        ?first,
                        "CloudWatch does not take metrics: they are lost"
                    );
                    self.registry.illegal.add(batch.values());
                    invalid = Err(failure);
                }
                Err(failure) => {
                    batches.push_front(batch);
                    batches.into_iter().for_each(|batch| self.waiting.put_back(batch));
                    return Err(failure);
                }
            }
            self.progress.waiting.store(batches.iter().map(Batch::len).sum(), Ordering::Relaxed);
        }
        invalid
    }

    /// One line for all that was lost since the last one.
    fn tell_lost(&mut self) {
        let now = (self.registry.crowded.values(), self.registry.illegal.values());
        let (crowded, illegal) = (now.0 - self.told.0, now.1 - self.told.1);
        if crowded > 0 || illegal > 0 {
            let limit = self.registry.config().max_metrics;
            tracing::warn!(
                crowded,
                illegal,
                limit,
                "values are lost: of metrics above the limit, and of such that CloudWatch does not take"
            );
        }
        self.told = now;
    }
}
