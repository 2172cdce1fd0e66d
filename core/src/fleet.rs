//! The rows of a lease table that are no leases: who works, who leads, and for which KCL the table is laid out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Invalid, LeaseRow, WorkerId};

/// Everything that a lease table says at one time, as far as it is understood.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// The leases.
    pub leases: Vec<LeaseRow>,
    /// The workers that say that they are there.
    pub members: Vec<Member>,
    /// Who leads, if anybody does.
    pub lock: Option<LeaderLock>,
    /// For which KCL the leases are kept; `None` where nothing says so.
    pub version: Option<ClientVersion>,
}

/// A worker, as it says of itself: the KCL's row of worker metrics. Only workers with such a row are given leases.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// The worker.
    pub worker: WorkerId,
    /// When it wrote the row, by its own clock, in seconds since 1970. The KCL's `lut`.
    pub updated: u64,
    /// Which run of a Shardflow worker it is: of two that have the same name, the later one has the greater text. Java
    /// workers have none, and do not look at it.
    pub instance: Option<String>,
    /// How busy it is, by the KCL's name of the metric (`C` for the processor). May be empty.
    pub metrics: BTreeMap<String, Utilisation>,
}

impl Member {
    /// A worker that tells nothing of itself but that it lives.
    #[must_use]
    pub fn new(worker: WorkerId, updated: u64) -> Self {
        Self { worker, updated, instance: None, metrics: BTreeMap::new() }
    }
}

/// Samples of one metric, in per cent.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Utilisation {
    /// At most ten averages, oldest first. The KCL writes -1 for one that could not be taken.
    pub samples: Vec<f64>,
    /// The most that is acceptable; nothing where the row does not say so, and then the KCL does not count the worker.
    pub limit: Option<f64>,
}

impl Utilisation {
    /// Samples, and the most that is acceptable.
    #[must_use]
    pub fn new(samples: Vec<f64>, limit: Option<f64>) -> Self {
        Self { samples, limit }
    }
}

/// The row by which one worker leads: of the format of the DynamoDB lock client, which the KCL uses.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LeaderLock {
    /// Who has it.
    pub owner: WorkerId,
    /// Another text each time that the owner says that it still leads.
    pub version: String,
    /// How long others must see the same version before they may take the lock.
    pub lasts: Duration,
    /// Whether it was given back.
    pub released: bool,
}

impl LeaderLock {
    /// A lock that somebody has.
    #[must_use]
    pub fn new(owner: WorkerId, version: String, lasts: Duration) -> Self {
        Self { owner, version, lasts, released: false }
    }
}

/// A change of the lock, carried out only if it is as the change says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LockChange {
    /// Takes it where there is none.
    Create(LeaderLock),
    /// Takes it from a leader that is gone, or gives it another version.
    Replace {
        /// The version that it must have.
        version: String,
        /// What it is to be.
        by: LeaderLock,
    },
    /// Gives it back: the row is deleted.
    Release {
        /// Who must have it.
        owner: WorkerId,
        /// The version that it must have.
        version: String,
    },
}

impl LockChange {
    /// The lock as it is after the change, or `Err` where the condition does not hold.
    ///
    /// # Errors
    ///
    /// When the lock is not as the change says.
    pub fn apply_to(&self, lock: Option<&LeaderLock>) -> Result<Option<LeaderLock>, LockHeld> {
        match (self, lock) {
            (Self::Create(new), None) => Ok(Some(new.clone())),
            (Self::Replace { version, by }, Some(lock)) if lock.version == *version => Ok(Some(by.clone())),
            (Self::Release { owner, version }, Some(lock))
                if lock.version == *version && lock.owner == *owner =>
            {
                Ok(None)
            }
            _ => Err(LockHeld),
        }
    }
}

/// A lock is not as a change of it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LockHeld;

/// For which KCL the leases of a table are kept: the `cv` of the KCL's row `Migration3.0`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientVersion {
    /// For 3.x, for good.
    V3,
    /// For 3.x, while a way back to 2.x is kept open.
    V3WithRollback,
    /// For 2.x: workers steal leases from each other.
    V2,
    /// For 2.x, on the way to 3.x.
    UpgradeFrom2,
    /// Something that this version does not know.
    Other(String),
}

