//! Workers in processes of their own, and what is left of one that is killed.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use shardflow_consumer::{DynamoDbLeases, LeaseStore};
use shardflow_core::Record;
use shardflow_local::{Config as LocalConfig, Limits, Listen, Local};
use shardflow_tests::clients::Place;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A line of a worker: its name and the line's words.
type Line = (&'static str, Vec<String>);

/// Starts a worker process, which dies with its handle, and a task that reads its lines.
fn start(name: &'static str, endpoint: &str, lines: &mpsc::Sender<Line>, readers: &mut JoinSet<()>) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_worker"))
        .args(["--endpoint", endpoint, "--stream", "orders", "--table", "billing", "--name", name])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let to = lines.clone();
    readers.spawn(async move {
        while let Ok(Some(line)) = output.next_line().await {
            let words = line.split(' ').map(str::to_owned).collect();
            if to.send((name, words)).await.is_err() {
                return;
            }
        }
    });
    child
}

/// What both workers have said.
struct Account {
    lines: mpsc::Receiver<Line>,
    /// Records by number, and how often each came.
    counts: BTreeMap<u32, usize>,
    /// The newest number of each key, as long as numbers came in order.
    newest: BTreeMap<String, u32>,
    began: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Account {
    /// The next line, taken into the account.
    async fn next(&mut self) -> Line {
        let line = timeout(Duration::from_secs(60), self.lines.recv()).await;
        let (worker, words) = line.expect("a worker says something within a minute").unwrap();
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["began", shard] => drop(self.began.entry(worker).or_default().insert(shard.to_owned())),
            // The last line of a worker that is killed may be cut short: numbers have six digits.
            ["record", _, key, number] if number.len() == 6 => {
                let number = number.parse().unwrap();
                let count = self.counts.entry(number).or_default();
                *count += 1;
                if *count == 1 {
                    let before = self.newest.insert(key.to_owned(), number);
                    assert!(before.is_none_or(|before| before < number), "{key}: {before:?} before {number}");
                }
            }
            _ => {}
        }
        (worker, words)
    }

    async fn processed(&mut self, count: usize) {
        while self.counts.len() < count {
            self.next().await;
        }
    }
}

fn put(local: &Local, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let record = Record::new(format!("key-{}", number % 100), format!("{number:06}")).unwrap();
        local.put("orders", &record).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shards_of_a_killed_worker_are_taken_over_and_nothing_is_lost() {
    let local = Local::new(LocalConfig::default().limits(Limits::unthrottled())).unwrap();
    local.create_stream("orders", 4).unwrap();
    let server = local.serve(Listen::default().port(0)).await.unwrap();
    let mut readers = JoinSet::new();
    let (send, lines) = mpsc::channel(1_000);
    let mut account =
        Account { lines, counts: BTreeMap::new(), newest: BTreeMap::new(), began: BTreeMap::new() };

    let mut a = start("a", server.endpoint(), &send, &mut readers);
    put(&local, 0..1_000);
    account.processed(1_000).await;
    let mut b = start("b", server.endpoint(), &send, &mut readers);
    while account.began.get("b").is_none_or(|shards| shards.len() < 2) {
        account.next().await;
    }

    // In the middle of its work.
    put(&local, 1_000..6_000);
    let mut of_a = 0;
    while of_a < 300 {
        let (worker, words) = account.next().await;
        of_a += usize::from(worker == "a" && words[0] == "record");
    }
    a.kill().await.unwrap();
    put(&local, 6_000..7_000);
    account.processed(7_000).await;

    let repeats = account.counts.values().filter(|&&count| count > 1).count();
    assert!(repeats <= 4 * 50, "{repeats} repeats: more than the batches that were not checkpointed");
    let leases = DynamoDbLeases::new(Place::inside(&local).dynamodb(), "billing".parse().unwrap());
    for row in leases.view().await.unwrap().leases {
        assert_eq!(row.holder().unwrap().as_str(), "b", "{row:?}");
    }
    b.kill().await.unwrap();
    server.shutdown().await;
}
