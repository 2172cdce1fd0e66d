//! One stream: its shards, its settings, and the changes that are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shardflow_core::limits::{RECORD_BYTES_DEFAULT, RETENTION_DEFAULT};
use shardflow_core::{HashKey, HashKeyRange};

use super::consumer::Consumer;
use super::error::KinesisError;
use super::shapes::{EncryptionType, RecordDistributionStrategy, StreamMode, StreamStatus};
use super::shard::ShardState;
use super::stamp::Stamp;

#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) account: String,
    pub(super) created: Stamp,
    /// Tells a stream from an earlier one of its name, even if both were created at one moment.
    pub(super) incarnation: u64,
    pub(super) status: StreamStatus,
    /// What ends the status, and when. Looked at whenever the stream is, so that no timer is needed.
    pending: Option<(Stamp, Change)>,
    /// All that ever were; a shard's number is its index. Those that left retention are no longer shown.
    shards: Vec<ShardState>,
    /// The last hash key of each open shard, ascending, and its number.
    routes: Vec<(HashKey, u32)>,
    /// Where the next record of a stream that distributes by itself goes.
    turn: usize,
    pub(super) mode: StreamMode,
    pub(super) retention: Duration,
    pub(super) max_record_bytes: usize,
    pub(super) distribution: RecordDistributionStrategy,
    pub(super) encryption: EncryptionType,
    pub(super) key_id: Option<String>,
    pub(super) monitoring: BTreeSet<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) policy: Option<String>,
    pub(super) consumers: BTreeMap<String, Consumer>,
}

/// What happens when a stream's status ends.
#[derive(Debug)]
pub(super) enum Change {
    /// It becomes ACTIVE, and that is all.
    Activate,
    /// Then it is gone.
    Delete,
    /// A shard is split: the second child starts at the key.
    Split { shard: u32, at: HashKey },
    /// Two adjacent shards are merged, the lower range first.
    Merge { lower: u32, upper: u32 },
    /// The shards are made equal in size and as many as this.
    Resize { target: u32 },
}

impl StreamState {
    pub(super) fn new(name: &str, arn: String, account: &str, now: Stamp, shards: u32) -> Self {
        let mut stream = Self {
            name: name.to_owned(),
            arn,
            account: account.to_owned(),
            created: now,
            incarnation: 0,
            status: StreamStatus::Active,
            pending: None,
            shards: Vec::new(),
            routes: Vec::new(),
            turn: 0,
            mode: StreamMode::Provisioned,
            retention: RETENTION_DEFAULT,
            max_record_bytes: RECORD_BYTES_DEFAULT,
            distribution: RecordDistributionStrategy::UserPartitionKey,
            encryption: EncryptionType::None,
            key_id: None,
            monitoring: BTreeSet::new(),
            tags: BTreeMap::new(),
            policy: None,
            consumers: BTreeMap::new(),
        };
        for (number, range) in (0..).zip(HashKeyRange::divide(shards)) {
            stream.shards.push(ShardState::new(number, range, now, None));
        }
        stream.reroute();
        stream
    }

    /// Starts a change that is done `after` this long: until then the stream has the given status.
    pub(super) fn begin(&mut self, now: Stamp, after: Duration, status: StreamStatus, change: Change) {
        self.status = status;
        self.pending = Some((now.plus(after), change));
        self.settle(now);
    }

    /// Carries out what is due. The caller removes the stream if it [`is_gone`](Self::is_gone) then.
    pub(super) fn settle(&mut self, now: Stamp) {
        self.consumers.retain(|_, consumer| consumer.settle(now));
        match self.pending {
            // Kept: it is how `is_gone` knows.
            None | Some((_, Change::Delete)) => return,
            Some((due, _)) if due > now => return,
            Some(_) => {}
        }
        let Some((due, change)) = self.pending.take() else { return };
        match change {
            Change::Activate | Change::Delete => {}
            Change::Split { shard, at } => self.split(due, shard, at),
            Change::Merge { lower, upper } => self.merge(due, lower, upper),
            Change::Resize { target } => self.resize(due, target),
        }
        self.status = StreamStatus::Active;
    }

    pub(super) fn is_gone(&self, now: Stamp) -> bool {
        matches!(self.pending, Some((due, Change::Delete)) if due <= now)
    }

    /// When the stream changes by itself.
    pub(super) fn next_change(&self) -> Option<Stamp> {
        self.pending.as_ref().map(|(due, _)| *due)
    }

    /// The shards that are still shown: open, or closed within retention.
    pub(super) fn shards(&self, now: Stamp) -> impl Iterator<Item = &ShardState> {
        let horizon = self.horizon(now);
        self.shards.iter().filter(move |shard| shard.closed.is_none_or(|at| at >= horizon))
    }

    pub(super) fn open_shards(&self) -> usize {
        self.routes.len()
    }

    pub(super) fn shard(&self, now: Stamp, number: u32) -> Option<&ShardState> {
        let horizon = self.horizon(now);
        self.shards.get(number as usize).filter(|shard| shard.closed.is_none_or(|at| at >= horizon))
    }