impl ClientVersion {
    /// Whether leases are given by a leader, as in KCL 3.x.
    #[must_use]
    pub fn is_3x(&self) -> bool {
        matches!(self, Self::V3 | Self::V3WithRollback)
    }

    /// The KCL's text for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::V3 => "CLIENT_VERSION_3X",
            Self::V3WithRollback => "CLIENT_VERSION_3X_WITH_ROLLBACK",
            Self::V2 => "CLIENT_VERSION_2X",
            Self::UpgradeFrom2 => "CLIENT_VERSION_UPGRADE_FROM_2X",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for ClientVersion {
    fn from(text: &str) -> Self {
        [Self::V3, Self::V3WithRollback, Self::V2, Self::UpgradeFrom2]
            .into_iter()
            .find(|version| version.as_str() == text)
            .unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

impl fmt::Display for ClientVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes of user records that a shard brings, as a lease row stores it: KiB a second, to six decimals.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Throughput(u64);

impl Throughput {
    /// So many bytes in that time.
    #[must_use]
    pub fn of(bytes: u64, within: Duration) -> Self {
        let micros = within.as_micros().max(1);
        let millionths = u128::from(bytes) * 1_000_000_000_000 / 1024 / micros;
        Self(u64::try_from(millionths).unwrap_or(u64::MAX))
    }

    /// Half of this and half of a newer measurement: the KCL's average, of weight 0.5.
    #[must_use]
    pub fn averaged_with(self, newer: Self) -> Self {
        Self(self.0 / 2 + newer.0 / 2 + (self.0 & newer.0 & 1))
    }

    /// In millionths of a KiB a second.
    #[must_use]
    pub fn millionths(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl FromStr for Throughput {
    type Err = Invalid;

    /// Reads plain decimals and what Java makes of small numbers, such as `2.6E-5`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let rule = "a number of KiB a second, not negative";
        let number: f64 = text.parse().map_err(|_| Invalid::text("throughput", text, rule))?;
        if !(number >= 0.0 && number.is_finite()) {
            return Err(Invalid::text("throughput", text, rule));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is not negative, and what is too large becomes the largest"
        )]
        Ok(Self((number * 1e6).round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_kib_a_second_to_six_decimals() {
        let measured = Throughput::of(1_536, Duration::from_secs(1));
        assert_eq!(measured.to_string(), "1.500000");
        assert_eq!("1.500000".parse(), Ok(measured));
        assert_eq!("2.6E-5".parse::<Throughput>().unwrap().to_string(), "0.000026");
        assert_eq!(measured.averaged_with(Throughput::default()).to_string(), "0.750000");
        for text in ["", "-1", "NaN", "inf"] {
            assert_eq!(text.parse::<Throughput>().unwrap_err().what(), "throughput");
        }
    }

    #[test]
    fn a_lock_changes_only_in_the_hands_that_it_is_in() {
        let lock = |owner: &str, version: &str| {
            LeaderLock::new(owner.parse().unwrap(), version.into(), Duration::from_secs(30))
        };
        let (a, b) = (lock("a", "1"), lock("b", "2"));
        let create = LockChange::Create(a.clone());
        assert_eq!(create.apply_to(None), Ok(Some(a.clone())));
        assert_eq!(create.apply_to(Some(&b)), Err(LockHeld));
        let replace = LockChange::Replace { version: "1".into(), by: b.clone() };
        assert_eq!(replace.apply_to(Some(&a)), Ok(Some(b.clone())));
        assert_eq!((replace.apply_to(None), replace.apply_to(Some(&b))), (Err(LockHeld), Err(LockHeld)));
        let release = LockChange::Release { owner: a.owner.clone(), version: "1".into() };
        assert_eq!(release.apply_to(Some(&a)), Ok(None));
        assert_eq!(release.apply_to(Some(&b)), Err(LockHeld));
    }

    #[test]
    fn versions_are_the_kcls_texts() {
        for version in [
            ClientVersion::V3,
            ClientVersion::V3WithRollback,
            ClientVersion::V2,
            ClientVersion::UpgradeFrom2,
            ClientVersion::Other("CLIENT_VERSION_4X".into()),
        ] {
            assert_eq!(ClientVersion::from(version.as_str()), version);
        }
        assert!(ClientVersion::V3.is_3x() && !ClientVersion::V2.is_3x());
    }
}
