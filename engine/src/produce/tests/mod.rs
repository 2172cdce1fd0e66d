//! The pipeline as a conversation: put, request, answer, outcome.

mod any;
mod collecting;
mod describing;
mod failures;
mod flushing;
mod limiting;
mod measuring;
mod order;
mod resharding;
mod spreading;

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_core::aggregation::decode;
use shardflow_core::{Fate, HashKey, HashKeyRange, Record, RecordDistribution, Shard, ShardId};

use super::*;
use crate::{Failure, Moment, RequestId};

/// A pipeline, its clock, and what it asked for and told.
struct Talk {
    pipeline: Pipeline<u32>,
    now: Moment,
    asked: Vec<(RequestId, Request)>,
    /// What is answered at once when it asks what the stream is like; nothing leaves it unanswered.
    description: Option<Answer>,
    settled: BTreeMap<u32, Outcome>,
    flushed: Vec<u64>,
    next_number: u64,
}

impl Talk {
    fn with(settings: Settings) -> Self {
        Self {
            pipeline: Pipeline::new(settings, 7),
            now: Moment::START,
            asked: Vec::new(),
            description: Some(described(RecordDistribution::UserPartitionKey)),
            settled: BTreeMap::new(),
            flushed: Vec::new(),
            next_number: 0,
        }
    }

    /// One that has the map of a stream with that many shards, whose records may have all that a stream can be told to
    /// take.
    fn with_shards(settings: Settings, count: u32) -> Self {
        let mut talk = Self::with(settings);
        let distribution = RecordDistribution::UserPartitionKey;
        talk.description = Some(Answer::Described(Description { distribution, record_bytes: 10 << 20 }));
        talk.put(u32::MAX, 0);
        talk.answer_map(divided(count));
        talk.flush();
        talk.deliver_all();
        talk.settled.clear();
        talk.flushed.clear();
        talk
    }

    fn drain(&mut self) {
        while let Some((id, request)) = self.pipeline.poll_request() {
            match (&self.description, &request) {
                (Some(answer), Request::Describe) => {
                    self.pipeline.handle_answer(self.now, id, answer.clone());
                }
                _ => self.asked.push((id, request)),
            }
        }
        while let Some(event) = self.pipeline.poll_event() {
            match event {
                Event::Settled { tag, outcome } => self.settle(tag, outcome),
                Event::Delivered(mut delivered) => {
                    delivered.outcomes().for_each(|(tag, outcome)| self.settle(tag, outcome));
                    self.pipeline.reuse(delivered);
                }
                Event::Flushed { failed, .. } => self.flushed.push(failed),
            }
        }
    }

    fn settle(&mut self, tag: u32, outcome: Outcome) {
        assert!(self.settled.insert(tag, outcome).is_none(), "{tag} is settled once");
    }

    /// Puts a record that belongs to the given point of the hash space, in hundredths.
    fn put(&mut self, tag: u32, percent: u128) {
        self.put_sized(tag, percent, 10);
    }

    fn put_sized(&mut self, tag: u32, percent: u128, size: usize) {
        let key = HashKey(u128::MAX / 100 * percent);
        let mut data = tag.to_be_bytes().to_vec();
        data.resize(size.max(4), 0);
        let record = Record::new("k", data).unwrap().explicit_hash_key(key);
        self.pipeline.put(self.now, record, tag);
        self.pipeline.handle_timeout(self.now);
        self.drain();
    }

    fn put_keyless(&mut self, tag: u32, size: usize) {
        let mut data = tag.to_be_bytes().to_vec();
        data.resize(size.max(4), 0);
        let record = Record::keyless(data);
        self.pipeline.put(self.now, record, tag);
        self.pipeline.handle_timeout(self.now);
        self.drain();
    }

