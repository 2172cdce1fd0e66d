//! Which streams an application reads, where there are several; it may change its mind while workers run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use shardflow_core::{InitialPosition, Stream, StreamIdentifier};
use shardflow_engine::lease;
use tokio::sync::watch;

use crate::{Config, FanOutConsumer};

/// The streams of a consumer that reads several: [`Consumer::streams`](crate::Consumer::streams). Clones share the set. What
/// is changed takes effect while workers run, within a second; nothing is polled for that.
///
/// ```
/// use shardflow_consumer::{InitialPosition, StreamConfig, Streams};
///
/// let streams = Streams::new(["orders".parse()?, "arn:aws:kinesis:eu-west-1:123456789012:stream/payments".parse()?]);
/// // Later, from wherever the application learns of it:
/// streams.add("refunds".parse()?, StreamConfig::default().initial_position(InitialPosition::Latest));
/// streams.remove(&"orders".parse()?);
/// # Ok::<(), shardflow_consumer::Invalid>(())
/// ```
///
/// It is what the KCL's `MultiStreamTracker` is, turned around: that is asked for a `streamConfigList` every 60 s by the
/// leader, this is told. Leases and their keys are the KCL's, so a fleet of both can share a table.
///
/// A stream is given by its name or its ARN, and is looked for with `DescribeStreamSummary`: its account, its name and the
/// second of its creation are its identifier, by which its leases are called. One that is not there, or may not be read, keeps
/// none of the others from being read: [`Health::streams`](crate::Health::streams) tells of it, and it is looked for again,
/// after a second at first and up to a minute later. A stream that is deleted and created again under its name is another
/// one, which starts at its own initial position.
///
/// A worker has started when it has seen the lease table, whether its streams are there or not.
///
/// Tell all workers of an application the same. While some do not know of a stream yet, those that do read it: a lease of it
/// that a leader has given to one that does not is taken back after the failover time.
#[derive(Clone)]
pub struct Streams(Arc<watch::Sender<Set>>);

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    streams: BTreeMap<Stream, StreamConfig>,
    deleted: BTreeSet<StreamIdentifier>,
}

impl Streams {
    /// These, as [`StreamConfig::default`] says; there may be none for now.
    #[must_use]
    pub fn new(streams: impl IntoIterator<Item = Stream>) -> Self {
        let streams = streams.into_iter().map(|stream| (stream, StreamConfig::default()));
        Self(Arc::new(watch::Sender::new(Set { streams: streams.collect(), ..Set::default() })))
    }

    /// Adds a stream, or changes how one is read. Whether it was not there.
    ///
    /// One that has leases already, of this application's past for example, goes on where they say; else it starts at its
    /// initial position, whatever else is in the lease table. What is changed of a stream that is read takes effect for what
    /// is begun later: [`StreamConfig::initial_position`] where it has no leases, [`StreamConfig::consumer`] when a worker
    /// finds the stream anew.
    pub fn add(&self, stream: Stream, config: StreamConfig) -> bool {
        let mut is_new = false;
        self.0.send_modify(|set| is_new = set.streams.insert(stream, config).is_none());
        is_new
    }

    /// Removes a stream, named as it was given. Whether it was there.
    ///
    /// Its handlers finish their batch, are called with [`Stop::Shutdown`](crate::Stop::Shutdown), and its leases are left. What
    /// becomes of those is for [`Config::former_streams`] to say; by default they stay, so that the stream goes on from there
    /// if it is added again.
    pub fn remove(&self, stream: &Stream) -> bool {
        self.0.send_if_modified(|set| set.streams.remove(stream).is_some())
    }

    /// Puts other streams in place of all that there are: as [`Streams::add`] and [`Streams::remove`] of what differs.
    pub fn set(&self, streams: impl IntoIterator<Item = (Stream, StreamConfig)>) {
        let streams: BTreeMap<_, _> = streams.into_iter().collect();
        self.0.send_modify(|set| set.streams = streams);
    }

    /// Names a stream whose leases are to be deleted, once it is not read any more, with
    /// [`FormerStreams::DeleteNamedAfter`]. With another policy nothing happens.
    pub fn delete_leases(&self, identifier: StreamIdentifier) {
        self.0.send_modify(|set| {
            set.deleted.insert(identifier);
        });
    }

    /// The streams that are to be read, by name and ARN.
    #[must_use]
    pub fn list(&self) -> Vec<(Stream, StreamConfig)> {
        let set = self.0.borrow();
        set.streams.iter().map(|(stream, config)| (stream.clone(), config.clone())).collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Set> {
        self.0.subscribe()
    }

    /// How one is to be read.
    pub(crate) fn config(&self, stream: &Stream) -> StreamConfig {
        self.0.borrow().streams.get(stream).cloned().unwrap_or_default()
    }
}

impl Set {
    /// What the engine is told.
    pub(crate) fn wish(&self, position: InitialPosition) -> lease::Wish {
        let streams = self.streams.iter();
        let streams = streams.map(|(stream, config)| (stream.clone(), config.position.unwrap_or(position)));
        lease::Wish { streams: streams.collect(), deleted: self.deleted.clone() }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self::new([])
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Streams").field(&self.0.borrow().streams).finish()
    }
}

/// How one of several streams is read. The KCL's `StreamConfig`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StreamConfig {
    pub(crate) position: Option<InitialPosition>,
    pub(crate) consumer: Option<FanOutConsumer>,
}

