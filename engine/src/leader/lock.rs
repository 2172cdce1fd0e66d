//! The lock of the leader: taking it, keeping it, and seeing that nobody keeps it.

use std::time::Duration;

use fastrand::Rng;
use shardflow_core::{LeaderLock, LockChange, WorkerId};

use crate::Moment;

/// What one worker knows of the lock.
///
/// A lock belongs to its owner until others have seen the same version of it for as long as the row itself says. No
/// clock is compared with another's: the KCL's lock client does so, and has been seen never to take a dead leader's lock.
#[derive(Debug)]
pub(crate) struct Lock {
    me: WorkerId,
    lasts: Duration,
    /// What the last look showed, and since when.
    seen: Option<(LeaderLock, Moment)>,
    /// Whether there was a look.
    looked: bool,
    mine: Option<Mine>,
    /// The version that the last write of ours would have given it.
    tried: Option<String>,
    /// Whether a write is under way.
    writing: bool,
}

/// The lock in this worker's hands.
#[derive(Debug)]
struct Mine {
    version: String,
    /// When the write was sent that last proved it.
    proven_at: Moment,
    next: Moment,
}

impl Lock {
    pub(crate) fn new(me: WorkerId, lasts: Duration) -> Self {
        Self { me, lasts, seen: None, looked: false, mine: None, tried: None, writing: false }
    }

    /// Whether this worker leads. It stops to believe so by time alone.
    pub(crate) fn leads(&self, now: Moment) -> bool {
        self.mine.as_ref().is_some_and(|mine| now < mine.proven_at.after(self.lasts) || bug!(TwoLeaders))
    }

    /// What a look at the table showed.
    pub(crate) fn look(&mut self, now: Moment, lock: Option<&LeaderLock>) {
        self.looked = true;
        let before = self.seen.take();
        self.seen = lock.map(|lock| {
            let same = |seen: &LeaderLock| seen.version == lock.version && seen.owner == lock.owner;
            let unmoved = before.filter(|(seen, _)| same(seen) && !bug!(LockNeverTaken));
            (lock.clone(), unmoved.map_or(now, |(_, since)| since))
        });
        // A write of ours whose answer was lost has landed. When, is not known: the next one proves it.
        let ours = |lock: &&LeaderLock| lock.owner == self.me && self.tried.as_ref() == Some(&lock.version);
        let Some(version) = lock.filter(ours).map(|lock| lock.version.clone()) else { return };
        match &mut self.mine {
            Some(mine) => mine.version = version,
            None if !self.writing => {
                self.mine = Some(Mine { version, proven_at: Moment::START, next: now });
            }
            None => {}
        }
    }

    /// The write that is due, if one is. Its answer goes to [`answered`](Self::answered).
    pub(crate) fn due(&mut self, now: Moment, rng: &mut Rng) -> Option<LockChange> {
        if self.writing || !self.looked {
            return None;
        }
        let by = |version: String| LeaderLock::new(self.me.clone(), version, self.lasts);
        let (change, version) = match (&self.mine, &self.seen) {
            (Some(mine), _) if mine.next > now => return None,
            (Some(mine), _) => {
                let version = version(rng);
                (LockChange::Replace { version: mine.version.clone(), by: by(version.clone()) }, version)
            }
            (None, None) => {
                let version = version(rng);
                (LockChange::Create(by(version.clone())), version)
            }
            (None, Some((lock, since))) => {
                let kept = !lock.released && now.since(*since) < lock.lasts;
                // A former life of ours: nobody else can have it.
                if kept && lock.owner != self.me {
                    return None;
                }
                let version = version(rng);
                (LockChange::Replace { version: lock.version.clone(), by: by(version.clone()) }, version)
            }
        };
        self.writing = true;
        self.tried = Some(version);
        Some(change)
    }

    /// When something will be due, if nothing changes.
    pub(crate) fn wakes(&self) -> Option<Moment> {
        match (&self.mine, &self.seen) {
            _ if self.writing || !self.looked => None,
            (Some(mine), _) => Some(mine.next),
            (None, Some((lock, since))) if !lock.released && lock.owner != self.me => {
                Some(since.after(lock.lasts))
            }
            // Tried at the next look: another worker has been faster just now.
            (None, _) => None,
        }
    }

    /// A write was carried out, refused, or went unanswered.
    pub(crate) fn answered(&mut self, now: Moment, change: &LockChange, sent: Moment, answer: Written) {
        self.writing = false;
        let (LockChange::Create(by) | LockChange::Replace { by, .. }) = change else { return };
        match answer {
            Written::Yes => {
                let next = sent.after(self.lasts / 3);
                self.mine = Some(Mine { version: by.version.clone(), proven_at: sent, next });
                self.seen = Some((by.clone(), now));
            }
            Written::No => {
                // Somebody else has it now, or an earlier write of ours landed. The next look tells.
                self.mine = None;
                self.seen = None;
                self.looked = false;
            }
            Written::Unknown => {
                if let Some(mine) = &mut self.mine {
                    mine.next = now.after(self.lasts / 30);
                } else {
                    self.seen = None;
                    self.looked = false;
                }
            }
        }
    }

    /// Gives it up. The write that tells so, if there is something to tell.
    pub(crate) fn release(&mut self) -> Option<LockChange> {
        let mine = self.mine.take()?;
        self.writing = true;
        Some(LockChange::Release { owner: self.me.clone(), version: mine.version })
    }
}

