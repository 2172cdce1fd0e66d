//! What workers have said, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use shardflow_local::ShardRecords;

/// A line of a worker: its label, a word, the shard, and more.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) worker: String,
    pub(crate) word: String,
    pub(crate) shard: String,
    pub(crate) more: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, word, shard, more } = self;
        write!(f, "{worker} {word} {shard} {more}")
    }
}

/// All lines of all workers, in the order in which they were written.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) lines: Vec<Line>,
    /// Where each record came for the first time.
    firsts: BTreeMap<u32, usize>,
    counts: BTreeMap<u32, usize>,
    /// The newest record of each key, of those that came for the first time.
    newest: BTreeMap<String, u32>,
    /// The last record of each shard that is known to be checkpointed.
    stored: BTreeMap<String, u32>,
    /// Who works on each shard, for all that was said.
    at_work: BTreeMap<String, BTreeSet<String>>,
    /// Workers that were frozen, with the shards that they were at: what they say of these may be old.
    frozen: BTreeSet<(String, String)>,
    /// Whether there are two workers of one name, which may both believe in a lease.
    pub(crate) shares_a_name: bool,
    /// Shards that a worker began while another had not said that it had stopped.
    pub(crate) overlaps: Vec<String>,
    /// What must never be.
    wrong: Vec<String>,
}

/// Who has what, and how far it is.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "processed: {}", self.firsts.len())?;
        let at_work = self.at_work.iter().filter(|(_, workers)| !workers.is_empty());
        at_work.into_iter().try_for_each(|(shard, workers)| writeln!(f, "{shard}: {workers:?}"))
    }
}

impl Account {
    /// Takes a line into the account.
    pub(crate) fn enter(&mut self, text: &str) {
        let mut words = text.splitn(4, ' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        let line = Line { worker: next(), word: next(), shard: next(), more: next() };
        let Line { worker, word, shard, more } = &line;
        let at = (worker.clone(), shard.clone());
        match word.as_str() {
            "began" => {
                let others = self.at_work.entry(shard.clone()).or_default();
                let others_at_work = others
                    .iter()
                    .any(|other| other != worker && !self.frozen.contains(&(other.clone(), shard.clone())));
                if others_at_work {
                    self.overlaps.push(format!("{worker} began {shard}, which {others:?} had"));
                }
                others.insert(worker.clone());
                self.frozen.remove(&at);
            }
            "stopped" => {
                self.at_work.entry(shard.clone()).or_default().remove(worker);
                self.frozen.remove(&at);
            }
            "batch" => {
                let number: u32 = more.parse().unwrap();
                let stored = self.stored.get(shard).filter(|stored| **stored >= number);
                if let Some(stored) = stored.filter(|_| !self.shares_a_name && !self.frozen.contains(&at)) {
                    self.wrong.push(format!("{worker} got {number} of {shard}, checkpointed up to {stored}"));
                }
            }
            "record" => self.record(more),
            "stored" => {
                let number: u32 = more.parse().unwrap();
                let stored = self.stored.entry(shard.clone()).or_default();
                *stored = number.max(*stored);
            }
            _ => {}
        }
        self.lines.push(line);
    }

    /// A worker is dead: what it was at, it is at no more.
    pub(crate) fn dead(&mut self, worker: &str) {
        for workers in self.at_work.values_mut() {
            workers.remove(worker);
        }
    }

    /// A worker is frozen: others may go on with what it is at, and it may say what it was about to once it thaws.
    pub(crate) fn freeze(&mut self, worker: &str) {
        let at = self.at_work.iter().filter(|(_, workers)| workers.contains(worker));
        self.frozen.extend(at.map(|(shard, _)| (worker.to_owned(), shard.clone())));
    }

    /// The checkpoint of a shard is no more, and that of all others is.
    pub(crate) fn forget(&mut self, shard: &str) {
        self.stored.remove(shard);
    }

    /// Whether each of so many records has come.
    pub(crate) fn has_processed(&self, count: u32) -> bool {
        self.firsts.len() >= count as usize
    }

    pub(crate) fn has_record(&self, number: u32) -> bool {
        self.firsts.contains_key(&number)
    }

    /// Records that came more than once.
    pub(crate) fn repeats(&self) -> usize {
        self.counts.values().filter(|&&count| count > 1).count()
    }

    /// The shards that a worker is at.
    pub(crate) fn shards_of(&self, worker: &str) -> BTreeSet<&str> {
        let at = self.at_work.iter().filter(|(_, workers)| workers.contains(worker));
        at.map(|(shard, _)| shard.as_str()).collect()
    }

    /// A worker's lines of one kind.
    pub(crate) fn said<'a>(&'a self, worker: &'a str, word: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.worker == worker && line.word == word)
    }

    /// Fails if something is wrong with what was said so far.
    pub(crate) fn check(&self) {
        let before = || {
            let lines = self.lines.iter().filter(|line| line.word != "record").rev().take(60);
            lines.map(Line::to_string).collect::<Vec<_>>()
        };
        assert!(self.wrong.is_empty(), "{:#?} the last lines, backwards: {:#?}", self.wrong, before());
    }

    /// Fails unless all that a stream holds has been processed, but for some records, and parents before children.
    pub(crate) fn check_against(&self, stream: &[ShardRecords], skipped: &[u32]) {
        self.check();
        let numbers = |held: &ShardRecords| -> Vec<u32> {
            let records = held.user_records();
            let number = |data: &[u8]| std::str::from_utf8(data).unwrap().parse().unwrap();
            records.map(|record| number(&record.data)).filter(|number| !skipped.contains(number)).collect()
        };
        for held in stream {
            let came = |number: &u32| {
                let first = self.firsts.get(number);
                *first.unwrap_or_else(|| panic!("{number} of {} is lost", held.shard.id))
            };
            let mine: Vec<_> = numbers(held).iter().map(came).collect();
            let parents = [&held.shard.parent, &held.shard.adjacent_parent].into_iter().flatten();
            for parent in parents.filter_map(|id| stream.iter().find(|held| held.shard.id == *id)) {
                for number in numbers(parent) {
                    let late = mine.first().filter(|first| **first < self.firsts[&number]);
                    assert_eq!(late, None, "{number} of a parent came after a record of {}", held.shard.id);
                }
            }
        }
        for number in skipped {
            assert!(!self.has_record(*number), "{number} was to be skipped");
        }
    }

    fn record(&mut self, more: &str) {
        let (number, key) = more.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        let count = self.counts.entry(number).or_default();
        *count += 1;
        if *count == 1 {
            self.firsts.insert(number, self.lines.len());
            let before = self.newest.insert(key.to_owned(), number);
            if let Some(before) = before.filter(|before| *before > number) {
                self.wrong.push(format!("{number} of {key} came after {before}"));
            }
        }
    }
}
