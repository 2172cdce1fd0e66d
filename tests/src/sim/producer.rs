//! A producer: the real pipeline, and an application that puts.

use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{Record, RecordDistribution};
use shardflow_engine::Moment;
use shardflow_engine::produce::{Event, Ordering, Outcome, Pipeline, Settings};

use super::network::{Call, Reply};
use super::records::Id;

/// Puts records of its own keys until it is told to stop.
#[derive(Debug)]
pub(super) struct Producer {
    number: u16,
    pipeline: Pipeline<Id>,
    /// How many records each key has had.
    indices: Vec<u32>,
    /// As many of them, the first ones, put their records without a partition key.
    keyless: usize,
    /// Mean time between two puts.
    pace: Duration,
    pub(super) next_put: Option<Duration>,
}

/// What a producer has done.
#[derive(Debug)]
pub(super) enum Did {
    Called(Call),
    Put(Id, Record),
    Settled(Id, Outcome),
}

impl Producer {
    pub(super) fn new(number: u16, ordering: Ordering, pace: Duration, rng: &mut Rng) -> Self {
        let settings = Settings {
            ordering,
            aggregate: rng.u8(..4).gt(&0).then(|| rng.u64(200..51_200).try_into().expect("it is in bounds")),
            linger: Duration::from_millis(rng.u64(0..200)),
            record_ttl: Duration::from_secs(rng.u64(5..60)),
            requests_in_flight: rng.usize(1..8),
            distribution: rng.bool().then_some(RecordDistribution::UserPartitionKey),
            description_age: Duration::from_secs(rng.u64(10..300)),
            map_age: Duration::from_secs(rng.u64(10..300)),
            ..Settings::default()
        };
        Self {
            number,
            pipeline: Pipeline::new(settings, rng.u64(..)),
            indices: vec![0; rng.usize(1..20)],
            keyless: if ordering == Ordering::None { rng.usize(..4) } else { 0 },
            pace,
            next_put: Some(Duration::ZERO),
        }
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        [self.pipeline.poll_timeout().map(Moment::since_start), self.next_put].into_iter().flatten().min()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.pipeline.is_empty()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.pipeline.held_bytes()
    }

    pub(super) fn wake(&mut self, now: Duration, rng: &mut Rng) -> Vec<Did> {
        let mut did = Vec::new();
        if self.next_put.is_some_and(|at| at <= now) {
            // Some come together, as they do.
            for _ in 0..rng.usize(1..5) {
                let key = rng.usize(..self.indices.len());
                let id = Id {
                    producer: self.number,
                    key: u16::try_from(key).expect("keys are few"),
                    index: self.indices[key],
                };
                self.indices[key] += 1;
                let record = id.record(rng.usize(8..1_500));
                let record = if key < self.keyless { Record::keyless(record.data().clone()) } else { record };
                did.push(Did::Put(id, record.clone()));
                self.pipeline.put(Moment::from_start(now), record.clone(), id);
            }
            self.next_put = Some(now + self.pace.mul_f64(rng.f64() * 2.0));
        }
        self.pipeline.handle_timeout(Moment::from_start(now));
        if rng.u32(..2_000) == 0 {
            self.pipeline.flush(Moment::from_start(now));
        }
        self.drain(&mut did);
        did
    }

    pub(super) fn answered(&mut self, now: Duration, reply: Reply) -> Vec<Did> {
        let mut did = Vec::new();
        if let Reply::Put(id, answer) = reply {
            self.pipeline.handle_answer(Moment::from_start(now), id, answer);
        }
        self.drain(&mut did);
        did
    }

    fn drain(&mut self, did: &mut Vec<Did>) {
        while let Some((id, request)) = self.pipeline.poll_request() {
            did.push(Did::Called(Call::Put(id, request)));
        }
        while let Some(event) = self.pipeline.poll_event() {
            match event {
                Event::Settled { tag, outcome } => did.push(Did::Settled(tag, outcome)),
                Event::Delivered(mut delivered) => {
                    did.extend(delivered.outcomes().map(|(tag, outcome)| Did::Settled(tag, outcome)));
                    self.pipeline.reuse(delivered);
                }
                Event::Flushed { .. } => {}
            }
        }
    }
}
