//! How the streams of a worker stand.

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_core::{Stream, StreamIdentifier};
use shardflow_engine::lease::Event;
use shardflow_engine::{Failure, Moment, Verdict};

use crate::clients::OTHER_REGION;

/// How one stream stood.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StreamHealth {
    /// As it was given.
    pub stream: Stream,
    /// Which it is, where there are several; nothing until it was found.
    pub identifier: Option<StreamIdentifier>,
    /// Why it is not read, or its new shards are not found, if that is so.
    pub trouble: Option<StreamTrouble>,
}

/// One of several streams cannot be had.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StreamTrouble {
    /// For how long.
    pub since: Duration,
    /// Why, by the last try.
    pub error: StreamError,
}

/// Why one of several streams cannot be had. It is tried again in any case, up to a minute later.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// There is no such stream.
    #[error("there is no such stream")]
    Missing,
    /// It is in another region than the client, as its ARN says: give each region a consumer of its own.
    #[error("{message}")]
    OtherRegion {
        /// Which.
        message: String,
    },
    /// The service does not let us: access denied, no credentials.
    #[error("refused with {code}: {message}")]
    Refused {
        /// The service's code.
        code: String,
        /// The service's words.
        message: String,
    },
    /// The service did not answer, or not now: it is throttled, or out of reach.
    #[error("not answered, {code}: {message}")]
    Unanswered {
        /// The service's code, or `Timeout`, `ConnectionFailed` and the like.
        code: String,
        /// The words that came with it.
        message: String,
    },
}

impl StreamError {
    fn of(failure: &Failure) -> Self {
        let (code, message) = (failure.code.clone(), failure.message.clone());
        match (failure.code.as_str(), failure.verdict()) {
            ("ResourceNotFoundException", _) => Self::Missing,
            (OTHER_REGION, _) => Self::OtherRegion { message },
            (_, Verdict::Refuse | Verdict::Isolate) => Self::Refused { code, message },
            (_, Verdict::Retry | Verdict::Throttled) => Self::Unanswered { code, message },
        }
    }

    /// Whether it may be over by itself soon.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }
}

/// What is noted of streams.
#[derive(Debug)]
pub(crate) enum StreamNotes {
    One(Stream),
    Several(BTreeMap<Stream, Note>),
}

#[derive(Debug, Default)]
pub(crate) struct Note {
    identifier: Option<StreamIdentifier>,
    trouble: Option<(Moment, StreamError)>,
}

impl StreamNotes {
    /// These are wanted from now on.
    pub(crate) fn wanted(&mut self, streams: impl Iterator<Item = Stream>) {
        if let Self::Several(notes) = self {
            let mut before = std::mem::take(notes);
            *notes = streams
                .map(|stream| {
                    let note = before.remove(&stream).unwrap_or_default();
                    (stream, note)
                })
                .collect();
        }
    }

    pub(crate) fn told(&mut self, now: Moment, event: &Event) {
        let Self::Several(notes) = self else { return };
        let (Event::StreamFound { stream, .. }
        | Event::StreamListed { stream }
        | Event::StreamFails { stream, .. }) = event
        else {
            return;
        };
        let Some(note) = notes.get_mut(stream) else { return };
        match event {
            Event::StreamFound { identifier, .. } => {
                note.identifier = Some(identifier.clone());
                note.trouble = None;
            }
            Event::StreamFails { failure, .. } => {
                let since = note.trouble.as_ref().map_or(now, |(since, _)| *since);
                note.trouble = Some((since, StreamError::of(failure)));
            }
            _ => note.trouble = None,
        }
    }

    pub(crate) fn failing(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Several(notes) => notes.values().filter(|note| note.trouble.is_some()).count(),
        }
    }

    pub(crate) fn health(&self, now: Moment) -> Vec<StreamHealth> {
        match self {
            Self::One(stream) => {
                vec![StreamHealth { stream: stream.clone(), identifier: None, trouble: None }]
            }
            Self::Several(notes) => notes
                .iter()
                .map(|(stream, note)| {
                    let trouble = note.trouble.as_ref().map(|(since, error)| StreamTrouble {
                        since: now.since(*since),
                        error: error.clone(),
                    });
                    StreamHealth { stream: stream.clone(), identifier: note.identifier.clone(), trouble }
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn the_trouble_of_a_stream_lasts_until_it_is_found_or_listed() {
        let stream: Stream = "orders".parse().unwrap();
        let fails =
            |code: &str| Event::StreamFails { stream: stream.clone(), failure: Failure::refused(code, "no") };
        let mut notes = StreamNotes::Several(BTreeMap::new());
        notes.told(at(0), &fails("AccessDeniedException"));
        assert_eq!(notes.health(at(0)), [], "nobody wants it");
        notes.wanted([stream.clone()].into_iter());
        notes.told(at(1), &fails("AccessDeniedException"));
        notes.told(at(5), &fails("ResourceNotFoundException"));
        let trouble = notes.health(at(8))[0].trouble.clone().unwrap();
        assert_eq!(trouble, StreamTrouble { since: Duration::from_secs(7), error: StreamError::Missing });
        notes.wanted([stream.clone()].into_iter());
        assert_eq!(notes.failing(), 1);
        let identifier: StreamIdentifier = "1:orders:2".parse().unwrap();
        notes.told(
            at(9),
            &Event::StreamFound { stream: stream.clone(), identifier: identifier.clone(), before: None },
        );
        let found = StreamHealth { stream: stream.clone(), identifier: Some(identifier), trouble: None };
        assert_eq!(notes.health(at(9)), [found]);
        notes.told(at(10), &fails("Timeout"));
        assert!(notes.health(at(10))[0].trouble.as_ref().unwrap().error.is_passing());
        notes.told(at(11), &Event::StreamListed { stream });
        assert_eq!(notes.failing(), 0);
    }
}
