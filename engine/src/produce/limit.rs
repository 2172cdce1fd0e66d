//! How fast one shard is written: never faster than it was told, and slower while the shard refuses.
//!
//! Two token buckets, as the service has them: 1 MiB and 1,000 records a second, each holding what a second brings; where
//! the service spreads records by itself, as much for each shard of the stream. What
//! the service cannot tell is how much of a shard other producers use. So the share that this one takes falls below
//! what it last had when an entry is refused for throughput, and then grows again along a cubic curve: fast back to
//! where it was, slowly past that point, ever faster beyond.

use shardflow_core::limits::{SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND};

use crate::Moment;

/// The rate of one shard, as a share of its capacity.
#[derive(Debug)]
pub(super) struct Limit {
    /// How many shards it is for.
    shards: usize,
    /// The share that is never exceeded.
    most: f64,
    share: f64,
    /// The share that was in use when the shard last refused something, and when that was.
    refused: Option<(f64, Moment)>,
    /// What may be sent now: below zero after an entry that was larger than what was left.
    bytes: f64,
    records: f64,
    /// When those were reckoned.
    at: Moment,
    /// The share that is in use, over about a second.
    used: f64,
}

impl Limit {
    /// What a second brings at a share of 1, and what the buckets hold.
    const BYTES: f64 = SHARD_WRITE_BYTES_PER_SECOND as f64;
    const RECORDS: f64 = SHARD_WRITE_RECORDS_PER_SECOND as f64;
    /// However often it is refused, it tries this much. Less, and one large record would take a minute to pay for.
    const LEAST: f64 = 0.05;
    /// What is left of the share after a refusal.
    const CUT: f64 = 0.85;
    /// How fast the share grows, in shares per cubic second: back after a cut from 1 in four seconds.
    const GROWTH: f64 = 0.002;

    pub(super) fn new(most: f64, shards: usize) -> Self {
        Self {
            shards,
            most,
            share: most,
            refused: None,
            bytes: Self::BYTES,
            records: Self::RECORDS,
            at: Moment::START,
            used: 0.0,
        }
    }

    /// How many shards it is for.
    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    /// Whether something may be sent now.
    pub(super) fn is_open(&mut self, now: Moment) -> bool {
        let passed = now.since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.share = self.share_at(now);
        self.bytes = (self.bytes + passed * self.share * Self::BYTES).min(Self::BYTES);
        self.records = (self.records + passed * self.share * Self::RECORDS).min(Self::RECORDS);
        self.used *= (-passed).exp();
        self.bytes > 0.0 && self.records > 0.0
    }

    /// When something may be sent; in the past if that is so already.
    pub(super) fn opens_at(&self) -> Moment {
        let lacks = (-self.bytes / Self::BYTES).max(-self.records / Self::RECORDS);
        if lacks < 0.0 {
            return self.at;
        }
        // The millisecond makes sure that the buckets have something then, however the reckoning is rounded.
        self.at.after(std::time::Duration::from_secs_f64(lacks / self.share + 0.001))
    }

    /// An entry of that size is sent. The last one of a full bucket may be larger than what is left.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.take(bytes as f64, 1.0);
    }

    /// It was not sent after all.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.take(-(bytes as f64), -1.0);
    }

    fn take(&mut self, bytes: f64, records: f64) {
        let (bytes, records) = (bytes / self.shards as f64, records / self.shards as f64);
        self.bytes -= bytes;
        self.records -= records;
        self.used += (bytes / Self::BYTES).max(records / Self::RECORDS).max(-self.used);
    }

    /// The share in use, and the one that may be.
    pub(super) fn shares(&self, now: Moment) -> (f64, f64) {
        (self.used * (-now.since(self.at).as_secs_f64()).exp(), self.share_at(now))
    }

    /// Whether the shard has refused something and the share has not come back since.
    pub(super) fn is_cut(&self, now: Moment) -> bool {
        self.share_at(now) < self.most
    }

    /// The shard has refused something for throughput.
    pub(super) fn refused(&mut self, now: Moment) {
        let had = self.share.min(self.used.max(Self::LEAST));
        self.refused = Some((had, now));
        self.share = self.share_at(now);
    }

    fn share_at(&self, now: Moment) -> f64 {
        let Some((had, at)) = self.refused else { return self.most };
        let since = now.since(at).as_secs_f64();
        let back = (had * (1.0 - Self::CUT) / Self::GROWTH).cbrt();
        (had + Self::GROWTH * (since - back).powi(3)).max(Self::LEAST).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MIB: usize = 1 << 20;

    fn at(millis: u64) -> Moment {
        Moment::from_start(Duration::from_millis(millis))
    }

    /// Bytes that go out between two times, in entries of a size, sent as soon as they may.
    fn sends(limit: &mut Limit, from: u64, until: u64, size: usize) -> usize {
        let (mut now, mut sent) = (at(from), 0);
        while now < at(until) {
            while limit.is_open(now) {
                limit.spend(size);
                sent += size;
            }
            assert!(limit.opens_at() > now, "it would be asked for ever");
            now = limit.opens_at();
        }
        sent
    }

    #[test]
    fn it_starts_with_a_full_second_and_keeps_its_rate() {
        for (most, size) in [(1.0, 50_000), (1.5, 50_000), (0.5, 1_000), (1.0, MIB)] {
            let mut limit = Limit::new(most, 1);
            let sent = sends(&mut limit, 0, 10_000, size) as f64;
            // A bucket to begin with, and the last entry may exceed it.
            let expected = (1.0 + 10.0 * most) * (MIB as f64).min(size as f64 * 1_000.0);
            let off = sent - expected;
            assert!(off.abs() <= size as f64 + 0.01 * expected, "{most} {size}: {sent} of {expected}");
        }
    }

    #[test]
    fn an_entry_larger_than_the_bucket_goes_and_is_paid_for() {
        let mut limit = Limit::new(1.0, 1);
        assert!(limit.is_open(at(0)));
        limit.spend(10 * MIB);
        assert!(!limit.is_open(at(8_990)));
        assert!(limit.is_open(at(9_010)));
    }

    #[test]
    fn what_was_not_sent_costs_nothing() {
        let mut limit = Limit::new(1.0, 1);
        limit.spend(5 * MIB);
        limit.give_back(5 * MIB);
        assert!(limit.is_open(at(0)));
    }

    #[test]
    fn a_refusal_takes_a_share_of_what_was_in_use_and_it_comes_back() {
        let mut limit = Limit::new(1.5, 1);
        sends(&mut limit, 0, 20_000, 10_000);
        limit.refused(at(20_000));
        let share = |limit: &mut Limit, millis| {
            limit.is_open(at(millis));
            limit.share
        };
        let cut = share(&mut limit, 20_001);
        assert!((1.2..1.4).contains(&cut), "{cut}");
        let soon = share(&mut limit, 24_000);
        assert!(soon > cut && soon < 1.5, "{soon}");
        assert!((share(&mut limit, 40_000) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_producer_that_uses_little_falls_to_less_than_that() {
        let mut limit = Limit::new(1.5, 1);
        for second in 0..10 {
            for tenth in 0..10 {
                limit.is_open(at(second * 1_000 + tenth * 100));
                limit.spend(MIB / 20);
            }
        }
        limit.refused(at(10_000));
        assert!((0.3..0.6).contains(&limit.share), "{}", limit.share);
    }

    #[test]
    fn it_never_stops() {
        let mut limit = Limit::new(1.0, 1);
        for i in 0..100 {
            limit.refused(at(i * 10));
        }
        assert!(sends(&mut limit, 1_000, 11_000, 10_000) > MIB / 3);
    }
}
