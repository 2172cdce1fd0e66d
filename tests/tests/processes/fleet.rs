//! The service, a stream, and workers in processes of their own that read it.

use std::collections::BTreeMap;
use std::io::PipeWriter;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use shardflow_consumer::{DynamoDbLeases, LeaseStore, View};
use shardflow_core::Record;
use shardflow_local::{Config as LocalConfig, Limits, Listen, Local, Server};
use shardflow_tests::clients::Place;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::account::{Account, Line};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at whether it has come.
const POLL: Duration = Duration::from_millis(20);

/// The stream `orders`, the lease table `billing`, and the workers, each by its label.
pub(crate) struct Fleet {
    pub(crate) local: Local,
    server: Server,
    account: Arc<Mutex<Account>>,
    /// Into which all workers write.
    pipe: PipeWriter,
    reader: JoinSet<()>,
    workers: BTreeMap<&'static str, Child>,
    /// How many records were put.
    put: u32,
    /// How many records are put with each look while something is waited for.
    pub(crate) feed: u32,
}

impl Fleet {
    /// A stream of so many shards, and no worker.
    pub(crate) async fn new(shards: u32) -> Self {
        let local = Local::new(LocalConfig::default().limits(Limits::unthrottled())).unwrap();
        local.create_stream("orders", shards).unwrap();
        let server = local.serve(Listen::default().port(0)).await.unwrap();
        let (from, pipe) = std::io::pipe().unwrap();
        let account = Arc::new(Mutex::new(Account::default()));
        let mut reader = JoinSet::new();
        let (entered, from) = (Arc::clone(&account), Receiver::from_owned_fd(from.into()).unwrap());
        reader.spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                entered.lock().unwrap().enter(&line);
            }
        });
        Self { local, server, account, pipe, reader, workers: BTreeMap::new(), put: 0, feed: 0 }
    }

    /// Starts a worker whose label is its name.
    pub(crate) fn start(&mut self, name: &'static str) {
        self.start_as(name, name, &[]);
    }

    /// Starts a worker with more arguments.
    pub(crate) fn start_as(&mut self, label: &'static str, name: &str, arguments: &[&str]) {
        self.start_with(label, name, arguments, &[]);
    }

    /// Starts a worker with more arguments, and an environment of its own.
    pub(crate) fn start_with(
        &mut self,
        label: &'static str,
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) {
        let worker = Command::new(env!("CARGO_BIN_EXE_worker"))
            .args(["--endpoint", self.server.endpoint(), "--stream", "orders", "--table", "billing"])
            .args(["--name", name, "--label", label])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(self.pipe.try_clone().unwrap())
            .kill_on_drop(true)
            .spawn();
        self.workers.insert(label, worker.unwrap());
    }

    /// Sends a worker a signal by its name, such as `STOP`.
    pub(crate) async fn signal(&self, label: &str, signal: &str) {
        let id = self.workers[label].id().expect("it has not ended").to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Ends a worker without a word to it.
    pub(crate) async fn kill(&mut self, label: &str) {
        self.workers.remove(label).unwrap().kill().await.unwrap();
        // Its last lines are in the pipe, or read already.
        self.account().dead(label);
    }

    /// Waits until a worker ends by itself.
    pub(crate) async fn ended(&mut self, label: &str) -> ExitStatus {
        let mut worker = self.workers.remove(label).unwrap();
        let mut status = None;
        self.until("a worker has ended", |_| {
            status = worker.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    /// Whether a worker has ended.
    pub(crate) fn has_ended(&mut self, label: &str) -> bool {
        self.workers.get_mut(label).unwrap().try_wait().unwrap().is_some()
    }

    /// Asks a worker for its end, and waits for it.
    pub(crate) async fn stop(&mut self, label: &str) {
        self.signal(label, "TERM").await;
        let status = self.ended(label).await;
        assert!(status.success(), "{label}: {status}");
    }

    /// Puts so many records, whose data is their number, to the shards of 1,000 keys.
    pub(crate) fn put(&mut self, count: u32) {
        for number in self.put..self.put + count {
            let record = Record::new(format!("key-{}", number % 1_000), number.to_string()).unwrap();
            self.local.put("orders", &record).unwrap();
        }
        self.put += count;
    }

    /// Waits until all that was put has been processed.
    pub(crate) async fn processed(&mut self) {
        self.feed = 0;
        let put = self.put;
        self.until("all is processed", |account| account.has_processed(put)).await;
    }

    /// Waits until the account shows something.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Account) -> bool) {
        let before = Instant::now();
        while !holds(&self.checked()) {
            if before.elapsed() > PATIENCE {
                let table = self.leases().view().await;
                let account = self.account();
                let last: Vec<_> = account.lines.iter().rev().take(40).map(Line::to_string).collect();
                panic!(
                    "not within {PATIENCE:?}: {what}; {account} the last lines, backwards: {last:#?} {table:#?}"
                );
            }
            self.wait().await;
        }
    }

    /// Waits until the lease table shows something.
    pub(crate) async fn until_table(&mut self, what: &str, holds: impl Fn(&View) -> bool) {
        let before = Instant::now();
        loop {
            let view = self.view().await;
            if holds(&view) {
                return;
            }
            assert!(before.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; the table is {view:#?}");
            drop(self.checked());
            self.wait().await;
        }
    }

    /// Waits until the shards are with these workers, each with its share, and they are at work.
    pub(crate) async fn shared(&mut self, workers: &[&str]) {
        let count = self.open_shards();
        let shares = count / workers.len()..=count.div_ceil(workers.len());
        self.until("the shards are shared out", |account| {
            let each = || workers.iter().map(|worker| account.shards_of(worker).len());
            each().all(|share| shares.contains(&share)) && each().sum::<usize>() == count
        })
        .await;
    }

    /// What is in the lease table, once there is one.
    pub(crate) async fn view(&self) -> View {
        self.leases().view().await.unwrap()
    }

    pub(crate) fn leases(&self) -> DynamoDbLeases {
        DynamoDbLeases::new(Place::inside(&self.local).dynamodb(), "billing".parse().unwrap())
    }

    /// Who leads.
    pub(crate) async fn leader(&mut self, among: &[&'static str]) -> &'static str {
        let named = |view: &View| {
            let lock = view.lock.as_ref().filter(|lock| !lock.released)?;
            among.iter().find(|worker| lock.owner.as_str() == **worker).copied()
        };
        self.until_table("somebody leads", |view| named(view).is_some()).await;
        named(&self.view().await).expect("a lock stays where it is while its owner lives")
    }

    /// How many shards can be written to.
    pub(crate) fn open_shards(&self) -> usize {
        let shards = self.local.shards("orders").unwrap();
        shards.iter().filter(|shard| shard.ending_sequence_number.is_none()).count()
    }

    /// What was said so far. Not to be held while something is awaited.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    /// Fails unless all that was put has been processed, but for some records; then ends all that was begun.
    pub(crate) async fn end(mut self, skipped: &[u32]) {
        let stream = self.local.records("orders").unwrap();
        for (_, mut worker) in std::mem::take(&mut self.workers) {
            worker.kill().await.unwrap();
        }
        drop(self.pipe);
        // What was written is read first.
        while let Some(read) = self.reader.join_next().await {
            read.unwrap();
        }
        self.account.lock().unwrap().check_against(&stream, skipped);
        self.server.shutdown().await;
    }

    fn checked(&self) -> MutexGuard<'_, Account> {
        let account = self.account();
        account.check();
        account
    }

    /// A moment in which what is fed is put.
    pub(crate) async fn wait(&mut self) {
        self.put(self.feed);
        sleep(POLL).await;
    }
}
