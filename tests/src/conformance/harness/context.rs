//! What a check is given: clients, names, and time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use shardflow_local::Local;

use super::Target;

/// What a check is given. Whatever it creates by it is deleted when the check is over, however it ends.
#[derive(Debug)]
pub struct Context {
    /// A client of Kinesis that tries once.
    pub kinesis: aws_sdk_kinesis::Client,
    /// A client of DynamoDB that tries once.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// A client of CloudWatch that tries once.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    target: Target,
    created: Mutex<Vec<Created>>,
}

/// Something that is to be deleted.
#[derive(Clone, Debug)]
enum Created {
    Stream(String),
    Table(String),
}

/// The tries at something that takes a server a while.
#[derive(Debug)]
pub(crate) struct Tries<'a> {
    context: &'a Context,
    left: Duration,
    awaited: String,
}

/// How long a server is given between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a server is given before it is said not to do something.
const LONGEST: Duration = Duration::from_secs(30);

static NAMES: AtomicU32 = AtomicU32::new(0);

impl Context {
    pub(super) fn new(
        target: Target,
        kinesis: aws_sdk_kinesis::Client,
        dynamodb: aws_sdk_dynamodb::Client,
        cloudwatch: aws_sdk_cloudwatch::Client,
    ) -> Self {
        Self { kinesis, dynamodb, cloudwatch, target, created: Mutex::default() }
    }

    /// A name that nothing else has.
    pub(crate) fn name(&self) -> String {
        // Random too: a server may be left over from an earlier run.
        format!("conformance-{:08x}-{}", fastrand::u32(..), NAMES.fetch_add(1, Ordering::Relaxed))
    }

    /// A name for a stream, which is deleted in the end.
    pub(crate) fn stream_name(&self) -> String {
        let name = self.name();
        self.created().push(Created::Stream(name.clone()));
        name
    }

    /// A name for a table, which is deleted in the end.
    pub(crate) fn table_name(&self) -> String {
        let name = self.name();
        self.created().push(Created::Table(name.clone()));
        name
    }

    /// Lets time pass for the server. A check that needs more than a few seconds says so by
    /// [`Need::Passing`](super::Need::Passing).
    pub(crate) async fn pass(&self, by: Duration) -> Result<(), String> {
        self.target.pass(&self.kinesis, by).await
    }

    /// Tries at what a server may take a while for; `awaited` says what, for the case that it never happens.
    pub(crate) fn tries(&self, awaited: impl Into<String>) -> Tries<'_> {
        Tries { context: self, left: LONGEST, awaited: awaited.into() }
    }

    /// Our own service's metrics, if it is that.
    pub(crate) fn sink(&self) -> Option<&Local> {
        self.target.sink()
    }

    /// Deletes what was created. A check may have done so itself.
    pub(super) async fn clean(&self) {
        let created = std::mem::take(&mut *self.created());
        for created in created {
            match created {
                Created::Stream(name) => {
                    let delete =
                        self.kinesis.delete_stream().stream_name(name).enforce_consumer_deletion(true);
                    delete.send().await.map(drop).unwrap_or_default();
                }
                Created::Table(name) => {
                    self.dynamodb.delete_table().table_name(name).send().await.map(drop).unwrap_or_default();
                }
            }
        }
    }

    fn created(&self) -> MutexGuard<'_, Vec<Created>> {
        self.created.lock().expect("nothing panics while it holds the names")
    }
}

impl Tries<'_> {
    /// Lets a little time pass before the next try.
    pub(crate) async fn again(&mut self) -> Result<(), String> {
        self.after(PAUSE).await
    }

    /// Lets so much time pass before the next try.
    pub(crate) async fn after(&mut self, pause: Duration) -> Result<(), String> {
        self.left = self.left.saturating_sub(pause);
        if self.left.is_zero() {
            return Err(format!("waited in vain for {}", self.awaited));
        }
        self.context.pass(pause).await
    }
}