    /// A shard by its number, even if it has left retention.
    pub(super) fn shard_ever(&self, number: u32) -> Option<&ShardState> {
        self.shards.get(number as usize)
    }

    /// A shard by its number, without what has left retention.
    pub(super) fn shard_mut(&mut self, now: Stamp, number: u32) -> Option<&mut ShardState> {
        let horizon = self.horizon(now);
        let shard = self.shards.get_mut(number as usize)?;
        shard.trim(horizon);
        shard.closed.is_none_or(|at| at >= horizon).then_some(shard)
    }

    /// The number of the shard with this id.
    pub(super) fn find_shard(&self, now: Stamp, id: &str) -> Result<u32, KinesisError> {
        id.strip_prefix("shardId-")
            .and_then(|digits| digits.parse().ok())
            .filter(|number| self.shard(now, *number).is_some_and(|shard| shard.id.as_str() == id))
            .ok_or_else(|| {
                KinesisError::not_found(format!(
                    "Could not find shard {id} in stream {} under account {}.",
                    self.name, self.account
                ))
            })
    }

    /// The open shard that owns a hash key.
    pub(super) fn route(&self, key: HashKey) -> u32 {
        let index = self.routes.partition_point(|(end, _)| *end < key);
        self.routes.get(index).expect("open shards cover every hash key").1
    }

    /// The open shard whose turn it is, where the service distributes records.
    pub(super) fn next_in_turn(&mut self) -> u32 {
        self.turn = (self.turn + 1) % self.routes.len();
        self.routes.get(self.turn).expect("the turn goes round the open shards").1
    }

    pub(super) fn split(&mut self, now: Stamp, number: u32, at: HashKey) {
        let parent = self.parent(number);
        let (range, epoch) = (parent.range, parent.epoch());
        let below = HashKey(at.0 - 1);
        let halves = [HashKeyRange::new(range.start(), below), HashKeyRange::new(at, range.end())];
        for half in halves {
            let half = half.expect("a shard is split between its ends");
            self.add_child(now, half, epoch, vec![number]);
        }
    }

    pub(super) fn merge(&mut self, now: Stamp, lower: u32, upper: u32) {
        let epoch = self.parent(lower).epoch().max(self.parent(upper).epoch());
        let range = HashKeyRange::new(self.parent(lower).range.start(), self.parent(upper).range.end());
        self.add_child(now, range.expect("the lower shard comes first"), epoch, vec![lower, upper]);
    }

    /// Refuses unless the stream is ACTIVE: it can be changed.
    pub(super) fn require_active(&self) -> Result<(), KinesisError> {
        match self.status {
            StreamStatus::Active => Ok(()),
            StreamStatus::Creating | StreamStatus::Updating | StreamStatus::Deleting => {
                Err(self.in_transition())
            }
        }
    }

    /// Refuses unless the stream is ACTIVE or UPDATING: its shards can be seen.
    pub(super) fn require_listable(&self) -> Result<(), KinesisError> {
        if self.is_usable() { Ok(()) } else { Err(self.in_transition()) }
    }

    /// Refuses unless the stream takes and gives records. The data plane does not know a stream that is being created
    /// or deleted.
    pub(super) fn require_usable(&self) -> Result<(), KinesisError> {
        if self.is_usable() { Ok(()) } else { Err(not_found(&self.name, &self.account)) }
    }

    fn is_usable(&self) -> bool {
        matches!(self.status, StreamStatus::Active | StreamStatus::Updating)
    }

    fn in_transition(&self) -> KinesisError {
        KinesisError::in_use(format!(
            "Stream {} under account {} not ACTIVE, instead in state {}",
            self.name,
            self.account,
            self.status.as_str()
        ))
    }

    /// What arrived before this is gone.
    pub(super) fn horizon(&self, now: Stamp) -> Stamp {
        now.minus(self.retention)
    }

    fn parent(&self, number: u32) -> &ShardState {
        self.shards.get(number as usize).expect("a reshard names shards that are there")
    }

    fn add_child(&mut self, now: Stamp, range: HashKeyRange, after: u64, parents: Vec<u32>) {
        let number = u32::try_from(self.shards.len()).expect("fewer than 2^32 shards fit in memory");
        for parent in &parents {
            if let Some(parent) = self.shards.get_mut(*parent as usize) {
                parent.close(now);
                parent.children.push(number);
            }
        }
        let mut child = ShardState::new(number, range, now, Some(after));
        child.parents = parents;
        self.shards.push(child);
        self.reroute();
    }

    fn reroute(&mut self) {
        self.routes.clear();
        self.routes.extend(
            self.shards.iter().filter(|shard| shard.is_open()).map(|shard| (shard.range.end(), shard.number)),
        );
        self.routes.sort_unstable();
    }

    /// The open shards, by range.
    pub(super) fn open(&self) -> impl Iterator<Item = &ShardState> {
        self.routes.iter().filter_map(|(_, number)| self.shards.get(*number as usize))
    }
}

pub(super) fn not_found(name: &str, account: &str) -> KinesisError {
    KinesisError::not_found(format!("Stream {name} under account {account} not found."))
}
