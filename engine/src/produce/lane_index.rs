//! Which lane owns a hash key.

use shardflow_core::HashKey;

/// Where the ranges of lanes end, in order, to be searched for each record.
#[derive(Debug, Default)]
pub(super) struct LaneIndex {
    ends: Vec<HashKey>,
    /// For each value of a key's foremost bits, the first lane that such a key can be in; and one past the last lane.
    /// Shards are mostly of one size: that leaves a lane or two to look at, where halving a thousand takes ten guesses.
    first: Vec<u32>,
    /// How far to shift a key to have those bits.
    shift: u32,
}

impl LaneIndex {
    /// Of ranges that end there, ascending.
    pub(super) fn new(ends: Vec<HashKey>) -> Self {
        let bits = ends.len().next_power_of_two().ilog2() + 1;
        let shift = u128::BITS - bits;
        let of = |bits: u128| ends.partition_point(|end| end.0 < bits << shift);
        let first = (0..1 << bits).map(of).chain([ends.len()]);
        let first =
            first.map(|lane| u32::try_from(lane).expect("streams have thousands of shards")).collect();
        Self { ends, first, shift }
    }

    /// The lane that owns the key. Lanes cover the hash space; where a map had a gap, the next one takes it, and behind the
    /// last one that.
    pub(super) fn lane_of(&self, key: HashKey) -> usize {
        let bits = usize::try_from(key.0 >> self.shift).expect("so few bits are left");
        let (first, last) = (self.first[bits] as usize, self.first[bits + 1] as usize);
        let within = &self.ends[first..self.ends.len().min(last + 1)];
        (first + within.partition_point(|end| *end < key)).min(self.ends.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardflow_core::HashKeyRange;

    fn found_by_halving(ends: &[HashKey], key: HashKey) -> usize {
        ends.partition_point(|end| *end < key).min(ends.len() - 1)
    }

    #[test]
    fn a_key_is_found_where_halving_finds_it() {
        let mut rng = fastrand::Rng::with_seed(3);
        let even = |count| HashKeyRange::divide(count).map(|range| range.end()).collect::<Vec<_>>();
        // One shard in ten thousand parts beside large ones, and a map that ends too soon.
        let mut uneven: Vec<_> = (0..10_000).map(|n| HashKey(n * 1_000)).chain(even(3)).collect();
        let cases = [even(1), even(2), even(3), even(1_000), even(1_024), uneven.clone(), {
            uneven.pop();
            uneven
        }];
        for ends in cases {
            let index = LaneIndex::new(ends.clone());
            let edges = ends.iter().flat_map(|end| [end.0, end.0.wrapping_add(1), end.0.saturating_sub(1)]);
            let others = (0..2_000).map(|n| rng.u128(..) >> (n % 128));
            for key in edges.chain(others).map(HashKey) {
                assert_eq!(index.lane_of(key), found_by_halving(&ends, key), "{key:?} of {}", ends.len());
            }
        }
    }
}