/// Whether a write was carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Written {
    Yes,
    No,
    Unknown,
}

/// Another version, of the form of a random UUID as the lock client writes it.
fn version(rng: &mut Rng) -> String {
    let (high, low) = (rng.u64(..), rng.u64(..));
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    /// Workers and the row; what one asks for is carried out at once unless a test says otherwise.
    struct Table {
        row: Option<LeaderLock>,
        rng: Rng,
    }

    impl Table {
        fn new() -> Self {
            Self { row: None, rng: Rng::with_seed(1) }
        }

        fn look(&mut self, lock: &mut Lock, now: Moment) {
            lock.look(now, self.row.as_ref());
            self.write(lock, now);
        }

        fn write(&mut self, lock: &mut Lock, now: Moment) {
            if let Some(change) = lock.due(now, &mut self.rng) {
                let answer = self.carry_out(&change);
                lock.answered(now, &change, now, answer);
            }
        }

        fn carry_out(&mut self, change: &LockChange) -> Written {
            match change.apply_to(self.row.as_ref()) {
                Ok(row) => {
                    self.row = row;
                    Written::Yes
                }
                Err(_) => Written::No,
            }
        }
    }

    fn lock(name: &str) -> Lock {
        Lock::new(name.parse().unwrap(), LASTS)
    }

    #[test]
    fn the_first_gets_it_and_keeps_it_as_long_as_it_says_so() {
        let (mut table, mut a, mut b) = (Table::new(), lock("a"), lock("b"));
        table.look(&mut a, at(0));
        assert!(a.leads(at(29)) && !a.leads(at(30)), "by time alone");
        assert_eq!(a.wakes(), Some(at(10)), "three times in its life");
        for second in 0..120 {
            table.write(&mut a, at(second));
            table.look(&mut b, at(second));
            assert!(a.leads(at(second)) && !b.leads(at(second)));
        }
    }

    #[test]
    fn a_dead_leaders_lock_is_taken_when_the_same_version_was_seen_for_as_long_as_the_row_says() {
        let (mut table, mut b) = (Table::new(), lock("b"));
        // A KCL's: two minutes.
        table.row = Some(LeaderLock::new("java".parse().unwrap(), "v".into(), Duration::from_secs(120)));
        for second in 100..220 {
            table.look(&mut b, at(second));
            assert!(!b.leads(at(second)));
        }
        assert_eq!(b.wakes(), Some(at(220)));
        table.look(&mut b, at(220));
        assert!(b.leads(at(220)));
        assert_eq!(table.row.unwrap().lasts, LASTS);
    }

    #[test]
    fn a_leader_that_slept_finds_that_another_leads() {
        let (mut table, mut a, mut b) = (Table::new(), lock("a"), lock("b"));
        table.look(&mut a, at(0));
        for second in 0..=30 {
            table.look(&mut b, at(second));
        }
        assert!(b.leads(at(30)) && !a.leads(at(30)));
        table.write(&mut a, at(31));
        assert!(!a.leads(at(31)));
        table.look(&mut a, at(32));
        assert!(!a.leads(at(32)) && b.leads(at(32)));
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_recognised() {
        let (mut table, mut a) = (Table::new(), lock("a"));
        a.look(at(0), None);
        let change = a.due(at(0), &mut table.rng).unwrap();
        assert_eq!(table.carry_out(&change), Written::Yes);
        a.answered(at(2), &change, at(0), Written::Unknown);
        assert!(!a.leads(at(2)), "it may not have landed");
        table.look(&mut a, at(3));
        assert!(a.leads(at(3)));
        // The same for a leader that says it leads still.
        let change = a.due(at(13), &mut table.rng).unwrap();
        table.carry_out(&change);
        a.answered(at(15), &change, at(13), Written::Unknown);
        a.look(at(16), table.row.as_ref());
        table.write(&mut a, at(17));
        assert!(a.leads(at(40)));
    }

    #[test]
    fn a_former_life_of_the_same_name_does_not_stand_in_the_way() {
        let mut table = Table::new();
        table.look(&mut lock("a"), at(0));
        let mut again = lock("a");
        table.look(&mut again, at(5));
        assert!(again.leads(at(5)));
    }

    #[test]
    fn a_lock_that_was_given_back_is_free() {
        let (mut table, mut a, mut b) = (Table::new(), lock("a"), lock("b"));
        table.look(&mut a, at(0));
        let change = a.release().unwrap();
        assert_eq!(table.carry_out(&change), Written::Yes);
        assert!(!a.leads(at(1)) && a.release().is_none());
        table.look(&mut b, at(1));
        assert!(b.leads(at(1)));
        table.row.as_mut().unwrap().released = true;
        let mut c = lock("c");
        table.look(&mut c, at(2));
        assert!(c.leads(at(2)), "one that says so itself");
    }

    #[test]
    fn versions_are_random_uuids() {
        let mut rng = Rng::with_seed(7);
        let (one, other) = (version(&mut rng), version(&mut rng));
        assert_ne!(one, other);
        for text in [one, other] {
            let parts: Vec<_> = text.split('-').map(str::len).collect();
            assert_eq!((parts, text.as_bytes()[14]), (vec![8, 4, 4, 4, 12], b'4'), "{text}");
        }
    }
}
