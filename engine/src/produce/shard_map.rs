//! Which shard takes which hash keys, as far as this producer knows, and when to ask again.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{HashKeyRange, Shard, ShardId};

use crate::backoff::Backoff;
use crate::{Moment, RequestId};

/// The shard map of one stream.
#[derive(Debug)]
pub(super) struct ShardMap {
    /// Every shard ever listed, closed ones too: an entry may have gone to one.
    known: BTreeMap<ShardId, HashKeyRange>,
    /// The open ones, in the order of their ranges.
    open: Vec<(HashKeyRange, ShardId)>,
    /// When the request was sent that the present map came from.
    asked: Option<Moment>,
    /// The request under way, and when it was sent.
    asking: Option<(RequestId, Moment)>,
    /// Whether that asks for closed shards too.
    closed: bool,
    /// When to ask next.
    ask_at: Option<Moment>,
    backoff: Backoff,
}

impl ShardMap {
    /// Pause between two requests of one producer. ListShards is limited to 1,000 calls a second and stream, which
    /// hundreds of producers share.
    const PAUSE: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            open: Vec::new(),
            asked: None,
            asking: None,
            closed: false,
            ask_at: None,
            // The KPL's: from 1 s up to 30 s. Starts sooner, since records may be waiting for the first map.
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(30)),
        }
    }

    pub(super) fn open(&self) -> &[(HashKeyRange, ShardId)] {
        &self.open
    }

    pub(super) fn range_of(&self, shard: &ShardId) -> Option<HashKeyRange> {
        self.known.get(shard).copied()
    }

    /// When it wants to ask.
    pub(super) fn due(&self) -> Option<Moment> {
        if self.asking.is_some() { None } else { self.ask_at }
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.due().is_some_and(|at| at <= now)
    }

    /// Asks for a first map, unless there is one or it is on its way.
    pub(super) fn want_first(&mut self, now: Moment) {
        if self.asked.is_none() && self.asking.is_none() && self.ask_at.is_none() {
            self.ask_at = Some(now);
        }
    }

    /// A request sent at `seen` has shown that the map is no longer right.
    pub(super) fn contradicted(&mut self, seen: Moment) {
        // What was seen before the map was asked for is known already, and so is what a request under way will tell.
        let newest = self.asking.map(|(_, sent)| sent).or(self.asked);
        if bug!(MapNeverRenewed) && newest.is_some() {
            return;
        }
        if newest.is_some_and(|newest| seen < newest) {
            return;
        }
        let earliest = newest.map_or(seen, |newest| newest.after(Self::PAUSE));
        self.ask_at = Some(self.ask_at.map_or(earliest, |at| at.min(earliest)));
    }

    /// When the request under way was sent, if it asks for closed shards too.
    pub(super) fn asked_for_closed(&self) -> Option<Moment> {
        self.asking.filter(|_| self.closed).map(|(_, sent)| sent)
    }

    pub(super) fn asking(&mut self, id: RequestId, now: Moment, closed: bool) {
        self.asking = Some((id, now));
        self.closed = closed;
        self.ask_at = None;
    }

    pub(super) fn is_answer(&self, id: RequestId) -> bool {
        self.asking.is_some_and(|(asking, _)| asking == id)
    }

    /// Takes the answer in, if it makes a map.
    pub(super) fn loaded(&mut self, now: Moment, shards: Vec<Shard>, age: Duration, rng: &mut Rng) -> bool {
        let Some((_, sent)) = self.asking.take() else { return false };
        let mut open: Vec<_> =
            shards.iter().filter(|shard| shard.is_open()).map(|s| (s.hash_key_range, s.id.clone())).collect();
        open.sort();
        if open.is_empty() {
            // A stream always has open shards: somebody answered who does not know.
            self.failed(now, rng);
            return false;
        }
        self.open = open;
        self.asked = Some(sent);
        self.known.extend(shards.into_iter().map(|shard| (shard.id, shard.hash_key_range)));
        self.backoff.succeed();
        // What contradicted the old map while the new one was on its way is kept; otherwise the age counts, spread so
        // that a fleet does not ask in step.
        let again = now.after(age.mul_f64(0.9 + 0.2 * rng.f64()));
        self.ask_at = Some(self.ask_at.map_or(again, |at| at.min(again)));
        true
    }

    pub(super) fn failed(&mut self, now: Moment, rng: &mut Rng) {
        self.asking = None;
        let again = now.after(self.backoff.fail(rng));
        self.ask_at = Some(self.ask_at.map_or(again, |at| at.max(again)));
    }
}
