//! Which records a flush waits for.

use std::collections::VecDeque;

/// Names one flush.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlushId(u64);

/// Counts what is held between one flush and the next: a counter an epoch, not an entry a record.
#[derive(Debug)]
pub(super) struct Epochs {
    /// The oldest epoch that is not over comes first, the present one last; never empty.
    epochs: VecDeque<Epoch>,
    first: u64,
}

#[derive(Debug, Default)]
struct Epoch {
    held: u64,
    failed: u64,
}

impl Default for Epochs {
    fn default() -> Self {
        Self { epochs: VecDeque::from([Epoch::default()]), first: 0 }
    }
}

impl Epochs {
    pub(super) fn present(&self) -> u64 {
        self.first + self.epochs.len() as u64 - 1
    }

    /// Counts a record in the present epoch and tells which that is.
    pub(super) fn accept(&mut self) -> u64 {
        let present = self.present();
        self.epoch(present).held += 1;
        present
    }

    pub(super) fn settle(&mut self, epoch: u64, failed: bool) {
        let epoch = self.epoch(epoch);
        epoch.held -= 1;
        epoch.failed += u64::from(failed);
    }

    /// Records that are not settled.
    pub(super) fn held(&self) -> u64 {
        self.epochs.iter().map(|epoch| epoch.held).sum()
    }

    /// Ends the present epoch: a flush waits until it and all before it are empty.
    pub(super) fn flush(&mut self) -> FlushId {
        let flushed = FlushId(self.present());
        self.epochs.push_back(Epoch::default());
        flushed
    }

    /// The next flush that is done, and how many of its records failed.
    pub(super) fn next_done(&mut self) -> Option<(FlushId, u64)> {
        if self.epochs.len() == 1 || self.epochs.front().is_some_and(|epoch| epoch.held > 0) {
            return None;
        }
        let done = FlushId(self.first);
        self.first += 1;
        self.epochs.pop_front().map(|epoch| (done, epoch.failed))
    }

    fn epoch(&mut self, epoch: u64) -> &mut Epoch {
        let index = usize::try_from(epoch - self.first).expect("epochs are few");
        self.epochs.get_mut(index).expect("an epoch stays as long as one of its records is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_done_when_all_before_it_is_settled() {
        let mut epochs = Epochs::default();
        let (a, b) = (epochs.accept(), epochs.accept());
        let first = epochs.flush();
        let c = epochs.accept();
        let second = epochs.flush();
        let empty = epochs.flush();
        epochs.settle(c, false);
        epochs.settle(a, true);
        assert_eq!(epochs.next_done(), None);
        epochs.settle(b, false);
        assert_eq!(epochs.next_done(), Some((first, 1)));
        assert_eq!(epochs.next_done(), Some((second, 0)));
        assert_eq!(epochs.next_done(), Some((empty, 0)));
        assert_eq!(epochs.next_done(), None);
    }
}
