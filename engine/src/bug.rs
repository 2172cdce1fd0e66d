//! Bugs that others have had, put back on purpose, to see that the simulator finds them.
//!
//! With the feature `known-bugs`, which only tests turn on, each stands behind a switch of the thread; without it
//! `bug!` is `false`, and nothing of them is built.

/// Whether a known bug is put back.
macro_rules! bug {
    ($bug:ident) => {{
        #[cfg(feature = "known-bugs")]
        {
            $crate::bug::KnownBug::$bug.is_back()
        }
        #[cfg(not(feature = "known-bugs"))]
        {
            false
        }
    }};
}

#[cfg(feature = "known-bugs")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static BACK: Cell<Option<KnownBug>> = const { Cell::new(None) };
    }

    macro_rules! known_bugs {
        ($($(#[$doc:meta])* $bug:ident,)*) => {
            /// A bug that a library of this field has had. Named are the threads that tell of it: KCL, KPL and others by their
            /// repositories' short names.
            #[derive(Clone, Copy, Debug, Eq, PartialEq)]
            pub enum KnownBug { $($(#[$doc])* $bug,)* }

            impl KnownBug {
                /// All of them.
                pub const ALL: &[Self] = &[$(Self::$bug),*];
            }
        };
    }

    known_bugs! {
        /// The life of a held lease is counted from the answer that proved it, not from the request: with slow answers, two
        /// workers read a shard. KCL#265, gokcl#60.
        LifeFromAnswer,
        /// A row that is seen for the first time counts as expired: a worker that starts takes everything from everybody.
        /// KCL#136, snowplow/enrich#649.
        FirstSightExpired,
        /// A renewal that landed, and whose answer was lost, is taken for another worker's write. KCL#537, KCL#973.
        OwnWriteTakenForLoss,
        /// A take whose answer comes long after others may take the lease again is believed from then on. KCL#380.
        LateTakeBelieved,
        /// Children of a shard that was split are read from the newest record. KCL#580, mapbox/kine#47.
        ChildrenAtLatest,
        /// A merged shard is read when the first of its parents is done. KCL#511.
        ChildBeforeSecondParent,
        /// The lease of a merged shard is entered although its other parent has none yet. KCL#150.
        MergedChildAlone,
        /// A shard counts as done before its children have leases: a crash in between, and they are never read. KCL#339,
        /// KCL#694.
        EndBeforeChildren,
        /// An answer to a request of a former holding is applied to the present one. KCL#108.
        StaleTenureAnswer,
        /// A lease that was lost and came back counts as the same holding. KCL#265; the KCL has a concurrency token for it.
        SameTenureAgain,
        /// A leader gives away what it saw to be unkept, whether it has been renewed since or not. KCL#973.
        LeaderActsOnStaleScan,
        /// A leader that was suspended goes on to lead beside its successor. KCL#1669.
        TwoLeaders,
        /// The lock of a dead leader is never taken. KCL#1803.
        LockNeverTaken,
        /// Leases of shards that are done count when leases are parted. KCL#54, KCL#1247.
        EndedLeasesCounted,
        /// Two workers that differ by one lease pass it to and fro. KCL#1814.
        LeasePingPong,
        /// A lease that somebody deleted is never entered again. KCL#461.
        DeletedLeaseForgotten,
        /// Leases are not given back when a worker stops: the others wait until they expire. KCL#474, KCL#845, gokcl#26.
        NotReleasedOnStop,
        /// A worker that has let its leases expire is given them again. KCL#639, KCL 3's metric rows outlive their workers.
        LeasesForTheDead,
        /// Two workers of one name do not find each other out. gokcl#77.
        SameNameUnseen,
        /// A batch that the handler failed at is passed over. KCL#10, KCL#192, KCL#805, KCL#1403.
        FailedBatchSkipped,
        /// The checkpoint on the way out covers the batch that the handler failed at. kcljs#65.
        FinalCheckpointAhead,
        /// A worker that stops, or hands over, leaves no last checkpoint. gokcl#26, KCL#751.
        NoFinalCheckpoint,
        /// An expired iterator is opened anew at the newest record. telegraf#19505, estuary/connectors#3071.
        ReopenedAtLatest,
        /// Reading goes on behind an aggregate that was processed in part. agg#11, KCL#343.
        AggregateReadInPart,
        /// An answer that names no next iterator counts as the shard's end, whatever the list of shards says. KCL#185,
        /// rw#17865.
        CutShortIsEnd,
        /// A subscription that ended is opened again where the one before began. FCA#243, KCL#391.
        ResubscribedAtStart,
        /// Records of an aggregate that lie in their shard count as delivered, although readers drop the whole of it. KPL 0.15.11
        /// to 1.1.0; agg#11, KCL#343.
        AggregateInPart,
        /// When one entry of a request fails, all are sent again. vector#17535, FBK#249.
        WholeRequestAgain,
        /// Entries that failed within a request that succeeded are forgotten. vector#359, rw#17865, FBK#270.
        PartialFailureForgotten,
        /// What is sent again goes behind what came later. KPL#23, KPL#135, rw#17983.
        RetriedBehindNewer,
        /// One request carries several entries of a shard, whose order the service does not keep. KPL#128,
        /// redpanda-data/connect#1641.
        TwoEntriesOfAShard,
        /// The map of shards is never fetched again when the stream is resharded. KPL#239, KPL#332.
        MapNeverRenewed,
    }

    impl KnownBug {
        /// Runs something with the bug put back on this thread.
        pub fn put_back<R>(self, run: impl FnOnce() -> R) -> R {
            let before = BACK.replace(Some(self));
            let done = run();
            BACK.set(before);
            done
        }

        pub(crate) fn is_back(self) -> bool {
            BACK.get() == Some(self)
        }
    }
}

#[cfg(feature = "known-bugs")]
pub use switch::KnownBug;
