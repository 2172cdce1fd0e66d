//! What is measured, and under which load.

use std::str::FromStr;

/// A case, as it is named on the command line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Case {
    /// As many records as go, of a size, into a number of shards.
    Full { size: usize, shards: u32 },
    /// The least that it can cost.
    Floor,
    /// 1 to 16 producing threads.
    Threads,
    /// 1 to 1,000 shards with aggregates of equal size.
    Shards,
    /// Without and with a recorder of metrics that hears all that there are.
    Metrics,
    /// Half of the load that it can take, and so little that no aggregate fills up: when do records arrive?
    Linger,
}

impl Case {
    /// What is measured when nothing is said.
    pub(crate) fn usual() -> Vec<Self> {
        let sizes = [100, 1024].into_iter();
        let full = sizes.flat_map(|size| [1, 16, 64].map(|shards| Self::Full { size, shards }));
        full.chain([Self::Floor, Self::Threads, Self::Shards, Self::Metrics, Self::Linger]).collect()
    }

    /// The loads that make up the case; none for the floor, which has no producer.
    pub(crate) fn loads(&self) -> Vec<Load> {
        match *self {
            Self::Floor => Vec::new(),
            Self::Full { size, shards } => {
                let load = Load::full(size, shards);
                vec![Load { with_best: (size, shards) == (100, 16), ..load }]
            }
            Self::Threads => [1, 2, 8, 16]
                .map(|threads| Load { name: format!("threads/{threads}"), threads, ..Load::alone(100, 16) })
                .into(),
            // Forty records to an aggregate, so that those of all shards fill up within the buffer's 64 MiB.
            Self::Shards => [1, 16, 64, 1000]
                .map(|shards| Load {
                    name: format!("shards/{shards}"),
                    aggregate: 5_120,
                    outstanding: 150_000,
                    linger: 1_000,
                    ..Load::alone(100, shards)
                })
                .into(),
            Self::Metrics => [("metrics/off", false), ("metrics/on", true)]
                .map(|(name, recorder)| Load { name: name.to_owned(), recorder, ..Load::alone(100, 16) })
                .into(),
            Self::Linger => {
                let half = Load { pace: Pace::Half, ..Load::alone(100, 16) };
                // Sixteen records for each shard within the linger.
                let slow = Load { pace: Pace::Rate(10_000), ..Load::alone(100, 64) };
                vec![
                    Load { name: "linger/half".to_owned(), ..half },
                    Load { name: "linger/slow".to_owned(), ..slow },
                ]
            }
        }
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let full = || {
            let (size, shards) = text.split_once("B/")?;
            Some(Self::Full { size: size.parse().ok()?, shards: shards.parse().ok()? })
        };
        match text {
            "floor" => Ok(Self::Floor),
            "threads" => Ok(Self::Threads),
            "shards" => Ok(Self::Shards),
            "metrics" => Ok(Self::Metrics),
            "linger" => Ok(Self::Linger),
            _ => full().ok_or_else(|| "write 100B/16, floor, threads, shards, metrics or linger".to_owned()),
        }
    }
}

/// What producers are made to carry.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) name: String,
    pub(crate) size: usize,
    pub(crate) shards: u32,
    /// Most records that are not settled.
    pub(crate) outstanding: u32,
    pub(crate) threads: u32,
    /// Most bytes of an aggregate.
    pub(crate) aggregate: u32,
    /// Milliseconds.
    pub(crate) linger: u32,
    pub(crate) pace: Pace,
    /// Whether a recorder of metrics listens.
    pub(crate) recorder: bool,
    pub(crate) with_kpl: bool,
    pub(crate) with_floor: bool,
    /// The KPL is measured with few outstanding records too, which is when it costs least.
    pub(crate) with_best: bool,
}

impl Load {
    /// The number of outstanding records at which the KPL costs least. With more, its aggregates are no fuller, and its
    /// queues are longer.
    pub(crate) const KPL_BEST: u32 = 5_000;

    fn full(size: usize, shards: u32) -> Self {
        Self {
            name: format!("{size}B/{shards}"),
            size,
            shards,
            outstanding: if size < 1_000 { 50_000 } else { 10_000 },
            threads: 1,
            aggregate: 51_200,
            linger: 100,
            pace: Pace::Full,
            recorder: false,
            with_kpl: true,
            with_floor: true,
            with_best: false,
        }
    }

    /// What is compared with other loads of ours only.
    fn alone(size: usize, shards: u32) -> Self {
        Self { with_kpl: false, with_floor: false, ..Self::full(size, shards) }
    }
}

/// How fast records come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pace {
    /// As fast as they are taken.
    Full,
    /// Half of that.
    Half,
    /// So many a second.
    Rate(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_as_they_are_named() {
        for case in Case::usual() {
            let name = case.loads().pop().map_or_else(|| "floor".to_owned(), |load| load.name);
            let name = if let Case::Full { .. } = case { &name } else { name.split('/').next().unwrap() };
            assert_eq!(name.parse(), Ok(case));
        }
        assert!("100/16".parse::<Case>().is_err() && "B/".parse::<Case>().is_err());
    }
}
