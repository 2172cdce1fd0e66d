//! Reading by iterators: GetRecords again and again, at the pace that a shard bears.

use std::time::Duration;

use super::fetch::{Arrived, Next, Reading};
use super::place::Place;
use super::read::{Page, ReadAnswer, ReadRequest};
use crate::request::RequestIds;
use crate::{Failure, Moment, RequestId, Verdict};

/// How far the next read is.
#[derive(Debug)]
pub(super) enum Polling {
    Open { at: Moment },
    Opening { id: RequestId },
    Read { iterator: String, at: Moment },
    Reading { id: RequestId, iterator: String, sent: Moment },
}

impl Polling {
    /// When it wants to ask.
    pub(super) fn due(&self) -> Option<Moment> {
        match self {
            Self::Open { at } | Self::Read { at, .. } => Some(*at),
            Self::Opening { .. } | Self::Reading { .. } => None,
        }
    }

    /// When it wants to ask for something other than records.
    pub(super) fn due_without_records(&self) -> Option<Moment> {
        match self {
            Self::Open { at } => Some(*at),
            Self::Opening { .. } | Self::Read { .. } | Self::Reading { .. } => None,
        }
    }

    /// Whether what it asks for next brings records.
    pub(super) fn wants_records(&self, now: Moment) -> bool {
        matches!(self, Self::Read { at, .. } if *at <= now)
    }

    /// Whether records are on their way.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::Reading { .. })
    }

    /// Asks what is to be asked next.
    pub(super) fn ask(
        &mut self,
        now: Moment,
        reading: &Reading,
        ids: &mut RequestIds,
    ) -> Option<(RequestId, ReadRequest)> {
        let id = ids.next();
        let (step, request) = match self {
            Self::Open { .. } => (Self::Opening { id }, ReadRequest::OpenIterator(reading.place.position())),
            Self::Read { iterator, .. } => {
                let limit = reading.settings.read_records;
                let request = ReadRequest::GetRecords { iterator: iterator.clone(), limit };
                (Self::Reading { id, iterator: std::mem::take(iterator), sent: now }, request)
            }
            Self::Opening { .. } | Self::Reading { .. } => return None,
        };
        *self = step;
        Some((id, request))
    }

    /// One of its requests was answered.
    pub(super) fn answered(
        &mut self,
        now: Moment,
        id: RequestId,
        answer: Result<ReadAnswer, Failure>,
        reading: &mut Reading,
    ) -> Next {
        match (&mut *self, answer) {
            (Self::Opening { id: asked }, answer) if *asked == id => match answer {
                Ok(ReadAnswer::Iterator { iterator, asked }) => {
                    reading.place.opened(asked);
                    *self = Self::Read { iterator, at: now };
                    Next::Nothing
                }
                other => self.not_opened(now, Failure::instead_of(other), reading),
            },
            (Self::Reading { id: asked, iterator, sent }, answer) if *asked == id => match answer {
                Ok(ReadAnswer::Page(page)) => {
                    let sent = *sent;
                    self.read(now, sent, page, reading)
                }
                other => {
                    let iterator = std::mem::take(iterator);
                    self.not_read(now, Failure::instead_of(other), iterator, reading)
                }
            },
            // Of no step that still waits.
            _ => Next::Nothing,
        }
    }

    fn read(&mut self, now: Moment, sent: Moment, page: Page, reading: &mut Reading) -> Next {
        let end = page.next.is_none().then_some(page.children);
        if let Some(iterator) = page.next {
            let pause = reading.pause(page.behind.is_zero());
            *self = Self::Read { iterator, at: sent.after(pause).max(now) };
        }
        let read_to = page.records.last().map(|record| record.sequence_number.clone());
        Next::Arrived(Arrived { records: page.records, read_to, behind: page.behind, end })
    }

    fn not_opened(&mut self, now: Moment, failure: Failure, reading: &mut Reading) -> Next {
        if failure.code == "ResourceNotFoundException" {
            return Next::Unknown(failure);
        }
        let wait = if reading.is_foreign(&failure) { Duration::ZERO } else { reading.failed(failure) };
        *self = Self::Open { at: now.after(wait) };
        Next::Nothing
    }

    fn not_read(&mut self, now: Moment, failure: Failure, iterator: String, reading: &mut Reading) -> Next {
        if failure.code == "ResourceNotFoundException" {
            return Next::Unknown(failure);
        }
        // An iterator lives for five minutes; the place that it stood for is known.
        if failure.code == "ExpiredIteratorException" {
            if bug!(ReopenedAtLatest) {
                reading.place = Place::new(shardflow_core::ShardPosition::Latest.into(), None, false);
            }
            *self = Self::Open { at: now };
            return Next::Nothing;
        }
        *self = match failure.verdict() {
            Verdict::Throttled => Self::Read { iterator, at: now.after(reading.throttled(failure)) },
            Verdict::Retry => Self::Read { iterator, at: now.after(reading.failed(failure)) },
            Verdict::Isolate | Verdict::Refuse => Self::Open { at: now.after(reading.failed(failure)) },
        };
        Next::Nothing
    }
}