    fn sleep(&mut self, millis: u64) {
        let until = self.now.after(Duration::from_millis(millis));
        while let Some(at) = self.pipeline.poll_timeout().filter(|&at| at <= until) {
            self.now = at.max(self.now);
            self.pipeline.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn flush(&mut self) {
        self.pipeline.flush(self.now);
        self.drain();
    }

    fn answer(&mut self, id: RequestId, answer: Answer) {
        self.pipeline.handle_answer(self.now, id, answer);
        self.drain();
    }

    fn take_map_request(&mut self) -> RequestId {
        let at = self
            .asked
            .iter()
            .position(|(_, r)| matches!(r, Request::ListShards { .. }))
            .expect("it asks for the map");
        self.asked.remove(at).0
    }

    fn answer_map(&mut self, shards: Vec<Shard>) {
        let id = self.take_map_request();
        self.answer(id, Answer::Shards(shards));
    }

    /// The oldest put that is not answered.
    fn take_put(&mut self) -> (RequestId, Vec<PutEntry>) {
        let at = self.asked.iter().position(|(_, r)| matches!(r, Request::PutRecords(_))).expect("it puts");
        match self.asked.remove(at) {
            (id, Request::PutRecords(entries)) => (id, entries),
            (_, Request::ListShards { .. } | Request::Describe) => unreachable!(),
        }
    }

    fn puts(&self) -> usize {
        self.asked.iter().filter(|(_, r)| matches!(r, Request::PutRecords(_))).count()
    }

    fn placed(&mut self, shard: u64) -> Placed {
        self.next_number += 1;
        Placed {
            shard_id: ShardId::numbered(shard),
            sequence_number: self.next_number.to_string().parse().unwrap(),
        }
    }

    /// Delivers every put under way to the shard that owns it in a stream of `count` shards numbered from `first`.
    fn deliver_to(&mut self, first: u64, count: u32) {
        while self.puts() > 0 {
            let (id, entries) = self.take_put();
            let results = entries
                .iter()
                .map(|entry| {
                    let key = entry.explicit_hash_key.unwrap();
                    let owner = HashKeyRange::divide(count).position(|r| r.contains(key));
                    Ok(self.placed(first + owner.unwrap() as u64))
                })
                .collect();
            self.answer(id, Answer::Put(results));
        }
    }

    fn deliver_all(&mut self) {
        let count = u32::try_from(self.pipeline.lanes.len()).unwrap();
        self.deliver_to(0, count);
    }

    fn delivered(&self, tag: u32) -> bool {
        matches!(self.settled.get(&tag), Some(Outcome::Delivered { .. }))
    }
}

fn shard(number: u64, range: HashKeyRange) -> Shard {
    Shard::new(ShardId::numbered(number), range)
}

fn divided(count: u32) -> Vec<Shard> {
    (0..).zip(HashKeyRange::divide(count)).map(|(number, range)| shard(number, range)).collect()
}

/// A stream of one shard, number 0, after its split into 1 and 2.
fn split() -> Vec<Shard> {
    let mut parent = shard(0, HashKeyRange::ALL);
    parent.ending_sequence_number = Some("9".parse().unwrap());
    let halves = (1..).zip(HashKeyRange::divide(2)).map(|(number, range)| shard(number, range));
    std::iter::once(parent).chain(halves).collect()
}

fn tags(entry: &PutEntry) -> Vec<u32> {
    let tag = |data: &[u8]| u32::from_be_bytes(data[..4].try_into().unwrap());
    match decode(&entry.data) {
        Ok(records) => records.iter().map(|record| tag(&record.data)).collect(),
        Err(_) => vec![tag(&entry.data)],
    }
}

fn all_tags(entries: &[PutEntry]) -> Vec<Vec<u32>> {
    entries.iter().map(tags).collect()
}

fn described(distribution: RecordDistribution) -> Answer {
    Answer::Described(Description { distribution, record_bytes: 1 << 20 })
}

fn key(entry: &PutEntry) -> &str {
    entry.partition_key.as_ref().map_or("", |key| key.as_str())
}

fn throttled() -> Failure {
    Failure::refused("ProvisionedThroughputExceededException", "slow down")
}

fn timed_out() -> Failure {
    Failure::unknown("Timeout", "no answer within 6 s")
}

fn per_key() -> Settings {
    Settings { ordering: Ordering::PerKey, ..Settings::default() }
}
