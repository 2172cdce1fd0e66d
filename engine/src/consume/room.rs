//! How much memory one shard needs: for what it has read, and for what it is about to read.

use shardflow_core::limits;

use super::Retrieval;
use super::shard_life::{Batch, Request, ShardLife};
use super::work::{Task, Work};
use crate::RequestId;

/// Room for one read.
#[derive(Debug)]
pub(super) struct Room {
    step: Step,
    /// What the next read is expected to bring.
    estimate: usize,
}

#[derive(Debug)]
enum Step {
    Unasked,
    Asked { id: RequestId },
    Granted { bytes: usize },
}

impl Room {
    pub(super) fn new(retrieval: Retrieval) -> Self {
        let estimate = match retrieval {
            // Of a shard that nobody has read, anything can come.
            Retrieval::Polling => limits::GET_RECORDS_BYTES,
            // A subscription has room while it waits for an event, which is what came in a moment.
            Retrieval::FanOut => limits::SHARD_READ_BYTES_PER_SECOND as usize,
        };
        Self { step: Step::Unasked, estimate }
    }

    pub(super) fn is_asked(&self) -> bool {
        matches!(self.step, Step::Asked { .. })
    }

    pub(super) fn is_granted(&self) -> bool {
        matches!(self.step, Step::Granted { .. })
    }

    /// Whether this answers what was asked for. Then it is granted.
    pub(super) fn granted(&mut self, id: RequestId) -> bool {
        let mine = matches!(self.step, Step::Asked { id: asked } if asked == id);
        if mine {
            self.step = Step::Granted { bytes: self.estimate };
        }
        mine
    }

    /// A read has ended with a page: of so many bytes, and with more behind it or not.
    fn learn(&mut self, bytes: usize, caught_up: bool) {
        /// What one read can always bring: a few records.
        const LEAST: usize = 64 << 10;
        // Behind the newest record the next page is like this one. Far behind it each is as large as it can be, but the
        // service ends some early.
        let next = if caught_up { bytes.saturating_mul(2) } else { bytes.max(self.estimate / 2) };
        self.estimate = next.max(LEAST);
    }
}

impl ShardLife {
    /// How many bytes the shard has: batches that are not processed yet, as they lie in memory, and what a read that is
    /// under way was granted.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let busy = match &self.work {
            Work::Due { task, .. } | Work::Doing { task, .. } => match task {
                Task::Process(batch) | Task::DeadLetter(batch, _) | Task::Pass(batch) => batch.bytes(),
                Task::Initialize
                | Task::EnterChildren(_)
                | Task::Stop(_)
                | Task::CheckpointEnd
                | Task::Restart => 0,
            },
            Work::Idle | Work::Done => 0,
        };
        let reading = match self.room.step {
            Step::Granted { bytes } => bytes,
            Step::Unasked | Step::Asked { .. } => 0,
        };
        busy + reading + self.queue.iter().map(Batch::bytes).sum::<usize>()
    }

    /// Whether it has asked for room and not been told that it has it.
    #[must_use]
    pub fn waits_for_room(&self) -> bool {
        self.room.is_asked()
    }

    /// Asks for room where a read is due.
    pub(super) fn ask_for_room(&mut self) {
        if matches!(self.room.step, Step::Unasked) {
            let id = self.ids.next();
            self.room.step = Step::Asked { id };
            self.requests.push_back((id, Request::Room { bytes: self.room.estimate }));
        }
    }

    /// A read has ended, with a page or without.
    pub(super) fn settle_room(&mut self, page: Option<(usize, bool)>) {
        self.room.step = Step::Unasked;
        if let Some((bytes, caught_up)) = page {
            self.room.learn(bytes, caught_up);
        }
    }
}

impl Batch {
    /// The memory that its records take.
    pub(super) fn bytes(&self) -> usize {
        self.records.held_bytes()
    }
}
