//! Which records a flush waits for.

use std::collections::VecDeque;

/// Names one flush.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlushId(u64);

/// What lies between one flush and the next, by its number modulo 2^32: there is one in every record that is held, and
/// never so many at a time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Epoch(u32);

impl Epoch {
    #[expect(clippy::cast_possible_truncation, reason = "it is what the remainder is for")]
    fn numbered(number: u64) -> Self {
        Self(number as u32)
    }
}

/// Counts what is held of each epoch: a counter an epoch, not an entry a record.
#[derive(Debug)]
pub(super) struct Epochs {
    /// The oldest epoch that is not over comes first, the present one last; never empty.
    epochs: VecDeque<Count>,
    /// The number of the oldest.
    first: u64,
}

#[derive(Debug, Default)]
struct Count {
    held: u64,
    failed: u64,
}

impl Default for Epochs {
    fn default() -> Self {
        Self { epochs: VecDeque::from([Count::default()]), first: 0 }
    }
}

impl Epochs {
    pub(super) fn present(&self) -> Epoch {
        Epoch::numbered(self.number())
    }

    fn number(&self) -> u64 {
        self.first + self.epochs.len() as u64 - 1
    }

    /// Counts a record in the present epoch and tells which that is.
    pub(super) fn accept(&mut self) -> Epoch {
        let present = self.present();
        self.count(present).held += 1;
        present
    }

    pub(super) fn delivered(&mut self, epoch: Epoch, records: usize) {
        self.count(epoch).held -= records as u64;
    }

    pub(super) fn failed(&mut self, epoch: Epoch) {
        let count = self.count(epoch);
        count.held -= 1;
        count.failed += 1;
    }

    /// Records that are not settled.
    pub(super) fn held(&self) -> u64 {
        self.epochs.iter().map(|count| count.held).sum()
    }

    /// Ends the present epoch: a flush waits until it and all before it are empty.
    pub(super) fn flush(&mut self) -> FlushId {
        let flushed = FlushId(self.number());
        self.epochs.push_back(Count::default());
        flushed
    }

    /// The next flush that is done, and how many of its records failed.
    pub(super) fn next_done(&mut self) -> Option<(FlushId, u64)> {
        if self.epochs.len() == 1 || self.epochs.front().is_some_and(|count| count.held > 0) {
            return None;
        }
        let done = FlushId(self.first);
        self.first += 1;
        self.epochs.pop_front().map(|count| (done, count.failed))
    }

    fn count(&mut self, epoch: Epoch) -> &mut Count {
        let index = epoch.0.wrapping_sub(Epoch::numbered(self.first).0);
        self.epochs.get_mut(index as usize).expect("an epoch stays as long as one of its records is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_done_when_all_before_it_is_settled() {
        // The third one's remainder is 0 again.
        let mut epochs = Epochs { first: u64::from(u32::MAX) - 1, ..Epochs::default() };
        let (a, b) = (epochs.accept(), epochs.accept());
        let first = epochs.flush();
        let c = epochs.accept();
        let second = epochs.flush();
        let empty = epochs.flush();
        epochs.delivered(c, 1);
        epochs.failed(a);
        assert_eq!(epochs.next_done(), None);
        epochs.delivered(b, 1);
        assert_eq!(epochs.next_done(), Some((first, 1)));
        assert_eq!(epochs.next_done(), Some((second, 0)));
        assert_eq!(epochs.next_done(), Some((empty, 0)));
        assert_eq!(epochs.next_done(), None);
    }
}