impl StreamConfig {
    /// Where it starts if it has no leases. Default: [`Config::initial_position`]. The KCL's
    /// `initialPositionInStreamExtended`.
    #[must_use]
    pub fn initial_position(mut self, position: InitialPosition) -> Self {
        self.position = Some(position);
        self
    }

    /// Its consumer of enhanced fan-out, in place of the one that [`Config::retrieval`] names; without an effect while that is
    /// [`Retrieval::Polling`](crate::Retrieval::Polling). Default: that one, by its name; an ARN there is of one stream only, and
    /// the others have the application's consumer. The KCL's `consumerArn`.
    #[must_use]
    pub fn consumer(mut self, consumer: FanOutConsumer) -> Self {
        self.consumer = Some(consumer);
        self
    }
}

/// What becomes of leases whose streams are not in [`Streams`], nor another worker's to read. The KCL's
/// `FormerStreamsLeasesDeletionStrategy`, which has no default.
///
/// Leases are deleted by the leader, and only when nobody has renewed, checkpointed or taken one of the stream's for the
/// whole time: workers that have different sets of streams do not delete each other's leases, as those of the KCL do.
/// Nothing is deleted while a stream of that name is wanted and cannot be found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum FormerStreams {
    /// They stay, and their shards are not read. The KCL's `NoLeaseDeletionStrategy` keeps them too, but reads them on: that is
    /// [`FormerStreams::Read`].
    #[default]
    Keep,
    /// They stay, and their shards are read by whoever is given them, from their checkpoints, with the KCL's
    /// `NoLeaseDeletionStrategy` and a `createStreamConfig` that gives the defaults. So is what other applications have left in
    /// the table. The stream is addressed by an ARN of the client's region.
    Read,
    /// Deleted after that time. The KCL's `AutoDetectionAndDeferredDeletionStrategy`. Nothing is deleted while [`Streams`] is
    /// empty.
    ///
    /// Make it longer than a deployment takes.
    DeleteAfter(Duration),
    /// Only those that [`Streams::delete_leases`] names are deleted, after that time. The KCL's
    /// `ProvidedStreamsDeferredDeletionStrategy`.
    DeleteNamedAfter(Duration),
}

impl Config {
    /// What becomes of leases of streams that are not read any more, with
    /// [`Consumer::streams`](crate::Consumer::streams). Default [`FormerStreams::Keep`].
    #[must_use]
    pub fn former_streams(mut self, policy: FormerStreams) -> Self {
        self.lease.former = match policy {
            FormerStreams::Keep => lease::Former::Keep,
            FormerStreams::Read => lease::Former::Read,
            FormerStreams::DeleteAfter(time) => lease::Former::DeleteAfter(time),
            FormerStreams::DeleteNamedAfter(time) => lease::Former::DeleteNamedAfter(time),
        };
        self
    }

    /// Whether leases of an application of one stream and of one of several may be in one table. Default false: a worker that
    /// finds leases of the other kind ends with [`RunError::Refused`](crate::RunError::Refused), whose code is
    /// `LeasesOfOneStream` or `LeasesOfSeveralStreams`.
    ///
    /// Leases of one kind are not found by an application of the other, which would read everything again from its initial
    /// position; the KCL does so without a word. With true, those of the other kind are left alone.
    #[must_use]
    pub fn mixed_leases(mut self, allowed: bool) -> Self {
        self.lease.mixed_keys = allowed;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str) -> Stream {
        name.parse().unwrap()
    }

    #[test]
    fn a_stream_starts_where_it_says_or_else_where_all_do() {
        let streams = Streams::new([stream("a"), stream("b")]);
        assert!(!streams.add(stream("b"), StreamConfig::default().initial_position(InitialPosition::Latest)));
        assert!(streams.add(stream("c"), StreamConfig::default()));
        let changes = streams.changes();
        let wish = changes.borrow().wish(InitialPosition::TrimHorizon);
        let (first, newest) = (InitialPosition::TrimHorizon, InitialPosition::Latest);
        let wanted = [("a", first), ("b", newest), ("c", first)].map(|(name, at)| (stream(name), at));
        assert_eq!(wish.streams, BTreeMap::from(wanted));
    }

    #[test]
    fn workers_are_told_of_what_changes() {
        let streams = Streams::default();
        let changes = streams.changes();
        assert!(!streams.remove(&stream("a")) && !changes.has_changed().unwrap(), "nothing has");
        streams.set([(stream("a"), StreamConfig::default())]);
        assert!(changes.has_changed().unwrap());
        assert!(streams.remove(&stream("a")));
        assert_eq!(streams.list(), []);
        streams.delete_leases("1:a:2".parse().unwrap());
        let deleted = changes.borrow().wish(InitialPosition::Latest).deleted;
        assert_eq!(deleted, BTreeSet::from(["1:a:2".parse().unwrap()]));
    }
}
