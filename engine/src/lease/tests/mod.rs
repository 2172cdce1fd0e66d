//! Coordinators and one table, as a conversation.

mod admission;
mod children;
mod keeping;
mod leading;
mod leaving;
mod many;
mod preparing;
mod sharing;
mod streams;

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_core::{
    Checkpoint, ClientVersion, HashKeyRange, LeaderLock, LeaseChange, LeaseKey, LeaseRow, Member, Shard,
    ShardId, StreamIdentifier, View, WorkerId,
};

use super::*;
use crate::{Failure, Moment, RequestId};

/// A stream, its lease table, and workers that reach both at once unless a test says otherwise.
struct Fleet {
    now: Moment,
    shards: Vec<Shard>,
    /// Where there are several.
    streams: BTreeMap<StreamIdentifier, Vec<Shard>>,
    table: BTreeMap<LeaseKey, LeaseRow>,
    members: BTreeMap<WorkerId, Member>,
    lock: Option<LeaderLock>,
    version: Option<ClientVersion>,
    settings: Settings,
    workers: BTreeMap<&'static str, Coordinator>,
    events: Vec<(&'static str, Event)>,
    requests: Vec<Request>,
    /// Whose requests are carried out.
    asks: &'static str,
}

impl Fleet {
    fn with_shards(count: u32) -> Self {
        let shards =
            (0..).zip(HashKeyRange::divide(count)).map(|(n, range)| Shard::new(ShardId::numbered(n), range));
        Self {
            now: Moment::START,
            shards: shards.collect(),
            streams: BTreeMap::new(),
            table: BTreeMap::new(),
            members: BTreeMap::new(),
            lock: None,
            version: None,
            settings: Settings::default(),
            workers: BTreeMap::new(),
            events: Vec::new(),
            requests: Vec::new(),
            asks: "",
        }
    }

    /// A fleet of one worker, `a`, that has all leases.
    fn settled(count: u32) -> Self {
        let mut fleet = Self::with_shards(count);
        fleet.join("a");
        fleet.run(1);
        assert_eq!(fleet.count("a"), count as usize);
        fleet.events.clear();
        fleet
    }

    fn join(&mut self, name: &'static str) {
        let seed = u64::from(name.as_bytes()[0]);
        let settings = self.settings.clone();
        self.workers.insert(name, Coordinator::new(worker(name), settings, seed, self.now));
    }

    fn count(&self, name: &str) -> usize {
        self.workers[name].held().count()
    }

    fn tenure(&self, name: &str, shard: u64) -> Tenure {
        self.workers[name].held().find(|(key, _)| **key == lease_key(shard)).expect("it is held").1
    }

    fn row(&self, shard: u64) -> &LeaseRow {
        &self.table[&lease_key(shard)]
    }

    /// The time by the wall of every worker, in seconds.
    fn wall(&self) -> u64 {
        1_795_000_000 + self.now.since_start().as_secs()
    }

    /// What the table or the stream says to a request.
    fn carry_out(&mut self, request: Request) -> Answer {
        self.requests.push(request.clone());
        match request {
            Request::Look => {
                let mut view = View::default();
                view.leases = self.table.values().cloned().collect();
                view.members = self.members.values().cloned().collect();
                view.lock.clone_from(&self.lock);
                view.version.clone_from(&self.version);
                Answer::View { view: Box::new(view), wall: self.wall() }
            }
            Request::Assigned => {
                let mine =
                    |row: &&LeaseRow| row.owner.as_ref().is_some_and(|owner| owner.as_str() == self.asks);
                Answer::Keys(self.table.values().filter(mine).map(|row| row.key.clone()).collect())
            }
            Request::Get(key) => Answer::Row(self.table.get(&key).cloned().map(Box::new)),
            Request::Delete(row) => {
                self.table.remove(&row.key);
                Answer::Written
            }
            Request::Report(mut member) => {
                member.updated = self.wall();
                self.members.insert(member.worker.clone(), *member);
                Answer::Written
            }
            Request::Forget { worker, .. } => {
                self.members.remove(&worker);
                Answer::Written
            }
            Request::Lock(change) => match change.apply_to(self.lock.as_ref()) {
                Ok(lock) => {
                    self.lock = lock;
                    Answer::Written
                }
                Err(_) => Answer::Conflict(None),
            },
            Request::Claim(version) => match self.version {
                Some(_) => Answer::Conflict(None),
                None => {
                    self.version = Some(version);
                    Answer::Written
                }
            },
            Request::ListShards { stream: None, .. } => Answer::Shards(self.shards.clone()),
            Request::ListShards { stream: Some(stream), .. } => {
                self.streams.get(&stream).map_or_else(missing, |shards| Answer::Shards(shards.clone()))
            }
            Request::Describe(stream) => {
                // The newest of the name.
                let mut namesakes = self.streams.keys().rev().filter(|id| id.name() == stream.name());
                namesakes.next().map_or_else(missing, |id| Answer::Described(id.clone()))
            }
            Request::Create(row) => match self.table.get(&row.key) {
                Some(row) => Answer::Conflict(Some(Box::new(row.clone()))),
                None => {
                    self.table.insert(row.key.clone(), *row);
                    Answer::Written
                }
            },
            Request::Write { key, change } => match self.table.get_mut(&key) {
                None => Answer::Conflict(None),
                Some(row) => match change.apply_to(row) {
                    None => Answer::Conflict(Some(Box::new(row.clone()))),
                    Some(changed) => {
                        *row = changed;
                        Answer::Written
                    }
                },
            },
        }
    }

