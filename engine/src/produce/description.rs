//! What the stream's description says: who decides which shard a record goes to, and how large a record may be.

use std::time::Duration;

use fastrand::Rng;
use shardflow_core::RecordDistribution;

use crate::backoff::Backoff;
use crate::{Moment, RequestId};

/// The part of a stream's description that a producer must know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Description {
    /// Who decides which shard a record goes to.
    pub distribution: RecordDistribution,
    /// Largest record, data and partition key together.
    pub record_bytes: usize,
}

/// What is known of it, and when to ask again.
#[derive(Debug)]
pub(super) struct Described {
    known: Option<Description>,
    assumed: Option<RecordDistribution>,
    /// Nothing is known although it was asked for.
    in_doubt: bool,
    asked: Option<Moment>,
    asking: Option<(RequestId, Moment)>,
    ask_at: Option<Moment>,
    /// Aggregates that went astray since the last answer.
    misplaced: u32,
    backoff: Backoff,
}

/// How records are put, as the description demands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manner {
    /// By hash key, records of a shard together.
    Together,
    /// By hash key, each by itself: should the service decide, an aggregate would be dropped by its readers.
    Singly,
    /// Each by itself, without any hash key: the service decides.
    Anywhere,
}

impl Described {
    /// As many aggregates go astray before the description is doubted. A split leads some astray too. The KPL's number.
    const DOUBT: u32 = 3;
    /// Least time between two questions that were asked out of doubt. DescribeStreamSummary is limited to 20 calls a
    /// second and account.
    const PAUSE: Duration = Duration::from_secs(5);

    pub(super) fn new(assumed: Option<RecordDistribution>) -> Self {
        Self {
            known: None,
            assumed,
            in_doubt: false,
            asked: None,
            asking: None,
            ask_at: None,
            misplaced: 0,
            // As the KPL: again after 5 s, then ever later.
            backoff: Backoff::new(Duration::from_secs(5), Duration::from_secs(300)),
        }
    }

    /// How records are put; nothing before the first answer, when they had better wait for it.
    pub(super) fn manner(&self) -> Option<Manner> {
        match self.known.map(|known| known.distribution).or(self.assumed) {
            Some(RecordDistribution::UserPartitionKey) => Some(Manner::Together),
            Some(RecordDistribution::Auto) => Some(Manner::Anywhere),
            None => self.in_doubt.then_some(Manner::Singly),
        }
    }

    /// Largest record, once it is known.
    pub(super) fn record_bytes(&self) -> Option<usize> {
        self.known.map(|known| known.record_bytes)
    }

    /// Nobody waits for the first answer any longer.
    pub(super) fn give_up(&mut self) {
        self.in_doubt = true;
    }

    /// Asks for the first time, unless that was done.
    pub(super) fn want_first(&mut self, now: Moment) {
        if self.asked.is_none() && self.asking.is_none() && self.ask_at.is_none() {
            self.ask_at = Some(now);
        }
    }

    /// An aggregate went to a shard that the map does not explain. Either the stream was resharded, or the service has
    /// begun to decide.
    pub(super) fn misplaced(&mut self, now: Moment) {
        self.misplaced += 1;
        if self.misplaced >= Self::DOUBT && self.asking.is_none() {
            let earliest = self.asked.map_or(now, |asked| asked.after(Self::PAUSE));
            self.ask_at = Some(self.ask_at.map_or(earliest, |at| at.min(earliest)));
        }
    }

    /// When it wants to ask.
    pub(super) fn due(&self) -> Option<Moment> {
        if self.asking.is_some() { None } else { self.ask_at }
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.due().is_some_and(|at| at <= now)
    }

    pub(super) fn asking(&mut self, id: RequestId, now: Moment) {
        self.asking = Some((id, now));
        self.ask_at = None;
    }

    pub(super) fn is_answer(&self, id: RequestId) -> bool {
        self.asking.is_some_and(|(asking, _)| asking == id)
    }

    pub(super) fn loaded(&mut self, now: Moment, description: Description, age: Duration, rng: &mut Rng) {
        self.known = Some(description);
        self.misplaced = 0;
        self.backoff.succeed();
        // Spread, so that a fleet does not ask in step.
        self.answered(now.after(age.mul_f64(0.9 + 0.2 * rng.f64())));
    }

    /// What was known stays so; what was not is in doubt.
    pub(super) fn failed(&mut self, now: Moment, rng: &mut Rng) {
        self.in_doubt = true;
        let again = now.after(self.backoff.fail(rng));
        self.answered(again);
    }

    fn answered(&mut self, again: Moment) {
        self.asked = self.asking.take().map(|(_, sent)| sent);
        self.ask_at = Some(again);
    }
}
