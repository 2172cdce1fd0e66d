//! Making a stream's shards equal, by splits and merges as UpdateShardCount does it.

use shardflow_core::{HashKey, HashKeyRange};

use super::stamp::Stamp;
use super::stream::StreamState;

impl StreamState {
    /// Splits where a new range starts within a shard, then merges the pieces of each new range. Every shard keeps at
    /// most two parents, and the short-lived ones between stay in the stream's history, as they do at AWS.
    pub(super) fn resize(&mut self, now: Stamp, target: u32) {
        let starts = self.new_starts(target);
        for start in &starts {
            let number = self.route(*start);
            let owner = self.open().find(|shard| shard.number == number);
            if owner.is_some_and(|shard| shard.range.start() != *start) {
                self.split(now, number, *start);
            }
        }
        let ends = starts.iter().skip(1).map(|start| HashKey(start.0 - 1)).chain([HashKey::MAX]);
        for (start, end) in starts.iter().zip(ends) {
            while let Some((lower, upper)) = self.first_two(*start, end) {
                self.merge(now, lower, upper);
            }
        }
    }

    /// Where the new ranges start. A start that is a few keys from one that exists takes that one instead: rounding
    /// must not leave shards of a handful of keys.
    fn new_starts(&self, target: u32) -> Vec<HashKey> {
        let close = u128::from(target);
        HashKeyRange::divide(target)
            .map(|range| {
                let wanted = range.start();
                let existing = self.open().map(|shard| shard.range.start());
                existing.filter(|start| start.0.abs_diff(wanted.0) <= close).min().unwrap_or(wanted)
            })
            .collect()
    }

    /// The two lowest of several open shards in a range.
    fn first_two(&self, start: HashKey, end: HashKey) -> Option<(u32, u32)> {
        let mut inside = self
            .open()
            .skip_while(|shard| shard.range.start() < start)
            .take_while(|shard| shard.range.end() <= end)
            .map(|shard| shard.number);
        Some((inside.next()?, inside.next()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Stamp = Stamp::from_millis(1_700_000_000_000);

    fn stream(shards: u32) -> StreamState {
        StreamState::new("orders", "arn".to_owned(), "000000000000", START, shards)
    }

    fn assert_sound(stream: &StreamState, open: usize) {
        let ranges: Vec<_> = stream.open().map(|shard| shard.range).collect();
        assert_eq!(ranges.len(), open);
        assert_eq!((ranges[0].start(), ranges[open - 1].end()), (HashKey::MIN, HashKey::MAX));
        assert!(ranges.windows(2).all(|pair| pair[0].next() == Some(pair[1].start())));
        for range in &ranges {
            let ideal = u128::MAX / open as u128;
            assert!((range.end().0 - range.start().0).abs_diff(ideal) <= 100 * open as u128, "{range}");
        }
        for shard in stream.shards(START) {
            let mut covered: Vec<_> =
                shard.parents.iter().map(|parent| stream.shard(START, *parent).unwrap()).collect();
            covered.sort_by_key(|parent| parent.range.start());
            assert!(covered.len() <= 2);
            for parent in &covered {
                assert!(!parent.is_open() && parent.children.contains(&shard.number));
                assert!(
                    parent.ending_sequence().unwrap() < shard.starting_sequence(),
                    "order across a reshard"
                );
                assert!(parent.range.overlaps(&shard.range));
            }
            if let [lower, upper] = covered[..] {
                assert_eq!(
                    (lower.range.start(), upper.range.end()),
                    (shard.range.start(), shard.range.end())
                );
            }
        }
    }

    #[test]
    fn any_walk_of_counts_leaves_equal_shards_with_true_parents() {
        let mut stream = stream(1);
        for target in [2, 3, 5, 4, 8, 16, 9, 10, 5, 3, 2, 1] {
            stream.resize(START, target);
            assert_sound(&stream, target as usize);
        }
    }

    #[test]
    fn doubling_splits_each_shard_once_and_halving_merges_each_pair_once() {
        let mut stream = stream(4);
        stream.resize(START, 8);
        assert_eq!(stream.shards(START).count(), 12);
        stream.resize(START, 4);
        assert_eq!(stream.shards(START).count(), 16);
        assert_sound(&stream, 4);
    }

    #[test]
    fn two_to_three_passes_through_short_lived_shards() {
        let mut stream = stream(2);
        stream.resize(START, 3);
        let parents: Vec<_> = stream.shards(START).map(|shard| shard.parents.clone()).collect();
        assert_eq!(parents, [vec![], vec![], vec![0], vec![0], vec![1], vec![1], vec![3, 4]]);
        assert_sound(&stream, 3);
    }
}