    fn drain(&mut self, name: &'static str) {
        self.asks = name;
        loop {
            while let Some(event) = self.workers.get_mut(name).unwrap().poll_event() {
                self.events.push((name, event));
            }
            let Some((id, request)) = self.workers.get_mut(name).unwrap().poll_request() else { return };
            let answer = self.carry_out(request);
            self.answer(name, id, answer);
        }
    }

    fn answer(&mut self, name: &'static str, id: RequestId, answer: Answer) {
        self.workers.get_mut(name).unwrap().handle_answer(self.now, id, answer);
    }

    /// Lets time pass, in seconds, with every worker on time.
    fn run(&mut self, seconds: u64) {
        self.run_for(Duration::from_secs(seconds));
    }

    fn run_for(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        let names: Vec<_> = self.workers.keys().copied().collect();
        names.iter().for_each(|name| self.drain(name));
        loop {
            let next =
                names.iter().filter_map(|name| Some((self.workers[name].poll_timeout()?, *name))).min();
            let Some((at, name)) = next.filter(|(at, _)| *at <= until) else { break };
            self.now = at.max(self.now);
            self.workers.get_mut(name).unwrap().handle_timeout(self.now);
            self.drain(name);
        }
        self.now = until;
    }

    /// Lets time pass for one worker up to its next request, which is not carried out.
    fn next_request(&mut self, name: &'static str) -> (RequestId, Request) {
        for _ in 0..100 {
            let worker = self.workers.get_mut(name).unwrap();
            while let Some(event) = worker.poll_event() {
                self.events.push((name, event));
            }
            if let Some(request) = worker.poll_request() {
                return request;
            }
            self.now = worker.poll_timeout().expect("it wants something").max(self.now);
            worker.handle_timeout(self.now);
        }
        panic!("{name} asks for nothing");
    }

    /// The next write of a worker to a lease; everything else is carried out.
    fn next_write(&mut self, name: &'static str) -> (RequestId, LeaseKey, LeaseChange) {
        loop {
            match self.next_request(name) {
                (id, Request::Write { key, change }) => return (id, key, change),
                (id, other) => {
                    let answer = self.carry_out(other);
                    self.answer(name, id, answer);
                }
            }
        }
    }

    fn told(&self, name: &str) -> Vec<&Event> {
        let kept = |event: &Event| matches!(event, Event::Kept { .. } | Event::Leads(_));
        self.events
            .iter()
            .filter(|(who, event)| *who == name && !kept(event))
            .map(|(_, event)| event)
            .collect()
    }

    fn checkpoint(&mut self, name: &'static str, shard: u64, number: u64, id: u64) {
        let tenure = self.tenure(name, shard);
        let checkpoint = at(number);
        let now = self.now;
        self.workers.get_mut(name).unwrap().checkpoint(
            now,
            &lease_key(shard),
            tenure,
            checkpoint,
            CheckpointId(id),
        );
    }

    fn leave(&mut self, name: &'static str, shard: u64) {
        let tenure = self.tenure(name, shard);
        let now = self.now;
        self.workers.get_mut(name).unwrap().leave(now, &lease_key(shard), tenure);
        self.drain(name);
    }
}

fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

fn lease_key(shard: u64) -> LeaseKey {
    LeaseKey::from(&ShardId::numbered(shard))
}

fn at(number: u64) -> Checkpoint {
    Checkpoint::at(number.to_string().parse().unwrap(), 0)
}

fn missing() -> Answer {
    Answer::Failed(Failure::refused("ResourceNotFoundException", "there is no such stream"))
}

fn lost() -> Answer {
    Answer::Failed(Failure::unknown("Timeout", "no answer"))
}
