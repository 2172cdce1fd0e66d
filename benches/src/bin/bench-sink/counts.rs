//! What has come in.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use shardflow_benches::Usage;

/// A number that only grows, until it is reset.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Gives what it was before.
    pub(crate) fn add(&self, more: u64) -> u64 {
        self.0.fetch_add(more, Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of everything since the start or the last reset.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: Count,
    /// PutRecords requests.
    pub(crate) requests: Count,
    /// Bytes of their bodies.
    pub(crate) body_bytes: Count,
    pub(crate) kinesis_records: Count,
    /// What was in them.
    pub(crate) user_records: Count,
    pub(crate) user_bytes: Count,
    /// The sum of all partition keys, which are numbers, modulo 2^64. With the number of records it tells whether what
    /// came in is what was put, and not some of it twice and some of it never.
    pub(crate) key_sum: Count,
    /// Aggregates with a wrong MD5 or a malformed message, and records whose key is no number.
    pub(crate) damaged: Count,
    /// Kinesis records of which each key was looked at.
    pub(crate) sampled: Count,
    /// Of these, those with a record of another shard. A KCL would drop these whole.
    pub(crate) misrouted: Count,
    /// PutRecords requests that could not be read.
    pub(crate) unreadable: Count,
    pub(crate) other_calls: Count,
}

impl Counts {
    pub(crate) fn tell(&self) -> io::Result<Value> {
        let counts = self.all().into_iter().map(|(name, count)| (name.to_owned(), count.get().into()));
        let used = ("sink_cpu_s".to_owned(), Usage::now()?.cpu_seconds.into());
        Ok(Value::Object(counts.chain([used]).collect()))
    }

    pub(crate) fn reset(&self) {
        self.all().into_iter().for_each(|(_, count)| count.0.store(0, Ordering::Relaxed));
    }

    fn all(&self) -> [(&'static str, &Count); 12] {
        [
            ("connections", &self.connections),
            ("requests", &self.requests),
            ("body_bytes", &self.body_bytes),
            ("kinesis_records", &self.kinesis_records),
            ("user_records", &self.user_records),
            ("user_bytes", &self.user_bytes),
            ("key_sum", &self.key_sum),
            ("damaged", &self.damaged),
            ("sampled", &self.sampled),
            ("misrouted", &self.misrouted),
            ("unreadable", &self.unreadable),
            ("other_calls", &self.other_calls),
        ]
    }
}
